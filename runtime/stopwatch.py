"""How long the parts of a command take."""

from __future__ import annotations

import time
from collections.abc import Mapping


class Stopwatch:
    """Counts the seconds of one part at a time, of which some may come again and again."""

    def __init__(self, part: str, started: float | None = None) -> None:
        """Begin with a part. started: when that was, by time.monotonic, where not right now."""
        self._part, self._since = part, time.monotonic() if started is None else started
        self._seconds: dict[str, float] = {}

    def begin(self, part: str) -> None:
        """End the present part and begin another, or go on with it."""
        now = time.monotonic()
        self._seconds[self._part] = self._seconds.get(self._part, 0.0) + now - self._since
        self._part, self._since = part, now

    def read(self) -> dict[str, float]:
        """Return the seconds so far of each part, in the order in which they first ended."""
        self.begin(self._part)
        return {part: round(seconds, 2) for part, seconds in self._seconds.items()}


def describe_parts(seconds: Mapping[str, float]) -> str:
    """Write the parts of a command in one line, with what they come to."""
    parts = ", ".join(f"{part} {value:.1f}" for part, value in seconds.items())
    return f"{sum(seconds.values()):.1f} s: {parts}"
