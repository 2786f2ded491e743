"""What a comparison found: summary.json, from which its tables, figures and page are made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from classifier.config import ClassifierConfig
from pipelines.results.arm_result import ArmResult, Condition, PairedDifference, find_result
from pipelines.results.data_efficiency import DataEfficiency
from pipelines.results.image_count import ImageCount
from pipelines.study.fractions import RealFraction, of_all_classes, sort_fractions
from pipelines.study.synthetic import NOTHING, STATED, UNKNOWN_WARNING, caution_of
from runtime.records import read_record, write_record
from runtime.run import Run

SUMMARY_FILE = "summary.json"
SUMMARY_FORMAT = 5


@dataclass(frozen=True)
class Question:
    """The primary question: the one difference, in one measure, that the answer is about.

    It is fixed before any training, judged by itself, and all other differences are exploratory.

    Attributes:
        arm, reference: What is compared with what.
        fraction, ratio: At which share of the reals, and with how many images added per real one.
        measure: One field of ArmMeasures.
    """

    arm: str
    reference: str
    fraction: RealFraction
    ratio: float | None
    measure: str

    @property
    def condition(self) -> Condition:
        return Condition(self.arm, self.fraction, self.ratio)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What each classifier was given, and how often each arm was repeated.

    Attributes:
        kind: "steps", the same for all, or "epochs", more for longer training sets.
        steps: Optimizer steps of a classifier of `real`.
        seeds: Of the classifiers.
        generators: How many of them.
        draws: How many synthetic sets of each generator.
        folds: Into how many parts all images were split, each tested once; 1 for the study's own
            test split.
        subsets: How often the reals of a fraction were drawn.
    """

    kind: str
    arch: str
    steps: int
    batch_size: int
    seeds: tuple[int, ...]
    generators: int
    draws: int
    folds: int
    subsets: int


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
    """A generator of the comparison: the run that trained it, on which share of the reals.

    Attributes:
        subset, fold: None where the comparison has one of them.
        index: Of several generators on the same reals.
        set_name: Of which set; None in a comparison of one set without a name.
    """

    run: str
    fraction: RealFraction
    subset: int | None
    fold: int | None
    index: int
    set_name: str | None = None


@dataclass(frozen=True)
class SyntheticSetUse:
    """A synthetic set of the comparison, and which draw of which generator it is."""

    run: str
    fraction: RealFraction
    subset: int | None
    fold: int | None
    generator: int
    draw: int
    set_name: str | None = None


@dataclass(frozen=True)
class SetUse:
    """A synthetic set that the comparison was given.

    Attributes:
        name: What its arms are called after.
        run: Of the synthesis.
        statement: What was stated of the images behind it, one of STATEMENTS, where another program
            made it; None of one of ours.
        source: The name of the folder that it came in; None of one of ours.
        n_trained_on: How many images its generator was trained on, as far as they are known.
        changes: What became of its images as they were imported.
    """

    name: str
    run: str
    statement: str | None
    source: str | None
    n_trained_on: int
    changes: tuple[str, ...]

    @property
    def caution(self) -> str:
        """What every result that rests on it has to say; empty where there is nothing."""
        return caution_of(self.name, self.statement)

    @property
    def trained_on(self) -> str:
        """What its generator saw, in words."""
        if self.statement is None:
            return f"trained here, on {self.n_trained_on} training images"
        return {
            STATED: f"trained elsewhere, on {self.n_trained_on} training images as was stated",
            NOTHING: "trained elsewhere, on nothing of this study as was stated",
        }.get(self.statement, f"trained elsewhere: {UNKNOWN_WARNING}")


@dataclass(frozen=True)
class ExternalSet:
    """The external test set: its images and patients, in all and by label.

    Attributes:
        undefined: Why it has not every measure; empty where it has.
    """

    all: ImageCount
    labels: dict[str, ImageCount]
    undefined: str


