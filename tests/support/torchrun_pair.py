"""Two processes under torchrun that run one command after another together.

They import torch once, so that a test costs its own work alone. The test's process writes each
order into a folder; the two answer with files beside it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

from tests.support.command_server import ROOT

WORLD_SIZE = 2
COMMAND_TIMEOUT = 180.0  # seconds
POLL_INTERVAL = 0.02  # seconds between two looks for an order or an answer


class TorchrunPair:
    """The two processes. Has to be closed."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        command = [
            sys.executable,
            *("-m", "torch.distributed.run"),
            f"--nproc-per-node={WORLD_SIZE}",
            f"--master-port={port}",
            *("-m", "tests.support.torchrun_pair"),
            str(folder),
        ]
        self._folder = folder
        self._num_orders = 0
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )

    def run(self, *arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a command in both processes on the study in `folder`.

        The exit code is that of the process where it went worst; the output is that of both.
        """
        command = ["-C", str(folder), *map(str, arguments)]
        _write_json(_order_path(self._folder, self._num_orders), command)
        answers = [_answer_path(self._folder, self._num_orders, rank) for rank in range(WORLD_SIZE)]
        deadline = time.monotonic() + COMMAND_TIMEOUT
        while not all(path.exists() for path in answers):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(POLL_INTERVAL)
        self._num_orders += 1
        codes, outputs, errors = zip(
            *(json.loads(path.read_text()) for path in answers), strict=True
        )
        return subprocess.CompletedProcess(command, max(codes), "".join(outputs), "".join(errors))

    def close(self) -> None:
        """Have the processes end."""
        _write_json(_order_path(self._folder, self._num_orders), [])
        self._process.wait(60)


def _order_path(folder: Path, number: int) -> Path:
    return folder / f"{number}.json"


def _answer_path(folder: Path, number: int, rank: int) -> Path:
    return folder / f"{number}.{rank}.json"


def _write_json(path: Path, value: object) -> None:
    path.with_suffix(".part").write_text(json.dumps(value))
    path.with_suffix(".part").rename(path)


def _serve(folder: Path, rank: int) -> None:
    """Run what the orders say until one is empty, or torchrun has ended."""
    from click.testing import CliRunner

    from pipelines.cli import main

    number, agent = 0, os.getppid()
    while os.getppid() == agent:
        order = _order_path(folder, number)
        if not order.exists():
            time.sleep(POLL_INTERVAL)
            continue
        arguments = json.loads(order.read_text())
        if not arguments:
            return
        result = CliRunner().invoke(main, arguments)
        trace = ""
        if result.exit_code and result.exc_info and not isinstance(result.exception, SystemExit):
            trace = "".join(traceback.format_exception(*result.exc_info))
        answer = [result.exit_code, result.stdout, result.stderr + trace]
        _write_json(_answer_path(folder, number, rank), answer)
        number += 1


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(os.environ["RANK"]))
