"""What a comparison found: summary.json, from which its tables, figures and page are made."""

from __future__ import annotations

import csv
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from classifier.config import ClassifierConfig
from pipelines.comparison.data_efficiency import worth
from pipelines.comparison.datasets import Material
from pipelines.comparison.design import Design, Trial
from pipelines.metrics.names import MEASURES
from pipelines.metrics.paired_tests import (
    FEW_PATIENTS,
    Replicate,
    estimate,
    holm,
    mcnemar,
    spread,
    verdict,
)
from pipelines.study.manifest import study_fingerprint
from pipelines.study.splitting import training_part

KINDS = {
    "accuracy": 0,
    "sensitivity": 1,
    "specificity": 1,
}  # which notion of right, see Outcome.right
LIMITS = {
    "generator": "One generator: how much another one, of another seed, would change the result is not in the intervals. (--generators 3)",
    "draw": "One draw of synthetic images from each generator: how much another would change the result is not in the intervals. (--draws 3)",
    "source": "The test images come from the same sources as the training images; nothing is said about other hospitals.",
    "shortcut": "Where a label comes from one source only, part of what tells the classes apart may be the source and not the disease.",
    "validation": "At every fraction the validation images are all of the study's: what is scarce there are training images only.",
    "epochs": "The budgets are unequal: by epochs a longer training set gets more optimizer steps, and part of any difference is their number.",
}


