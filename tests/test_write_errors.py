"""What fails to be written: the file is named, the one before stays, and the user gets a line."""

from __future__ import annotations

import errno
import gc
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pipelines.cli.options import Commands
from runtime.files import atomic
from runtime.run import Run

NOISE = np.random.default_rng(0).integers(0, 256, (90, 90), dtype=np.uint8)
WRITERS: dict[str, Callable[[IO[bytes]], object]] = {
    "bytes": lambda file: file.write(bytes(9000)),
    "png": lambda file: Image.fromarray(NOISE).save(file, "PNG"),
    "gif": lambda file: Image.fromarray(NOISE).save(
        file, "GIF", save_all=True, append_images=[Image.fromarray(NOISE.T)]
    ),
    "npz": lambda file: np.savez(file, a=NOISE, b=NOISE),
    "compressed npz": lambda file: np.savez_compressed(file, a=NOISE, b=NOISE),
}
WITH_RESUME = "and run the command again, with --resume where it has one"
NO_PERMISSION = (
    "no permission to write or read here (/study/x); "
    "change that, or choose another folder (the study's with -C DIR)"
)
ERROR_LINES = {
    errno.ENOSPC: f"the disk is full (/study/x); free some space {WITH_RESUME}",
    errno.EDQUOT: f"the quota on this disk is used up (/study/x); free some space {WITH_RESUME}",
    errno.EFBIG: (
        f"no file may be so large here (/study/x); raise the limit (ulimit -f) {WITH_RESUME}"
    ),
    errno.EIO: (
        "the disk does not work: Input/output error (/study/x); "
        "see to it, then run the command again, with --resume where it has one"
    ),
    errno.EROFS: NO_PERMISSION,
    errno.EACCES: NO_PERMISSION,
    errno.ENOENT: "/study/x does not exist",
    errno.ENAMETOOLONG: "File name too long (/study/x)",
}


@pytest.fixture(scope="module")
def few_to_collect() -> Iterator[None]:
    """Have the garbage collector look through what is made from here on alone, which is fast."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@contextmanager
def no_file_larger(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def failing_command_line(error: Exception) -> click.Group:
    """Return a command line like ours with one command, `fail`, which raises this error."""

    @click.group(cls=Commands)
    def main() -> None:
        pass

    @main.command()
    def fail() -> None:
        raise error

    return main


def test_a_line_that_does_not_fit_is_not_in_the_journal(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.log(step=1)
    with (
        no_file_larger(run.journal_size() + 5),
        pytest.raises(OSError, match="File too large") as caught,
    ):
        run.log(step=2)
    assert caught.value.filename == str(run.journal_path)
    assert [event["step"] for event in run.journal()] == [1]


def test_after_a_line_that_did_not_fit_the_journal_goes_on(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.log(step=1)
    with (
        no_file_larger(run.journal_size() + 5),
        pytest.raises(OSError, match="File too large"),
    ):
        run.log(step=2)
    run.log(step=2)
    assert [event["step"] for event in run.journal()] == [1, 2]


@pytest.mark.usefixtures("few_to_collect")
@pytest.mark.parametrize("size", [1, 100, 5000, 7500])
@pytest.mark.parametrize("kind", WRITERS)
def test_whatever_writes_a_file_a_failure_names_it_and_leaves_the_one_before(
    kind: str, size: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Wherever it fails, and with nothing said at the side."""
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with (
        no_file_larger(size),
        pytest.raises(OSError, match="File too large") as caught,
        atomic(path) as file,
    ):
        WRITERS[kind](file)
    gc.collect()
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"before"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("number", ERROR_LINES, ids=errno.errorcode.get)
def test_each_fault_of_a_disk_has_its_line(number: int) -> None:
    error = OSError(number, os.strerror(number), "/study/x")
    result = CliRunner().invoke(failing_command_line(error), ["fail"])
    assert (result.exit_code, result.output) == (2, f"cxr: {ERROR_LINES[number]}\n")


def test_a_fault_without_a_file_has_its_line_too() -> None:
    message = "No usable temporary directory found in ['/tmp']"
    error = FileNotFoundError(errno.ENOENT, message)
    result = CliRunner().invoke(failing_command_line(error), ["fail"])
    assert result.output == f"cxr: {message}\n"
