"""The classifiers of a comparison: each trial trained on its arm's images and tested once."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.pretrained import Trunk
from classifier.train import TrainingData, train
from pipelines.comparison.design import Design, Trial
from pipelines.comparison.preparation import Comparison
from pipelines.results.classifier_result import ClassifierResult
from pipelines.results.comparison_rows import ClassifierRow, write_rows
from pipelines.study.split import Split
from pipelines.training.train_and_test import train_and_test
from pipelines.training.training_setup import TrainingSetup
from runtime.device import Compute
from runtime.randomness import numpy_generator
from runtime.run import Run


def configs_of(
    trial: Trial, config: ClassifierConfig, design: Design, training: Sequence[Split], reals: int
) -> list[ClassifierConfig]:
    """The classifier's options for each of a trial's training sets, one after the other.

    All trials have the same steps, which several training sets share alike; by epochs, as in the
    literature, a set gets more of them as it is longer than the reals.
    """
    arm = design.arm(trial.arm)
    own = replace(arm.configure(config), seed=trial.replicate.seed)
    if design.budget == "steps":
        last = own.steps // len(training)
        steps = [own.steps - last, last] if len(training) > 1 else [own.steps]
        configs = [replace(own, steps=max(1, count)) for count in steps]
    else:
        configs = [
            replace(
                own,
                steps=max(1, round(len(split.labels) / reals * own.steps)),
                evaluate_every=max(1, round(len(split.labels) / reals * own.evaluate_every)),
            )
            for split in training
        ]
    return [*configs[:-1], arm.fine_tune(configs[-1])] if len(configs) > 1 else configs


def train_trials(comparison: Comparison, run: Run, trunk: Trunk | None, compute: Compute) -> None:
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
    table = ResultsTable(run, trials)
    for number in order[compute.rank :: compute.world_size]:
        trial = trials[number]
        trial_run = run_of_trial(run, trial)
        if not trial_run.finished:
            training = datasets.training_sets(trial)
            what = f"{number + 1}/{len(trials)} {trial.name}"
            _train_trial(comparison, trial_run, trial, training, setup, what)
            if compute.is_main_process:
                table.write()


class ResultsTable:
    """results.csv of a comparison: each classifier's results are read once, when it is finished."""

    def __init__(self, run: Run, trials: Sequence[Trial]) -> None:
        self._run, self._waiting = run, dict(enumerate(trials))
        self._rows: dict[int, ClassifierRow] = {}

    def write(self) -> list[ClassifierRow]:
        """Write one row per finished classifier, in the order of the trials; return the rows."""
        for number, trial in list(self._waiting.items()):
            trial_run = run_of_trial(self._run, trial)
            if trial_run.finished:
                self._rows[number] = _row(trial_run, trial)
                del self._waiting[number]
        rows = [self._rows[number] for number in sorted(self._rows)]
        write_rows(self._run, rows)
        return rows


def run_of_trial(run: Run, trial: Trial) -> Run:
    """Return the run of one classifier, in the folder of its comparison."""
    return Run(run.folder / "classifiers" / trial.name)


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
    splits = datasets.splits_of(comparison.design.share_of(trial))
    num_reals = len(splits["train"].labels)
    configs = configs_of(trial, config, comparison.design, training, num_reals)
    start, validation = None, splits["validation"].to_dataset()
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
    last = splits | {"train": training[-1]}
    _, result = train_and_test(configs[-1], last, run, setup, start=start, what=what)
    _delete_weights(run)
    run.finish(result | (_totals(configs, training) if len(training) > 1 else {}))


def _delete_weights(run: Run) -> None:
    """Delete what nobody needs of hundreds of classifiers; predictions.csv stays."""
    for folder in ("pretraining", "selection", "checkpoints"):
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


def _row(run: Run, trial: Trial) -> ClassifierRow:
    """What a finished classifier has in results.csv."""
    measures, totals = ClassifierResult.load(run).test.measures, run.result
    return ClassifierRow(
        arm=trial.arm,
        fold=trial.fold,
        fraction=trial.fraction,
        subset=trial.replicate.subset,
        ratio=trial.ratio,
        generator=trial.replicate.generator,
        draw=trial.replicate.draw,
        seed=trial.replicate.seed,
        steps=totals["steps"],
        train_images=totals["train_images"],
        synthetic_images=totals["synthetic_images"],
        accuracy=measures["accuracy"].value,
        balanced_accuracy=measures["balanced_accuracy"].value,
        sensitivity=measures["sensitivity"].value,
        specificity=measures["specificity"].value,
        roc_auc=measures["roc_auc"].value,
        best_step=totals["best_step"],
        seconds=totals["seconds"],
    )
