"""Running out of memory, told in one way whatever runs out of it, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runtime.run import Run

# What is in the text of a RuntimeError of PyTorch for want of memory, on a CPU or a GPU.
_SIGNS = ("out of memory", "can't allocate memory", "bad_alloc", "status_alloc_failed")


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error is for want of memory."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in text for sign in _SIGNS)
    )


@contextmanager
def explain_out_of_memory(batch_size: int, run: Run) -> Iterator[None]:
    """Raise MemoryError that says what to do where a training runs out of memory.

    batch_size: that of the training. run: what is trained, which may have a checkpoint.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        smaller = f"`batch_size` {batch_size // 2} or " if batch_size > 2 else ""
        text = f"out of memory with `batch_size` {batch_size}; try {smaller}smaller images"
        if run.checkpoint.exists():
            text += " in a new run, or go on by `resume` where there is more memory"
        raise MemoryError(text) from error
