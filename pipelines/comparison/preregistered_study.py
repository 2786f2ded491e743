"""A preregistered study: all of its comparisons, and the answer to the question fixed before them.

What a killed study left (generators, synthetic sets, classifiers, comparisons) is found by its
options and gone on with, also by another study of the same folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from classifier.weights import weights_hash
from pipelines.comparison.preregistration import (
    Preregistration,
    list_departures,
    read_preregistration,
)
from pipelines.comparison.replicates import continue_generator, unfinished
from pipelines.comparison.runner import compare
from pipelines.comparison.study_answer import answer_study, write_study_rows
from pipelines.comparison.study_forecast import StudyForecast, forecast_study
from pipelines.comparison.study_parts import (
    StudyPart,
    find_first_generator,
    find_first_set,
    gan_record,
    list_parts,
    set_options,
)
from pipelines.comparison.study_progress import telling_progress
from pipelines.report.study_page import write_study_page
from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.results.study_result import StudyResult
from pipelines.study.manifest import study_fingerprint
from pipelines.study.runs import RunRequest, RunStart, prepare_run
from pipelines.study.shares import RealShare
from pipelines.study.workspace import Workspace
from pipelines.training.synthesis import synthesize
from pipelines.training.train_and_test import pretrained_trunk
from runtime.device import Compute
from runtime.run import Interrupted, Run, list_runs


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """Which preregistration `cxr study` was given."""

    preregistration: str  # the file's name
    sha256: str


def run_study(
    workspace: Workspace,
    request: RunRequest,
    file: Path,
    *,
    changes: Mapping[str, Any],
    weights: Path | None = None,
    say: Callable[[str], None],
) -> tuple[Run, StudyResult]:
    """Make every comparison of a preregistration, and answer its question.

    Leaves study.json, study.csv and study.html; what is there already is not made again. Of several
    processes each trains its share of generators and classifiers.

    Args:
        workspace: The study's folder.
        request: Where it computes.
        file: The preregistration.
        changes: Arguments of `Preregistration.changed`, for a smaller run; each is recorded as a
            departure.
        weights: ImageNet weights, as `compare` takes them.
        say: Is told now and then how far it is, in the main process.

    Raises:
        ValueError: The preregistration cannot be what it says, or a comparison cannot be had here.
        Interrupted: A signal stopped it; the same command goes on.
    """
    registered, sha256 = read_preregistration(file)
    plan = registered.changed(**changes)
    compute = request.choose_compute()
    trunks = {arch: _trunk_hash(plan, arch, weights) for arch in plan.study.archs}
    parts = list_parts(workspace, plan, trunks)
    settings = StudySettings(preregistration=file.name, sha256=sha256)
    facts = {
        "registered": registered.record(),
        "plan": plan.record(),
        "data": study_fingerprint(workspace.all_rows()),
    }
    forecast = compute.agree(forecast_study(parts, compute) if compute.is_main_process else None)
    assert forecast is not None
    start = _prepare(workspace, settings, facts, replace(request, compute=compute))
    run = start.begin(facts)
    try:
        runs = _make_comparisons(parts, forecast, compute, weights, say)
    except Interrupted as stopped:
        raise Interrupted(f"{run.name} stopped; the same command goes on with it") from stopped
    if compute.is_main_process:
        _conclude(workspace, run, plan, parts, runs)
    compute.agree(None)
    return run, StudyResult.load(run)


def plan_study(
    workspace: Workspace, request: RunRequest, file: Path, *, changes: Mapping[str, Any]
) -> StudyForecast:
    """Say what `run_study` would train, and how long that takes; nothing of the study is written.

    Pretrained weights are not needed for it, so that comparisons of architectures that have some
    count as not begun.
    """
    registered, _ = read_preregistration(file)
    plan = registered.changed(**changes)
    return forecast_study(list_parts(workspace, plan, {}), request.choose_compute())


def _trunk_hash(plan: Preregistration, arch: str, weights: Path | None) -> str | None:
    """Return the hash of an architecture's pretrained weights, which have to be there."""
    trunk = pretrained_trunk(plan.classifier_config(arch), weights)
    return weights_hash(trunk) if trunk else None


