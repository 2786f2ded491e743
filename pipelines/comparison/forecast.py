"""How long a comparison will take, before anything of it is trained.

A generator takes as long a step as the first one did, of its recipe. Classifiers take as long a
step as finished ones of the same architecture and budget in the study; where there are none, a few
steps are trained in a temporary folder. Neither knows whether this machine was or is busy.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from classifier.config import ClassifierConfig
from classifier.predict import TrainedClassifier, predict
from classifier.pretrained import load_trunk
from classifier.train import TrainingData, train
from pipelines.comparison.datasets import Datasets
from pipelines.comparison.design import Trial
from pipelines.comparison.preparation import Comparison, prepare_comparison
from pipelines.comparison.replicates import expected_seconds
from pipelines.comparison.trials import count_processes, run_of_trial
from pipelines.results.comparison_rows import ROWS_FILE, read_rows
from pipelines.results.comparison_summary import Plan
from pipelines.study.runs import RunRequest
from pipelines.study.split import Split
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.run import Run, list_runs
from runtime.shared_work import share_of_threads

MEASURED_STEPS = 10
MEASURED_IMAGES = 256  # of a split
MEASURED_FOLDER = "cxr-plan-"


@dataclass(frozen=True)
class Forecast:
    """What is still to be trained, and how long that takes.

    Attributes:
        generators, classifiers: How many are not there yet.
        generator_seconds: What one takes.
        classifier_seconds: From one to the next, in a process that may start others to help.
        source: Where the seconds of classifiers are from, in words.
        processes: That share the work.
    """

    generators: int
    generator_seconds: float
    classifiers: int
    classifier_seconds: float
    source: str
    processes: int

    @property
    def hours(self) -> float:
        """Until all is trained: no process has more than its share, rounded up."""
        seconds = math.ceil(self.generators / self.processes) * self.generator_seconds
        seconds += math.ceil(self.classifiers / self.processes) * self.classifier_seconds
        return seconds / 3600

    @property
    def sentence(self) -> str:
        """That in words."""
        parts = []
        if self.generators:
            parts.append(
                f"{self.generators} generators of {_duration(self.generator_seconds)}, as the "
                "first one took"
            )
        parts.append(
            f"{self.classifiers} classifiers of {_duration(self.classifier_seconds)}, {self.source}"
        )
        shared = f", shared by {self.processes} processes" if self.processes > 1 else ""
        return f"About {_duration(3600 * self.hours)} of training: {'; '.join(parts)}{shared}."


@dataclass(frozen=True)
class _Cost:
    """Seconds that a classifier takes for a training step, and for an image that it looks at."""

    step: float
    image: float


def plan_comparison(
    workspace: Workspace,
    options: dict[str, Any],
    request: RunRequest,
    *,
    design: dict[str, Any],
    synthetic: str | None = None,
    view: str | None = None,
    positive: str | None = None,
) -> tuple[Plan, Forecast]:
    """What `compare` would do with the same arguments, and how long it would take.

    Nothing of the study is written.
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
    return comparison.plan(), foretell(comparison)


def foretell(comparison: Comparison) -> Forecast:
    """Say how long the generators and classifiers that are not there yet will take.

    Of several processes the main one measures.
    """
    compute, resumed = comparison.start.compute, comparison.start.resumed
    trials = [
        trial
        for trial in comparison.trials
        if resumed is None or not run_of_trial(resumed, trial).finished
    ]
    per_classifier, source = 0.0, ""
    if compute.is_main_process and trials:
        side_by_side = count_processes(comparison)
        with share_of_threads(side_by_side):
            seconds, source = _classifier_seconds(comparison, trials, side_by_side)
        per_classifier = seconds / len(trials) / side_by_side
    per_classifier, source = compute.agree((per_classifier, source))
    missing = comparison.missing
    of_generators = [
        expected_seconds(own.first, comparison.datasets.num_reals(wanted.share))
        for own, wanted in missing
    ]
    return Forecast(
        generators=len(missing),
        generator_seconds=fmean(of_generators) if missing else 0.0,
        classifiers=len(trials),
        classifier_seconds=per_classifier,
        source=source,
        processes=compute.world_size,
    )


