"""Progress bars on standard error: rate and time left, silent when nobody is watching."""

from __future__ import annotations

import sys

from tqdm import tqdm


def progress(total: int, what: str, unit: str, done: int = 0, shown: bool = True) -> tqdm:
    """A bar over `total` units that starts at `done`, and is seen only where shown; use it as a context manager."""
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
