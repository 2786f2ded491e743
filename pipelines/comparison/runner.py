"""The comparison: classifiers of several arms, each of them several times, with equal steps."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.pretrained import Trunk
from classifier.train import TrainingData, train
from classifier.weights import weights_hash
from pipelines.comparison.arm_results import Outcome
from pipelines.comparison.arms import ARMS
from pipelines.comparison.datasets import Datasets, load_datasets, phantom_seeds
from pipelines.comparison.design import Design, Trial
from pipelines.comparison.replicates import (
    WantedGenerator,
    find_generator,
    make_generators,
    make_synthetic_set,
    wanted_generators,
)
from pipelines.comparison.summary import Provenance, count_images, summarise
from pipelines.report.page import write_report
from pipelines.results.classifier_result import ClassifierResult
from pipelines.results.comparison_rows import ClassifierRow, write_rows
from pipelines.results.comparison_summary import ComparisonSummary, Plan
from pipelines.study.labels import (
    check_every_class,
    choose_image_size,
    choose_positive_class,
    list_classes,
)
from pipelines.study.manifest import study_fingerprint
from pipelines.study.runs import RunRequest, RunStart, prepare_run
from pipelines.study.split import Split
from pipelines.study.synthetic import load_synthetic_split, read_synthetic
from pipelines.study.workspace import Workspace
from pipelines.training.classifier import TrainingSetup, pretrained_trunk, train_and_test
from runtime.device import Compute
from runtime.options import OptionError
from runtime.randomness import numpy_generator
from runtime.run import Run


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """What `cxr compare` was asked for, beside its design."""

    config: ClassifierConfig  # of every classifier; its seed is the first of consecutive ones
    synthetic: str | None = None  # the set of generator 0's draw 0; the newest when None
    positive: str | None = None  # the class that sensitivity is about


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A comparison before anything of it is trained."""

    workspace: Workspace
    start: RunStart[ComparisonSettings]
    design: Design
    positive: str
    datasets: Datasets
    synthetic_set: Run | None  # that all further ones are made like
    generator: Run | None  # that the synthetic set is of, and all further ones are made like
    wanted: list[WantedGenerator]
    trials: list[Trial]

    @property
    def config(self) -> ClassifierConfig:
        return self.start.settings.config

    @property
    def classes(self) -> list[str]:
        return self.datasets.classes

    @property
    def missing(self) -> list[WantedGenerator]:
        """The generators that are still to be trained."""
        if self.generator is None:
            return []
        return [
            wanted
            for wanted in self.wanted
            if find_generator(self.workspace, self.generator, wanted) is None
        ]

    def plan(self) -> Plan:
        """What would be trained, and which differences can be expected to be found."""
        return self.design.plan(count_images(self.datasets.splits["test"]))


def compare(
    workspace: Workspace,
    options: dict[str, Any],
    request: RunRequest,
    *,
    design: dict[str, Any],
    synthetic: str | None = None,
    weights: Path | None = None,
    positive: str | None = None,
) -> tuple[Run, ComparisonSummary]:
    """Train every arm with every replicate; leave results.csv, summary.json and report.html.

    options: the fields of ClassifierConfig that were asked for; `seed` is the first of
    consecutive classifier seeds. design: the arguments of `Design.from_options`. synthetic: the
    set of generator 0's draw 0, the newest when None; generators and sets that the design wants
    besides are made. Of several processes each trains its share of the classifiers, with the same
    results. A resumed comparison keeps the classifiers that are finished.
    Returns the finished run and its summary.
    """
    comparison = prepare_comparison(
        workspace, options, request, design=design, synthetic=synthetic, positive=positive
    )
    compute = comparison.start.compute
    trunk = pretrained_trunk(comparison.config, weights)
    run = comparison.start.begin(
        {
            "design": comparison.design.record(),
            "synthetic": comparison.synthetic_set and comparison.synthetic_set.name,
            "positive": comparison.positive,
            "trunk_sha256": weights_hash(trunk) if trunk else None,
            "data": study_fingerprint(comparison.datasets.rows),
        }
    )
    generators = _make_synthetic_sets(comparison, compute)
    _train_trials(comparison, run, trunk, compute)
    compute.agree(None)
    if compute.is_main_process:
        _conclude(comparison, run, generators, str(compute))
    compute.agree(None)
    return run, ComparisonSummary.load(run)


def plan_comparison(
    workspace: Workspace,
    options: dict[str, Any],
    request: RunRequest,
    *,
    design: dict[str, Any],
    synthetic: str | None = None,
    positive: str | None = None,
) -> tuple[Plan, int]:
    """What `compare` would do with the same arguments; nothing is trained or written.

    Returns what is expected of it, and how many generators would have to be trained first.
    """
    comparison = prepare_comparison(
        workspace, options, request, design=design, synthetic=synthetic, positive=positive
    )
    return comparison.plan(), len(comparison.missing)


