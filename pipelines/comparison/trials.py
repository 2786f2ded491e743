"""The classifiers of a comparison: each trial trained on its arm's images and tested once."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.pretrained import Trunk
from classifier.train import TrainingData, train
from pipelines.comparison.datasets import Datasets
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
from runtime.shared_work import share_of_threads, share_work

MAX_SIDE_BY_SIDE = 8  # each takes half a gigabyte or more
# Pixels of all images in all steps of all trials, from which on it is worth the start of more
# processes.
SHARED_FROM = 4e8


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
    """Train the classifiers of a comparison, but those that are finished.

    Of several processes each trains its share. One process by itself starts more of them where
    that is faster, see `count_processes`.
    """
    work = TrialWork(
        design=comparison.design,
        config=comparison.config,
        datasets=comparison.datasets,
        trials=comparison.trials,
        setup=TrainingSetup(
            compute=compute.alone(),
            classes=comparison.classes,
            positive=comparison.positive,
            trunk=trunk,
            store=FeatureStore(comparison.workspace.features),
        ),
        folder=run.folder,
    )
    if compute.world_size > 1:
        work.train_share(compute.rank, compute.world_size)
        return
    processes = count_processes(comparison)
    share_work(work.train_share, processes)
    with share_of_threads(processes):
        work.train_share(0, 1)  # what another process has left, where one failed


def count_processes(comparison: Comparison) -> int:
    """Say in how many processes one that is alone trains its classifiers fastest.

    On a CPU the small CNN gains by one for each thread; a trunk is computed by all threads together
    and only once. It depends on nothing that changes as classifiers get finished: the threads of a
    process may change its rounding, and a resumed comparison is to find what an undisturbed one
    does.
    """
    compute, config = comparison.start.compute, comparison.config
    if compute.world_size > 1 or compute.device.type != "cpu" or config.arch != "cnn":
        return 1
    pixels_per_image = comparison.datasets.images.images[0].size
    pixels = len(comparison.trials) * config.steps * config.batch_size * pixels_per_image
    if pixels < SHARED_FROM:
        return 1
    return min(torch.get_num_threads(), len(comparison.trials), MAX_SIDE_BY_SIDE)


@dataclass(frozen=True, kw_only=True)
class TrialWork:
    """What the trials of a comparison are trained with; it can be sent to another process.

    Attributes:
        folder: Of the comparison's run.
    """

    design: Design
    config: ClassifierConfig
    datasets: Datasets
    trials: Sequence[Trial]
    setup: TrainingSetup
    folder: Path

    def train_share(self, part: int, parts: int) -> None:
        """Train the trials of one part of several, but those that are finished.

        The process with part 0 keeps results.csv.
        """
        order: Sequence[int] = range(len(self.trials))
        if parts > 1:  # each process gets some of every arm
            order = numpy_generator(0, "order").permutation(len(self.trials)).tolist()
        table = ResultsTable(Run(self.folder), self.trials)
        for number in order[part::parts]:
            trial = self.trials[number]
            if not run_of_trial(Run(self.folder), trial).finished:
                self._train_trial(trial, f"{number + 1}/{len(self.trials)} {trial.name}")
                if part == 0:
                    table.write()

    def _train_trial(self, trial: Trial, what: str) -> None:
        """Train one classifier on each training set in turn, test it after the last, and finish."""
        run, setup = run_of_trial(Run(self.folder), trial), self.setup
        training = self.datasets.training_sets(trial)
        splits = self.datasets.splits_of(self.design.share_of(trial))
        num_reals = len(splits["train"].labels)
        configs = configs_of(trial, self.config, self.design, training, num_reals)
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
