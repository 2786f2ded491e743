"""Studies written by hand, for tests of the report page: one that has everything, and one that has next to nothing."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from classifier.metrics import Metrics
from pipelines.metrics.names import MEASURES
from pipelines.results.classifier_result import ClassifierResult
from pipelines.study.image_io import pixel_hash, write_gray
from pipelines.study.manifest import Row, study_fingerprint, write_manifest
from pipelines.study.workspace import Workspace
from runtime.estimate import Estimate
from runtime.files import read_json, write_json, write_text
from runtime.run import Run

SIZE = 32
CLASSES = ("covid", "normal")
ARMS = {  # accuracy with all reals, and whether there are synthetic images
    "real": (0.9111, False),
    "real+classical": (0.9222, False),
    "real+duplicates": (0.9058, True),
    "real+gan": (0.9027, True),
    "real+gan+classical": (0.9333, True),
    "gan-only": (0.8144, True),
    "gan-pretrain": (0.9299, True),
    "real+shuffled": (0.7766, True),
}
REAL_IMAGES, PATIENTS, SYNTHETIC = 400, 250, 1000
SEEDS, GENERATORS, DRAWS = (4, 5, 6), 2, 2


def estimate(mean: float, count: int, *, width: float = 0.03, p: float | None = None) -> dict:
    values = [mean + 0.0113 * ((number * 7) % 5 - 2) / 2 for number in range(count)]
    return {
        "mean": mean,
        "interval": [mean - 1.04 * width, mean + width],
        "per_replicate": values,
        "detectable": 0.0444,
        "p": p,
    }


def result(arm: str, fraction: float, ratio: float | None) -> dict:
    """One entry of a summary's results; accuracy falls with the number of reals, and a little with more synthetic images."""
    mean, synthetic = ARMS[arm]
    mean -= 0.05 * (1 - fraction) + (0.004 * ratio if synthetic and ratio else 0)
    drawn = synthetic and arm != "real+duplicates"
    replicates = [
        {"generator": generator, "draw": draw, "seed": seed}
        for generator in (range(GENERATORS) if drawn else [None])
        for draw in (range(DRAWS) if drawn else [None])
        for seed in SEEDS
    ]
    reals = round(REAL_IMAGES * fraction)
    added = (SYNTHETIC if ratio is None else round(ratio * reals)) if synthetic else 0
    change = mean - ARMS["real"][0] + 0.05 * (1 - fraction)
    verdict = "cannot tell" if abs(change) < 0.03 else "hurts" if change < 0 else "helps"
    against = (
        None
        if arm == "real"
        else {
            "difference": {
                measure: estimate(change - place / 100, len(replicates), p=0.0321)
                for place, measure in enumerate(MEASURES)
            },
            "p_holm": 0.1284,
            "mcnemar": {"only_arm": 13, "only_real": 17, "p": 0.5847},
            "verdict": verdict,
        }
    )
    return {
        "arm": arm,
        "about": f"what {arm} is",
        "fraction": fraction,
        "ratio": ratio if synthetic else None,
        "train_images": reals + added,
        "synthetic_images": added if drawn else 0,
        "real_images": reals,
        "real_patients": round(PATIENTS * fraction),
        "roc_auc": {"mean": mean + 0.0123, "per_replicate": [mean] * len(replicates)},
        "replicates": replicates,
        "against_real": against,
        "spread": {
            "generators": 0.0041 if drawn else None,
            "draws": 0.0083 if drawn else None,
            "seeds": 0.0127,
        },
    } | {
        measure: estimate(mean - place / 50, len(replicates))
        for place, measure in enumerate(MEASURES)
    }