@dataclass(frozen=True, kw_only=True)
class ComparisonSummary:
    """What a comparison found; all shares lie in 0..1.

    Attributes:
        verdict, sentence: The answer to `question`, and the same in words, with the warnings.
        positive: The class that sensitivity is of, one of `classes`.
        results: At each fraction, `real` first.
        differences: Every pair of arms that is compared, the primary question's among them.
        data_efficiency: What the synthetic images of each arm that mixes them with reals are worth;
            empty where there is one fraction only.
        sets: The synthetic sets that it was given; none where no arm has any.
        external: None where the study has none, or its classifiers did not answer on it.
        generator, synthetic: The runs of generator 0, and of its draw 0, at the largest fraction.
        view: What of the images was seen, one of VIEWS.
        data_fingerprint: Of the images, labels, patients and splits, and in a view of the lungs of
            the masks.
        config: Of the classifiers, but for their seeds.
    """

    verdict: str
    sentence: str
    question: Question
    positive: str
    classes: tuple[str, ...]
    results: tuple[ArmResult, ...]
    differences: tuple[PairedDifference, ...]
    data_efficiency: tuple[DataEfficiency, ...]
    budget: Budget
    plan: Plan
    test: ImageCount
    external: ExternalSet | None
    image_size: int
    view: str
    generators: tuple[GeneratorUse, ...]
    synthetic_sets: tuple[SyntheticSetUse, ...]
    generator: str | None
    synthetic: str | None
    data_fingerprint: str
    config: ClassifierConfig
    arms: tuple[str, ...]
    fractions: tuple[RealFraction, ...]
    ratios: tuple[float | None, ...]
    limits: tuple[str, ...]
    warnings: tuple[str, ...]
    versions: dict[str, str]
    device: str
    sets: tuple[SetUse, ...] | None = None

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

    @property
    def measure(self) -> str:
        """The measure that everything is judged by."""
        return self.question.measure

    def result(self, condition: Condition) -> ArmResult:
        """Return the result of a condition."""
        return find_result(self.results, condition)

    def difference(self, condition: Condition, role: str) -> PairedDifference | None:
        """Return how far a condition lies above its "real", "like" or "best"; None for none."""
        for difference in self.differences:
            if difference.condition == condition and role in difference.roles:
                return difference
        return None

    def against_real(self, results: Iterable[ArmResult]) -> list[PairedDifference]:
        """Return how far each of these lies above `real`, but for `real` itself."""
        found = [self.difference(result.condition, "real") for result in results]
        return [difference for difference in found if difference]

    def results_at(self, fraction: RealFraction, ratio: float | None) -> list[ArmResult]:
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

    def primary_results(self) -> list[ArmResult]:
        """Return the results that belong side by side with the primary question's, `real` first."""
        return self.results_at(self.question.fraction, self.question.ratio)

    def primary_differences(self) -> list[PairedDifference]:
        """Return the differences between those, the primary one first."""
        conditions = {result.condition for result in self.primary_results()}
        side_by_side = [own for own in self.differences if own.condition in conditions]
        return sorted(side_by_side, key=lambda difference: not difference.is_primary)

    def primary_result(self) -> ArmResult:
        """Return the result of the arm that the answer is of."""
        return self.result(self.question.condition)

    def primary_difference(self) -> PairedDifference:
        """Return the difference that the answer is of."""
        return next(difference for difference in self.differences if difference.is_primary)

    def learning_curve(self, arm: str) -> list[ArmResult]:
        """Return an arm's results at the fractions of all classes alike, from few to many reals.

        At the question's ratio, or where the arm has no ratio its only one.
        """
        return [
            result
            for fraction in of_all_classes(self.fractions)
            for result in self.results_at(fraction, self.question.ratio)
            if result.arm == arm
        ]

    def primary_data_efficiency(self) -> list[DataEfficiency]:
        """Return what the synthetic images of the question's arm are worth at each fraction.

        At the question's ratio; nothing where the arm does not mix them with reals.
        """
        return [
            entry
            for entry in self.data_efficiency
            if (entry.arm, entry.ratio) == (self.question.arm, self.question.ratio)
        ]

    def settings(self) -> list[tuple[RealFraction, float | None]]:
        """Return every (fraction, ratio) that some arm was trained at, smallest first.

        A ratio of None only where no arm of the fraction has one.
        """
        ratios: dict[RealFraction, set[float | None]] = {}
        for result in self.results:
            at_fraction = ratios.setdefault(result.fraction, set())
            if result.ratio is not None:
                at_fraction.add(result.ratio)
        return [
            (fraction, ratio)
            for fraction in sort_fractions(ratios)
            for ratio in _sort_ratios(ratios[fraction] or {None})
        ]


def _sort_ratios(ratios: Iterable[float | None]) -> list[float | None]:
    return sorted(ratios, key=lambda ratio: (ratio is None, ratio or 0.0))
