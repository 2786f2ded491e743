"""The comparison: classifiers with and without synthetic images, equal optimizer steps, several seeds, one verdict."""

from __future__ import annotations

import csv
import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.pretrained import weights_hash
from pipelines.classify import check_every_class, positive_class, pretrained_trunk, study_classes, train_once
from pipelines.compare.statistics import Estimate, estimate, verdict
from pipelines.data.manifest import study_fingerprint, table
from pipelines.merge import Split, read_synthetic, real_splits, with_synthetic
from pipelines.report.page import write_report
from pipelines.tables import MEASURES
from pipelines.workspace import Workspace, resume
from runtime.device import Compute
from runtime.files import read_json, write_json, write_text
from runtime.run import Run

ARMS = ("real", "real+gan")
SEEDS = 3
COLUMNS = ("arm", "seed", "steps", "train_images", "synthetic_images", "accuracy", "sensitivity", "specificity", "roc_auc", "best_step", "seconds")
LIMITS = (
    "One generator and one draw of synthetic images: how much another generator or draw would change the result is not in the intervals.",
    "The test images come from the same sources as the training images; nothing is said about other hospitals.",
    "Where a label comes from one source only, part of what tells the classes apart may be the source and not the disease.",
)


def compare(
    workspace: Workspace,
    options: dict[str, Any],
    compute: Compute,
    *,
    seeds: int | None,
    synthetic: str | None,
    weights: Path | None,
    positive: str | None,
    resume_name: str | None,
    resuming: bool,
) -> tuple[Run, dict[str, Any]]:
    """Train every arm with every seed and write results.csv, summary.json, a figure and report.html.

    options: the fields of ClassifierConfig that were asked for; `seed` is the first of `seeds` consecutive ones (default 3).
    A resumed comparison keeps the classifiers that are finished. Returns the finished run and its summary.
    """
    classes = study_classes(workspace)
    resumed = workspace.unfinished_run("compare", resume_name) if resuming else None
    if resumed:
        saved = resumed.config
        config = resume(resumed, ClassifierConfig, options)
        seeds, synthetic, positive = saved["seeds"] if seeds is None else seeds, synthetic or saved["synthetic"], positive or saved["positive"]
    else:
        config = ClassifierConfig(**options)
    seeds = SEEDS if seeds is None else seeds
    if seeds < 2:
        raise ValueError(f"--seeds {seeds}: expected at least 2, one run says nothing about its own luck")
    positive = positive_class(classes, positive)
    added = read_synthetic(workspace.find_run("synthesize", synthetic).folder)
    splits = real_splits(workspace, added.image_size, classes)
    check_every_class(splits, classes)
    arms = {"real": splits, "real+gan": with_synthetic(workspace, splits, added, classes)}
    trunk = pretrained_trunk(config, weights)
    data = study_fingerprint(workspace.rows())
    record = asdict(config) | {
        "seeds": seeds,
        "synthetic": added.folder.name,
        "positive": positive,
        "trunk_sha256": weights_hash(trunk) if trunk else None,
        "data": data,
        "compute": str(compute),
    }
    run = workspace.open_run("compare", record, resumed)
    store = FeatureStore(workspace.features)

    rows = []
    for number in range(seeds):
        for arm in ARMS:
            one = replace(config, seed=config.seed + number)
            rows.append(_trained(run, arm, one, arms[arm], compute, classes=classes, positive=positive, trunk=trunk, store=store))
            write_text(run.folder / "results.csv", table(COLUMNS, rows))
    summary = _summary(workspace, run, config, rows, arms, classes, positive, added.folder.name, data, compute)
    write_json(run.folder / "summary.json", summary)
    write_report(workspace, run)
    run.finish({"verdict": summary["verdict"], "difference": summary["difference"]["accuracy"]["mean"]})
    return run, summary


def _trained(run: Run, arm: str, config: ClassifierConfig, splits: dict[str, Split], compute: Compute, **study: Any) -> dict[str, Any]:
    """The result row of one classifier; trained now, or read where it is finished already."""
    one = train_once(run.folder / "classifiers" / f"{arm}-seed{config.seed}", config, splits, compute, what=f"{arm}, seed {config.seed}", **study)
    metrics, result = read_json(one.folder / "metrics.json"), one.result
    return {"arm": arm, "seed": config.seed, "seconds": result["seconds"]} | {
        name: metrics["measures"][name]["value"] if name in metrics["measures"] else metrics[name] for name in COLUMNS if name in metrics or name in metrics["measures"]
    }


