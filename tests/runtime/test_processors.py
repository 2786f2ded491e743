"""No more threads than this process has processors for, of a machine that may have many more."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

THREADS = """
import torch
from runtime.device import choose_compute
torch.set_num_threads(3)  # as on a machine with as many processors
choose_compute("cpu", "fp32")
print(torch.get_num_threads())
"""
AFFINITY = """
import os
from runtime.processors import count_processors
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
print(count_processors())
"""


def run(script: str, **variables: str) -> int:
    """Run a script that prints a number, in a process of its own."""
    limits = ("OMP_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
    environment = {name: value for name, value in os.environ.items() if name not in limits}
    return int(subprocess.check_output([sys.executable, "-c", script], env=environment | variables))


def test_processors_that_are_not_ours_are_not_counted() -> None:
    assert run(AFFINITY) == 1


@pytest.mark.parametrize(
    ("variables", "threads"),
    [
        pytest.param({"LOKY_MAX_CPU_COUNT": "1"}, 1, id="fewer processors"),
        pytest.param({"LOKY_MAX_CPU_COUNT": "1", "OMP_NUM_THREADS": "3"}, 3, id="asked for"),
    ],
)
def test_there_are_no_more_threads_than_processors_unless_asked_for(
    variables: dict[str, str], threads: int
) -> None:
    assert run(THREADS, **variables) == threads
