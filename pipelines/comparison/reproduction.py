"""A paper's experiment, once as it was done and once as it should be, beside the paper's own table.

CovidGAN (Waheed et al. 2020, IEEE Access 8, sections III and IV): an AC-GAN at 112 px; 1669 + 1399
synthetic images; a frozen VGG16 under a new head, batch 16, Adam 1e-3, 100 epochs with and without
them, so that the longer training set gets several times the optimizer steps; one training each.
Known departures: the weights of the lowest validation loss are kept and the learning rate falls
along a cosine, where the paper says nothing of either; patients never stand in two splits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.pretrained import Trunk
from gan.config import PRESETS
from pipelines.comparison.design import Design
from pipelines.comparison.replicates import (
    continue_generator,
    finished,
    finished_generator,
    unfinished,
)
from pipelines.comparison.runner import compare
from pipelines.results.classifier_result import ClassifierResult
from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.results.reproduction_result import ProtocolResult, ReproductionResult
from pipelines.study.labels import check_every_class, choose_positive_class, list_classes
from pipelines.study.manifest import study_fingerprint
from pipelines.study.runs import RunRequest, RunStart, prepare_run, settings_record
from pipelines.study.split import load_splits
from pipelines.study.synthetic import SyntheticSet, add_synthetic, read_synthetic
from pipelines.study.tables import format_table
from pipelines.study.workspace import Workspace
from pipelines.training.classifier import TrainingSetup, pretrained_trunk, train_once
from pipelines.training.synthesis import synthesize
from runtime.device import Compute
from runtime.estimate import Estimate
from runtime.files import write_text
from runtime.options import OptionError
from runtime.run import Run

REPORTED_MEASURES = ("accuracy", "sensitivity", "specificity")
REPORTED_ARMS = ("real", "real+gan")


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


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What `cxr reproduce` was asked for."""

    paper: str
    scale: float = 1.0  # of the GAN's steps, the pool and the epochs
    seeds: int = 5  # of the fair protocol
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1:
            raise OptionError(
                "scale",
                f"{self.scale:g}",
                "expected more than 0, and at most 1 for the paper's own size",
            )


def reproduce(
    workspace: Workspace,
    request: RunRequest,
    *,
    paper: str,
    scale: float = 1.0,
    seeds: int = 5,
    seed: int = 0,
    weights: Path | None = None,
) -> tuple[Run, ReproductionResult]:
    """Run the paper's protocol and the fair one on the study's images.

    The fair protocol's budget is that of the paper's real images, in steps, for all arms. What an
    interrupted reproduction of the same settings left (generator, synthetic set, classifiers or
    comparison) is continued. Returns the finished run and what it found.
    Raises ValueError unless there are two classes.
    """
    settings = Reproduction(paper=paper, scale=scale, seeds=seeds, seed=seed)
    about = PAPERS[settings.paper]
    classes = list_classes(workspace.rows())
    if len(classes) != 2:
        raise ValueError(
            f"{about.name} has two classes, this study {len(classes)} ({', '.join(classes)}); "
            "import two into a study of their own"
        )
    trunk = pretrained_trunk(ClassifierConfig(**about.classifier), weights)
    start = _prepare(workspace, settings, request)
    run, compute = _begin(start), start.compute

    generator = _train_paper_generator(workspace, about, settings, compute)
    pool = tuple(max(1, round(scale * count)) for count in about.pool)
    synthetic_set = _draw_pool(workspace, generator, 2 * max(pool), seed, compute)
    protocol = _PaperProtocol(workspace, about, settings, trunk, compute)
    trained = protocol.train(run, read_synthetic(synthetic_set.folder), pool)
    fair = _compare_fairly(
        workspace, protocol.fair_options(), seeds, synthetic_set.name, weights, compute
    )
    summary = ComparisonSummary.load(fair)
    result = ReproductionResult(
        paper=about.name,
        source=about.source,
        scale=scale,
        generator=generator.name,
        synthetic=synthetic_set.name,
        compare=fair.name,
        test=summary.test,
        rows=_rows(about, settings, protocol, trained, summary),
        sentence=summary.sentence,
    )
    result.save(run)
    _write_csv(run.folder / "reproduce.csv", result.rows)
    run.finish({"compare": fair.name, "verdict": summary.verdict})
    return run, result


