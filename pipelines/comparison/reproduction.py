"""A paper's experiment, once as it was done and once as it should be, beside its own table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from classifier.config import ClassifierConfig
from gan.config import PRESETS
from pipelines.comparison.design import Design
from pipelines.comparison.ladder_findings import describe_ladder, measure_rung
from pipelines.comparison.paper_protocol import (
    PAPERS,
    REPORTED_ARMS,
    REPORTED_MEASURES,
    Paper,
    PaperProtocol,
    Reproduction,
    pool_of,
)
from pipelines.comparison.protocol_ladder import PROTOCOLS, count_leak, train_rung
from pipelines.comparison.replicates import (
    continue_generator,
    finished,
    finished_generator,
    unfinished,
)
from pipelines.comparison.reproduction_tables import ladder_table, protocols_table
from pipelines.comparison.runner import compare
from pipelines.report.page import write_report
from pipelines.report.reproduction_page import write_reproduction_page
from pipelines.results.classifier_result import ClassifierResult
from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.results.reproduction_result import Leak, ProtocolResult, ReproductionResult, Rung
from pipelines.study.labels import list_classes
from pipelines.study.manifest import study_fingerprint
from pipelines.study.runs import RunRequest, RunStart, prepare_run, settings_record
from pipelines.study.shares import RealShare
from pipelines.study.synthetic import read_synthetic
from pipelines.study.views import view_of
from pipelines.study.workspace import Workspace
from pipelines.training.synthesis import Synthesis, synthesize
from pipelines.training.train_and_test import pretrained_trunk
from runtime.device import Compute
from runtime.estimate import Estimate
from runtime.files import write_text
from runtime.options import OptionError
from runtime.run import Run

FAIR_ARMS = ",".join(REPORTED_ARMS)
LADDER_FILE = "ladder.csv"


def reproduce(
    workspace: Workspace,
    request: RunRequest,
    *,
    paper: str,
    scale: float = 1.0,
    seeds: int = 5,
    seed: int = 0,
    generator: str | None = None,
    weights: Path | None = None,
) -> tuple[Run, ReproductionResult]:
    """Run the paper's protocol, the fair one, and the ladder between them on the study's images.

    The fair protocol's budget is that of the paper's real images, in steps, for all arms. What an
    interrupted reproduction of the same settings left (generator, synthetic set, classifiers or
    comparison) is continued. generator: the gan-train run in the place of the paper's GAN, which is
    trained when None. Returns the finished run, with reproduce.json, its tables and reproduce.html,
    and what it found.
    Raises ValueError unless there are two classes.
    """
    named = generator and _find_generator(workspace, generator).name
    settings = Reproduction(paper=paper, scale=scale, seeds=seeds, seed=seed, generator=named)
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

    source = (
        _find_generator(workspace, named)
        if named
        else _train_paper_generator(workspace, about, settings, compute)
    )
    drawn = _draw_pool(workspace, source, about, settings, compute)
    protocol = PaperProtocol(
        workspace, about, settings, trunk, compute, read_synthetic(drawn.folder)
    )
    trained = protocol.train(run)
    fair = _compare_fairly(workspace, protocol, settings, drawn.name, weights)
    result = _conclude(workspace, protocol, settings, run, source, fair, trained)
    run.finish({"compare": fair.name, "verdict": ComparisonSummary.load(fair).verdict})
    write_report(workspace, fair)  # it names the reproduction from now on
    return run, result


def _conclude(
    workspace: Workspace,
    protocol: PaperProtocol,
    settings: Reproduction,
    run: Run,
    generator: Run,
    fair: Run,
    trained: dict[str, ClassifierResult],
) -> ReproductionResult:
    """Climb the ladder, and write the result, its tables and its page."""
    about, summary = protocol.about, ComparisonSummary.load(fair)
    leak = count_leak(protocol, workspace.rows(), settings.run_seeds)
    result = ReproductionResult(
        paper=about.name,
        source=about.source,
        scale=settings.scale,
        generator=generator.name,
        synthetic=str(fair.config["synthetic"]),
        compare=fair.name,
        image_size=summary.image_size,
        synthetic_images=protocol.count_synthetic(),
        departures=_departures(about, settings, generator),
        test=summary.test,
        rows=_rows(about, settings, protocol, trained, summary),
        ladder=_climb(protocol, settings, run, leak),
        leak=leak,
        commonest=protocol.commonest_share(),
        sentence=summary.sentence,
    )
    result.save(run)
    write_text(run.folder / "reproduce.csv", protocols_table(result))
    write_text(run.folder / LADDER_FILE, ladder_table(result))
    write_reproduction_page(workspace, run, result)
    return result


def _climb(protocol: PaperProtocol, settings: Reproduction, run: Run, leak: Leak) -> list[Rung]:
    """Train and measure every rung, and say what each changed."""
    folder, seeds = run.folder / "ladder", settings.run_seeds
    ladder = [
        measure_rung(own, protocol, train_rung(own, protocol, folder, seeds)) for own in PROTOCOLS
    ]
    return describe_ladder(ladder, leak, protocol.commonest_share())


def _departures(about: Paper, settings: Reproduction, generator: Run) -> list[str]:
    """What is not as in the paper, a sentence each."""
    departures = list(about.departures)
    if settings.scale < 1:
        departures.append(
            f"{100 * settings.scale:g} % of the paper's synthetic images and epochs"
            + ("." if settings.generator else ", and of its GAN's steps.")
        )
    if settings.generator:
        config = generator.config
        departures.append(
            f"In the place of the paper's GAN stands {generator.name}: {config['preset']}, "
            f"{config['image_size']} px, {generator.result['step']} steps; the paper's is an "
            f"AC-GAN at {PRESETS[about.name]['image_size']} px with about {about.gan_steps} steps."
        )
    return departures


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
    """Train the paper's generator on all training images.

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
        workspace, options, RealShare(), None, compute
    )


