"""Two processes under torchrun that run commands together, one after the other: what they import they import once."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from tests.desk import ROOT

RANKS = 2


@dataclass(frozen=True)
class Said:
    """How a command ended in the process where it went worst, and what both have said."""

    returncode: int
    stdout: str
    stderr: str


class Ranks:
    """The processes, which are told what to do by files in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            f"--nproc-per-node={RANKS}",
            f"--master-port={port}",
            "-m",
            "tests.ranks",
            str(folder),
        ]
        self._folder, self._count = folder, 0
        self._log = open(folder / "log", "wb")
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=self._log,
            stderr=self._log,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    def cxr(self, *arguments: object, folder: Path) -> Said:
        """Run a command in both processes on the study in `folder`."""
        _write(self._folder / f"{self._count}.json", ["-C", str(folder), *map(str, arguments)])
        deadline, answers = (
            time.monotonic() + 180,
            [self._folder / f"{self._count}.{rank}.json" for rank in range(RANKS)],
        )
        while not all(path.exists() for path in answers):
            assert self._process.poll() is None and time.monotonic() < deadline, (
                self._folder / "log"
            ).read_text()
            time.sleep(0.02)
        self._count += 1
        codes, output, errors = zip(*(json.loads(path.read_text()) for path in answers))
        return Said(max(codes), "".join(output), "".join(errors))

    def close(self) -> None:
        _write(self._folder / f"{self._count}.json", [])
        self._process.wait(60)
        self._log.close()


def _write(path: Path, value: object) -> None:
    path.with_suffix(".part").write_text(json.dumps(value))
    path.with_suffix(".part").rename(path)


def _serve(folder: Path) -> None:
    from click.testing import CliRunner

    from pipelines.cli import main

    number, agent = 0, os.getppid()
    while os.getppid() == agent:
        order = folder / f"{number}.json"
        if not order.exists():
            time.sleep(0.02)
            continue
        arguments = json.loads(order.read_text())
        if not arguments:
            return
        result = CliRunner().invoke(main, arguments)
        trace = (
            "".join(traceback.format_exception(*result.exc_info))
            if result.exit_code and not isinstance(result.exception, SystemExit)
            else ""
        )
        _write(
            folder / f"{number}.{os.environ['RANK']}.json",
            [result.exit_code, result.stdout, result.stderr + trace],
        )
        number += 1


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
