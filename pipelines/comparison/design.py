"""What a comparison consists of, and which differences it can be expected to find."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.comparison.arms import ARMS, DEFAULT_ARMS, OWN_SET, Arm, arms_of_sets
from pipelines.comparison.recipes import select_arms, without_recipe
from pipelines.metrics.names import MEASURE_TITLES
from pipelines.metrics.paired_tests import Replicate
from pipelines.metrics.planned_difference import detectable_difference
from pipelines.results.comparison_summary import Plan, Question
from pipelines.results.image_count import ImageCount
from pipelines.study.fractions import (
    RealFraction,
    fraction_text,
    parse_fraction,
    sort_fractions,
)
from pipelines.study.shares import RealShare
from pipelines.study.text import flag_of
from runtime.options import OptionError

SEEDS = 5
BUDGETS = ("steps", "epochs")
MEASURE_OPTIONS = {  # that a comparison can be judged by, as fields of ArmMeasures
    "accuracy": "accuracy",
    "balanced-accuracy": "balanced_accuracy",
    "auc": "roc_auc",
    "sensitivity": "sensitivity",
}
PLANNED_DISCORDANCE = (
    0.02,
    0.05,
    0.1,
)  # shares of test images that only one of two arms gets right
FIELD_OF_OPTION = {"real_fractions": "fractions", "synthetic_ratio": "ratios"}


@dataclass(frozen=True)
class Trial:
    """One classifier of a comparison: the condition and the throws of the dice that make it.

    Attributes:
        fraction: Of the real training images, all of them or those of one class.
        ratio: Images added to the reals, per real image; None for the whole set, or an arm that
            adds none.
        fold: Whose patients it is tested with, from 0; None without folds.
    """

    arm: str
    fraction: RealFraction
    ratio: float | None
    replicate: Replicate
    fold: int | None = None

    @property
    def name(self) -> str:
        """As its folder is called: real+gan-f0.5-r2-g0-d0-s3."""
        levels = {
            "k": self.fold,
            "u": self.replicate.subset,
            "r": self.ratio,
            "g": self.replicate.generator,
            "d": self.replicate.draw,
            "s": self.replicate.seed,
        }
        parts = [f"{letter}{value:g}" for letter, value in levels.items() if value is not None]
        return "-".join([self.arm, f"f{fraction_text(self.fraction)}", *parts])


@dataclass(frozen=True, kw_only=True)
class Design:
    """Arms, and how often each is repeated.

    Attributes:
        seeds: Classifiers for each draw.
        generators: How many of them.
        draws: Synthetic sets of each generator.
        fractions: Of the real training images, each a comparison of its own, all images last.
        ratios: Images added to the reals, per real image; None for the whole synthetic set.
        budget: "steps", the same for all, or "epochs".
        measure: What everything is judged by, one of MEASURE_OPTIONS' fields.
        folds: In how many parts the patients are tested, each by classifiers and generators of the
            others; 1 for the study's own split.
        subsets: How many times the reals of a fraction are drawn.
        sets: The names of the synthetic sets, that of the question first; arms with synthetic
            images are there once for each.
    """

    arms: tuple[str, ...] = DEFAULT_ARMS
    seeds: int = SEEDS
    generators: int = 1
    draws: int = 1
    fractions: tuple[RealFraction, ...] = (1.0,)
    ratios: tuple[float | None, ...] = (None,)
    budget: str = "steps"
    measure: str = "roc_auc"
    folds: int = 1
    subsets: int = 1
    sets: tuple[str, ...] = (OWN_SET,)

    def __post_init__(self) -> None:
        arms_of_sets(select_arms(self.arms), self.sets)
        if self.seeds < 2:
            raise ValueError(
                f"--seeds {self.seeds}: expected at least 2, "
                "one run says nothing about its own luck"
            )
        for option, count in (("generators", self.generators), ("draws", self.draws)):
            if count < 1:
                raise ValueError(f"--{option} {count}: expected at least 1")
        for fraction in self.fractions:
            parse_fraction(fraction_text(fraction), "real_fractions")
        if not all(ratio is None or 0 < ratio <= 100 for ratio in self.ratios):
            raise ValueError(
                f"--synthetic-ratio {_option_text(self.ratios)}: "
                "expected synthetic images per real one, each more than 0 and at most 100"
            )
        if self.budget not in BUDGETS:
            raise ValueError(f"--budget {self.budget}: expected {' or '.join(BUDGETS)}")
        if self.measure not in MEASURE_OPTIONS.values():
            raise ValueError(f"--measure {self.measure}: expected {', '.join(MEASURE_OPTIONS)}")
        if self.folds < 1:
            raise OptionError(
                "folds", self.folds, "expected 2 or more, or 1 for the study's own split"
            )
        if self.subsets < 1:
            raise OptionError("subsets", self.subsets, "expected at least 1")
        if self.subsets > 1 and not self.thins_reals:
            raise OptionError(
                "subsets",
                self.subsets,
                "all of the reals can be drawn in one way only; give `real_fractions` below 1",
            )

    @classmethod
    def from_options(
        cls,
        *,
        arms: str | None = None,
        real_fractions: str | None = None,
        synthetic_ratio: str | None = None,
        measure: str | None = None,
        **counts: Any,
    ) -> Design:
        """Make a design of the command line's options, lists as text with commas.

        None is the default. counts: other fields by their names.
        """
        fields: dict[str, Any] = {
            name: value for name, value in counts.items() if value is not None
        }
        if arms is not None:
            names = [name.strip() for name in arms.split(",")]
            fields["arms"] = tuple(arm.name for arm in select_arms(names))
        if real_fractions is not None:
            parts = real_fractions.split(",")
            fractions = {parse_fraction(part, "real_fractions") for part in parts}
            fields["fractions"] = tuple(sort_fractions(fractions))
        if synthetic_ratio is not None:
            fields["ratios"] = _parse_numbers("synthetic-ratio", synthetic_ratio)
        if measure is not None:
            fields["measure"] = MEASURE_OPTIONS.get(measure, measure)
        return cls(**fields)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Design:
        """Make the design that a run's config.json holds."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in record.items()
        }
        return cls(**fields)

    def record(self) -> dict[str, Any]:
        """Return what config.json holds of it.

        Folds and subsets where there are several, sets where they have names of their own.
        """
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
            if not (name in ("folds", "subsets") and value == 1)
            and not (name == "sets" and value == (OWN_SET,))
        }

    def changes(self, options: Mapping[str, Any]) -> list[str]:
        """Return which of these arguments of `from_options` ask for something else than this."""
        asked = Design.from_options(**options)
        changes = []
        for option, value in options.items():
            field = FIELD_OF_OPTION.get(option, option)
            old, new = getattr(self, field), getattr(asked, field)
            if value is not None and old != new:
                changes.append(f"{flag_of(option)} {_option_text(old)} → {_option_text(new)}")
        return changes

    def selected_arms(self) -> list[Arm]:
        """Return the arms, `real` first, those with synthetic images once for each set."""
        return arms_of_sets(select_arms(self.arms), self.sets)

    def arm(self, name: str) -> Arm:
        """Return an arm by its name, which may have that of a set in it."""
        return (ARMS | {arm.name: arm for arm in self.selected_arms()})[name]

    @property
    def thins_reals(self) -> bool:
        """Whether some classifiers have a part of the reals only."""
        return any(fraction != 1 for fraction in self.fractions)

    def conditions(self) -> Iterator[tuple[Arm, RealFraction, float | None]]:
        """Yield every arm at every fraction and, where it adds images by them, ratio.

        `real` comes first at each fraction.
        """
        for fraction in self.fractions:
            for arm in self.selected_arms():
                for ratio in self.ratios if arm.has_ratio else (None,):
                    yield arm, fraction, ratio

    def shares(self) -> list[RealShare]:
        """Return the reals of every fraction: every subset in every fold."""
        return [
            RealShare(fraction, subset, fold, self.folds)
            for fold in self._folds()
            for fraction in self.fractions
            for subset in range(self._num_subsets(fraction))
        ]

    def share_of(self, trial: Trial) -> RealShare:
        """Return the reals that a classifier has."""
        return RealShare(trial.fraction, trial.replicate.subset or 0, trial.fold, self.folds)

    def subset_of(self, share: RealShare) -> int | None:
        """Return which subset of its fraction a share is; None where there is one only."""
        return share.subset if self._num_subsets(share.fraction) > 1 else None

    def _folds(self) -> Sequence[int | None]:
        return range(self.folds) if self.folds > 1 else [None]

    def _num_subsets(self, fraction: RealFraction) -> int:
        return 1 if fraction == 1 else self.subsets

    def replicates(self, arm: Arm, fraction: RealFraction, first_seed: int) -> list[Replicate]:
        """Return the classifiers of an arm: seeds within draws within generators within subsets.

        As far as it has those levels.
        """
        num_subsets = self._num_subsets(fraction)
        subsets = range(num_subsets) if num_subsets > 1 else [None]
        has_draws = arm.synthetic or arm.added == "oracle"
        generators = range(self.generators) if arm.synthetic else [None]
        draws = range(self.draws) if has_draws else [None]
        return [
            Replicate(subset, generator, draw, first_seed + number)
            for subset in subsets
            for generator in generators
            for draw in draws
            for number in range(self.seeds)
        ]

    def trials(self, first_seed: int) -> list[Trial]:
        """Return all classifiers.

        Seed by seed, so that a study that is cut short has something of every arm and fold.
        """
        trials = [
            Trial(arm.name, fraction, ratio, replicate, fold)
            for fold in self._folds()
            for arm, fraction, ratio in self.conditions()
            for replicate in self.replicates(arm, fraction, first_seed)
        ]
        return sorted(trials, key=lambda trial: trial.replicate.seed)

    def question(self) -> Question:
        """Return the primary question, which the answer is about.

        At the largest fraction, all reals where they are among them, and the first ratio: what the
        images of the first set add to classical augmentation, real+gan+classical against
        real+classical. Without that arm, the first one with synthetic images, real+gan before
        others, against real+classical, or else `real`; without any, the first arm against `real`.
        Of an arm and its recipes it is about the first.
        """
        first = self.sets[0]
        arms = {arm.name: arm for arm in self.selected_arms()}
        baseline = "real+classical" if "real+classical" in arms else "real"
        with_synthetic = [
            name for name, arm in arms.items() if arm.added == "synthetic" and arm.set_name == first
        ]
        preferred = f"real+{first}+classical" if baseline == "real+classical" else f"real+{first}"
        if with_synthetic:
            likely = [name for name in with_synthetic if without_recipe(name) == preferred]
            arm, reference = (likely or with_synthetic)[0], baseline
        else:
            arm, reference = next(name for name in arms if name != "real"), "real"
        ratio = self.ratios[0] if arms[arm].has_ratio else None
        largest = sort_fractions(self.fractions)[-1]
        return Question(arm, reference, largest, ratio, self.measure)

    def plan(self, test: ImageCount) -> Plan:
        """Work out the smallest differences that the study can be expected to find.

        By how many of the test images two arms disagree about.
        """
        question = self.question()
        replicates = self.replicates(self.arm(question.arm), question.fraction, first_seed=0)
        detectable = {
            f"{share:g}": detectable_difference(
                share, test.images, test.patients, replicates, folds=self.folds
            )
            for share in PLANNED_DISCORDANCE
        }
        return Plan(
            detectable=detectable,
            sentence=(
                f"The question, fixed before training: {question.arm} against "
                f"{question.reference}, in {MEASURE_TITLES[question.measure]}. "
                f"{detectable_sentence(detectable, test, self.seeds)}"
            ),
            classifiers=len(self.trials(first_seed=0)),
            test_images=test.images,
        )


def detectable_sentence(detectable: Mapping[str, float], test: ImageCount, seeds: int) -> str:
    """Say which differences can be expected to be found. detectable: As a plan has them."""
    listed = ", ".join(
        f"{100 * value:.1f} points where they disagree about {100 * float(share):g} % "
        "of the test images"
        for share, value in detectable.items()
    )
    return (
        f"Expected to be found in 80 % of such studies, with {test.patients} test patients and "
        f"{seeds} seeds, as differences in accuracy: {listed}."
    )


def _parse_numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(sorted({float(part) for part in text.split(",")}))
    except ValueError as error:
        raise ValueError(
            f"--{option} {text}: expected numbers with commas between, such as 0.1,0.5,1"
        ) from error


def _option_text(value: object) -> str:
    """Write an option as it is on the command line."""
    if isinstance(value, tuple):
        return ",".join(_option_text(member) for member in value)
    if value is None:
        return "all"
    return f"{value:g}" if isinstance(value, float) else str(value)