def prepare_comparison(
    workspace: Workspace,
    options: dict[str, Any],
    request: RunRequest,
    *,
    design: dict[str, Any],
    synthetic: str | None,
    positive: str | None,
) -> Comparison:
    """Settle what is compared, and read the images.

    Raises ValueError when an arm cannot be had here, and when a synthetic set's generator saw a
    validation or test image, before anything is made.
    """
    named = synthetic and workspace.find_run("synthesize", synthetic).name
    given = options | {"synthetic": named, "positive": positive}
    start = prepare_run(workspace, "compare", ComparisonSettings, given, request)
    chosen_design = _settle_design(start.resumed, design)
    classes = list_classes(workspace.rows())
    arms = chosen_design.selected_arms()
    _check_arms(workspace, chosen_design, start.settings.config)
    any_synthetic = any(arm.synthetic for arm in arms)
    synthetic_set = generator = None
    if any_synthetic or start.settings.synthetic:
        synthetic_set = workspace.find_run("synthesize", start.settings.synthetic)
        generator = workspace.find_run(
            "gan-train", synthetic_set.config["generator"], holding="generator.pt"
        )
    datasets = load_datasets(
        workspace,
        chosen_design,
        classes,
        synthetic_set.config["image_size"]
        if synthetic_set
        else choose_image_size(workspace, None, None),
        synthetic_set.config["labels"] if synthetic_set else classes,
        synthetic_set.config["n"] if synthetic_set else None,
    )
    check_every_class(datasets.splits, classes)
    wanted = []
    if any_synthetic and synthetic_set and generator:
        added = read_synthetic(synthetic_set.folder)
        load_synthetic_split(added, datasets.splits, workspace.rows(), classes)  # raises on a leak
        wanted = wanted_generators(generator, chosen_design.fractions, chosen_design.generators)
    return Comparison(
        workspace=workspace,
        start=start,
        design=chosen_design,
        positive=choose_positive_class(classes, start.settings.positive),
        datasets=datasets,
        synthetic_set=synthetic_set,
        generator=generator,
        wanted=wanted,
        trials=chosen_design.trials(start.settings.config.seed),
    )


def configs_of(
    trial: Trial, config: ClassifierConfig, design: Design, training: Sequence[Split], reals: int
) -> list[ClassifierConfig]:
    """The classifier's options for each of a trial's training sets, one after the other.

    All trials have the same steps, which several training sets share alike; by epochs, as in the
    literature, a set gets more of them as it is longer than the reals.
    """
    augment = config.augment or ARMS[trial.arm].classical
    own = replace(config, seed=trial.replicate.seed, augment=augment)
    if design.budget == "steps":
        last = own.steps // len(training)
        steps = [own.steps - last, last] if len(training) > 1 else [own.steps]
        return [replace(own, steps=max(1, count)) for count in steps]
    return [
        replace(
            own,
            steps=max(1, round(len(split.labels) / reals * own.steps)),
            evaluate_every=max(1, round(len(split.labels) / reals * own.evaluate_every)),
        )
        for split in training
    ]


def _settle_design(resumed: Run | None, given: dict[str, Any]) -> Design:
    """The design that was asked for, or the resumed run's own when that does not differ."""
    if resumed is None:
        return Design.from_options(**given)
    saved = Design.from_record(resumed.config["design"])
    changed = saved.changes(given)
    if changed:
        raise ValueError(
            f"{resumed.name} cannot go on with another design ({', '.join(changed)}); start a new "
            "comparison without --resume"
        )
    return saved


def _check_arms(workspace: Workspace, design: Design, config: ClassifierConfig) -> None:
    """Raise OptionError when an arm cannot be had with this classifier or these images."""
    arms = design.selected_arms()
    if config.arch == "svm" and any(arm.classical or arm.reals == "after" for arm in arms):
        raise OptionError(
            "arch",
            "svm",
            "is fitted once to the images as they are; choose `arms` without classical "
            "augmentation and without gan-pretrain",
        )
    if any(arm.added == "oracle" for arm in arms) and not phantom_seeds(workspace.rows()):
        raise OptionError(
            "arms",
            "real+oracle",
            "only phantoms have an oracle, which draws fresh true images; leave it out, or try it "
            "on a study of: cxr data phantom",
        )


def _make_synthetic_sets(comparison: Comparison, compute: Compute) -> dict[tuple[float, int], Run]:
    """Make the generators and synthetic sets that are missing, and put the sets into the datasets.

    Returns the generator of each fraction and number.
    """
    first, like = comparison.generator, comparison.synthetic_set
    if first is None or like is None:
        return {}
    workspace, datasets, design = comparison.workspace, comparison.datasets, comparison.design
    make_generators(workspace, first, comparison.missing, compute)
    generators: dict[tuple[float, int], Run] = {}
    for wanted in comparison.wanted:
        generator = find_generator(workspace, first, wanted)
        assert generator is not None, f"generator {wanted} was just made"
        generators[wanted.fraction, wanted.number] = generator
        needed = max(datasets.num_added(wanted.fraction, ratio) for ratio in design.ratios)
        for draw in range(design.draws):
            folder = ""
            if compute.is_main_process:
                made = make_synthetic_set(workspace, like, generator, draw, needed, compute.alone())
                folder = str(made.folder)
            place = wanted.fraction, wanted.number, draw
            datasets.synthetic_folders[place] = Path(compute.agree(folder))
    return generators


