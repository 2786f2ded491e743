"""Recipes: one arm with its synthetic images used in another way, beside the arm itself.

Written behind the arm's name: `real+gan@share=0.5@weight=0.3`, `gan-pretrain@rate=0.3`. So several
ways of using the same images can be compared at once, with the same reals, seeds and generators;
and `real+classical@balance=weights` is a baseline that makes up for unequal classes as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipelines.comparison.arms import ARMS, BALANCE, FINE_TUNING_RATE, RECIPE_FIELDS, Arm
from runtime.options import OptionError

MARK = "@"  # before each option of a recipe
WORDS = (BALANCE, "statistics")  # options that are no numbers


def parse_arm(text: str) -> Arm:
    """Return the arm of a name, which may have a recipe behind it.

    The same recipe has the same name, however it was written. Raises OptionError on a name that no
    arm has, and on an option that the arm does not take.
    """
    name, *parts = (part.strip() for part in text.split(MARK))
    if name not in ARMS:
        raise OptionError("arms", name, f"expected some of {', '.join(ARMS)}")
    arm = ARMS[name]
    given = dict(_parse_option(text, part, arm) for part in parts)
    if len(given) < len(parts):
        raise OptionError("arms", text, "says one thing twice")
    recipe = tuple((option, given[option]) for option in options_of(arm) if option in given)
    if not recipe:
        return arm
    written = [f"{option}={value if option in WORDS else f'{value:g}'}" for option, value in recipe]
    return replace(
        arm,
        name=MARK.join([name, *written]),
        about=f"{arm.about}, {' and '.join(written)}",
        recipe=recipe,
    )


def select_arms(names: Sequence[str]) -> list[Arm]:
    """Return the arms of these names, `real` first, which all are compared with.

    The others in the order of ARMS, recipes as they come behind their arm. Raises ValueError on a
    name that no arm has, and when there is none to compare with `real`.
    """
    order = list(ARMS)
    arms = {arm.name: arm for arm in map(parse_arm, ("real", *names))}
    selected = sorted(arms.values(), key=lambda arm: order.index(without_recipe(arm.name)))
    if len(selected) < 2:
        raise ValueError(
            "--arms real: there is nothing to compare it with; add another, such as real+gan"
        )
    return selected


def without_recipe(name: str) -> str:
    """Return the name of the arm that a recipe is one of."""
    return name.split(MARK)[0]


def options_of(arm: Arm) -> tuple[str, ...]:
    """Return the options that a recipe of this arm may have, in the order of its name."""
    if arm.balance != "none":  # it is what the arm is about
        return ()
    if arm.mixes_synthetic:
        return tuple(RECIPE_FIELDS)
    return (BALANCE, FINE_TUNING_RATE) if arm.reals == "after" else (BALANCE,)


def _parse_option(text: str, part: str, arm: Arm) -> tuple[str, float | str]:
    option, equals, value = (piece.strip() for piece in part.partition("="))
    takes = options_of(arm)
    if option not in takes or not equals:
        expected = ", ".join(f"{MARK}{name}=…" for name in takes)
        problem = f"{arm.name} takes {expected}" if takes else f"{arm.name} takes no recipe"
        raise OptionError("arms", text, problem)
    if option in WORDS:
        return option, value
    try:
        number = float(value)
    except ValueError as error:
        raise OptionError("arms", text, f"expected a number behind {option}=") from error
    if option == FINE_TUNING_RATE and not 0 < number <= 1:
        raise OptionError(
            "arms", text, "expected a rate of more than 0, and at most 1 for that of pretraining"
        )
    return option, number
