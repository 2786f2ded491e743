"""A paper's experiment, once as it was done and once as it should be, beside its own table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from classifier.config import ClassifierConfig
from pipelines.comparison.design import Design
from pipelines.comparison.paper_protocol import (
    PAPERS,
    REPORTED_ARMS,
    REPORTED_MEASURES,
    Paper,
    PaperProtocol,
    Reproduction,
)
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
from pipelines.study.labels import list_classes
from pipelines.study.manifest import study_fingerprint
from pipelines.study.runs import RunRequest, RunStart, prepare_run, settings_record
from pipelines.study.shares import RealShare
from pipelines.study.synthetic import read_synthetic
from pipelines.study.tables import format_table
from pipelines.study.workspace import Workspace
from pipelines.training.synthesis import synthesize
from pipelines.training.train_and_test import pretrained_trunk
from runtime.device import Compute
from runtime.estimate import Estimate
from runtime.files import write_text
from runtime.run import Run

FAIR_ARMS = "real,real+classical,real+gan"


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
    protocol = PaperProtocol(workspace, about, settings, trunk, compute)
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
    return finished_generator(workspace, options, RealShare()) or continue_generator(
        workspace, options, RealShare(), None, compute, keep_going=True
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


def _compare_fairly(
    workspace: Workspace,
    options: dict[str, Any],
    seeds: int,
    synthetic: str,
    weights: Path | None,
    compute: Compute,
) -> Run:
    """Make the comparison with these options, go on with it, or take a finished one."""
    design: dict[str, Any] = {"arms": FAIR_ARMS, "seeds": seeds, "measure": "accuracy"}
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


def _rows(
    about: Paper,
    settings: Reproduction,
    protocol: PaperProtocol,
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