def _prepare(
    workspace: Workspace, settings: Reproduction, request: RunRequest
) -> RunStart[Reproduction]:
    """Go on with an unfinished run of these settings and these data, or begin one."""
    record = settings_record(settings)
    begun = unfinished(
        workspace, "reproduce", record | {"data": study_fingerprint(workspace.rows())}
    )
    request = replace(request, resume=begun.name if begun else None)
    return prepare_run(workspace, "reproduce", Reproduction, record, request)


def _begin(start: RunStart[Reproduction]) -> Run:
    return start.begin({"data": study_fingerprint(start.workspace.rows())})


def _train_paper_generator(
    workspace: Workspace, about: Paper, settings: Reproduction, compute: Compute
) -> Run:
    """Train the paper's generator on all training images, whatever the doctor says of it.

    A finished one of as many steps is taken as it is.
    """
    steps = max(1, round(settings.scale * about.gan_steps))
    options = {
        "preset": about.name,
        "steps": steps,
        "sample_every": max(1, steps // 10),
        "seed": settings.seed,
    }
    return finished_generator(workspace, options, 1.0) or continue_generator(
        workspace, options, 1.0, None, compute, keep_going=True
    )


def _draw_pool(workspace: Workspace, generator: Run, n: int, seed: int, compute: Compute) -> Run:
    """Draw n images spread evenly over the labels, or take a finished set of them."""
    options: dict[str, Any] = {
        "generator": generator.name,
        "n": n,
        "seed": seed,
        "snapshot": "last",
    }
    complete = finished(workspace, "synthesize", options)
    if complete:
        return complete
    begun = unfinished(workspace, "synthesize", options | {"compute": str(compute)})
    return synthesize(workspace, RunRequest.of(begun, compute), **options)


class _PaperProtocol:
    """The paper's two trainings: equal epochs, so that synthetic images bring further steps."""

    def __init__(
        self,
        workspace: Workspace,
        about: Paper,
        settings: Reproduction,
        trunk: Trunk | None,
        compute: Compute,
    ) -> None:
        self.workspace, self.about, self.trunk, self.compute = workspace, about, trunk, compute
        self.seed = settings.seed
        self.epochs = max(1, round(settings.scale * about.epochs))
        self.steps: dict[str, int] = {}  # by arm, once they are known
        self.epoch_steps = 0  # of an epoch of the reals

    def train(
        self, run: Run, added: SyntheticSet, pool: Sequence[int]
    ) -> dict[str, ClassifierResult]:
        """Train without and with the paper's number of synthetic images; results by arm."""
        rows = self.workspace.rows()
        classes = list_classes(rows)
        positive = choose_positive_class(classes)
        splits = load_splits(self.workspace, added.image_size, classes)
        check_every_class(splits, classes)
        longer = add_synthetic(splits, _limit_to_pool(added, positive, pool), rows, classes)
        config = ClassifierConfig(**self.about.classifier, seed=self.seed)
        setup = TrainingSetup(
            compute=self.compute,
            classes=classes,
            positive=positive,
            trunk=self.trunk,
            store=FeatureStore(self.workspace.features),
        )
        results = {}
        for arm, arm_splits in zip(REPORTED_ARMS, (splits, longer), strict=True):
            epoch_steps = math.ceil(len(arm_splits["train"].labels) / config.batch_size)
            self.epoch_steps = self.epoch_steps or epoch_steps
            self.steps[arm] = self.epochs * epoch_steps
            trained = train_once(
                run.folder / "classifiers" / arm,
                replace(config, steps=self.steps[arm], evaluate_every=epoch_steps),
                arm_splits,
                setup,
                what=f"{self.about.name}, {arm}",
            )
            results[arm] = ClassifierResult.load(trained)
        return results

    def fair_options(self) -> dict[str, Any]:
        """The classifier's options in the fair protocol: the steps of the paper's reals."""
        return self.about.classifier | {
            "seed": self.seed,
            "steps": self.steps["real"],
            "evaluate_every": self.epoch_steps,
        }


def _compare_fairly(
    workspace: Workspace,
    options: dict[str, Any],
    seeds: int,
    synthetic: str,
    weights: Path | None,
    compute: Compute,
) -> Run:
    """Make the comparison with these options, go on with it, or take a finished one."""
    design: dict[str, Any] = {"seeds": seeds}
    wanted = options | {"synthetic": synthetic, "design": Design.from_options(**design).record()}
    complete = finished(workspace, "compare", wanted)
    if complete:
        return complete
    begun = unfinished(workspace, "compare", wanted | {"compute": str(compute)})
    run, _ = compare(
        workspace,
        options,
        RunRequest.of(begun, compute),
        design=design,
        synthetic=synthetic,
        weights=weights,
    )
    return run


def _limit_to_pool(added: SyntheticSet, positive: str, pool: Sequence[int]) -> SyntheticSet:
    """As many images of the positive class and of the other as the paper has."""
    positives = [row for row in added.rows if row.label == positive][: pool[0]]
    others = [row for row in added.rows if row.label != positive][: pool[1]]
    return replace(added, rows=positives + others)


def _rows(
    about: Paper,
    settings: Reproduction,
    protocol: _PaperProtocol,
    trained: dict[str, ClassifierResult],
    summary: ComparisonSummary,
) -> list[ProtocolResult]:
    """The paper's own figures, those of its protocol here, and those of the fair one."""
    steps = protocol.steps
    figures = (about.real, about.synthetic)
    return [
        ProtocolResult(
            protocol=about.source,
            budget="100 epochs, one training",
            test_images=about.test_images,
            arms={
                arm: dict(zip(REPORTED_MEASURES, values, strict=True))
                for arm, values in zip(REPORTED_ARMS, figures, strict=True)
            },
        ),
        ProtocolResult(
            protocol="its protocol, here",
            budget=f"{protocol.epochs} epochs, one training: {steps['real']} and "
            f"{steps['real+gan']} steps",
            test_images=summary.test.images,
            arms={
                arm: {name: trained[arm].test.measures[name] for name in REPORTED_MEASURES}
                for arm in REPORTED_ARMS
            },
        ),
        ProtocolResult(
            protocol="fair protocol, here",
            budget=f"{steps['real']} steps for both, {settings.seeds} seeds",
            test_images=summary.test.images,
            arms={arm: _measures_of(summary, arm) for arm in REPORTED_ARMS},
        ),
    ]


def _measures_of(summary: ComparisonSummary, arm: str) -> dict[str, Estimate | float]:
    measures = next(result.measures for result in summary.results if result.arm == arm)
    estimates = (measures.accuracy, measures.sensitivity, measures.specificity)
    return {
        name: Estimate(estimate.value, estimate.low, estimate.high, estimate.n)
        for name, estimate in zip(REPORTED_MEASURES, estimates, strict=True)
    }


def _write_csv(path: Path, results: Sequence[ProtocolResult]) -> None:
    names = [(arm, measure) for arm in REPORTED_ARMS for measure in REPORTED_MEASURES]
    columns = ("protocol", "budget", "test_images", *(f"{arm}_{name}" for arm, name in names))
    rows = []
    for result in results:
        row: dict[str, Any] = {
            "protocol": result.protocol,
            "budget": result.budget,
            "test_images": result.test_images,
        }
        for arm, name in names:
            measure = result.arms[arm][name]
            row[f"{arm}_{name}"] = measure.value if isinstance(measure, Estimate) else measure
        rows.append(row)
    write_text(path, format_table(columns, rows))