def _train_trials(comparison: Comparison, run: Run, trunk: Trunk | None, compute: Compute) -> None:
    """Train this process's share of the classifiers, but those that are finished."""
    trials, datasets = comparison.trials, comparison.datasets
    order: Sequence[int] = range(len(trials))
    if compute.world_size > 1:  # each process gets some of every arm
        order = numpy_generator(0, "order").permutation(len(trials)).tolist()
    setup = TrainingSetup(
        compute=compute.alone(),
        classes=comparison.classes,
        positive=comparison.positive,
        trunk=trunk,
        store=FeatureStore(comparison.workspace.features),
    )
    for number in order[compute.rank :: compute.world_size]:
        trial = trials[number]
        trial_run = _trial_run(run, trial)
        if not trial_run.finished:
            training = datasets.training_sets(trial)
            what = f"{number + 1}/{len(trials)} {trial.name}"
            _train_trial(comparison, trial_run, trial, training, setup, what)
            if compute.is_main_process:
                _write_results(run, trials)


def _train_trial(
    comparison: Comparison,
    run: Run,
    trial: Trial,
    training: Sequence[Split],
    setup: TrainingSetup,
    what: str,
) -> None:
    """Train one classifier on each training set in turn, test it after the last, and finish."""
    datasets, config = comparison.datasets, comparison.config
    num_reals = len(datasets.reals[trial.fraction].labels)
    configs = configs_of(trial, config, comparison.design, training, num_reals)
    start, validation = None, datasets.splits["validation"].to_dataset()
    for stage_config, split in zip(configs[:-1], training[:-1], strict=True):
        pretraining = Run(run.folder / "pretraining")
        pretraining.folder.mkdir(parents=True, exist_ok=True)
        start = train(
            stage_config,
            TrainingData(split.to_dataset(), validation, setup.classes),
            pretraining,
            setup.compute,
            what=f"{what}, pretraining",
            trunk=setup.trunk,
            store=setup.store,
        )
    run.folder.mkdir(parents=True, exist_ok=True)
    splits = datasets.splits | {"train": training[-1]}
    _, result = train_and_test(configs[-1], splits, run, setup, start=start, what=what)
    _delete_weights(run)
    run.finish(result | (_totals(configs, training) if len(training) > 1 else {}))


def _delete_weights(run: Run) -> None:
    """Delete what nobody needs of hundreds of classifiers; predictions.csv stays."""
    for folder in ("pretraining", "checkpoints"):
        shutil.rmtree(run.folder / folder, ignore_errors=True)
    (run.folder / "classifier.pt").unlink()


def _totals(configs: Sequence[ClassifierConfig], training: Sequence[Split]) -> dict[str, int]:
    """Steps and images of several training sets together."""
    patients = [patient for split in training for patient in split.patients]
    return {
        "steps": sum(config.steps for config in configs),
        "train_images": len(patients),
        "synthetic_images": patients.count(""),
    }


def _conclude(
    comparison: Comparison, run: Run, generators: dict[tuple[float, int], Run], device: str
) -> None:
    """Write the summary and the report of a comparison whose classifiers are all trained."""
    workspace, datasets = comparison.workspace, comparison.datasets
    rows = _write_results(run, comparison.trials)
    outcomes = [
        Outcome(trial, row, _trial_run(run, trial).folder / "predictions.csv")
        for trial, row in zip(comparison.trials, rows, strict=True)
    ]
    provenance = Provenance(
        generators={key: workspace.name_of(generator) for key, generator in generators.items()},
        synthetic_sets={
            key: workspace.name_of(Run(folder))
            for key, folder in datasets.synthetic_folders.items()
        },
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
    run.finish({"verdict": summary.verdict, "headline": asdict(summary.headline)})


def _trial_run(run: Run, trial: Trial) -> Run:
    return Run(run.folder / "classifiers" / trial.name)


def _write_results(run: Run, trials: Sequence[Trial]) -> list[ClassifierRow]:
    """Write results.csv, one row per finished classifier; returns the rows."""
    runs = [(_trial_run(run, trial), trial) for trial in trials]
    rows = [_row(trial_run, trial) for trial_run, trial in runs if trial_run.finished]
    write_rows(run, rows)
    return rows


def _row(run: Run, trial: Trial) -> ClassifierRow:
    """What a finished classifier has in results.csv."""
    measures, totals = ClassifierResult.load(run).test.measures, run.result
    return ClassifierRow(
        arm=trial.arm,
        fraction=trial.fraction,
        ratio=trial.ratio,
        generator=trial.replicate.generator,
        draw=trial.replicate.draw,
        seed=trial.replicate.seed,
        steps=totals["steps"],
        train_images=totals["train_images"],
        synthetic_images=totals["synthetic_images"],
        accuracy=measures["accuracy"].value,
        sensitivity=measures["sensitivity"].value,
        specificity=measures["specificity"].value,
        roc_auc=measures["roc_auc"].value,
        best_step=totals["best_step"],
        seconds=totals["seconds"],
    )
