"""Our scores against pytorch-fid's, and our Fréchet distance against the matrix square root.

    python benchmarks/scoring.py [--rounds 1] [--first 500] [--second 2000] [--threads 2]

(a) `cxr score --features inception` of two folders of 64 px phantoms, every score with its
intervals, against `python -m pytorch_fid` of the same folders, both as commands with the same file
of seeded weights and as many threads, in turn; wall time, CPU time, and the peak of the memory that
the process and its workers hold together, shared pages counted once. (b) The Fréchet distance of
two sets of 2000 features of width 2048 against scipy.linalg.sqrtm, on one thread.

Both are ratios of one run: a machine that does other things too slows both, and the ratios hold
better than the seconds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np
import torch
from PIL import Image
from scipy.linalg import sqrtm
from threadpoolctl import threadpool_limits
from torchvision.models import inception_v3

from pipelines.data.phantom import draw, list_cases
from pipelines.metrics.frechet import frechet_distance
from pipelines.metrics.inception import WEIGHTS_URL
from pipelines.results.score_summary import FolderScores

ROOT = Path(__file__).resolve().parent.parent
SIZE = 64  # pixels of a phantom
DISTANCE_ROUNDS = 3  # of (b)
OURS, THEIRS = "cxr score", "pytorch_fid"


@dataclass(frozen=True)
class Usage:
    """What a command took: seconds on the wall and of CPU, peak memory in MB; and its output."""

    wall: float
    cpu: float
    peak: float
    output: str


def write_phantoms(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True)
    for number, case in enumerate(list_cases(count, seed)):
        Image.fromarray(draw(case, seed, 96)).resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(
            folder / f"{number:05d}.png"
        )


def write_weights(path: Path) -> None:
    """Write a state dict of pytorch-fid's layout with random weights, as its download."""
    state = inception_v3(
        num_classes=1008, aux_logits=False, weights=None, init_weights=False
    ).state_dict()
    generator = torch.Generator().manual_seed(0)
    for name, tensor in state.items():
        if name.endswith(("conv.weight", "fc.weight")):
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
        elif name.endswith(("bn.weight", "running_var")):
            tensor.uniform_(0.7, 1.4, generator=generator)
        elif tensor.is_floating_point():
            tensor.normal_(0, 0.2, generator=generator)
    path.parent.mkdir(parents=True)
    torch.save(state, path)


def resident_memory(root: int) -> float:
    """Return the memory in MB that a process and all its children hold.

    Of pages that they share each counts its part (PSS).
    """
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # ended meanwhile
    family, total = {root}, 0
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    for process in family:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            total += int(next(line for line in lines if line.startswith("Pss:")).split()[1])
        except (OSError, StopIteration):
            continue
    return total / 1024


def run(command: Sequence[str], hub: Path, threads: int) -> Usage:
    """Run a module of Python as a command, and watch what it takes."""
    peak, ended = [0.0], threading.Event()
    before, started = os.times(), time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"TORCH_HOME": str(hub), "OMP_NUM_THREADS": str(threads)},
    )

    def watch() -> None:
        while not ended.wait(0.25):
            peak[0] = max(peak[0], resident_memory(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = process.communicate()
    wall, after = time.perf_counter() - started, os.times()
    ended.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return Usage(wall, cpu, peak[0], output)


def distance_by_square_root(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Fréchet distance of features (N, d) as pytorch-fid computes it."""
    (mean, covariance), (other_mean, other_covariance) = (
        (rows.mean(axis=0, dtype=np.float64), np.cov(rows.astype(np.float64), rowvar=False))
        for rows in (first, second)
    )
    root = sqrtm(covariance @ other_covariance).real
    spread = np.trace(covariance) + np.trace(other_covariance) - 2 * np.trace(root)
    return float(np.square(mean - other_mean).sum() + spread)


def compare_distances(rounds: int) -> None:
    rng = np.random.default_rng(0)
    sets = [
        (rng.gamma(1, 1, (2000, 2048)) @ (np.eye(2048) + rng.normal(0, 0.02, (2048, 2048)))).astype(
            np.float32
        )
        for _ in range(2)
    ]
    measures: tuple[Callable[[np.ndarray, np.ndarray], float], ...]
    measures = (frechet_distance, distance_by_square_root)
    times: list[list[float]] = [[], []]
    values = [0.0, 0.0]
    for _ in range(rounds):
        for place, measure in enumerate(measures):
            started = time.perf_counter()
            values[place] = measure(*sets)
            times[place].append(time.perf_counter() - started)
    ours, theirs = (statistics.median(seconds) for seconds in times)
    print(
        f"Fréchet distance, n = 2000, d = 2048, one thread: {ours:.1f} s, by sqrtm {theirs:.1f} s, "
        f"{theirs / ours:.1f}×; relative difference {abs(values[0] / values[1] - 1):.1e}",
        flush=True,
    )


def compare_commands(
    commands: Mapping[str, Sequence[str]], hub: Path, rounds: int, threads: int
) -> dict[str, list[Usage]]:
    """Run the commands in turn, round by round, and print what each takes."""
    usages: dict[str, list[Usage]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            usage = run(command, hub, threads)
            usages[name].append(usage)
            print(
                f"{name:12} {usage.wall:6.0f} s, {usage.cpu:6.0f} s of CPU, "
                f"peak {usage.peak:5.0f} MB",
                flush=True,
            )
    return usages


def print_ratios(usages: Mapping[str, Sequence[Usage]], what: str) -> None:
    def ratio(take: Callable[[Usage], float]) -> float:
        theirs, ours = (statistics.median(map(take, usages[name])) for name in (THEIRS, OURS))
        return theirs / ours

    wall, cpu = ratio(lambda usage: usage.wall), ratio(lambda usage: usage.cpu)
    memory = 1 / ratio(lambda usage: usage.peak)
    print(f"{what}: {wall:.2f}× faster ({cpu:.2f}× less CPU time), {memory:.2f} of the memory")


@click.command()
@click.option("--rounds", default=1)
@click.option("--first", default=500)
@click.option("--second", default=2000)
@click.option("--threads", default=2)
def main(rounds: int, first: int, second: int, threads: int) -> None:
    with threadpool_limits(1):
        compare_distances(DISTANCE_ROUNDS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        a, b, out = (str(folder / part) for part in ("a", "b", "out"))
        write_phantoms(folder / "a", first, 0)
        write_phantoms(folder / "b", second, 1)
        weights = folder / "hub" / "hub" / "checkpoints" / WEIGHTS_URL.rsplit("/", 1)[1]
        write_weights(weights)
        network = ["--features", "inception", "--weights", str(weights), "--device", "cpu"]
        folders = ["--dataset-a", a, "--dataset-b", b, "--out", out]
        commands = {
            OURS: ["pipelines.cli", "score", *network, *folders],
            THEIRS: ["pytorch_fid", "--device", "cpu", "--num-workers", "2", a, b],
        }
        usages = compare_commands(commands, folder / "hub", rounds, threads)
        print_ratios(usages, f"{first} against {second} images of {SIZE} px")
        ours = FolderScores.load(folder / "out").overall_distances[0].all_synthetic
        assert ours is not None
        theirs = float(usages[THEIRS][-1].output.split()[-1])
        print(
            f"FID {ours:.6g}, pytorch-fid's {theirs:.6g}, "
            f"relative difference {abs(ours / theirs - 1):.1e}"
        )


if __name__ == "__main__":
    main()