def _prepare(
    workspace: Workspace, settings: StudySettings, facts: Mapping[str, Any], request: RunRequest
) -> RunStart[StudySettings]:
    """Go on with an unfinished study of this file, plan and data, or begin one."""
    compute = request.choose_compute()
    begun = unfinished(workspace, "study", asdict(settings) | dict(facts), compute)
    name = compute.agree(begun.name if begun else None)
    request = replace(request, resume=name)
    return prepare_run(workspace, "study", StudySettings, asdict(settings), request)


def _make_comparisons(
    parts: Sequence[StudyPart],
    forecast: StudyForecast,
    compute: Compute,
    weights: Path | None,
    say: Callable[[str], None],
) -> list[Run]:
    """Make the first sets of every view, then every comparison; return the comparisons' runs."""
    with telling_progress(parts, forecast, compute, say):
        views = list({part.view: part for part in parts}.values())
        for part in views[compute.rank :: compute.world_size]:
            _make_first_set(part.workspace, part.plan, compute.alone())
        compute.agree(None)
        return [_make_comparison(part, weights, compute) for part in parts]


def _make_first_set(workspace: Workspace, plan: Preregistration, compute: Compute) -> None:
    """Train the first generator of a view and draw its set, as far as they are not there."""
    if find_first_set(workspace, plan):
        return
    generator = find_first_generator(workspace, plan) or continue_generator(
        workspace, gan_record(plan), RealShare(), None, compute
    )
    options = set_options(workspace, plan, generator)
    begun = unfinished(workspace, "synthesize", options, compute)
    synthesize(workspace, options, RunRequest.of(begun, compute))


def _make_comparison(part: StudyPart, weights: Path | None, compute: Compute) -> Run:
    """Make a comparison, go on with it, or take a finished one."""
    complete, begun = part.find(compute) if compute.is_main_process else (None, None)
    names = compute.agree([run.name if run else None for run in (complete, begun)])
    if names[0]:
        return Run(part.workspace.runs / names[0])
    first_set = find_first_set(part.workspace, part.plan)
    assert first_set is not None, "it was just made"
    run, _ = compare(
        part.workspace,
        asdict(part.config),
        RunRequest(resume=names[1], compute=compute),
        design=dict(part.design_options),
        synthetic=first_set.name,
        view=part.view,
        weights=weights,
    )
    part.workspace.release(run)
    return run


def _conclude(
    workspace: Workspace,
    run: Run,
    plan: Preregistration,
    parts: Sequence[StudyPart],
    runs: Sequence[Run],
) -> None:
    """Write the answer, the table of all contrasts and the page, and finish the run."""
    config = run.config
    departures = [
        *list_departures(config["registered"], config["plan"]),
        *_changes_since(workspace, run),
    ]
    summaries = [ComparisonSummary.load(comparison) for comparison in runs]
    result = answer_study(
        plan,
        list(zip(parts, runs, summaries, strict=True)),
        preregistration=config["preregistration"],
        sha256=config["sha256"],
        departures=departures,
    )
    result.save(run)
    write_study_rows(run, result.contrasts)
    write_study_page(workspace, run, result)
    run.finish({"verdict": result.verdict, "comparisons": [own.name for own in runs]})


def _changes_since(workspace: Workspace, run: Run) -> list[str]:
    """Say how a preregistration changed after the first study of a file of its name had begun."""
    name = run.config["preregistration"]
    first = next(
        own
        for own in list_runs(workspace.runs)
        if own.command == "study" and own.config["preregistration"] == name
    )
    if first.config["sha256"] == run.config["sha256"]:
        return []
    changes = list_departures(first.config["registered"], run.config["registered"])
    what = ", ".join(changes) or "its words, and nothing of the plan"
    return [f"{name} was changed after {first.name} had begun: {what}"]
