"""How far a preregistered study is: one line now and then over the whole of it.

It is read from the study's folder, so that it counts what all processes have finished.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from pipelines.comparison.study_forecast import StudyForecast, count_classifiers
from pipelines.comparison.study_parts import StudyPart
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.run import list_runs

SECONDS_BETWEEN_LINES = 60.0


@contextmanager
def telling_progress(
    parts: Sequence[StudyPart],
    forecast: StudyForecast,
    compute: Compute,
    say: Callable[[str], None],
) -> Iterator[None]:
    """Say how far a study is, at the beginning of a block, every minute in it, and at its end.

    Of several processes the main one does.
    """
    if not compute.is_main_process:
        yield
        return
    progress, ended = StudyProgress(parts, forecast, compute), threading.Event()

    def tell() -> None:
        while not ended.wait(SECONDS_BETWEEN_LINES):
            with suppress(ValueError, OSError):  # a file that was looked at as it changed
                say(progress.line())

    say(progress.line())
    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
        say(progress.line())


class StudyProgress:
    """Counts what is finished of a study, and foretells how long the rest takes.

    The forecast from before the study says how much work each generator and classifier is; how
    long that takes is as measured since.
    """

    def __init__(
        self, parts: Sequence[StudyPart], forecast: StudyForecast, compute: Compute
    ) -> None:
        self._parts, self._forecast, self._compute = parts, forecast, compute
        self._began = time.monotonic()
        self._all_generators = forecast.first_generators + sum(
            own.generators for own in forecast.parts
        )
        self._generators_before = self._count_generators()
        self._finished: dict[str, int] = {}  # classifiers of each comparison that is done

    def line(self) -> str:
        """Say how much of the whole is there, and how many hours are left."""
        forecast = self._forecast
        new = self._count_generators() - self._generators_before
        new_generators = min(new, forecast.missing_generators)
        generators = self._all_generators - forecast.missing_generators + new_generators
        work = new_generators * forecast.generator_seconds
        left = (forecast.missing_generators - new_generators) * forecast.generator_seconds
        total = classifiers = 0
        for part, own in zip(self._parts, forecast.parts, strict=True):
            here = self._count_classifiers(part, own.classifiers)
            before = own.classifiers - own.missing_classifiers
            total, classifiers = total + own.classifiers, classifiers + here
            work += max(here - before, 0) * own.classifier_seconds
            left += (own.classifiers - here) * own.classifier_seconds
        pace = (time.monotonic() - self._began) / work if work else 1 / forecast.processes
        rate = self._rate(new_generators, classifiers, total)
        return (
            f"study: {generators} of {self._all_generators} generators, {classifiers} of {total} "
            f"classifiers{rate}, about {left * pace / 3600:.1f} hours left"
        )

    def _rate(self, new_generators: int, classifiers: int, total: int) -> str:
        """Say how many are finished in an hour, once some are."""
        new = new_generators + classifiers - (total - self._forecast.missing_classifiers)
        hours = (time.monotonic() - self._began) / 3600
        return f", {new / hours:.0f} an hour" if new > 0 else ""

    def _count_generators(self) -> int:
        """Count the finished generators of the folder, whichever study or comparison wants them."""
        workspace: Workspace = self._parts[0].workspace
        return sum(
            run.command == "gan-train" and run.finished
            for runs in (workspace, workspace.replicates)
            for run in list_runs(runs.runs)
        )

    def _count_classifiers(self, part: StudyPart, in_all: int) -> int:
        if part.name not in self._finished:
            complete, begun = part.find(self._compute)
            if complete is None:
                return count_classifiers(begun)
            self._finished[part.name] = in_all
        return self._finished[part.name]
