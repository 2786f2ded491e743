"""Commands in processes of their own, which are killed at a moment, or at a place.

A `Starter` is a process that has imported everything once and forks a child for each command, so that a command costs its own work and not the seconds
that torch takes to be imported. A place is a change to a file: the child, told by Python's audit events of every change before it is made, kills itself there.
"""

from __future__ import annotations

import gc
import importlib
import json
import mmap
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HEAVY = (
    "matplotlib.backends.backend_agg", "pipelines.classify", "pipelines.compare.study", "pipelines.data.importing", "pipelines.data.published",
    "pipelines.generate", "pipelines.scoring.score",
)  # fmt: skip
CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod")
RESUMABLE = ("gan-train", "synthesize", "classify-train", "compare")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, or minus the signal; what it said; how long it took, and how many changes to files it made."""

    code: int
    output: str
    errors: str
    seconds: float
    changes: int

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Starter:
    """Runs commands one after the other."""

    def __init__(self) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen([sys.executable, "-m", "tests.killing"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def cxr(self, *arguments: object, folder: Path, after: float | None = None, at: tuple[str, int] | None = None) -> Ended:
        """Run a command on the study in `folder`, an absolute path.

        after: seconds after its start at which it is killed. at: (text, n) kills it right before it, or a process that it has begun, changes a
        file with this text in its path for the nth time; without a text only its own changes count.
        """
        request = {"arguments": ["-C", str(folder), *map(str, arguments)], "folder": str(folder), "after": after, "at": at}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate()


@contextmanager
def started() -> Iterator[Starter]:
    starter = Starter()
    try:
        yield starter
    finally:
        starter.close()


def going_on(study: Path, arguments: Sequence[str]) -> Sequence[str] | None:
    """What to give after a command was killed: nothing when its run is finished, --resume when there is something to resume, and else the same again."""
    begun = sorted(study.glob(f"runs/*-{arguments[0]}"))
    if begun and (begun[-1] / "result.json").exists():
        return None
    return [arguments[0], "--resume"] if begun and arguments[0] in RESUMABLE else arguments


# --- in the process that forks ---


def _serve() -> None:
    for name in HEAVY:
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line))), flush=True)
    os._exit(0)


def _run(request: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors, mmap.mmap(-1, 8) as changes:
        begun = time.monotonic()
        child = os.fork()
        if child == 0:
            signal.alarm(300)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            _become(request, changes)
        ended, status = 0, 0
        while not ended:
            ended, status = os.waitpid(child, os.WNOHANG)
            if not ended and request["after"] is not None and time.monotonic() - begun >= request["after"]:
                os.kill(child, signal.SIGKILL)
                ended, status = os.waitpid(child, 0)
            time.sleep(0.001)
        said = []
        for file in (output, errors):
            file.seek(0)
            said.append(file.read().decode(errors="replace"))
        return {"code": os.waitstatus_to_exitcode(status), "output": said[0], "errors": said[1], "seconds": time.monotonic() - begun, "changes": struct.unpack("q", changes[:])[0]}


def _become(request: dict[str, Any], changes: mmap.mmap) -> None:
    """Run the command in this process, counting its changes to files."""
    from pipelines.cli import main

    text, last = request["at"] or ("", 0)
    first, seen = os.getpid(), 0

    def watch(event: str, values: tuple[Any, ...]) -> None:
        nonlocal seen
        if event == "open" and not (isinstance(values[2], int) and values[2] & WRITES) or event not in ("open", *CHANGES):
            return
        path = values[1] if event == "os.rename" else values[0]
        if not isinstance(path, (str, os.PathLike)) or (os.getpid() != first and not text):
            return
        path = os.fspath(path)
        if text in path and (not os.path.isabs(path) or path.startswith(request["folder"])):  # relative ones are within a folder that is taken away
            seen += 1
            changes[:] = struct.pack("q", seen)
            if seen == last:
                os.kill(first, signal.SIGKILL)

    sys.addaudithook(watch)
    code: Any = 1
    try:
        main(request["arguments"])
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    _serve()
