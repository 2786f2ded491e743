"""Standard output that nobody reads, streams that come closed, a terminal that goes away."""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.conftest import ROOT

CXR = (sys.executable, "-m", "pipelines.cli")


@pytest.mark.parametrize(
    ("streams", "reason"),
    [("> /dev/full", "No space left on device"), ("| true", "Broken pipe")],
    ids=["full", "broken pipe"],
)
def test_output_that_cannot_be_written_is_said_to_be_lost(
    streams: str, reason: str, tmp_path: Path
) -> None:
    command = f'sleep 0.2; {" ".join(CXR)} data sources; echo $? > "$1"'
    done = subprocess.run(
        ["sh", "-c", f"{{ {command}; }} {streams}", "sh", str(tmp_path / "code")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == (
        f"cxr: standard output cannot be written ({reason}); "
        "what was still to be said is lost, what was made is not\n"
    )
    assert (tmp_path / "code").read_text() == "2\n"


def test_streams_that_come_closed_harm_nothing(tmp_path: Path) -> None:
    """No file that is written takes the number of one, and gets what libraries write there."""
    command = f'{" ".join(CXR)} -C "$1" data phantom --n 4 <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", command, "sh", str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == 0
    assert len(list((tmp_path / "data").rglob("*.png"))) == 4


def test_a_terminal_that_goes_away_takes_only_the_progress_bar_with_it(tmp_path: Path) -> None:
    terminal, process_end = pty.openpty()
    fcntl.ioctl(process_end, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    with subprocess.Popen(
        [*CXR, "-C", str(tmp_path), "data", "phantom", "--n", "8"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=process_end,
        text=True,
    ) as process:
        os.close(process_end)
        progress = b""
        while b"/8" not in progress:
            progress += os.read(terminal, 100)
        os.close(terminal)
        assert "8 phantom images drawn" in process.communicate(timeout=60)[0]
    assert process.returncode == 0


def test_a_mistake_is_exit_code_2_though_nobody_reads_it() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*CXR, "data", "nonsense"], cwd=ROOT, stderr=full, check=False)
    assert done.returncode == 2


def test_a_temporary_folder_that_cannot_be_written_does_not_matter(
    phantom_study: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    environment = {
        "TMPDIR": "/proc",
        "HOME": "/proc/nowhere",
        "XDG_CONFIG_HOME": "/proc/nowhere",
        "XDG_CACHE_HOME": "/proc/nowhere",
    }
    done = subprocess.run(
        [*CXR, "-C", str(study), "data", "check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    assert (done.returncode, done.stderr) == (0, "")