def _find_generator(workspace: Workspace, name: str) -> Run:
    """Find a finished generator of all training images, whole ones.

    Raises FileNotFoundError where there is none such, and OptionError where it saw others.
    """
    run = workspace.find_run("gan-train", name, holding="result.json")
    if view_of(run.config) != workspace.view or RealShare.from_record(run.config) != RealShare():
        raise OptionError(
            "generator", name, "expected one that was trained on all training images, uncut"
        )
    return run


def _draw_pool(
    workspace: Workspace, generator: Run, about: Paper, settings: Reproduction, compute: Compute
) -> Run:
    """Draw the pool's images of both labels, or take a finished set of them.

    They are of the last step, as the paper's, or of the best of another generator.
    """
    synthesis = Synthesis(
        generator=generator.name,
        labels=tuple(generator.config["classes"]),
        n=2 * max(pool_of(about, settings.scale)),
        seed=settings.seed,
        snapshot="best" if settings.generator else "last",
    )
    options = settings_record(synthesis)
    complete = finished(workspace, "synthesize", options)
    if complete:
        return complete
    begun = unfinished(workspace, "synthesize", options | {"compute": str(compute)})
    return synthesize(workspace, options, RunRequest.of(begun, compute))


def _fair_design(settings: Reproduction) -> dict[str, Any]:
    return {"arms": FAIR_ARMS, "seeds": settings.seeds, "measure": "accuracy"}


def _compare_fairly(
    workspace: Workspace,
    protocol: PaperProtocol,
    settings: Reproduction,
    synthetic: str,
    weights: Path | None,
) -> Run:
    """Make the fair comparison, go on with it, or take a finished one."""
    design, options = _fair_design(settings), protocol.fair_options()
    compute = protocol.setup.compute
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
    steps = {arm: protocol.steps_of(arm) for arm in REPORTED_ARMS}
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
