"""Progress bars on standard error: rate and time left, silent when nobody is watching."""

from __future__ import annotations

import sys

from tqdm import tqdm


def progress(total: int, what: str, unit: str, done: int = 0) -> tqdm:
    """A bar over `total` units that starts at `done`; use it as a context manager."""
    return tqdm(total=total, desc=what, unit=unit, initial=done, file=sys.stderr, disable=not sys.stderr.isatty(), dynamic_ncols=True)
