"""A paper's experiment, once as it was done and once as it should be, beside the paper's own table.

CovidGAN (Waheed et al. 2020, IEEE Access 8, sections III and IV): an AC-GAN at 112 px; 1669 + 1399 synthetic images; a frozen VGG16 under a new head, batch 16, Adam
1e-3, 100 epochs with and without them, so that the longer training set gets several times the optimizer steps; one training each. Known departures: the
weights of the lowest validation loss are kept and the learning rate falls along a cosine, where the paper says nothing of either; patients never stand in two splits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from gan.config import PRESETS
from pipelines.comparison.design import Design
from pipelines.comparison.replicates import (
    continued_generator,
    finished,
    finished_generator,
    unfinished,
)
from pipelines.comparison.runner import compare
from pipelines.study.labels import check_every_class, positive_class, study_classes
from pipelines.study.manifest import study_fingerprint, table
from pipelines.study.synthetic import SyntheticSet, read_synthetic, real_splits, with_synthetic
from pipelines.study.workspace import Workspace
from pipelines.training.classifier import pretrained_trunk, train_once
from pipelines.training.synthesis import synthesize
from runtime.device import Compute
from runtime.files import read_json, write_json, write_text
from runtime.run import Run

MEASURES = ("accuracy", "sensitivity", "specificity")


@dataclass(frozen=True, kw_only=True)
class Paper:
    """What a paper did and found; shares in 0..1."""

    name: str
    source: str
    gan_steps: int
    pool: tuple[int, int]  # synthetic images of the positive class, and of the other
    epochs: int
    classifier: dict[str, Any]
    test_images: int
    real: tuple[float, float, float]  # accuracy, sensitivity, specificity
    synthetic: tuple[float, float, float]


PAPERS = {
    "covidgan": Paper(
        name="covidgan",
        source="Waheed et al., IEEE Access 8, 2020",
        gan_steps=PRESETS["covidgan"]["steps"],
        pool=(1669, 1399),
        epochs=100,
        classifier={"arch": "vgg16", "batch_size": 16, "learning_rate": 1e-3, "weight_decay": 0.0},
        test_images=192,
        real=(0.85, 0.69, 0.95),
        synthetic=(0.95, 0.90, 0.97),
    )
}


def reproduce(
    workspace: Workspace,
    compute: Compute,
    *,
    paper: str,
    scale: float = 1.0,
    seeds: int = 5,
    seed: int = 0,
    weights: Path | None = None,
) -> tuple[Run, dict[str, Any]]:
    """The paper's protocol and the fair one on the study's images; returns the finished run and what reproduce.json says.

    scale: of the GAN's steps, the pool and the epochs. seeds: of the fair protocol, whose budget is that of the paper's real images, in steps, for all arms.
    What an interrupted reproduction of the same scale and seed left, generator, synthetic set, classifiers or comparison, is continued. Raises ValueError unless there are two classes.
    """
    about = PAPERS[paper]
    if not 0 < scale <= 1:
        raise ValueError(
            f"--scale {scale:g}: expected more than 0, and at most 1 for the paper's own size"
        )
    classes = study_classes(workspace)
    if len(classes) != 2:
        raise ValueError(
            f"{about.name} has two classes, this study {len(classes)} ({', '.join(classes)}); import two into a study of their own"
        )
    positive = positive_class(classes)
    trunk = pretrained_trunk(ClassifierConfig(**about.classifier), weights)
    rows = workspace.rows()
    record = {
        "paper": paper,
        "scale": scale,
        "seeds": seeds,
        "seed": seed,
        "data": study_fingerprint(rows),
    }
    begun = unfinished(workspace, "reproduce", record)
    run = begun or workspace.create_run("reproduce", record | {"compute": str(compute)})
    workspace.hold(run)

    generator = _generator(workspace, about, scale, seed, compute)
    pool = [max(1, round(scale * count)) for count in about.pool]
    folder = _synthetic(workspace, generator, 2 * max(pool), seed, compute)
    added = read_synthetic(folder)
    splits = real_splits(workspace, added.image_size, classes)
    check_every_class(splits, classes)
    longer = with_synthetic(workspace, splits, _first(added, positive, pool), classes)
    epochs, reals = max(1, round(scale * about.epochs)), len(splits["train"].labels)
    config = ClassifierConfig(**about.classifier, seed=seed)
    measured, steps = {}, {}
    for name, part in (("real", splits), ("real+gan", longer)):
        length = len(part["train"].labels)
        steps[name] = epochs * -(-length // config.batch_size)
        one = replace(config, steps=steps[name], evaluate_every=-(-length // config.batch_size))
        study = {
            "classes": classes,
            "positive": positive,
            "trunk": trunk,
            "store": FeatureStore(workspace.features),
        }
        trained = train_once(
            run.folder / "classifiers" / name, one, part, compute, what=f"{paper}, {name}", **study
        )
        measured[name] = {
            measure: read_json(trained.folder / "metrics.json")["measures"][measure]
            for measure in MEASURES
        }

    options = about.classifier | {
        "seed": seed,
        "steps": steps["real"],
        "evaluate_every": -(-reals // config.batch_size),
    }
    fair = _fair(workspace, options, {"seeds": seeds}, folder.name, weights, compute)
    summary = read_json(fair.folder / "summary.json")
    result = {
        "paper": about.name,
        "source": about.source,
        "scale": scale,
        "generator": generator.name,
        "synthetic": folder.name,
        "compare": fair.name,
        "test": summary["test"],
        "rows": [
            _row(
                about.source,
                about.test_images,
                "100 epochs, one training",
                _plain(about.real),
                _plain(about.synthetic),
            ),
            _row(
                "its protocol, here",
                summary["test"]["images"],
                f"{epochs} epochs, one training: {steps['real']} and {steps['real+gan']} steps",
                measured["real"],
                measured["real+gan"],
            ),
            _row(
                "fair protocol, here",
                summary["test"]["images"],
                f"{steps['real']} steps for both, {seeds} seeds",
                *(_of(summary, arm) for arm in ("real", "real+gan")),
            ),
        ],
        "sentence": summary["sentence"],
    }
    write_json(run.folder / "reproduce.json", result)
    columns = (
        "protocol",
        "budget",
        "test_images",
        *(f"{arm}_{name}" for arm in ("real", "real+gan") for name in MEASURES),
    )
    flat = [
        {name: row[name] for name in columns[:3]}
        | {
            f"{arm}_{name}": row[arm][name]["value"]
            for arm in ("real", "real+gan")
            for name in MEASURES
        }
        for row in result["rows"]
    ]
    write_text(run.folder / "reproduce.csv", table(columns, flat))
    run.finish({"compare": fair.name, "verdict": summary["verdict"]})
    return run, result


def _generator(
    workspace: Workspace, about: Paper, scale: float, seed: int, compute: Compute
) -> Run:
    """The paper's generator on all training images: a finished one of as many steps, or one that is trained now, whatever the doctor says of it."""
    steps = max(1, round(scale * about.gan_steps))
    asked = {
        "preset": about.name,
        "steps": steps,
        "sample_every": max(1, steps // 10),
        "seed": seed,
    }
    return finished_generator(workspace, asked, 1.0) or continued_generator(
        workspace, asked, 1.0, None, compute, keep_going=True
    )


def _synthetic(workspace: Workspace, generator: Run, n: int, seed: int, compute: Compute) -> Path:
    """A set of n images of the generator, spread evenly over the labels: a finished one, or one that is drawn now."""
    asked = {"generator": generator.name, "n": n, "seed": seed, "snapshot": "last"}
    begun = unfinished(workspace, "synthesize", asked)
    run = finished(workspace, "synthesize", asked) or (
        synthesize(workspace, compute, resuming=True, resume_name=begun.name)
        if begun
        else synthesize(workspace, compute, **asked)
    )
    return run.folder


def _fair(
    workspace: Workspace,
    options: dict[str, Any],
    design: dict[str, Any],
    synthetic: str,
    weights: Path | None,
    compute: Compute,
) -> Run:
    """The comparison with these options: a finished one, or one that is made or continued now."""
    asked = options | {"synthetic": synthetic, "design": Design.of(**design).record()}
    run, begun = finished(workspace, "compare", asked), unfinished(workspace, "compare", asked)
    if run is None and begun:
        run, _ = compare(
            workspace,
            {},
            compute,
            design={},
            weights=weights,
            resuming=True,
            resume_name=begun.name,
        )
    return (
        run
        or compare(
            workspace, options, compute, design=design, synthetic=synthetic, weights=weights
        )[0]
    )


def _first(added: SyntheticSet, positive: str, pool: Sequence[int]) -> SyntheticSet:
    """As many images of the positive class and of the other as the paper has."""
    of_positive = [row for row in added.rows if row.label == positive][: pool[0]]
    return replace(
        added, rows=of_positive + [row for row in added.rows if row.label != positive][: pool[1]]
    )


def _plain(values: Sequence[float]) -> dict[str, dict[str, Any]]:
    return {name: {"value": value, "interval": None} for name, value in zip(MEASURES, values)}


def _of(summary: dict[str, Any], arm: str) -> dict[str, dict[str, Any]]:
    found = next(one for one in summary["results"] if one["arm"] == arm)
    return {
        name: {"value": found[name]["mean"], "interval": found[name]["interval"]}
        for name in MEASURES
    }


def _row(
    protocol: str, test_images: int, budget: str, real: dict[str, Any], synthetic: dict[str, Any]
) -> dict[str, Any]:
    return {
        "protocol": protocol,
        "test_images": test_images,
        "budget": budget,
        "real": real,
        "real+gan": synthetic,
    }
