"""Small disks that fill up, and processes that work on them.

A `Desk` is a process that has imported everything once and starts each command as a child of its own by fork, so that a command costs its own
work and not the seconds that torch takes to be imported. Where it may, it lives in a mount namespace of its own: then it can mount a tmpfs of
any size, which this process reaches through /proc, and which is gone when the desk is. Elsewhere a limit on the size of files stands in.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NAMESPACES = (["unshare", "-m"], ["unshare", "-rm"])  # of root, and of a user who may make one in which they are root
HEAVY = (
    "matplotlib.backends.backend_agg", "pipelines.audit", "pipelines.classify", "pipelines.classify_images", "pipelines.compare.study", "pipelines.data.checking",
    "pipelines.data.importing", "pipelines.data.published", "pipelines.export", "pipelines.generate", "pipelines.reader_score", "pipelines.reader_study",
    "pipelines.report.data_figures", "pipelines.reproduce", "pipelines.scoring.folders", "pipelines.scoring.score",
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """How a command ended and what it said."""

    code: int
    output: str
    errors: str

    @property
    def line(self) -> str:
        """The one line on standard error of a command that failed clearly; anything else is an error here."""
        lines = self.errors.strip().splitlines()
        assert self.code == 2 and len(lines) == 1 and lines[0].startswith("cxr: "), f"exit code {self.code}\n{self.errors}"
        return lines[0]


class Desk:
    """Starts commands one after the other, in processes of their own."""

    def __init__(self, namespace: list[str]) -> None:
        self.has_disks = bool(namespace)
        command = [*namespace, sys.executable, "-m", "tests.disk"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        server = json.loads(self._process.stdout.readline())["pid"]  # once it has imported everything
        self._root = Path("/proc", server, "root") if namespace else Path("/")

    def cxr(self, *arguments: object, folder: Path, largest: int | None = None, powerless: bool = False, output: str = "") -> Answer:
        """Run a command on the study in `folder`.

        largest: bytes in any file that it writes. powerless: root is held to the permissions of files as others are. output: where standard output goes.
        """
        request = {"arguments": ["-C", str(folder), *map(str, arguments)], "largest": largest, "powerless": powerless, "output": output}
        return Answer(**self._ask(request))

    def mount(self, folder: Path, options: str) -> None:
        """A tmpfs at `folder`, or the one there with other options: its size, or ro."""
        assert self._ask({"mount": str(folder), "options": options})["code"] == 0, f"cannot mount {folder}, {options}"

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

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


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
            return subprocess.run([*namespace, "mount", "-t", "tmpfs", "none", folder], capture_output=True).returncode == 0
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
        answer = _mount(request) if "mount" in request else _start(request)
        print(json.dumps(answer), flush=True)
    os._exit(0)


def _mount(request: dict[str, Any]) -> dict[str, Any]:
    folder, options = request["mount"], request["options"]
    if options is None:
        command = ["umount"]
    else:
        command = ["mount", "-o", f"remount,{options}"] if os.path.ismount(folder) else ["mount", "-t", "tmpfs", "-o", options, "none"]
    return {"code": subprocess.run([*command, folder], stderr=sys.stderr).returncode}


def _start(request: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            sys.stdin.close()
            _become(request, output.fileno(), errors.fileno())
        _, status = os.waitpid(child, 0)
        said = []
        for file in (output, errors):
            file.seek(0)
            said.append(file.read().decode(errors="replace"))
    return {"code": os.waitstatus_to_exitcode(status), "output": said[0], "errors": said[1]}


def _become(request: dict[str, Any], output: int, errors: int) -> None:
    """Run the command in this process, and end it as an interpreter does, but for taking apart all that was imported, which takes longest."""
    from pipelines.cli import main

    signal.alarm(300)
    os.dup2(os.open(request["output"], os.O_WRONLY) if request["output"] else output, 1)
    os.dup2(errors, 2)
    if request["largest"] is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["largest"],) * 2)
    if request["powerless"] and os.geteuid() == 0:
        libc = ctypes.CDLL(None)
        libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())  # capabilities(7): version 3, this process, none
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


if __name__ == "__main__":
    _serve()
