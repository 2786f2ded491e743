"""Progress bars on standard error: rate and time left, silent when nobody is watching."""

from __future__ import annotations

import sys

from tqdm import tqdm


def progress(total: int, what: str, unit: str, done: int = 0, shown: bool = True) -> tqdm:
    """Return a bar over `total` units that starts at `done`, to use as a context manager.

    Args:
        total: How many units there are.
        what: What is done, before the bar.
        unit: The name of a unit, in the rate.
        done: How many units are done already.
        shown: Whether it may be seen; it is only where standard error is a terminal.
    """
    watched = sys.stderr is not None and sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=what,
        unit=unit,
        initial=done,
        file=sys.stderr,
        disable=not (shown and watched),
        dynamic_ncols=True,
    )
