"""What a comparison consists of: arms, replicates, fractions, ratios; and what it can be expected to find."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.comparison.arms import ARMS, DEFAULT_ARMS, Arm, chosen_arms
from pipelines.metrics.paired_tests import Replicate, detectable

SEEDS = 5
BUDGETS = ("steps", "epochs")
DISCORDANT = (
    0.02,
    0.05,
    0.1,
)  # shares of test images that only one of two arms gets right, for the plan


@dataclass(frozen=True)
class Trial:
    """One classifier of a comparison, with the condition and the throws of the dice it was trained under."""

    arm: str
    fraction: float  # of the real training images
    ratio: (
        float | None
    )  # images beside the reals per real image; None: the whole set, or an arm without any
    replicate: Replicate

    @property
    def name(self) -> str:
        levels = {
            "r": self.ratio,
            "g": self.replicate.generator,
            "d": self.replicate.draw,
            "s": self.replicate.seed,
        }
        return "-".join(
            [
                self.arm,
                f"f{self.fraction:g}",
                *(f"{letter}{value:g}" for letter, value in levels.items() if value is not None),
            ]
        )


@dataclass(frozen=True, kw_only=True)
class Design:
    """Arms and how often each is repeated: generators, draws of each generator, classifier seeds for each draw."""

    arms: tuple[str, ...] = DEFAULT_ARMS
    seeds: int = SEEDS
    generators: int = 1
    draws: int = 1
    fractions: tuple[float, ...] = (1.0,)
    ratios: tuple[float | None, ...] = (None,)
    budget: str = "steps"

    def __post_init__(self) -> None:
        chosen_arms(self.arms)
        if self.seeds < 2:
            raise ValueError(
                f"--seeds {self.seeds}: expected at least 2, one run says nothing about its own luck"
            )
        for name in ("generators", "draws"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} {getattr(self, name)}: expected at least 1")
        if not all(0 < fraction <= 1 for fraction in self.fractions):
            raise ValueError(
                f"--real-fractions {_listed(self.fractions)}: expected shares of the real images, each more than 0 and at most 1"
            )
        if not all(ratio is None or 0 < ratio <= 100 for ratio in self.ratios):
            raise ValueError(
                f"--synthetic-ratio {_listed(self.ratios)}: expected synthetic images per real one, each more than 0 and at most 100"
            )
        if self.budget not in BUDGETS:
            raise ValueError(f"--budget {self.budget}: expected {' or '.join(BUDGETS)}")

    @classmethod
    def of(
        cls,
        *,
        arms: str | None = None,
        real_fractions: str | None = None,
        synthetic_ratio: str | None = None,
        **others: Any,
    ) -> Design:
        """From the options of the command line, lists as text with commas; None is the default."""
        given = {
            "arms": arms
            and tuple(arm.name for arm in chosen_arms([name.strip() for name in arms.split(",")])),
            "fractions": real_fractions and _numbers("real-fractions", real_fractions),
            "ratios": synthetic_ratio and _numbers("synthetic-ratio", synthetic_ratio),
        }
        return cls(**{name: value for name, value in (given | others).items() if value is not None})

    @classmethod
    def saved(cls, record: dict[str, Any]) -> Design:
        """From a run's config.json."""
        return cls(
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in record.items()
            }
        )

    def differing(self, given: dict[str, Any]) -> list[str]:
        """The options among these arguments of `of` that ask for something else than this."""
        asked, fields = (
            Design.of(**given),
            {"real_fractions": "fractions", "synthetic_ratio": "ratios"},
        )
        pairs = [
            (
                option,
                getattr(self, fields.get(option, option)),
                getattr(asked, fields.get(option, option)),
            )
            for option, value in given.items()
            if value is not None
        ]
        return [
            f"--{option.replace('_', '-')} {_listed(old)} → {_listed(new)}"
            for option, old, new in pairs
            if old != new
        ]

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def chosen(self) -> list[Arm]:
        return chosen_arms(self.arms)

    def conditions(self) -> Iterator[tuple[Arm, float, float | None]]:
        """Every arm at every fraction and, where it has images beside the reals, ratio; `real` first at each fraction."""
        for fraction in self.fractions:
            for arm in self.chosen():
                for ratio in self.ratios if arm.beside else (None,):
                    yield arm, fraction, ratio

    def replicates(self, arm: Arm, first_seed: int) -> list[Replicate]:
        """The classifiers of an arm: seeds within draws within generators, as far as it has those levels."""
        generators = range(self.generators) if arm.synthetic else [None]
        draws = range(self.draws) if arm.synthetic or arm.beside == "oracle" else [None]
        return [
            Replicate(generator, draw, first_seed + number)
            for generator in generators
            for draw in draws
            for number in range(self.seeds)
        ]

    def trials(self, first_seed: int) -> list[Trial]:
        """All classifiers, seed by seed, so that a study that is cut short has something of every arm."""
        found = [
            Trial(arm.name, fraction, ratio, replicate)
            for arm, fraction, ratio in self.conditions()
            for replicate in self.replicates(arm, first_seed)
        ]
        return sorted(found, key=lambda trial: trial.replicate.seed)

    def headline(self) -> tuple[str, float, float | None]:
        """The condition that the answer is about: real+gan where it is among the arms, at the largest fraction and the first ratio."""
        arm = (
            "real+gan"
            if "real+gan" in self.arms
            else next(arm.name for arm in self.chosen() if arm.name != "real")
        )
        return arm, max(self.fractions), self.ratios[0] if ARMS[arm].beside else None

    def plan(self, patients: int) -> dict[str, Any]:
        """The smallest differences that the study can be expected to find, by how many test images two arms disagree about."""
        found = {
            f"{share:g}": detectable(share, patients, self.seeds, len(self.chosen()) - 1)
            for share in DISCORDANT
        }
        listed = ", ".join(
            f"{100 * value:.1f} points where they disagree about {100 * float(share):g} % of the test images"
            for share, value in found.items()
        )
        return {
            "detectable": found,
            "sentence": f"Expected before training, with {patients} test patients and {self.seeds} seeds, to be found in 80 % of such studies: {listed}.",
        }


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(sorted({float(part) for part in text.split(",")}))
    except ValueError as error:
        raise ValueError(
            f"--{option} {text}: expected numbers with commas between, such as 0.1,0.5,1"
        ) from error


def _listed(value: Any) -> str:
    """As it is written on the command line."""
    if isinstance(value, tuple):
        return ",".join(
            "all" if one is None else f"{one:g}" if isinstance(one, float) else str(one)
            for one in value
        )
    return str(value)
