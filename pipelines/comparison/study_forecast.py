"""How much of a preregistered study is still to be trained, and how long that takes.

Classifiers are timed as `forecast` does, once for each architecture. A generator takes as long as
the first one of its view did; where there is none yet, a few steps are trained in a temporary
folder.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gan.batches import TrainingData
from gan.train import train
from pipelines.comparison.design import detectable_sentence
from pipelines.comparison.forecast import MEASURED_FOLDER, foretell
from pipelines.comparison.preparation import Comparison
from pipelines.comparison.preregistration import Preregistration
from pipelines.comparison.study_parts import StudyPart, find_first_generator
from pipelines.comparison.summary import count_images
from pipelines.metrics.names import MEASURE_TITLES
from pipelines.study.fractions import RealFraction, fraction_text
from pipelines.study.shares import RealShare
from runtime.device import Compute
from runtime.run import Run

GAN_STEPS_TRIED = 4  # between two trainings that are timed


@dataclass(frozen=True)
class PartForecast:
    """What one comparison still needs.

    Attributes:
        shares_generators: Whether a comparison before it in the study has the same generators.
        generators, missing_generators: In all, and not there yet; none where it shares them.
        classifiers, missing_classifiers: In all, and not there yet.
        classifier_seconds: What one takes.
    """

    view: str
    arch: str
    fraction: RealFraction
    generators: int
    missing_generators: int
    classifiers: int
    missing_classifiers: int
    classifier_seconds: float

    def seconds(self, generator_seconds: float, processes: int) -> float:
        """Return how long it takes; of several processes none has more than its share, rounded."""
        generators = math.ceil(self.missing_generators / processes)
        classifiers = math.ceil(self.missing_classifiers / processes)
        return generators * generator_seconds + classifiers * self.classifier_seconds


@dataclass(frozen=True)
class StudyForecast:
    """What a study still needs: by comparison, and the first generator of each view.

    Attributes:
        first_generators: How many views still need one.
        generator_seconds: What one takes.
        source: Where that is known from, in words.
        detectable: What the question's design can be expected to find, in words.
        processes: That share the work.
    """

    parts: tuple[PartForecast, ...]
    first_generators: int
    generator_seconds: float
    source: str
    detectable: str
    processes: int

    @property
    def missing_generators(self) -> int:
        """Of all comparisons and views."""
        return self.first_generators + sum(part.missing_generators for part in self.parts)

    @property
    def missing_classifiers(self) -> int:
        return sum(part.missing_classifiers for part in self.parts)

    @property
    def seconds(self) -> float:
        """How long all of it takes."""
        first = math.ceil(self.first_generators / self.processes) * self.generator_seconds
        each = (part.seconds(self.generator_seconds, self.processes) for part in self.parts)
        return first + sum(each)

    @property
    def sentence(self) -> str:
        """What is to be trained, and for how long, in words."""
        known = f" of {self.generator_seconds:.0f} seconds, {self.source}" if self.source else ""
        shared = f", shared by {self.processes} processes" if self.processes > 1 else ""
        hours = f"about {self.seconds / 3600:.1f} hours{shared}"
        return (
            f"To train: {self.missing_generators} generators{known}, and "
            f"{self.missing_classifiers} classifiers; {hours}."
        )


def forecast_study(parts: Sequence[StudyPart], compute: Compute) -> StudyForecast:
    """Look for what is there of a study, and measure how long the rest takes.

    Raises OptionError or ValueError when a comparison cannot be made with this folder's images.
    """
    forecasts: list[PartForecast] = []
    prepared = [part.prepare(compute.alone()) for part in parts]
    for part, comparison in zip(parts, prepared, strict=True):
        earlier = [own for own in forecasts if own.arch == part.arch and own.missing_classifiers]
        is_shared = any((own.view, own.fraction) == (part.view, part.fraction) for own in forecasts)
        forecasts.append(
            _forecast_part(
                part,
                comparison,
                seconds=earlier[0].classifier_seconds if earlier else None,
                is_shared=is_shared,
            )
        )
    views = list({part.view: part for part in parts}.values())
    firsts = [find_first_generator(part.workspace, part.plan) for part in views]
    missing = firsts.count(None)
    seconds, source = 0.0, ""
    if missing or any(own.missing_generators for own in forecasts):
        seconds, source = _generator_seconds(firsts, parts[0].plan, prepared[0])
    return StudyForecast(
        parts=tuple(forecasts),
        first_generators=missing,
        generator_seconds=seconds,
        source=source,
        detectable=_question_sentence(prepared[0], parts[0].plan),
        processes=compute.world_size,
    )


def _question_sentence(comparison: Comparison, plan: Preregistration) -> str:
    """Write the study's question, and which difference a comparison of it can be expected to find.

    comparison: The first one.
    """
    asked, test = plan.question, count_images(comparison.datasets.test)
    best = "the best arm without synthetic images"
    reference = best if asked.reference == "best" else asked.reference
    fractions = " and ".join(map(fraction_text, asked.fractions))
    return (
        f"The question, fixed before training: {asked.arm} against {reference}, at {fractions} of "
        f"the reals, in {MEASURE_TITLES[comparison.design.measure]}. "
        + detectable_sentence(comparison.plan().detectable, test, plan.study.seeds)
    )


def _forecast_part(
    part: StudyPart,
    comparison: Comparison,
    *,
    seconds: float | None,
    is_shared: bool,
) -> PartForecast:
    """Count what a comparison needs. seconds: of a classifier; measured here when None."""
    complete, _ = part.find(comparison.start.compute)
    total, missing = len(comparison.trials), 0
    if complete is None and seconds is None:
        timed = foretell(comparison)
        missing, seconds = timed.classifiers, timed.classifier_seconds
    elif complete is None:
        missing = total - count_classifiers(comparison.start.resumed)
    wanted = 0 if is_shared else len(part.wanted_generators())
    return PartForecast(
        view=part.view,
        arch=part.arch,
        fraction=part.fraction,
        generators=wanted,
        missing_generators=part.count_missing_generators() if wanted else 0,
        classifiers=total,
        missing_classifiers=missing,
        classifier_seconds=seconds or 0.0,
    )


def count_classifiers(run: Run | None) -> int:
    """Count the finished classifiers of a comparison."""
    return len(list(run.folder.glob("classifiers/*/result.json"))) if run else 0


def _generator_seconds(
    firsts: Sequence[Run | None], plan: Preregistration, comparison: Comparison
) -> tuple[float, str]:
    """Return the seconds of a generator, and where the knowledge is from."""
    seconds = [float(run.result["seconds"]) for run in firsts if run]
    if seconds:
        return sum(seconds) / len(seconds), "as the first one took"
    config, compute = plan.gan_config(), comparison.start.compute
    share = next(iter(comparison.datasets.views), RealShare())
    training = comparison.datasets.splits_of(share)["train"]
    data = TrainingData(training.to_dataset(), comparison.classes, [])

    def train_steps(count: int, folder: Path) -> float:
        folder.mkdir()
        begun = time.monotonic()
        short = replace(config, steps=count, sample_every=count)
        train(short, data, Run(folder), compute, keep_going=True)
        return time.monotonic() - begun

    with tempfile.TemporaryDirectory(prefix=MEASURED_FOLDER) as folder:
        train_steps(1, Path(folder) / "one")  # which loads what later ones find
        once = train_steps(1, Path(folder) / "once more")
        many = train_steps(1 + GAN_STEPS_TRIED, Path(folder) / "many")
    per_step = max(many - once, 0.0) / GAN_STEPS_TRIED
    steps = config.for_images(len(training.labels)).steps
    return once + per_step * steps, f"by {GAN_STEPS_TRIED} steps that were tried"