@dataclass(frozen=True)
class Outcome:
    """A finished classifier: its trial, its row in results.csv, and its predictions of the test images."""

    trial: Trial
    row: dict[str, Any]
    path: Path

    @cached_property
    def _table(self) -> list[dict[str, str]]:
        with open(self.path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def right(self, positive: str) -> np.ndarray:
        """(2, N): 1 where the label is right; 1 where it is right about being positive or not."""
        labels = [row["predicted"] == row["label"] for row in self._table]
        sides = [
            (row["predicted"] == positive) == (row["label"] == positive) for row in self._table
        ]
        return np.array([labels, sides], float)

    def probabilities(self, classes: Sequence[str]) -> np.ndarray:
        """(N, K)"""
        return np.array(
            [[float(row[f"probability_{name}"]) for name in classes] for row in self._table]
        )


def summarise(
    design: Design,
    config: ClassifierConfig,
    outcomes: Sequence[Outcome],
    material: Material,
    positive: str,
    *,
    generators: dict[tuple[float, int], str],
    sets: dict[tuple[float, int, int], str],
    plan: dict[str, Any],
    device: str,
) -> dict[str, Any]:
    """What summary.json says; all shares lie in 0..1. generators, sets: names of runs by fraction, generator, and draw."""
    test = material.splits["test"]
    results = _results(design, outcomes, material, positive)
    size = {"images": len(test.labels), "patients": len(set(test.patients))}
    few = {
        label: len({patient for patient, mine in zip(test.patients, test.labels) if mine == index})
        for index, label in enumerate(material.classes)
    }
    warnings = [
        f"only {count} patient(s) with {label} in the test split: too few for an interval to be trusted"
        for label, count in few.items()
        if count < FEW_PATIENTS
    ]
    warnings += _controls(results)
    arm, fraction, ratio = design.headline()
    found = _one(results, arm, fraction, ratio)
    names = [
        "generator" if generators and design.generators == 1 else "",
        "draw" if generators and design.draws == 1 else "",
        "source",
        "shortcut",
        "validation" if min(design.fractions) < 1 else "",
        "epochs" if design.budget == "epochs" else "",
    ]
    return {
        "verdict": found["against_real"]["verdict"],
        "sentence": _sentence(found, results, size, design.seeds, warnings),
        "headline": {"arm": arm, "fraction": fraction, "ratio": ratio},
        "positive": positive,
        "classes": list(material.classes),
        "results": results,
        "worth": worth(
            results, {one.trial: one.right(positive)[0] for one in outcomes}, test.patients
        )
        if len(design.fractions) > 1
        else None,
        "budget": {
            "kind": design.budget,
            "arch": config.arch,
            "steps": config.steps,
            "batch_size": config.batch_size,
            "seeds": sorted({one.trial.replicate.seed for one in outcomes}),
        }
        | {"generators": design.generators, "draws": design.draws},
        "plan": plan,
        "test": size,
        "image_size": int(test.images.shape[1]),
        "generators": [
            {"run": name, "fraction": fraction, "index": number}
            for (fraction, number), name in generators.items()
        ],
        "synthetic_sets": [
            {"run": name, "fraction": fraction, "generator": number, "draw": draw}
            for (fraction, number, draw), name in sets.items()
        ],
        "generator": generators.get((max(design.fractions), 0)),
        "synthetic": sets.get((max(design.fractions), 0, 0)),
        "data_fingerprint": study_fingerprint(material.rows),
        "config": asdict(config),
        "arms": [one.name for one in design.chosen()],
        "fractions": list(design.fractions),
        "ratios": list(design.ratios),
        "limits": [LIMITS[name] for name in names if name],
        "warnings": warnings,
        "versions": _versions(),
        "device": device,
    }


def _results(
    design: Design, outcomes: Sequence[Outcome], material: Material, positive: str
) -> list[dict[str, Any]]:
    """One entry per arm, fraction and ratio, with the paired difference from `real` at the same fraction."""
    test, classes = material.splits["test"], material.classes
    is_positive = test.labels == classes.index(positive)
    counted = {
        "accuracy": np.ones(len(test.labels), bool),
        "sensitivity": is_positive,
        "specificity": ~is_positive,
    }

    def measured(
        values: np.ndarray, replicates: Sequence[Replicate], lowest: float
    ) -> dict[str, dict[str, Any]]:
        """values (R, 2, N)"""
        return {
            name: asdict(
                estimate(values[:, KINDS[name]], counted[name], test.patients, replicates, lowest)
            )
            for name in MEASURES
        }

    results, reals = [], {}
    for arm, fraction, ratio in design.conditions():
        mine = [
            one
            for one in outcomes
            if (one.trial.arm, one.trial.fraction, one.trial.ratio) == (arm.name, fraction, ratio)
        ]
        replicates = [one.trial.replicate for one in mine]
        right = np.stack([one.right(positive) for one in mine])  # (R, 2, N)
        pooled = (
            np.mean([one.probabilities(classes) for one in mine], axis=0).argmax(axis=1)
            == test.labels
        )  # (N,)
        of_reals = training_part(material.rows, fraction)
        entry = {"arm": arm.name, "about": arm.about, "fraction": fraction, "ratio": ratio}
        entry |= {name: mine[0].row[name] for name in ("train_images", "synthetic_images")}
        entry |= {
            "real_images": len(of_reals),
            "real_patients": len({row.patient for row in of_reals}),
        }
        entry |= measured(right, replicates, 0.0)
        aucs = [one.row["roc_auc"] for one in mine]
        entry |= {
            "roc_auc": {"mean": float(np.mean(aucs)), "per_replicate": aucs},
            "replicates": [asdict(one) for one in replicates],
            "against_real": None,
        }
        entry["spread"] = spread(entry["accuracy"]["per_replicate"], replicates)
        if arm.name == "real":
            reals[fraction] = {one.seed: values for one, values in zip(replicates, right)}, pooled
        else:
            of_seed, pooled_real = reals[fraction]
            paired = right - np.stack([of_seed[one.seed] for one in replicates])
            entry["against_real"] = {
                "difference": measured(paired, replicates, -1.0),
                "mcnemar": asdict(mcnemar(pooled, pooled_real)),
            }
        results.append(entry)
    for fraction in design.fractions:
        for ratio in design.ratios:  # arms without images beside the reals belong to the family of every ratio; the strictest counts
            family = [
                one
                for one in results
                if one["against_real"]
                and one["fraction"] == fraction
                and one["ratio"] in (ratio, None)
            ]
            adjusted = holm([one["against_real"]["difference"]["accuracy"]["p"] for one in family])
            for one, p in zip(family, adjusted):
                one["against_real"]["p_holm"] = max(p, one["against_real"].get("p_holm", 0.0))
    for one in results:
        if one["against_real"]:
            difference = one["against_real"]["difference"]["accuracy"]
            one["against_real"]["verdict"] = verdict(
                difference["mean"], one["against_real"]["p_holm"]
            )
    return results


def _one(
    results: Sequence[dict[str, Any]], arm: str, fraction: float, ratio: float | None
) -> dict[str, Any]:
    return next(
        one
        for one in results
        if (one["arm"], one["fraction"], one["ratio"]) == (arm, fraction, ratio)
    )


def _controls(results: Sequence[dict[str, Any]]) -> list[str]:
    """A control that does not behave casts doubt on everything else."""
    warnings = []
    for one in results:
        found = one["against_real"] and one["against_real"]["verdict"]
        if one["arm"] == "real+shuffled" and found == "helps":
            warnings.append(
                "the control real+shuffled helps: whatever works here, it is not what the synthetic images show"
            )
        if one["arm"] == "real+oracle" and found == "hurts":
            warnings.append(
                "the control real+oracle hurts: not even fresh true images help here, so no generator's can be expected to"
            )
    return warnings


def _sentence(
    found: dict[str, Any],
    results: Sequence[dict[str, Any]],
    test: dict[str, int],
    seeds: int,
    warnings: Sequence[str],
) -> str:
    """The answer in words."""
    answer, difference, added = (
        found["against_real"]["verdict"],
        found["against_real"]["difference"]["accuracy"],
        found["synthetic_images"],
    )
    share = "" if found["fraction"] == 1 else f", beside {found['real_images']} real ones,"
    if found["arm"] == "real+gan":
        lead = {
            "helps": f"Adding {added} synthetic images{share} helps",
            "hurts": f"Adding {added} synthetic images{share} hurts",
            "cannot tell": f"Whether {added} synthetic images{share} help cannot be told from this study",
        }[answer]
    else:
        lead = {
            "helps": f"Training on {found['about']} ({found['arm']}) beats real images alone",
            "hurts": f"Training on {found['about']} ({found['arm']}) is worse than on real images alone",
            "cannot tell": f"Whether training on {found['about']} ({found['arm']}) beats real images alone cannot be told from this study",
        }[answer]
    real = _one(results, "real", found["fraction"], None)
    low, high = (100 * value for value in difference["interval"])
    generators = {one["generator"] for one in found["replicates"]} - {None}
    several = f", {len(generators)} generators" if len(generators) > 1 else ""
    sentence = (
        f"{lead}: test accuracy {100 * real['accuracy']['mean']:.1f} % without and {100 * found['accuracy']['mean']:.1f} % with them, a difference of "
        f"{100 * difference['mean']:+.1f} points (95 % interval {low:+.1f} to {high:+.1f}; {test['images']} test images of {test['patients']} patients, {seeds} seeds{several}; "
        f"the smallest difference such a study finds is {100 * difference['detectable']:.1f} points)."
    )
    if answer == "cannot tell" and low * high > 0:
        sentence += " The interval lies on one side of zero, but not once it is allowed for that several arms were tried."
    classical = next(
        (
            one
            for one in results
            if one["arm"] == "real+classical" and one["fraction"] == found["fraction"]
        ),
        None,
    )
    if classical and found["arm"] != "real+classical":
        against = classical["against_real"]
        sentence += f" Classical augmentation makes {100 * against['difference']['accuracy']['mean']:+.1f} points ({against['verdict']})."
    return (sentence + "".join(f" Beware: {warning}." for warning in warnings)).replace(" -", " −")


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in ("cxr", "torch", "torchvision", "numpy", "scikit-learn", "scipy", "pillow"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed (run from a checkout)"
    return versions
