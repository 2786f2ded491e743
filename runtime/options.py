"""Options as fields of a dataclass, and a mistake in one, told by the field that has it.

What a command line calls the field is its own affair.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any


def option(default: Any, text: str, **metadata: Any) -> Any:
    """Make a dataclass field with a default and the help that a command line shows for it."""
    return field(default=default, metadata={"help": text, **metadata})


class OptionError(ValueError):
    """An option has a value that cannot be.

    Attributes:
        field: The option's name in the configuration.
        value: What it was given, perhaps with the circumstances that make it wrong.
        problem: What is wrong with it or what was expected. Other fields that it names stand in
            backticks, so that a command line can write each as its own flag.
    """

    def __init__(self, field: str, value: object, problem: str) -> None:
        super().__init__(field, value, problem)
        self.field, self.value, self.problem = field, value, problem

    def __str__(self) -> str:
        return f"{self.field} {self.value}: {self.problem}".replace("`", "")
