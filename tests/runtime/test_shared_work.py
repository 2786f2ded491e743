"""Work that is shared by processes: all of it is done, and none is left alone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from runtime.shared_work import share_work

PROCESSES = 3
PATIENCE = 60.0  # seconds

# The work of the other process saves when it is asked to stop; that of the first is done at once.
WAITING_SCRIPT = """
import os, sys, time
from functools import partial
from pathlib import Path
from runtime.run import Interrupted, stop_on_signal
from runtime.shared_work import share_work

def work(folder, part, parts):
    if part == 0:
        return
    with stop_on_signal() as stop:
        (folder / "pid").write_text(str(os.getpid()))
        while not stop.requested:
            time.sleep(0.02)
        (folder / "saved").touch()
        raise Interrupted("saved")

if __name__ == "__main__":
    try:
        share_work(partial(work, Path(sys.argv[1])), 2)
    except Interrupted as stopped:
        print(stopped)
"""


def note_part(folder: Path, part: int, parts: int) -> None:
    """Leave which part this was, of how many, by which process and on how many threads."""
    threads = torch.get_num_threads()
    (folder / str(part)).write_text(f"{part} of {parts}, {threads} thread(s), {os.getpid()}")


def note_all_but_the_last(folder: Path, part: int, parts: int) -> None:
    """Note a part; the last of them fails."""
    if part == parts - 1:
        raise ValueError(f"part {part}")
    note_part(folder, part, parts)


@pytest.fixture
def six_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(6)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("six_threads")
def test_parts_are_done_on_their_shares_of_the_threads_and_one_fails_in_silence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    share_work(partial(note_all_but_the_last, tmp_path), PROCESSES)
    notes = [path.read_text().rsplit(", ", 1) for path in sorted(tmp_path.iterdir())]
    assert [text for text, _ in notes] == ["0 of 3, 2 thread(s)", "1 of 3, 2 thread(s)"]
    assert notes[0][1] == str(os.getpid()) != notes[1][1]
    assert torch.get_num_threads() == 6
    assert capfd.readouterr() == ("", "")


def test_alone_it_is_done_here(tmp_path: Path) -> None:
    share_work(partial(note_part, tmp_path), 1)
    assert (tmp_path / "0").read_text().endswith(f" {os.getpid()}")


def start_waiting(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """Start work whose other process waits; return the first, and the other's number."""
    script = folder / "script.py"
    script.write_text(WAITING_SCRIPT)
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, script, folder],
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + PATIENCE
    while not (folder / "pid").exists() or not (folder / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process, int((folder / "pid").read_text())


def is_running(process: int) -> bool:
    """Say whether a process is there that is not a mere entry of a dead one."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_signal_stops_all_of_them_and_each_saves(tmp_path: Path) -> None:
    first, other = start_waiting(tmp_path)
    first.send_signal(signal.SIGTERM)
    output, _ = first.communicate(timeout=PATIENCE)
    assert output == "stopped, saved; continue with `resume`\n"
    assert (tmp_path / "saved").exists()
    assert not is_running(other)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_none_outlives_a_killed_one(tmp_path: Path) -> None:
    first, other = start_waiting(tmp_path)
    first.kill()
    first.communicate(timeout=PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while is_running(other):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not (tmp_path / "saved").exists()