def _summary(
    workspace: Workspace,
    run: Run,
    config: ClassifierConfig,
    rows: Sequence[dict[str, Any]],
    arms: dict[str, dict[str, Split]],
    classes: Sequence[str],
    positive: str,
    synthetic: str,
    data: str,
    compute: Compute,
) -> dict[str, Any]:
    """What summary.json says; all shares lie in 0..1."""
    test = arms["real"]["test"]
    seeds = sorted({row["seed"] for row in rows})
    correct = {arm: np.stack([_correct(run.folder / "classifiers" / f"{arm}-seed{seed}" / "predictions.csv", positive) for seed in seeds]) for arm in ARMS}
    is_positive = test.labels == classes.index(positive)
    counted = {"accuracy": np.ones(len(test.labels), bool), "sensitivity": is_positive, "specificity": ~is_positive}
    kind = {"accuracy": 0, "sensitivity": 1, "specificity": 1}  # which notion of correct, see _correct

    def measured(measure: str, values: np.ndarray, lowest: float) -> Estimate:
        return estimate(values[:, kind[measure]], counted[measure], test.patients, lowest)

    difference = {measure: measured(measure, correct["real+gan"] - correct["real"], -1.0) for measure in MEASURES}
    of_arms = {}
    for arm in ARMS:
        mine = [row for row in rows if row["arm"] == arm]
        of_arms[arm] = {name: mine[0][name] for name in ("train_images", "synthetic_images")}
        of_arms[arm] |= {measure: asdict(measured(measure, correct[arm], 0.0)) for measure in MEASURES}
        of_arms[arm]["roc_auc"] = {"mean": float(np.mean([row["roc_auc"] for row in mine])), "per_seed": [row["roc_auc"] for row in mine]}
    answer = verdict(difference["accuracy"])
    size = {"images": len(test.labels), "patients": len(set(test.patients))}
    return {
        "verdict": answer,
        "sentence": _sentence(answer, of_arms, difference["accuracy"], size, len(seeds)),
        "positive": positive,
        "classes": list(classes),
        "arms": of_arms,
        "difference": {measure: asdict(value) for measure, value in difference.items()},
        "budget": {"arch": config.arch, "steps": config.steps, "batch_size": config.batch_size, "seeds": seeds},
        "test": size,
        "image_size": int(test.images.shape[1]),
        "generator": Run(workspace.runs / synthetic).config["generator"],
        "synthetic": synthetic,
        "data_fingerprint": data,
        "config": asdict(config),
        "limits": list(LIMITS),
        "versions": _versions(),
        "device": str(compute),
    }


def _correct(path: Path, positive: str) -> np.ndarray:
    """(2, N) from predictions.csv: 1 where the label is right; 1 where it is right about being positive or not."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    label_right = [row["predicted"] == row["label"] for row in rows]
    side_right = [(row["predicted"] == positive) == (row["label"] == positive) for row in rows]
    return np.array([label_right, side_right], float)


def _sentence(answer: str, arms: dict[str, Any], difference: Estimate, test: dict[str, int], seeds: int) -> str:
    added = arms["real+gan"]["synthetic_images"]
    lead = {
        "helps": f"Adding {added} synthetic images helps",
        "hurts": f"Adding {added} synthetic images hurts",
        "cannot tell": f"Whether {added} synthetic images help cannot be told from this study",
    }[answer]
    before, after = (100 * arms[arm]["accuracy"]["mean"] for arm in ARMS)
    low, high = (100 * value for value in difference.interval)
    sentence = (
        f"{lead}: test accuracy {before:.1f} % without and {after:.1f} % with them, a difference of {100 * difference.mean:+.1f} points "
        f"(95 % interval {low:+.1f} to {high:+.1f}; {test['images']} test images of {test['patients']} patients, {seeds} seeds; "
        f"the smallest difference such a study finds is {100 * difference.detectable:.1f} points)."
    )
    return sentence.replace(" -", " −")


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in ("cxr", "torch", "torchvision", "numpy", "scikit-learn", "scipy", "pillow"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed (run from a checkout)"
    return versions
