"""Training batches from a workspace against torchvision's ImageFolder, and how import grows with the number of images.

    python benchmarks/data_loading.py [--images 2000] [--sizes 1000,3000,10000]

The epoch: every image at 128 px once, in batches of 64 and seeded random order. ImageFolder reads the workspace's own PNGs with the usual transforms
(gray, resize, crop, tensor, normalise) and two workers that stay alive. Ours is measured twice: the same DataLoader without workers over
`open_study`, and `batch`, the indexing that our own trainers use. Rounds of all are interleaved; medians. The images are noise of 256 px with a smooth
background, so that their files are as large as those of radiographs.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from pipelines.study.dataset import open_study

SIZE, BATCH = 128, 64
ROOT = Path(__file__).resolve().parent.parent


def draw(task: tuple[Path, int]) -> None:
    path, number = task
    rng = np.random.default_rng(number)
    smooth = gaussian_filter(rng.standard_normal((256, 256)), 24)
    gray = 128 + 90 * smooth / np.abs(smooth).max() + rng.normal(0, 2, (256, 256))
    Image.fromarray(gray.clip(0, 255).astype(np.uint8)).save(path, compress_level=1)


def source(folder: Path, count: int) -> Path:
    tasks = []
    for number in range(count):
        path = folder / ("covid", "normal")[number % 2] / f"{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        tasks.append((path, number))
    with ProcessPoolExecutor() as pool:
        list(pool.map(draw, tasks, chunksize=64))
    return folder


def imported(images: Path, study: Path) -> tuple[float, float]:
    """Seconds and peak memory in MB of `cxr data import`, all its processes together: the first one's peak plus the largest of a worker for each core."""
    code = (
        "import os, resource, sys\nfrom pipelines.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit as stop: assert not stop.code\n"
        "own = next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM'))  # getrusage would give that of the process before exec\n"
        "worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\nprint((own + min(os.cpu_count(), 16) * worker) / 1024, file=sys.stderr)"
    )
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, "-C", str(study), "data", "import", str(images)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return time.perf_counter() - started, float(done.stderr.strip().splitlines()[-1])


def seconds_of(epoch: Callable[[], int], expected: int) -> float:
    started = time.perf_counter()
    assert epoch() == expected
    return time.perf_counter() - started


@click.command()
@click.option("--images", default=2000)
@click.option("--sizes", default="1000,3000,10000")
@click.option("--rounds", default=3)
def main(images: int, sizes: str, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(
            "cxr data import, images of 256 px (peak memory: the first process and one worker for each core, added up)"
        )
        for count in map(int, sizes.split(",")):
            taken, peak = imported(
                source(folder / f"source-{count}", count), folder / f"study-{count}"
            )
            print(
                f"{count:6d} images: {taken:6.1f} s, {1000 * taken / count:5.2f} ms an image, {peak:5.0f} MB"
            )

        imported(source(folder / "source", images), folder / "study")
        steps = [
            transforms.Grayscale(),
            transforms.Resize(SIZE),
            transforms.CenterCrop(SIZE),
            transforms.ToTensor(),
            transforms.Normalize(0.5, 0.5),
        ]
        plain = ImageFolder(folder / "study" / "data" / "images", transforms.Compose(steps))
        started = time.perf_counter()
        study = open_study(folder / "study", "train", image_size=SIZE)
        print(
            f"the first opening at {SIZE} px decodes {images} images: {time.perf_counter() - started:.1f} s, once"
        )
        chosen = torch.randperm(len(plain), generator=torch.Generator().manual_seed(0))[
            : len(study)
        ].tolist()
        loaders = {
            "ImageFolder, 2 workers": DataLoader(
                plain, BATCH, sampler=chosen, num_workers=2, persistent_workers=True
            ),
            "open_study in a DataLoader": DataLoader(study, BATCH, shuffle=True),
        }

        def through(loader: DataLoader) -> int:
            return sum(len(pixels) for pixels, _ in loader)

        def indexed() -> int:
            return sum(
                len(study.batch(part)[0]) for part in torch.randperm(len(study)).split(BATCH)
            )

        epochs = {
            what: lambda loader=loader: through(loader) for what, loader in loaders.items()
        } | {"open_study, batch": indexed}
        times: dict[str, list[float]] = {what: [] for what in epochs}
        through(loaders["ImageFolder, 2 workers"])  # workers and files are ready
        for _ in range(rounds):
            for what, epoch in epochs.items():
                times[what].append(seconds_of(epoch, len(study)))
        first = statistics.median(times["ImageFolder, 2 workers"])
        for what, values in times.items():
            median = statistics.median(values)
            print(
                f"{what:28} {median:7.3f} s an epoch of {len(study)} images, {len(study) / median:9.0f} images/s, {first / median:6.1f}×"
            )


if __name__ == "__main__":
    main()
