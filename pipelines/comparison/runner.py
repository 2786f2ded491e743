"""The comparison: classifiers of several arms, each of them several times, with equal steps."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from classifier.weights import weights_hash
from pipelines.comparison.arm_results import Outcome
from pipelines.comparison.compared_sets import sets_text
from pipelines.comparison.preparation import Comparison, prepare_comparison
from pipelines.comparison.replicates import (
    find_generator,
    make_generators,
    make_synthetic_set,
)
from pipelines.comparison.summary import GeneratorKey, Provenance, summarise
from pipelines.comparison.trials import ResultsTable, run_of_trial, train_trials
from pipelines.report.page import write_report
from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.results.predictions import PREDICTIONS
from pipelines.study.runs import RunRequest
from pipelines.study.views import view_facts
from pipelines.study.workspace import Workspace
from pipelines.training.train_and_test import pretrained_trunk
from runtime.device import Compute
from runtime.run import Run


def compare(
    workspace: Workspace,
    options: dict[str, Any],
    request: RunRequest,
    *,
    design: dict[str, Any],
    synthetic: str | None = None,
    view: str | None = None,
    weights: Path | None = None,
    positive: str | None = None,
) -> tuple[Run, ComparisonSummary]:
    """Train every arm with every replicate; leave results.csv, summary.json and report.html.

    options: the fields of ClassifierConfig that were asked for; `seed` is the first of
    consecutive classifier seeds. design: the arguments of `Design.from_options`. synthetic: the
    sets, see `find_sets`, each that of generator 0's draw 0; the newest when None; generators and
    sets that the design wants besides are made. view: what of the images is seen, see
    `choose_view`. Of several processes each trains its share of the classifiers, with the same
    results. A resumed comparison keeps the classifiers that are finished.
    Returns the finished run and its summary.
    """
    comparison = prepare_comparison(
        workspace,
        options,
        request,
        design=design,
        synthetic=synthetic,
        view=view,
        positive=positive,
    )
    compute = comparison.start.compute
    trunk = pretrained_trunk(comparison.config, weights)
    run = comparison.start.begin(
        {
            "design": comparison.design.record(),
            "synthetic": sets_text(comparison.sets) if comparison.sets else None,
            "positive": comparison.positive,
            "trunk_sha256": weights_hash(trunk) if trunk else None,
            "data": comparison.workspace.fingerprint(),
            **view_facts(comparison.workspace),
        }
    )
    generators = _make_synthetic_sets(comparison, compute)
    train_trials(comparison, run, trunk, compute)
    compute.agree(None)
    if compute.is_main_process:
        _conclude(comparison, run, generators, str(compute))
    compute.agree(None)
    return run, ComparisonSummary.load(run)


def _make_synthetic_sets(comparison: Comparison, compute: Compute) -> dict[GeneratorKey, Run]:
    """Make the generators and synthetic sets that are missing, and put the sets into the datasets.

    Returns the generator of each set, share of the reals and number.
    """
    workspace, datasets, design = comparison.workspace, comparison.datasets, comparison.design
    make_generators(workspace, [(own.first, one) for own, one in comparison.missing], compute)
    for own in comparison.sets:
        if own.generator is None:
            places = [(own.name, share, 0, 0) for share in design.shares()]
            datasets.synthetic_folders.update(dict.fromkeys(places, own.run.folder))
    generators: dict[GeneratorKey, Run] = {}
    for own, wanted in comparison.wanted:
        like, generator = own.run, find_generator(workspace, own.first, wanted)
        assert generator is not None, f"generator {wanted} was just made"
        generators[own.name, wanted.share, wanted.number] = generator
        needed = datasets.num_synthetic(wanted.share, like.config["labels"])
        for draw in range(design.draws):
            folder = ""
            if compute.is_main_process:
                made = make_synthetic_set(workspace, like, generator, draw, needed, compute.alone())
                folder = str(made.folder)
            place = own.name, wanted.share, wanted.number, draw
            datasets.synthetic_folders[place] = Path(compute.agree(folder))
    return generators


def _conclude(
    comparison: Comparison, run: Run, generators: dict[GeneratorKey, Run], device: str
) -> None:
    """Write the summary and the report of a comparison whose classifiers are all trained."""
    workspace, datasets = comparison.workspace, comparison.datasets
    rows = ResultsTable(run, comparison.trials).write()
    outcomes = [
        Outcome(trial, row, run_of_trial(run, trial).folder / PREDICTIONS)
        for trial, row in zip(comparison.trials, rows, strict=True)
    ]
    provenance = Provenance(
        generators={key: workspace.name_of(generator) for key, generator in generators.items()},
        synthetic_sets={
            key: workspace.name_of(Run(folder))
            for key, folder in datasets.synthetic_folders.items()
        },
        failed={
            workspace.name_of(Run(folder)): labels
            for key, folder in datasets.synthetic_folders.items()
            if key[:3] in generators and (labels := Run(folder).config["unhealthy"])
        },
        sets=tuple(own.use() for own in comparison.sets) if datasets.synthetic_folders else (),
        view=workspace.view,
        data_fingerprint=workspace.fingerprint(),
        device=device,
    )
    summary = summarise(
        comparison.design,
        comparison.config,
        outcomes,
        datasets,
        comparison.positive,
        comparison.plan(),
        provenance,
    )
    summary.save(run)
    write_report(workspace, run)
    run.finish({"verdict": summary.verdict, "question": asdict(summary.question)})