def _classifier_seconds(
    comparison: Comparison, trials: list[Trial], side_by_side: int
) -> tuple[float, str]:
    """Return the seconds of all these classifiers, and where the knowledge is from.

    side_by_side: how many are trained at once, each on its share of the threads.
    """
    together = f", {side_by_side} side by side" if side_by_side > 1 else ""
    config, compute = comparison.config, comparison.start.compute
    steps = {trial: _steps_of(comparison, trial) for trial in trials}
    commands = ("compare",) if side_by_side > 1 else ("classify-train", "compare")
    finished = _finished_seconds(comparison.workspace, config, compute, commands)
    if finished:
        per_step = sum(seconds for seconds, _ in finished) / sum(count for _, count in finished)
        source = (
            f"as {len(finished)} finished of {config.arch} and {config.steps} steps took{together}"
        )
        return per_step * sum(steps.values()), source
    datasets = comparison.datasets
    design = datasets.design
    is_augmented = {trial: config.augment or design.arm(trial.arm).classical for trial in trials}
    costs = {
        augment: _measure(replace(config, augment=augment), datasets, trials[0], compute)
        for augment, _ in Counter(is_augmented.values()).most_common()
    }
    counts = {share: Counter(row.split for row in view) for share, view in datasets.views.items()}
    looks = math.ceil(config.steps / config.evaluate_every) + 1
    seconds = 0.0
    for trial in trials:
        splits, cost = counts[datasets.design.share_of(trial)], costs[is_augmented[trial]]
        images = looks * splits["validation"] + splits["test"]
        seconds += cost.step * steps[trial] + cost.image * images
    return seconds, f"by {MEASURED_STEPS} steps that were tried{together}"


def _steps_of(comparison: Comparison, trial: Trial) -> float:
    """Return the training steps of a classifier: by epochs more for longer training sets."""
    design, datasets = comparison.design, comparison.datasets
    arm = design.arm(trial.arm)
    if design.budget == "steps":
        return comparison.config.steps
    share = design.share_of(trial)
    reals = sum(row.split == "train" for row in datasets.views[share])
    images = datasets.num_added(arm, share, trial.ratio) if arm.added else 0
    images += 0 if arm.reals == "none" else reals
    return images / reals * comparison.config.steps


def _finished_seconds(
    workspace: Workspace, config: ClassifierConfig, compute: Compute, commands: Sequence[str]
) -> list[tuple[float, int]]:
    """Return seconds and steps of the study's classifiers that are like those of this comparison.

    Those of these commands, on the same device, of the same architecture, batch and steps. A table
    that cannot be read, such as one of an older version, is passed over.
    """
    found: list[tuple[float, int]] = []
    for run in list_runs(workspace.runs):
        if run.command not in commands or not _is_alike(run, config, compute):
            continue
        if run.command == "compare" and (run.folder / ROWS_FILE).exists():
            with suppress(ValueError):
                found += [(row.seconds, row.steps) for row in read_rows(run)]
        elif run.command == "classify-train" and run.finished:
            found.append((float(run.result["seconds"]), int(run.result["steps"])))
    return [(seconds, steps) for seconds, steps in found if steps > 0]


def _is_alike(run: Run, config: ClassifierConfig, compute: Compute) -> bool:
    """Whether a run's classifiers cost as much a step as those of a configuration."""
    saved = run.config
    names = ("arch", "features", "unfreeze", "batch_size", "steps")
    same = all(saved.get(name) == getattr(config, name) for name in names)
    return same and saved.get("compute") == str(compute.alone())


def _measure(config: ClassifierConfig, datasets: Datasets, trial: Trial, compute: Compute) -> _Cost:
    """Train a few steps and look at a few images, in a temporary folder."""
    splits = datasets.splits_of(datasets.design.share_of(trial))
    validation = _first(splits["validation"])
    data = TrainingData(
        _first(splits["train"]).to_dataset(), validation.to_dataset(), datasets.classes
    )
    # Fresh weights cost as much as trained ones, and need no download.
    trunk = load_trunk(config.trunk, Path("none")) if config.trunk else None

    def train_steps(count: int, folder: Path) -> tuple[float, TrainedClassifier]:
        folder.mkdir()
        begun = time.monotonic()
        short = replace(config.without_mixing(), steps=count, evaluate_every=count, patience=0)
        trained = train(short, data, Run(folder), compute.alone(), trunk=trunk, what="plan")
        return time.monotonic() - begun, trained

    with tempfile.TemporaryDirectory(prefix=MEASURED_FOLDER) as folder:
        once, _ = train_steps(1, Path(folder) / "one")
        once, _ = train_steps(1, Path(folder) / "once more")  # which nothing is loaded for
        many, trained = train_steps(1 + MEASURED_STEPS, Path(folder) / "many")
    begun = time.monotonic()
    predict(trained, validation.to_dataset().tensors[0], compute.alone())
    looking = (time.monotonic() - begun) / len(validation.labels)
    if config.arch == "svm":  # it has no steps, and is fitted at once
        return _Cost(step=many / config.steps, image=looking)
    return _Cost(step=max(many - once, 0.0) / MEASURED_STEPS, image=looking)


def _first(split: Split) -> Split:
    """Take the first images of a split, all classes among them."""
    count = len(split.labels)
    return split.take(range(0, count, math.ceil(count / MEASURED_IMAGES)))


def _duration(seconds: float) -> str:
    """Write seconds in the largest unit of which there is one at least."""
    for unit, length in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} seconds"