def make_summary(
    classes: tuple[str, str] = CLASSES,
    data: str = "cd" * 32,
    *,
    arms: tuple[str, ...] = tuple(ARMS),
    fractions=(0.1, 0.25, 1.0),
    ratios=(0.5, 2.0),
    **changes,
) -> dict:
    """What a comparison's summary.json says."""
    results = [
        result(arm, fraction, ratio)
        for fraction in fractions
        for number, ratio in enumerate(ratios)
        for arm in arms
        if ARMS[arm][1] or number == 0
    ]
    results.sort(key=lambda one: (one["fraction"], one["arm"] != "real"))
    worth = [
        {
            "fraction": fraction,
            "ratio": ratios[-1],
            "synthetic_images": SYNTHETIC,
            "real_images": round(REAL_IMAGES * fraction),
            "extra": 37 - 90 * fraction,
            "interval": [-21.0 - 80 * fraction, 113.0],
            "lower_open": fraction < 0.2,
            "upper_open": fraction == 1,
            "sentence": f"A sentence of worth at {fraction:g}.",
        }
        for fraction in fractions
    ]
    return {
        "verdict": "cannot tell",
        "sentence": "Whether synthetic images help cannot be told. Beware: few test patients: 2 covid.",
        "headline": {"arm": "real+gan", "fraction": 1.0, "ratio": ratios[-1]},
        "positive": classes[0],
        "classes": list(classes),
        "results": results,
        "worth": worth if len(fractions) > 1 else None,
        "budget": {
            "kind": "steps",
            "arch": "cnn",
            "steps": 12800,
            "batch_size": 32,
            "seeds": list(SEEDS),
            "generators": GENERATORS,
            "draws": DRAWS,
        },
        "plan": {
            "detectable": {"0.02": 0.03, "0.05": 0.05, "0.1": 0.07},
            "sentence": "What was stated in the plan.",
        },
        "test": {"images": 4, "patients": 4},
        "image_size": SIZE,
        "generators": [
            {"run": "0001-gan-train", "seed": 0, "fraction": 1.0, "index": 0},
            {"run": "replicates/0001-gan-train", "seed": 1, "fraction": 1.0, "index": 1},
        ],
        "synthetic_sets": [
            {"run": "0002-synthesize", "fraction": 1.0, "generator": 0, "draw": 0},
            {"run": "replicates/0002-synthesize", "fraction": 1.0, "generator": 1, "draw": 0},
        ],
        "generator": "0001-gan-train",
        "synthetic": "0002-synthesize",
        "data_fingerprint": data,
        "config": {"arch": "cnn", "steps": 12800, "seed": 4},
        "arms": list(arms),
        "fractions": list(fractions),
        "ratios": list(ratios),
        "limits": ["A limit of this study."],
        "warnings": ["few test patients: 2 covid"],
        "versions": {"cxr": "0.1.0", "torch": "2.99.1"},
        "device": "cpu, fp32",
    } | changes


def poor_summary(data: str) -> dict:
    """Of two arms without synthetic images, at one fraction."""
    return make_summary(
        data=data,
        arms=("real", "real+classical"),
        fractions=(1.0,),
        ratios=(None,),
        headline={"arm": "real+classical", "fraction": 1.0, "ratio": None},
        warnings=[],
        plan=None,
        generators=[],
        synthetic_sets=[],
        generator=None,
        synthetic=None,
        sentence="Whether augmentation helps cannot be told.",
        budget={
            "kind": "epochs",
            "arch": "cnn",
            "steps": 12800,
            "batch_size": 32,
            "seeds": list(SEEDS),
            "generators": 0,
            "draws": 0,
        },
    )


