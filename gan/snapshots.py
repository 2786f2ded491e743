"""The snapshots of a generator's training, in its run's folder: which is the best, which stay, and what a longer run takes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from gan.doctor import healthy
from runtime.files import Record, atomic
from runtime.run import Run

KEPT = 32  # snapshots of a run, besides its newest and its best


def snapshots(run: Run) -> list[dict[str, Any]]:
    """The journal's event of every snapshot: `step`, and `diversity` and `distance` of each class."""
    return [event for event in run.journal() if "distance" in event]


def best_snapshot(run: Run) -> dict[str, Any] | None:
    """The snapshot with the least mean distance from training and validation reals, among the healthy ones, if any."""
    found = snapshots(run)
    well = [event for event in found if healthy(event["diversity"])]
    return min(well or found, key=lambda event: sum(event["distance"]), default=None)


def snapshot_file(run: Run, name: str) -> Path:
    """The generator that is meant by "best", "last" or a step. Raises ValueError, with what there is, when there is no such snapshot."""
    if name == "best":
        return run.folder / "generator.pt"
    there = {step: path for step, path in sorted(_files(run)) if path.suffix == ".pt"}
    step = max(there) if name == "last" and there else int(name) if name.isdecimal() else None
    if step not in there:
        raise ValueError(
            f"--snapshot {name}: {run.name} has best, last, {', '.join(map(str, there))}"
        )
    return there[step]


def what_is_kept(run: Run) -> str:
    """What is left of a run that went wrong."""
    best = best_snapshot(run)
    if best is None:
        return "there is no snapshot before it"
    kept = f"the generator is rolled back to the best snapshot, step {best['step']}"
    return kept if healthy(best["diversity"]) else f"{kept}, which is no better: do not use it"


def file_as_tensor(path: Path) -> torch.Tensor:
    """What a file holds, and nothing where there is none: a checkpoint holds tensors."""
    return (
        torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
        if path.exists()
        else torch.empty(0, dtype=torch.uint8)
    )


def go_back(run: Run, state: Record) -> None:
    """Take back what a run has made since the state before its cooldown."""
    for step, path in _files(run):
        if step > state["step"]:
            path.unlink()
    if not len(state["generator_file"]):
        (run.folder / "generator.pt").unlink(missing_ok=True)
        return
    with atomic(run.folder / "generator.pt") as file:
        file.write(state["generator_file"].numpy().tobytes())


def prune(run: Run, step: int, apart: int) -> None:
    """Delete older snapshots and their grids, so that no more than KEPT stay, evenly apart: by twice as much whenever a run gets too long for that."""
    while step // apart > KEPT:
        apart *= 2
    for of, path in _files(run):
        if of % apart and of < step:
            path.unlink()


def _files(run: Run) -> list[tuple[int, Path]]:
    """The snapshots and their grids, each with its step."""
    paths = [
        *(run.folder / "snapshots").glob("step-*.pt"),
        *(run.folder / "samples").glob("step-*.png"),
    ]
    return [(int(path.stem.removeprefix("step-")), path) for path in paths]
