"""What a comparison found: summary.json, from which its tables, figures and page are made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from classifier.config import ClassifierConfig
from pipelines.results.arm_result import ArmResult, PairedDifference, find_result
from pipelines.results.image_count import ImageCount
from runtime.records import read_record, write_record
from runtime.run import Run

SUMMARY_FILE = "summary.json"
SUMMARY_FORMAT = 2


@dataclass(frozen=True)
class Headline:
    """The condition that the answer is of."""

    arm: str
    fraction: float
    ratio: float | None


@dataclass(frozen=True, kw_only=True)
class DataEfficiency:
    """What synthetic images are worth: further real images that would have done as much.

    Attributes:
        extra, low, high: That number and its 95 % interval.
        lower_open, upper_open: Whether the learning curve of `real` ends before that end of the
            interval, so that the number is a bound.
        sentence: All that in words.
    """

    fraction: float
    ratio: float | None
    synthetic_images: int
    real_images: int
    extra: int
    low: int
    high: int
    lower_open: bool
    upper_open: bool
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What each classifier was given, and how often each arm was repeated.

    Attributes:
        kind: "steps", the same for all, or "epochs", more for longer training sets.
        steps: Optimizer steps of a classifier of `real`.
        seeds: Of the classifiers.
        generators: How many of them.
        draws: How many synthetic sets of each generator.
    """

    kind: str
    arch: str
    steps: int
    batch_size: int
    seeds: tuple[int, ...]
    generators: int
    draws: int


@dataclass(frozen=True)
class Plan:
    """What was expected before any training.

    Attributes:
        detectable: The smallest difference to be found, by the share of test images that two arms
            disagree about.
        sentence: That in words.
    """

    detectable: dict[str, float]
    sentence: str
    classifiers: int
    test_images: int


@dataclass(frozen=True)
class GeneratorUse:
    """A generator of the comparison: the run that trained it, on which share of the reals."""

    run: str
    fraction: float
    index: int


@dataclass(frozen=True)
class SyntheticSetUse:
    """A synthetic set of the comparison, and which draw of which generator it is."""

    run: str
    fraction: float
    generator: int
    draw: int


@dataclass(frozen=True, kw_only=True)
class ComparisonSummary:
    """What a comparison found; all shares lie in 0..1.

    Attributes:
        verdict, sentence: The answer, and the same in words, with the warnings.
        positive: The class that sensitivity is of, one of `classes`.
        results: At each fraction, `real` first.
        data_efficiency: What real+gan is worth; empty where there is one fraction only.
        generator, synthetic: The runs of generator 0, and of its draw 0, at the largest fraction.
        data_fingerprint: Of the images, labels, patients and splits.
        config: Of the classifiers, but for their seeds.
    """

    verdict: str
    sentence: str
    headline: Headline
    positive: str
    classes: tuple[str, ...]
    results: tuple[ArmResult, ...]
    data_efficiency: tuple[DataEfficiency, ...]
    budget: Budget
    plan: Plan
    test: ImageCount
    image_size: int
    generators: tuple[GeneratorUse, ...]
    synthetic_sets: tuple[SyntheticSetUse, ...]
    generator: str | None
    synthetic: str | None
    data_fingerprint: str
    config: ClassifierConfig
    arms: tuple[str, ...]
    fractions: tuple[float, ...]
    ratios: tuple[float | None, ...]
    limits: tuple[str, ...]
    warnings: tuple[str, ...]
    versions: dict[str, str]
    device: str

    @classmethod
    def load(cls, run: Run) -> ComparisonSummary:
        """Read summary.json of a run.

        Raises FileNotFoundError when there is none, ValueError that names it when it is damaged or
        of another format.
        """
        return read_record(run.folder / SUMMARY_FILE, cls, SUMMARY_FORMAT, remedy="cxr compare")

    def save(self, run: Run) -> None:
        """Write summary.json into a run's folder."""
        write_record(run.folder / SUMMARY_FILE, self, SUMMARY_FORMAT)

    def result(self, arm: str, fraction: float, ratio: float | None) -> ArmResult:
        """Return the result of an arm at a fraction and a ratio."""
        return find_result(self.results, arm, fraction, ratio)

    def results_at(self, fraction: float, ratio: float | None) -> list[ArmResult]:
        """Return the results at one fraction of the reals, `real` first.

        Of each arm that at this ratio, or where it has no ratio its only one.
        """
        at_fraction = [result for result in self.results if result.fraction == fraction]
        arms_at_ratio = {result.arm for result in at_fraction if result.ratio == ratio}
        return [
            result
            for result in at_fraction
            if result.ratio == ratio or (result.ratio is None and result.arm not in arms_at_ratio)
        ]

    def headline_results(self) -> list[ArmResult]:
        """Return the results that belong side by side with the headline's, `real` first."""
        return self.results_at(self.headline.fraction, self.headline.ratio)

    def headline_result(self) -> ArmResult:
        """Return the result that the answer is of."""
        return self.result(self.headline.arm, self.headline.fraction, self.headline.ratio)

    def headline_difference(self) -> PairedDifference:
        """Return the difference from `real` that the answer is of."""
        difference = self.headline_result().against_real
        if difference is None:
            raise ValueError("the headline of a comparison is `real`, which is compared with none")
        return difference

    def headline_data_efficiency(self) -> list[DataEfficiency]:
        """Return what the synthetic images are worth at each fraction, at the headline's ratio.

        At the first ratio where the headline's arm has none.
        """
        ratio = self.headline.ratio if self.headline.ratio in self.ratios else self.ratios[0]
        return [entry for entry in self.data_efficiency if entry.ratio == ratio]

    def settings(self) -> list[tuple[float, float | None]]:
        """Return every (fraction, ratio) that some arm was trained at, smallest first.

        A ratio of None only where no arm of the fraction has one, or the whole set was added.
        """
        ratios: dict[float, set[float | None]] = {}
        for result in self.results:
            at_fraction = ratios.setdefault(result.fraction, set())
            if result.ratio is not None or result.synthetic_images:
                at_fraction.add(result.ratio)
        return [
            (fraction, ratio)
            for fraction in sorted(ratios)
            for ratio in _sort_ratios(ratios[fraction] or {None})
        ]


def _sort_ratios(ratios: Iterable[float | None]) -> list[float | None]:
    return sorted(ratios, key=lambda ratio: (ratio is None, ratio or 0.0))