def write_results(run: Run, summary: dict) -> None:
    """results.csv, a row for every replicate."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(
        [
            "arm",
            "fraction",
            "ratio",
            "generator",
            "draw",
            "seed",
            "steps",
            "train_images",
            "synthetic_images",
            "accuracy",
            "sensitivity",
            "specificity",
            "roc_auc",
            "best_step",
            "seconds",
        ]
    )
    for one in summary["results"]:
        for place in one["replicates"]:
            dice = [
                "" if value is None else value
                for value in (one["ratio"], place["generator"], place["draw"], place["seed"])
            ]
            writer.writerow(
                [
                    one["arm"],
                    one["fraction"],
                    *dice,
                    summary["budget"]["steps"],
                    one["train_images"],
                    one["synthetic_images"],
                    0.8766,
                    0.7654,
                    0.6543,
                    0.5432,
                    340,
                    41.4,
                ]
            )
    write_text(run.folder / "results.csv", text.getvalue())


def make_images(workspace: Workspace) -> list[Row]:
    """16 images of 8 patients, split by patient."""
    rng, rows = np.random.default_rng(0), []
    for number in range(16):
        label, split = CLASSES[number % 2], ("train", "train", "validation", "test")[number // 4]
        gray = rng.integers(0, 256, (40, SIZE), np.uint8)
        name = f"images/{number % 2}/{number}.png"
        (workspace.data / name).parent.mkdir(parents=True, exist_ok=True)
        write_gray(workspace.data / name, gray)
        patient = f"p{number // 4 * 4 + number % 2}"
        rows.append(
            Row(
                file_name=name,
                label=label,
                patient=patient,
                split=split,
                source="clinic",
                view="PA",
                sha256=pixel_hash(gray),
                fold=None,
                near_hash="",
                width=SIZE,
                height=40,
            )
        )
    write_manifest(workspace.manifest_path, rows)
    return rows


def poor_study(root: Path) -> tuple[Workspace, Run]:
    """Images and a comparison of two arms, and nothing else."""
    workspace = Workspace(root)
    rows = make_images(workspace)
    run = workspace.create_run("compare", {})
    summary = poor_summary(study_fingerprint(rows))
    write_json(run.folder / "summary.json", summary)
    write_results(run, summary)
    return workspace, run


def make_study(root: Path) -> tuple[Workspace, Run]:
    """Images, two generators, a synthetic set, two classifiers, a score, an audit, a data check and a comparison with all arms."""
    workspace, rng = Workspace(root), np.random.default_rng(0)
    rows = make_images(workspace)
    sources = [
        {
            "source": "my clinic",
            "kind": "folder per label",
            "images": 21,
            "passed_over": {"not frontal": 3},
        },
        {
            "source": "theirs",
            "kind": "folder per label",
            "images": 0,
            "passed_over": {},
            "external": True,
        },
    ]
    near = [{"images": [rows[0].file_name, rows[2].file_name], "bits": 3}]
    imported = {
        "sources": sources,
        "kept": 16,
        "left_out_counts": {"unreadable": 5, "exact duplicate": 2},
        "images_in_study": 16,
        "split_seed": 7,
        "near_duplicates": near,
    }
    write_json(workspace.data / "import.json", {"imports": [imported]})
    groups = [
        {
            "label": label,
            "source": "clinic",
            "images": 8,
            "patients": 4,
            "side": 40.0,
            "brightness": 127.4,
            "contrast": 73.9,
            "border": 6.2,
        }
        for label in CLASSES
    ]
    apart = {label: {"longest side": 0.5, "brightness": 0.6172} for label in CLASSES}
    predictable = {"by_source": 0.5, "by_facts": 0.5533, "commonest": 0.5}
    write_json(
        workspace.data / "check.json",
        {
            "images": 16,
            "groups": groups,
            "apart": apart,
            "predictable": predictable,
            "warnings": ["a warning of the data check"],
        },
    )

    asked = {
        "preset": "small-data",
        "image_size": SIZE,
        "steps": 9000,
        "seed": 0,
        "classes": list(CLASSES),
        "real_fraction": 1.0,
        "max_minutes": None,
    }
    for shelf, seed in ((workspace, 0), (workspace.replicates, 1)):
        generator = shelf.create_run("gan-train", asked | {"seed": seed})
        (generator.folder / "samples").mkdir()
        write_gray(
            generator.folder / "samples" / "step-000250.png", np.zeros((SIZE, SIZE), np.uint8)
        )
        write_gray(generator.folder / "curves.png", np.zeros((SIZE, SIZE), np.uint8))
        generator.finish(
            {
                "step": 250,
                "seconds": 90.0,
                "images": 8,
                "parameters": {"generator": 1234567, "discriminator": 7654},
            }
        )

        config = {
            "n": 6,
            "seed": 3,
            "labels": list(CLASSES),
            "generator": shelf.name_of(generator),
            "snapshot": "best",
            "trained_on": sorted(row.sha256 for row in rows if row.split == "train"),
        }
        synthetic = shelf.create_run("synthesize", config)
        for number in range(6):
            path = synthetic.folder / "images" / CLASSES[number % 2] / f"synthetic-{number:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_gray(path, rng.integers(0, 256, (SIZE, SIZE), np.uint8))
        synthetic.finish({})

    for name in (None, "0002-synthesize"):
        single = workspace.create_run("classify-train", {"synthetic": name})
        for figure in ("training_curves.png", "confusion_matrix.png"):
            write_gray(single.folder / figure, np.zeros((SIZE, 40), np.uint8))
        ClassifierResult(
            test=_metrics(Estimate(0.751, 0.3, 0.98, n=4), patients=4),
            external=_metrics(Estimate(0.617, 0.2, 0.91, n=9), patients=8),
            train_images=20,
            synthetic_images=6 if name else 0,
            steps=8,
            best_step=8,
        ).save(single)
        single.finish({})

    scored = workspace.create_run("score", {})
    one = {
        "group": "overall",
        "features": "cnn",
        "score": "frechet",
        "value": 13.57,
        "low": 9.87,
        "high": 16.4,
        "p": None,
        "floor": 6.21,
        "floor_low": 4.56,
        "floor_high": 7.89,
        "floor_p": None,
    }
    one |= {"of_all": 12.34, "n": 6, "n_train": 8, "n_synthetic": 6, "n_held_out": 8, "detail": ""}
    told = one | {
        "score": "two_sample_accuracy",
        "value": 0.87,
        "p": 0.012,
        "floor_p": 0.345,
        "of_all": None,
    }
    alike = one | {
        "features": "pixels",
        "score": "ms_ssim_diversity",
        "value": 0.76,
        "of_all": None,
    }
    left_out = {
        "group": "covid",
        "features": "cnn",
        "score": "recall",
        "reason": "3 training images; it needs 12",
    }
    extractor = {"name": "cnn", "sha256": "ab" * 32, "note": "of this study"}
    write_json(
        scored.folder / "score.json",
        {
            "extractors": [extractor],
            "synthetic": "0002-synthesize",
            "warnings": ["few images"],
            "scores": [one, told, alike],
            "unscored": [left_out],
        },
    )
    scored.finish({})

    audited = workspace.create_run(
        "audit", {"data": study_fingerprint(rows), "classifier_sha256": "ef" * 32}
    )

    def told_apart(value: float) -> dict:
        return {"roc_auc": {"value": value, "low": value - 0.07, "high": value + 0.05, "n": 4}}

    lines = [
        {
            "name": "whole",
            "title": "whole images",
            "as_it_is": told_apart(0.913),
            "retrained": None,
            "kept": None,
        }
    ]
    lines += [
        {
            "name": "lungs-covered",
            "title": "lungs covered",
            "as_it_is": told_apart(0.613),
            "retrained": told_apart(0.824),
            "kept": 0.784,
        }
    ]
    audit = {
        "classifier": "0003-classify-train",
        "alterations": lines,
        "test": {"images": 4, "patients": 4},
        "warnings": ["a warning of the audit"],
        "sources": {"sentence": "a sentence about sources"},
    }
    write_json(audited.folder / "audit.json", audit)
    write_gray(audited.folder / "audit.png", np.zeros((SIZE, 40), np.uint8))
    audited.finish({})

    run = workspace.create_run("compare", {"trunk_sha256": None, "options": "of the comparison"})
    summary = make_summary(data=study_fingerprint(rows))
    write_json(run.folder / "summary.json", summary)
    write_results(run, summary)
    return workspace, run


def _metrics(accuracy: Estimate, patients: int) -> Metrics:
    """Metrics of a single classifier, of which the page shows the accuracy."""
    return Metrics(
        n=accuracy.n,
        patients=patients,
        positive=CLASSES[0],
        measures={"accuracy": accuracy},
        threshold=0.5,
        at_threshold={},
        classes={},
        confusion=[],
        reliability=[],
    )


def change(path: Path, **values: object) -> None:
    """Give a JSON file of a study other values."""
    write_json(path, read_json(path) | values)
