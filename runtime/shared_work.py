"""Work that processes of one machine share, each on its part of the CPU.

The operations of a small network are too short for several threads: two of its trainings side by
side, on one thread each, are done sooner than one after the other on two threads.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

import torch

from runtime.child_process import end_with_parent
from runtime.run import Interrupted, stop_on_signal

LOOK_SECONDS = 0.5  # between two looks for a signal, while other processes are waited for

Work = Callable[[int, int], None]


def share_work(work: Work, processes: int) -> None:
    """Call work(part, processes) for every part at once: part 0 here, each other in a new process.

    The threads of PyTorch are shared out alike. New processes are silent, stop with this one, and
    are no more than a help: what one of them left undone, for whatever reason, the caller is to
    find and to do.

    Args:
        work: Picklable. It meets signals by itself, and raises Interrupted then.
        processes: How many there are with this one.

    Raises:
        Interrupted: A signal came while the others were waited for; they have saved their work.
    """
    if processes == 1:
        work(0, 1)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with share_of_threads(processes):
        threads = torch.get_num_threads()
        others = [
            context.Process(target=_work_silently, args=(work, part, processes, threads))
            for part in range(1, processes)
        ]
        try:
            for process in others:
                process.start()
            work(0, processes)
            _wait_for(others)
        finally:
            for process in others:
                if process.pid is not None:
                    process.terminate()
                    process.join()


@contextmanager
def share_of_threads(processes: int) -> Iterator[None]:
    """Have PyTorch compute on no more threads than each of so many processes has for itself."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // processes))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _wait_for(processes: Sequence[BaseProcess]) -> None:
    with stop_on_signal() as stop:
        while alive := [process.sentinel for process in processes if process.is_alive()]:
            if stop.requested:
                raise Interrupted("stopped, saved; continue with `resume`")
            wait(alive, timeout=LOOK_SECONDS)


def _work_silently(work: Work, part: int, processes: int, threads: int) -> None:
    """Do a part of the work, in a process of its own and on so many threads."""
    end_with_parent()
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    torch.set_num_threads(threads)
    with suppress(Interrupted, KeyboardInterrupt):
        work(part, processes)
