"""Long runs: what 5,000 GAN steps and 200 classifiers add to a process and to the disk.

    python benchmarks/soak.py [--steps 5000] [--classifiers 200]

`cxr gan-train` and `cxr compare` on phantoms, tiny networks, each in a process of its own that is looked at every half second: resident memory, open
files, threads, and what the run's folder holds. Printed at tenths of the work, and how much each grew from the first quarter to the last. Exits with 1 when
memory grew by more than 5 % or 20 MB, whichever is more, or open files by more than 2, or when more snapshots or checkpoints are left than the rule says.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np

from gan.snapshots import KEPT
from runtime.run import Run, list_runs

ROOT = Path(__file__).resolve().parent.parent
TINY_GAN = ("--image-size", "32", "--width", "8", "--batch-size", "8", "--sample-every", "50")
TINY_CLASSIFIER = ("--steps", "10", "--batch-size", "8", "--evaluate-every", "5")


@dataclass(frozen=True)
class Look:
    """One look at a process: how much of its work is done, its resident memory in MB, its open files and threads, and what is in its run's folder."""

    done: int
    megabytes: float
    open_files: int
    threads: int
    files: int
    bytes: int


@click.command()
@click.option("--steps", default=5000, help="GAN steps.")
@click.option("--classifiers", default=200, help="Classifiers of the comparison, an even number.")
def main(steps: int, classifiers: int) -> None:
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        cxr("data", "phantom", "--n", "64", folder=study)
        looks = soak(
            study,
            "gan-train",
            ("--steps", str(steps), *TINY_GAN),
            lambda run: max(
                (event["step"] for event in run.journal() if "step" in event), default=0
            ),
        )
        faults += report(f"gan-train, {steps} steps", looks, "step")
        (run,) = list_runs(study / "runs")
        snapshots, checkpoints = (
            len(list((run.folder / name).iterdir())) for name in ("snapshots", "checkpoints")
        )
        print(
            f"left: {snapshots} snapshots of {steps // 50}, {checkpoints} checkpoints, a journal of {run.journal_size() / steps:.0f} bytes per step"
        )
        faults += ["snapshots"] * (snapshots > KEPT + 1) + ["checkpoints"] * (checkpoints > 2)
        cxr("synthesize", "--n", "64", folder=study)
        arms = ("--arms", "real,real+gan", "--seeds", str(classifiers // 2))
        looks = soak(
            study,
            "compare",
            (*arms, *TINY_CLASSIFIER),
            lambda run: len(list((run.folder / "classifiers").glob("*/result.json"))),
        )
        faults += report(f"compare, {classifiers} classifiers", looks, "classifier")
        (left,) = study.glob("runs/*-compare")
        weights = list(left.rglob("*.pt"))
        print(
            f"left: {len(weights)} files of weights, {sum(path.stat().st_size for path in left.rglob('*') if path.is_file()) / classifiers / 1024:.1f} KB per classifier"
        )
        faults += ["weights"] * bool(weights)
    if faults:
        sys.exit(f"grew: {', '.join(faults)}")


def cxr(*arguments: str, folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "-C", str(folder), *arguments],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )


def soak(
    study: Path, command: str, arguments: tuple[str, ...], done: Callable[[Run], int]
) -> list[Look]:
    """Run a command and look at it until it ends."""
    looks = []
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "-C", str(study), command, *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        time.sleep(0.5)
        begun = [run for run in list_runs(study / "runs") if run.command == command]
        if begun:
            try:
                looks.append(look(process.pid, begun[0], done))
            except (FileNotFoundError, ProcessLookupError, KeyError):
                pass  # it has just ended and has no memory any more, or a file has just gone
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}")
    return looks


def look(pid: int, run: Run, done: Callable[[Run], int]) -> Look:
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    sizes = [path.stat().st_size for path in run.folder.rglob("*") if path.is_file()]
    return Look(
        done(run),
        int(status["VmRSS"].split()[0]) / 1024,
        len(os.listdir(f"/proc/{pid}/fd")),
        int(status["Threads"]),
        len(sizes),
        sum(sizes),
    )


def report(title: str, looks: list[Look], unit: str) -> list[str]:
    """Print a line for each tenth of the work; returns what grew that should not."""
    working = [one for one in looks if one.done]
    last = working[-1].done
    print(
        f"\n{title}\n{unit:>10} {'memory MB':>10} {'open files':>10} {'threads':>8} {'files':>8} {'KB on disk':>11}"
    )
    for tenth in range(1, 11):
        one = next(one for one in working if one.done >= tenth * last / 10)
        print(
            f"{one.done:10d} {one.megabytes:10.1f} {one.open_files:10d} {one.threads:8d} {one.files:8d} {one.bytes / 1024:11.0f}"
        )
    grown = []
    for name, allowed in (("megabytes", 20.0), ("open_files", 2.0)):
        early, late = (
            np.median(
                [getattr(one, name) for one in working if low * last <= one.done <= high * last]
            )
            for low, high in ((0.05, 0.25), (0.75, 1.0))
        )
        print(
            f"{name.replace('_', ' ')}: median {early:.1f} in the first quarter, {late:.1f} in the last ({(late - early) / early:+.1%})"
        )
        if late - early > max(allowed, 0.05 * early if name == "megabytes" else 0):
            grown.append(f"{name.replace('_', ' ')} of {title}")
    return grown


if __name__ == "__main__":
    main()
