"""Commands in processes of their own, which can be killed at a moment or at a place, and have small disks that fill up.

A `Desk` is a process that has imported everything once and starts each command as a child of its own by fork, so that a command costs its own
work and not the seconds that torch takes to be imported. A place is a change to a file: the child, told by Python's audit events of every change
before it is made, kills itself there. Where it may, a desk lives in a mount namespace of its own: then it can mount a tmpfs of any size, which
this process reaches through /proc, and which is gone when the desk is. Elsewhere a limit on the size of files stands in.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import mmap
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
NAMESPACES = (
    ["unshare", "-m"],
    ["unshare", "-rm"],
)  # of root, and of a user who may make one in which they are root
HEAVY = (
    "matplotlib.backends.backend_agg",
    "pipelines.evaluation.shortcut_audit",
    "pipelines.training.classifier",
    "pipelines.evaluation.prediction",
    "pipelines.comparison.runner",
    "pipelines.data.checking",
    "pipelines.data.importing",
    "pipelines.data.published",
    "pipelines.training.export",
    "pipelines.training.generator",
    "pipelines.evaluation.reader_score",
    "pipelines.evaluation.reader_study",
    "pipelines.figures.data_figures",
    "pipelines.comparison.reproduction",
    "pipelines.evaluation.score_folders",
    "pipelines.evaluation.score",
    "pipelines.training.synthesis",
)
CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
RESUMABLE = ("gan-train", "synthesize", "classify-train", "compare", "audit")


@dataclass(frozen=True)
class Answer:
    """How a command ended, its exit code or minus the signal, and what it said; how long it took, and how many changes it made to the files it was watched for."""

    code: int
    output: str
    errors: str
    seconds: float
    changes: int

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL

    @property
    def line(self) -> str:
        """The one line on standard error of a command that failed clearly; anything else is an error here."""
        lines = self.errors.strip().splitlines()
        assert self.code == 2 and len(lines) == 1 and lines[0].startswith("cxr: "), (
            f"exit code {self.code}\n{self.errors}"
        )
        return lines[0]


class Desk:
    """Starts commands in processes of their own, one after the other or at once."""

    def __init__(self, namespace: list[str]) -> None:
        self.has_disks = bool(namespace)
        command = [*namespace, sys.executable, "-m", "tests.desk"]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        server = json.loads(self._process.stdout.readline())[
            "pid"
        ]  # once it has imported everything
        self._root = Path("/proc", server, "root") if namespace else Path("/")

    def cxr(
        self,
        *arguments: object,
        folder: Path,
        after: float | None = None,
        at: tuple[str, int] | None = None,
        largest: int | None = None,
        powerless: bool = False,
        output: str = "",
    ) -> Answer:
        """Run a command on the study in `folder`, an absolute path.

        after: seconds after its start at which it is killed. at: (text, n) kills it right before it changes a file with this text in its path for the nth time.
        largest: bytes in any file that it writes. powerless: root is held to the permissions of files as others are. output: where standard output goes.
        """
        given = {
            "after": after,
            "at": at,
            "largest": largest,
            "powerless": powerless,
            "output": output,
        }
        return self.end(self._begin(arguments, folder, given), after)

    def begin(self, *arguments: object, folder: Path) -> int:
        """Start a command with two threads, whose order must not matter, and do not wait for it. Returns the id of its process, which must be ended."""
        return self._begin(arguments, folder, {"threads": 2})

    def end(self, process: int, after: float | None = None) -> Answer:
        """Wait for a command that was begun; `after` so many seconds from its start it is killed."""
        return Answer(**self._ask({"end": process, "after": after}))

    def mount(self, folder: Path, options: str) -> None:
        """A tmpfs at `folder`, or the one there with other options: its size, or ro."""
        assert self._ask({"mount": str(folder), "options": options})["code"] == 0, (
            f"cannot mount {folder}, {options}"
        )

    def room(self, folder: Path) -> int:
        """Free bytes on what is mounted at `folder`."""
        found = os.statvfs(self.seen(folder))
        return found.f_bavail * found.f_bsize

    def free(self, folder: Path) -> None:
        """Take away what is mounted there, if anything is."""
        if self.has_disks:
            self._ask({"mount": str(folder), "options": None})

    def seen(self, folder: Path) -> Path:
        """Where this process finds what the desk has mounted at `folder`."""
        return self._root / folder.relative_to("/")

    def close(self) -> None:
        self._process.communicate()

    def _begin(self, arguments: Sequence[object], folder: Path, given: dict[str, Any]) -> int:
        return self._ask(
            {"arguments": ["-C", str(folder), *map(str, arguments)], "folder": str(folder), **given}
        )["process"]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def going_on(study: Path, arguments: Sequence[str]) -> Sequence[str] | None:
    """What to give after a command has ended too early: nothing when its run is finished, --resume when there is something to resume, and else the same again."""
    begun = sorted(study.glob(f"runs/*-{arguments[0]}"))
    if begun and (begun[-1] / "result.json").exists():
        return None
    return [arguments[0], "--resume"] if begun and arguments[0] in RESUMABLE else arguments


@contextmanager
def open_desk() -> Iterator[Desk]:
    """A desk with disks where this machine lets one mount them, or without."""
    desk = Desk(next((namespace for namespace in NAMESPACES if _can_mount(namespace)), []))
    try:
        yield desk
    finally:
        desk.close()


def _can_mount(namespace: list[str]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return (
                subprocess.run(
                    [*namespace, "mount", "-t", "tmpfs", "none", folder], capture_output=True
                ).returncode
                == 0
            )
        except FileNotFoundError:
            return False


# --- inside the desk ---


def _serve() -> None:
    for name in HEAVY:
        importlib.import_module(name)
    gc.freeze()  # a child need not look through all this
    print(json.dumps({"pid": str(os.getpid())}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = (
            _mount(request)
            if "mount" in request
            else _end(request)
            if "end" in request
            else _begin(request)
        )
        print(json.dumps(answer), flush=True)
    for child in _BEGUN:
        os.kill(child, signal.SIGKILL)
    os._exit(0)


def _mount(request: dict[str, Any]) -> dict[str, Any]:
    folder, options = request["mount"], request["options"]
    if options is None:
        command = ["umount"]
    else:
        command = (
            ["mount", "-o", f"remount,{options}"]
            if os.path.ismount(folder)
            else ["mount", "-t", "tmpfs", "-o", options, "none"]
        )
    return {"code": subprocess.run([*command, folder], stderr=sys.stderr).returncode}


@dataclass(frozen=True)
class _Begun:
    """A child at work: when it was begun, and where it writes what it says and how many files it has changed."""

    at: float
    output: IO[bytes]
    errors: IO[bytes]
    changes: mmap.mmap


_BEGUN: dict[int, _Begun] = {}


def _begin(request: dict[str, Any]) -> dict[str, Any]:
    begun = _Begun(
        time.monotonic(), tempfile.TemporaryFile(), tempfile.TemporaryFile(), mmap.mmap(-1, 8)
    )
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        sys.stdin.close()
        _become(request, begun)
    _BEGUN[child] = begun
    return {"process": child}


def _end(request: dict[str, Any]) -> dict[str, Any]:
    child, after, ended = request["end"], request["after"], 0
    begun = _BEGUN.pop(child)
    while after is not None and not ended and time.monotonic() - begun.at < after:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.001)
    if not ended:
        if after is not None:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    seconds, said = time.monotonic() - begun.at, []
    for file in (begun.output, begun.errors):
        with file:
            file.seek(0)
            said.append(file.read().decode(errors="replace"))
    with begun.changes as changes:
        (counted,) = struct.unpack("q", changes[:])
    return {
        "code": os.waitstatus_to_exitcode(status),
        "output": said[0],
        "errors": said[1],
        "seconds": seconds,
        "changes": counted,
    }


def _become(request: dict[str, Any], begun: _Begun) -> None:
    """Run the command in this process, and end it as an interpreter does, but for taking apart all that was imported, which takes longest."""
    import torch

    from pipelines.cli import main

    signal.alarm(300)
    torch.set_num_threads(request.get("threads", 1))
    os.dup2(
        os.open(request["output"], os.O_WRONLY) if request.get("output") else begun.output.fileno(),
        1,
    )
    os.dup2(begun.errors.fileno(), 2)
    if request.get("largest") is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["largest"],) * 2)
    if request.get("powerless") and os.geteuid() == 0:
        libc = ctypes.CDLL(None)
        libc.capset(
            (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        )  # capabilities(7): version 3, this process, none
    _watch(request, begun.changes)
    code = 1
    try:
        main(request["arguments"])
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        traceback.print_exc()
    gc.collect()
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def _watch(request: dict[str, Any], changes: mmap.mmap) -> None:
    """Count this process's changes to files of the study with a text in their path, and end it right before the last that it may not make."""
    text, last = request.get("at") or ("", 0)
    first, seen = os.getpid(), 0

    def watch(event: str, values: tuple[Any, ...]) -> None:
        nonlocal seen
        if (
            event == "open" and not (isinstance(values[2], int) and values[2] & WRITES)
        ) or event not in ("open", *CHANGES):
            return
        path = values[1] if event == "os.rename" else values[0]
        if not isinstance(path, (str, os.PathLike)) or os.getpid() != first:
            return
        path = os.fspath(path)
        if text in path and (
            not os.path.isabs(path) or path.startswith(request["folder"])
        ):  # relative ones are within a folder that is taken away
            seen += 1
            changes[:] = struct.pack("q", seen)
            if seen == last:
                os.kill(first, signal.SIGKILL)

    sys.addaudithook(watch)


if __name__ == "__main__":
    _serve()
