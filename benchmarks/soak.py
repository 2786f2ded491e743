"""Long runs: what 5,000 GAN steps and 200 classifiers add to a process and to the disk.

    python benchmarks/soak.py [--steps 5000] [--classifiers 200]

`cxr gan-train` and `cxr compare` on phantoms, tiny networks, each in a process of its own that is
looked at every half second: resident memory, open files, threads, and what the run's folder holds.
Printed at tenths of the work, and how much each grew from the first quarter to the last. Exits with
1 when memory grew by more than 5 % or 20 MB, whichever is more, or open files by more than 2, or
when more snapshots or checkpoints are left than the rule says.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np

from gan.snapshots import MAX_SNAPSHOTS
from runtime.run import Run, list_runs

ROOT = Path(__file__).resolve().parent.parent
CXR = (sys.executable, "-m", "pipelines.cli")
SNAPSHOT_INTERVAL = 50  # steps
TINY_GAN = (
    *("--image-size", "32", "--width", "8", "--batch-size", "8"),
    *("--sample-every", str(SNAPSHOT_INTERVAL)),
)
TINY_CLASSIFIER = ("--steps", "10", "--batch-size", "8", "--evaluate-every", "5")
MAX_CHECKPOINTS = 2
LOOK_INTERVAL = 0.5  # seconds


@dataclass(frozen=True)
class Look:
    """One look at a process and at its run's folder."""

    done: int  # how much of its work
    megabytes: float  # resident memory
    open_files: int
    threads: int
    files: int  # in its run's folder
    folder_bytes: int


@click.command()
@click.option("--steps", default=5000, help="GAN steps.")
@click.option("--classifiers", default=200, help="Classifiers of the comparison, an even number.")
def main(steps: int, classifiers: int) -> None:
    """Train for long, and say what grew that should not."""
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        run_cxr("data", "phantom", "--n", "64", folder=study)
        grown = soak_gan_training(study, steps)
        run_cxr("synthesize", "--n", "64", folder=study)
        grown += soak_comparison(study, classifiers)
    if grown:
        sys.exit(f"grew: {', '.join(grown)}")


def soak_gan_training(study: Path, steps: int) -> list[str]:
    """Train a generator; return what grew that should not."""

    def last_step(run: Run) -> int:
        return max((event["step"] for event in run.journal() if "step" in event), default=0)

    looks = run_and_look(study, ("gan-train", "--steps", str(steps), *TINY_GAN), last_step)
    grown = report(f"gan-train, {steps} steps", looks, "step")
    (run,) = list_runs(study / "runs")
    snapshots, checkpoints = (
        len(list((run.folder / name).iterdir())) for name in ("snapshots", "checkpoints")
    )
    print(
        f"left: {snapshots} snapshots of {steps // SNAPSHOT_INTERVAL}, {checkpoints} checkpoints,"
        f" a journal of {run.journal_size() / steps:.0f} bytes per step"
    )
    if snapshots > MAX_SNAPSHOTS + 1:
        grown.append("snapshots")
    if checkpoints > MAX_CHECKPOINTS:
        grown.append("checkpoints")
    return grown


def soak_comparison(study: Path, classifiers: int) -> list[str]:
    """Compare two arms over many seeds; return what grew that should not."""

    def num_classifiers(run: Run) -> int:
        return len(list((run.folder / "classifiers").glob("*/result.json")))

    arms = ("--arms", "real,real+gan", "--seeds", str(classifiers // 2))
    looks = run_and_look(study, ("compare", *arms, *TINY_CLASSIFIER), num_classifiers)
    grown = report(f"compare, {classifiers} classifiers", looks, "classifier")
    (folder,) = study.glob("runs/*-compare")
    weights = list(folder.rglob("*.pt"))
    num_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(
        f"left: {len(weights)} files of weights, "
        f"{num_bytes / classifiers / 1024:.1f} KB per classifier"
    )
    if weights:
        grown.append("weights")
    return grown


def run_cxr(*arguments: str, folder: Path) -> None:
    """Run a command to its end."""
    command = [*CXR, "-C", str(folder), *arguments]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def run_and_look(
    study: Path, arguments: Sequence[str], work_done: Callable[[Run], int]
) -> list[Look]:
    """Run a command and look at it until it ends."""
    looks = []
    process = subprocess.Popen(
        [*CXR, "-C", str(study), *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        time.sleep(LOOK_INTERVAL)
        runs = [run for run in list_runs(study / "runs") if run.command == arguments[0]]
        # it may just have ended and have no memory any more, or a file may just have gone
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, KeyError):
            looks += [look(process.pid, run, work_done) for run in runs[:1]]
    if process.returncode:
        sys.exit(f"{arguments[0]} ended with {process.returncode}")
    return looks


def look(pid: int, run: Run, work_done: Callable[[Run], int]) -> Look:
    """Look at a process and at its run's folder."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    sizes = [path.stat().st_size for path in run.folder.rglob("*") if path.is_file()]
    return Look(
        done=work_done(run),
        megabytes=int(status["VmRSS"].split()[0]) / 1024,
        open_files=len(os.listdir(f"/proc/{pid}/fd")),
        threads=int(status["Threads"]),
        files=len(sizes),
        folder_bytes=sum(sizes),
    )


def report(title: str, looks: list[Look], unit: str) -> list[str]:
    """Print a line for each tenth of the work; return what grew that should not."""
    working = [look for look in looks if look.done]
    last = working[-1].done
    print(f"\n{title}")
    print(
        f"{unit:>10} {'memory MB':>10} {'open files':>10} {'threads':>8} {'files':>8}"
        f" {'KB on disk':>11}"
    )
    for tenth in range(1, 11):
        look = next(look for look in working if look.done >= tenth * last / 10)
        print(
            f"{look.done:10d} {look.megabytes:10.1f} {look.open_files:10d} {look.threads:8d}"
            f" {look.files:8d} {look.folder_bytes / 1024:11.0f}"
        )
    early = [look for look in working if 0.05 * last <= look.done <= 0.25 * last]
    late = [look for look in working if 0.75 * last <= look.done]
    megabytes = print_growth("megabytes", early, late)
    open_files = print_growth("open_files", early, late)
    grown = []
    early_megabytes = float(np.median([look.megabytes for look in early]))
    if megabytes > max(20.0, 0.05 * early_megabytes):
        grown.append(f"megabytes of {title}")
    if open_files > 2:
        grown.append(f"open files of {title}")
    return grown


def print_growth(name: str, early: list[Look], late: list[Look]) -> float:
    """Print and return by how much the median of a field of looks has grown."""
    before, after = (
        float(np.median([getattr(look, name) for look in looks])) for looks in (early, late)
    )
    print(
        f"{name.replace('_', ' ')}: median {before:.1f} in the first quarter, {after:.1f} in the"
        f" last ({(after - before) / before:+.1%})"
    )
    return after - before


if __name__ == "__main__":
    main()
