"""How a study answers a pitfall of the checklist."""

from __future__ import annotations

from dataclasses import dataclass

MARK_NAMES = {"good": "Avoided", "open": "Open", "bad": "Not avoided"}


@dataclass(frozen=True)
class Answer:
    """What the study says to one pitfall.

    Attributes:
        mark: "good", the study keeps clear of it; "open", its files cannot tell, or only in part;
            "bad", the study falls into it.
        command: One that would change the mark.
    """

    mark: str
    text: str
    command: str = ""
