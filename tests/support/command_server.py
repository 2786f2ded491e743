"""Run commands in processes of their own, which can be killed, and whose disk can fill up.

A `CommandServer` is a process that has imported everything once and forks a child for each command,
so that a command costs its own work and not the seconds that torch takes to be imported. Its side
of the conversation is command_server_process.py.

A child can be killed after some seconds, or right before a certain change to a file. Where it may,
the server lives in a mount namespace of its own: there it can mount a tmpfs of any size, which this
process reaches through /proc, and which is gone when the server is. Elsewhere a limit on the size
of files stands in.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MOUNT_NAMESPACES = (
    ["unshare", "-m"],  # for root
    ["unshare", "-rm"],  # for a user who may make a namespace in which they are root
)
RESUMABLE_COMMANDS = ("gan-train", "synthesize", "classify-train", "compare", "audit")


@dataclass(frozen=True)
class CommandRequest:
    """A command, and what is to happen to it."""

    arguments: list[str]
    folder: str  # the study's
    threads: int = 1
    kill_before_change: tuple[str, int] | None = None
    max_file_bytes: int | None = None
    unprivileged: bool = False
    stdout_path: str = ""


@dataclass(frozen=True)
class CommandResult:
    """How a command ended: its exit code, or minus the signal, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float
    changes: int  # to the files that it was watched for

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.returncode == -signal.SIGKILL

    @property
    def error_line(self) -> str:
        """The one line on standard error of a command that failed clearly.

        Raises AssertionError for any other end.
        """
        ended = f"exit code {self.returncode}\n{self.stderr}"
        lines = self.stderr.strip().splitlines()
        assert self.returncode == 2, ended
        assert len(lines) == 1, ended
        assert lines[0].startswith("cxr: "), ended
        return lines[0]


class CommandServer:
    """Starts commands in processes of their own, one after the other or at once."""

    def __init__(self, namespace: list[str]) -> None:
        self.has_disks = bool(namespace)
        self._process = subprocess.Popen(
            [*namespace, sys.executable, "-m", "tests.support.command_server_process"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        pid = self._read_answer()["pid"]  # comes once everything is imported
        self._root = Path("/proc", pid, "root") if namespace else Path("/")

    def run(
        self,
        *arguments: object,
        folder: Path,
        kill_after: float | None = None,
        kill_before_change: tuple[str, int] | None = None,
        max_file_bytes: int | None = None,
        unprivileged: bool = False,
        stdout_path: str = "",
    ) -> CommandResult:
        """Run a command on the study in `folder`, an absolute path.

        Args:
            arguments: The command as it is typed after `cxr`.
            folder: The study's.
            kill_after: Seconds after its start at which it is killed.
            kill_before_change: (text, n) to kill it right before it changes, for the nth time, a
                file of the study with this text in its path.
            max_file_bytes: No file that it writes may grow beyond this.
            unprivileged: Hold even root to the permissions of files.
            stdout_path: Where standard output goes instead of into the result.
        """
        request = CommandRequest(
            _command_line(arguments, folder),
            str(folder),
            kill_before_change=kill_before_change,
            max_file_bytes=max_file_bytes,
            unprivileged=unprivileged,
            stdout_path=stdout_path,
        )
        return self.wait(self._start(request), kill_after)

    def start(self, *arguments: object, folder: Path) -> int:
        """Start a command and return the id of its process, which has to be waited for.

        It gets two threads, whose order must not matter.
        """
        return self._start(CommandRequest(_command_line(arguments, folder), str(folder), threads=2))

    def wait(self, process: int, kill_after: float | None = None) -> CommandResult:
        """Wait for a command; kill it when so many seconds have passed since its start."""
        return CommandResult(**self._ask("wait", process=process, kill_after=kill_after))

    def mount(self, folder: Path, options: str) -> None:
        """Mount a tmpfs at `folder`, or give the one there other options: its size, or ro."""
        returncode = self._ask("mount", folder=str(folder), options=options)["returncode"]
        assert returncode == 0, f"cannot mount {folder}, {options}"

    def unmount(self, folder: Path) -> None:
        """Take away what is mounted at `folder`, if anything is."""
        if self.has_disks:
            self._ask("unmount", folder=str(folder))

    def free_bytes(self, folder: Path) -> int:
        """Return the free bytes of what is mounted at `folder`."""
        disk = os.statvfs(self.visible_path(folder))
        return disk.f_bavail * disk.f_bsize

    def visible_path(self, folder: Path) -> Path:
        """Return where this process finds what the server has mounted at `folder`."""
        return self._root / folder.relative_to("/")

    def close(self) -> None:
        """End the server and all that it has started."""
        self._process.communicate()

    def _start(self, request: CommandRequest) -> int:
        return self._ask("start", **asdict(request))["process"]

    def _ask(self, action: str, **parameters: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"action": action, "parameters": parameters}) + "\n")
        self._process.stdin.flush()
        return self._read_answer()

    def _read_answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def _command_line(arguments: Sequence[object], folder: Path) -> list[str]:
    return ["-C", str(folder), *map(str, arguments)]


def continuation(study: Path, arguments: Sequence[str]) -> Sequence[str] | None:
    """Return what to run after a command has ended too early, None when its run is finished.

    That is `--resume` where there is something to resume, else the same command again.
    """
    runs = sorted(study.glob(f"runs/*-{arguments[0]}"))
    if runs and (runs[-1] / "result.json").exists():
        return None
    if runs and arguments[0] in RESUMABLE_COMMANDS:
        return [arguments[0], "--resume"]
    return arguments


def wait_for_file(path: Path, timeout: float = 60.0) -> None:
    """Wait until a command at work has written a file."""
    deadline = time.monotonic() + timeout
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} was not written within {timeout:.0f} s"
        time.sleep(0.01)


@contextmanager
def open_command_server() -> Iterator[CommandServer]:
    """Open a server, with disks where this machine lets one mount them."""
    server = CommandServer(next(filter(_can_mount, MOUNT_NAMESPACES), []))
    try:
        yield server
    finally:
        server.close()


def _can_mount(namespace: list[str]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        command = [*namespace, "mount", "-t", "tmpfs", "none", folder]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            return False
