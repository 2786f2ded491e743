"""A training that runs out of memory says in one line what to try, and leaves what it has saved."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from runtime.memory import explain_out_of_memory, is_out_of_memory
from runtime.run import Run
from tests.conftest import TINY_CLASSIFIER, TINY_GAN, cxr

MEMORY_LEFT = 200 * 1024**2  # bytes, less than the batches here want
HUGE = 2000  # images of 256 px in a batch
BIG = ("--image-size", 256, "--batch-size", HUGE)


@contextmanager
def little_memory() -> Iterator[None]:
    """Let this process have MEMORY_LEFT more than it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_LEFT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize(
    "command",
    [
        ("gan-train", "--steps", 8, *TINY_GAN, *BIG),
        ("classify-train", *TINY_CLASSIFIER, "--augment", "yes", *BIG),
    ],
    ids=["gan-train", "classify-train"],
)
def test_a_batch_beyond_the_memory_is_one_line_with_half_of_it(
    phantom_study: Path, tmp_path: Path, command: tuple[object, ...]
) -> None:
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    with little_memory():
        result = cxr(*command, folder=study)
    assert result.exit_code == 2
    assert result.stderr.strip() == (
        f"cxr: out of memory with --batch-size {HUGE}; try --batch-size {HUGE // 2} or smaller "
        "images"
    )


def test_a_run_with_a_checkpoint_can_be_gone_on_with(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.checkpoint.parent.mkdir()
    run.checkpoint.touch()
    with (
        pytest.raises(MemoryError, match="or go on by `resume` where there is more memory"),
        explain_out_of_memory(8, run),
    ):
        torch.empty(2**60)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_want_of_memory_is_known_by_what_libraries_raise(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_another_error_is_none_of_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"), explain_out_of_memory(8, Run(tmp_path)):
        raise RuntimeError("shapes do not fit")
