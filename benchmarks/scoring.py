"""Our scores against pytorch-fid's, and our Fréchet distance against the matrix square root, in one run, as ratios.

    python benchmarks/scoring.py [--rounds 1] [--first 500] [--second 2000] [--threads 2]

(a) `cxr score --features inception` of two folders of 64 px phantoms, every score with its intervals, against `python -m pytorch_fid` of the
same folders, both as commands with the same file of seeded weights and as many threads, in turn; wall time, CPU time, and the peak of the memory
that the process and its workers hold together, shared pages counted once. (b) The Fréchet distance of two sets of 2000 features of width 2048
against scipy.linalg.sqrtm, on one thread. A machine that does other things too slows both; the ratios hold better than the seconds.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import click
import numpy as np
import torch
from PIL import Image
from scipy.linalg import sqrtm
from threadpoolctl import threadpool_limits
from torchvision.models import inception_v3

from pipelines.data.phantom import cases, draw
from pipelines.metrics.frechet import frechet_distance
from pipelines.metrics.inception import URL

SIZE = 64
DISTANCES = 3  # rounds of (b)


def write_phantoms(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True)
    for number, case in enumerate(cases(count, seed)):
        Image.fromarray(draw(case, seed, 96)).resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(
            folder / f"{number:05d}.png"
        )


def write_weights(path: Path) -> None:
    """A state dict of pytorch-fid's layout with random weights, in the place of its download."""
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


def resident(root: int) -> float:
    """Memory in MB that a process and all its children hold, pages they share counted once for each sharer's part (PSS)."""
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
            total += int(
                next(
                    line
                    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
                    if line.startswith("Pss:")
                ).split()[1]
            )
        except (OSError, StopIteration):
            continue
    return total / 1024


def run(command: list[str], hub: Path, threads: int) -> tuple[float, float, float, str]:
    """Wall seconds, CPU seconds, peak memory in MB, and what it printed."""
    peak, ended = [0.0], threading.Event()
    before, started = os.times(), time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"TORCH_HOME": str(hub), "OMP_NUM_THREADS": str(threads)},
    )

    def watch() -> None:
        while not ended.wait(0.25):
            peak[0] = max(peak[0], resident(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = process.communicate()
    wall, after = time.perf_counter() - started, os.times()
    ended.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return (
        wall,
        after.children_user + after.children_system - before.children_user - before.children_system,
        peak[0],
        output,
    )


def compare_distances(rounds: int) -> None:
    rng = np.random.default_rng(0)
    sets = [
        (rng.gamma(1, 1, (2000, 2048)) @ (np.eye(2048) + rng.normal(0, 0.02, (2048, 2048)))).astype(
            np.float32
        )
        for _ in range(2)
    ]
    times: dict[str, list[float]] = {"ours": [], "sqrtm": []}
    for _ in range(rounds):
        started = time.perf_counter()
        ours = frechet_distance(*sets)
        times["ours"].append(time.perf_counter() - started)
        started = time.perf_counter()
        (mean, covariance), (other_mean, other) = (
            (one.mean(axis=0, dtype=np.float64), np.cov(one.astype(np.float64), rowvar=False))
            for one in sets
        )
        theirs = (
            np.square(mean - other_mean).sum()
            + np.trace(covariance)
            + np.trace(other)
            - 2 * np.trace(sqrtm(covariance @ other)).real
        )
        times["sqrtm"].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(
        f"Fréchet distance, n = 2000, d = 2048, one thread: {medians['ours']:.1f} s, by sqrtm {medians['sqrtm']:.1f} s, {medians['sqrtm'] / medians['ours']:.1f}×; "
        f"relative difference {abs(ours / theirs - 1):.1e}",
        flush=True,
    )


@click.command()
@click.option("--rounds", default=1)
@click.option("--first", default=500)
@click.option("--second", default=2000)
@click.option("--threads", default=2)
def main(rounds: int, first: int, second: int, threads: int) -> None:
    with threadpool_limits(1):
        compare_distances(DISTANCES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_phantoms(folder / "a", first, 0)
        write_phantoms(folder / "b", second, 1)
        weights = folder / "hub" / "hub" / "checkpoints" / URL.rsplit("/", 1)[1]
        write_weights(weights)
        commands = {
            "cxr score": [
                "-m",
                "pipelines.cli",
                "score",
                "--features",
                "inception",
                "--weights",
                str(weights),
                "--device",
                "cpu",
                "--dataset-a",
                str(folder / "a"),
                "--dataset-b",
                str(folder / "b"),
                "--out",
                str(folder / "out"),
            ],
            "pytorch_fid": [
                "-m",
                "pytorch_fid",
                "--device",
                "cpu",
                "--num-workers",
                "2",
                str(folder / "a"),
                str(folder / "b"),
            ],
        }
        found: dict[str, list[tuple[float, float, float, str]]] = {what: [] for what in commands}
        for _ in range(rounds):
            for what, command in commands.items():
                found[what].append(run(command, folder / "hub", threads))
                print(
                    f"{what:12} {found[what][-1][0]:6.0f} s, {found[what][-1][1]:6.0f} s of CPU, peak {found[what][-1][2]:5.0f} MB",
                    flush=True,
                )
        ratios = [
            statistics.median(one[place] for one in found["pytorch_fid"])
            / statistics.median(one[place] for one in found["cxr score"])
            for place in range(3)
        ]
        print(
            f"{first} against {second} images of {SIZE} px: {ratios[0]:.2f}× faster ({ratios[1]:.2f}× less CPU time), {1 / ratios[2]:.2f} of the memory"
        )
        scores = json.loads((folder / "out" / "score.json").read_text())["scores"]
        ours = next(
            one["of_all"]
            for one in scores
            if (one["group"], one["score"]) == ("overall", "frechet")
        )
        theirs = float(found["pytorch_fid"][-1][3].split()[-1])
        print(
            f"FID {ours:.6g}, pytorch-fid's {theirs:.6g}, relative difference {abs(ours / theirs - 1):.1e}"
        )


if __name__ == "__main__":
    main()
