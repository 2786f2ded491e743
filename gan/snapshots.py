"""The snapshots of a generator's training, in its run's folder.

Which is the best, which stay, and what a run that is made longer takes back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gan.doctor import is_healthy
from runtime.files import Record
from runtime.options import OptionError
from runtime.run import Run

MAX_SNAPSHOTS = 32  # of a run, besides its newest and its best

# Distances of one training whose quotient is less are alike: of few reals they differ by so much by
# luck from the first thousand steps on, while samples go on getting nearer to other reals.
ALIKE = 1.05


@dataclass(frozen=True)
class Snapshot:
    """The score of a generator at one step of its training.

    Attributes:
        step: How many steps it was trained.
        diversity: Of each class, relative to the reals'; 1 is as diverse.
        distance: Of each class, the Fréchet distance from the reals (see `gan.doctor`).
    """

    step: int
    diversity: tuple[float, ...]
    distance: tuple[float, ...]

    @classmethod
    def from_event(cls, event: Record) -> Snapshot:
        """Read the journal's event. Raises ValueError that names the journal if it is damaged."""
        event.expect(step=int, diversity=list, distance=list)
        return cls(event["step"], tuple(event["diversity"]), tuple(event["distance"]))

    @property
    def is_healthy(self) -> bool:
        """Whether no class has collapsed, and none is noise."""
        return is_healthy(self.diversity)


def list_snapshots(run: Run) -> list[Snapshot]:
    """Return the score of every snapshot in the run's journal, oldest first."""
    return [Snapshot.from_event(event) for event in run.journal() if "distance" in event]


def best_snapshot(run: Run) -> Snapshot | None:
    """Return the last of the healthy snapshots, or of all, that is ALIKE the nearest to the reals.

    The distances of the classes count as one sum. None where there is no snapshot.
    """
    snapshots = list_snapshots(run)
    healthy = [snapshot for snapshot in snapshots if snapshot.is_healthy] or snapshots
    least = min((sum(snapshot.distance) for snapshot in healthy), default=0.0)
    bound = max(least, ALIKE * least)
    alike = [snapshot for snapshot in healthy if sum(snapshot.distance) <= bound]
    return alike[-1] if alike else None


def snapshot_file(run: Run, name: str) -> Path:
    """Return the generator's file that is meant by "best", "last" or a step.

    Raises OptionError, with what there is, when there is no such snapshot.
    """
    if name == "best":
        return run.folder / "generator.pt"
    files = {step: path for step, path in sorted(_snapshot_files(run)) if path.suffix == ".pt"}
    if name == "last" and files:
        return files[max(files)]
    if not name.isdecimal() or int(name) not in files:
        available = ", ".join(["best", "last", *map(str, files)])
        raise OptionError("snapshot", name, f"{run.name} has {available}")
    return files[int(name)]


def describe_rollback(run: Run) -> str:
    """Say, in a clause, which generator a run that went wrong is left with."""
    best = best_snapshot(run)
    if best is None:
        return "there is no snapshot before it"
    text = f"the generator is rolled back to the best snapshot, step {best.step}"
    return text if best.is_healthy else f"{text}, which is no better: do not use it"


def delete_snapshots_after(run: Run, step: int) -> None:
    """Delete the snapshots, and their grids, of steps after this one."""
    for snapshot_step, path in _snapshot_files(run):
        if snapshot_step > step:
            path.unlink()


def prune_snapshots(run: Run, step: int, interval: int) -> None:
    """Delete older snapshots and their grids, so that at most MAX_SNAPSHOTS stay, evenly apart.

    Args:
        run: The run.
        step: The newest snapshot's, which stays.
        interval: Steps between two snapshots. What stays is so far apart, or twice, four times, …
            so far where the run is too long for that.
    """
    while step // interval > MAX_SNAPSHOTS:
        interval *= 2
    for snapshot_step, path in _snapshot_files(run):
        if snapshot_step % interval and snapshot_step < step:
            path.unlink()


def _snapshot_files(run: Run) -> Iterator[tuple[int, Path]]:
    """Yield the snapshots and their grids, each with its step."""
    for path in [
        *(run.folder / "snapshots").glob("step-*.pt"),
        *(run.folder / "samples").glob("step-*.png"),
    ]:
        yield int(path.stem.removeprefix("step-")), path
