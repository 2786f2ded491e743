"""The process behind command_server.py: import everything, then fork a child for each command.

It reads a request per line from standard input and answers each with a line of JSON. A change to a
file is noticed by Python's audit events, which come before the change is made.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import mmap
import os
import pkgutil
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import dataclass
from typing import IO, Any, Self

import pipelines
from pipelines.report.page import page_environment
from tests.support.command_server import CommandRequest
from tests.support.side_effects import OPEN_FOR_WRITING

COMMAND_TIMEOUT = 300  # seconds
CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod")


@dataclass(frozen=True)
class Child:
    """A command at work: when it began, and where it writes its output and counts its changes."""

    started: float
    stdout: IO[bytes]
    stderr: IO[bytes]
    changes: mmap.mmap  # one integer, shared with the child

    @classmethod
    def prepare(cls) -> Self:
        """Open the files of a child that is about to be forked."""
        return cls(
            time.monotonic(),
            tempfile.TemporaryFile(),
            tempfile.TemporaryFile(),
            mmap.mmap(-1, 8),
        )

    def close(self) -> dict[str, Any]:
        """Read what an ended child has left, and let go of its files."""
        seconds = time.monotonic() - self.started
        texts = []
        for file in (self.stdout, self.stderr):
            with file:
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
        with self.changes as changes:
            (num_changes,) = struct.unpack("q", changes[:])
        return {
            "stdout": texts[0],
            "stderr": texts[1],
            "seconds": seconds,
            "changes": num_changes,
        }


_CHILDREN: dict[int, Child] = {}


def _serve() -> None:
    _import_everything()
    gc.freeze()  # a child need not look through all this
    print(json.dumps({"pid": str(os.getpid())}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(ACTIONS[request["action"]](**request["parameters"])), flush=True)
    for child in _CHILDREN:
        os.kill(child, signal.SIGKILL)
    os._exit(0)


def _import_everything() -> None:
    """Import what the commands do, also what takes seconds and is imported where it is needed."""
    for name in ("matplotlib.backends.backend_agg", "torch._dynamo", "torchvision", "sklearn.svm"):
        importlib.import_module(name)
    for module in pkgutil.walk_packages(pipelines.__path__, "pipelines."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    templates = page_environment()
    for name in templates.list_templates(extensions=["html"]):
        templates.get_template(name)


def _mount(folder: str, options: str) -> dict[str, Any]:
    if os.path.ismount(folder):
        command = ["mount", "-o", f"remount,{options}", folder]
    else:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", folder]
    return {"returncode": subprocess.run(command, stderr=sys.stderr, check=False).returncode}


def _unmount(folder: str) -> dict[str, Any]:
    done = subprocess.run(["umount", folder], stderr=sys.stderr, check=False)
    return {"returncode": done.returncode}


def _start(**parameters: Any) -> dict[str, Any]:
    child = Child.prepare()
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        sys.stdin.close()
        _run_command(CommandRequest(**parameters), child)
    _CHILDREN[process] = child
    return {"process": process}


def _wait(process: int, kill_after: float | None) -> dict[str, Any]:
    child = _CHILDREN.pop(process)
    ended = status = 0
    if kill_after is not None:
        while not ended and time.monotonic() - child.started < kill_after:
            ended, status = os.waitpid(process, os.WNOHANG)
            time.sleep(0.001)
        if not ended:
            os.kill(process, signal.SIGKILL)
    if not ended:
        _, status = os.waitpid(process, 0)
    return {"returncode": os.waitstatus_to_exitcode(status), **child.close()}


ACTIONS = {"mount": _mount, "unmount": _unmount, "start": _start, "wait": _wait}


# --- in the child ---


def _run_command(request: CommandRequest, child: Child) -> None:
    """Run the command in this process and end it as an interpreter does.

    What was imported is not taken apart, though, which takes longest.
    """
    import torch

    from pipelines.cli import main

    signal.alarm(COMMAND_TIMEOUT)
    torch.set_num_threads(request.threads)
    _redirect_output(request, child)
    _restrict(request)
    _watch_changes(request, child.changes)
    code: Any = 1
    try:
        main(request.arguments)
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


def _redirect_output(request: CommandRequest, child: Child) -> None:
    if request.stdout_path:
        os.dup2(os.open(request.stdout_path, os.O_WRONLY), 1)
    else:
        os.dup2(child.stdout.fileno(), 1)
    os.dup2(child.stderr.fileno(), 2)


def _restrict(request: CommandRequest) -> None:
    """Limit the size of files, and give up root's power over permissions, where asked to."""
    if request.max_file_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (request.max_file_bytes,) * 2)
    if request.unprivileged and os.geteuid() == 0:
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # capabilities(7): version 3, this process
        no_capabilities = (ctypes.c_uint32 * 6)()
        ctypes.CDLL(None).capset(header, no_capabilities)


def _watch_changes(request: CommandRequest, changes: mmap.mmap) -> None:
    """Count this process's changes to the study, and end it right before the one it may not make.

    Without `kill_before_change` every change counts and none ends it.
    """
    text, last = request.kill_before_change or ("", 0)
    own_pid, num_changes = os.getpid(), 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal num_changes
        path = _changed_path(event, arguments)
        if path is None or os.getpid() != own_pid:
            return
        # a relative path is within a folder that is taken away
        in_study = not os.path.isabs(path) or path.startswith(request.folder)
        if text in path and in_study:
            num_changes += 1
            changes[:] = struct.pack("q", num_changes)
            if num_changes == last:
                os.kill(own_pid, signal.SIGKILL)

    sys.addaudithook(watch)


def _changed_path(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return the path that an event is about to change, None when it changes no file by a path."""
    if event == "open":
        flags = arguments[2]
        path = arguments[0] if isinstance(flags, int) and flags & OPEN_FOR_WRITING else None
    elif event in CHANGES:
        path = arguments[1] if event == "os.rename" else arguments[0]
    else:
        return None
    return os.fspath(path) if isinstance(path, (str, os.PathLike)) else None


if __name__ == "__main__":
    _serve()
