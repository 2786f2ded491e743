"""Training batches from a study against torchvision's ImageFolder, and how import grows.

    python benchmarks/data_loading.py [--images 2000] [--sizes 1000,3000,10000]

The epoch: every image at 128 px once, in batches of 64 and seeded random order. ImageFolder reads
the study's own PNGs with the usual transforms (gray, resize, crop, tensor, normalise) and two
workers that stay alive. Ours is measured twice: the same DataLoader without workers over
`open_study`, and `batch`, the indexing that our own trainers use. Rounds of all are interleaved;
medians. The images are noise of 256 px with a smooth background, so that their files are as large
as those of radiographs.
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

from pipelines.study.dataset import StudyImages, open_study

IMAGE_SIZE, BATCH_SIZE = 128, 64
IMAGE_FOLDER = "ImageFolder, 2 workers"
ROOT = Path(__file__).resolve().parent.parent
IMPORT = """
import os, resource, sys
from pipelines.cli import main

try:
    main(sys.argv[1:])
except SystemExit as stop:
    assert not stop.code
# getrusage would give the peak of the process before exec
status = open("/proc/self/status")
own = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print((own + min(os.cpu_count(), 16) * worker) / 1024, file=sys.stderr)
"""


def draw_image(task: tuple[Path, int]) -> None:
    """Write one image, in a worker."""
    path, number = task
    rng = np.random.default_rng(number)
    smooth = gaussian_filter(rng.standard_normal((256, 256)), 24)
    gray = 128 + 90 * smooth / np.abs(smooth).max() + rng.normal(0, 2, (256, 256))
    Image.fromarray(gray.clip(0, 255).astype(np.uint8)).save(path, compress_level=1)


def draw_source(folder: Path, count: int) -> Path:
    """Write a folder per label with so many images in all."""
    tasks = []
    for number in range(count):
        path = folder / ("covid", "normal")[number % 2] / f"{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        tasks.append((path, number))
    with ProcessPoolExecutor() as pool:
        list(pool.map(draw_image, tasks, chunksize=64))
    return folder


def import_source(images: Path, study: Path) -> tuple[float, float]:
    """Return seconds and peak memory in MB of `cxr data import`, all its processes together.

    That is the first one's peak plus the largest of a worker for each core.
    """
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, "-C", str(study), "data", "import", str(images)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return time.perf_counter() - started, float(done.stderr.strip().splitlines()[-1])


def measure_imports(folder: Path, sizes: list[int]) -> None:
    """Print time and memory of imports of so many images each."""
    print(
        "cxr data import, images of 256 px "
        "(peak memory: the first process and one worker for each core, added up)"
    )
    for count in sizes:
        source = draw_source(folder / f"source-{count}", count)
        seconds, peak = import_source(source, folder / f"study-{count}")
        per_image = 1000 * seconds / count
        print(f"{count:6d} images: {seconds:6.1f} s, {per_image:5.2f} ms an image, {peak:5.0f} MB")


def image_folder_loader(study: Path, count: int) -> DataLoader:
    """Return a loader of `count` of the study's images by torchvision's usual means."""
    steps = [
        transforms.Grayscale(),
        transforms.Resize(IMAGE_SIZE),
        transforms.CenterCrop(IMAGE_SIZE),
        transforms.ToTensor(),
        transforms.Normalize(0.5, 0.5),
    ]
    images = ImageFolder(study / "data" / "images", transforms.Compose(steps))
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return DataLoader(
        images,
        BATCH_SIZE,
        sampler=order[:count].tolist(),
        num_workers=2,
        persistent_workers=True,
    )


def count_images(loader: DataLoader) -> int:
    """Go through an epoch of a loader."""
    return sum(len(pixels) for pixels, _ in loader)


def count_indexed(study: StudyImages) -> int:
    """Go through an epoch by indexing."""
    batches = torch.randperm(len(study)).split(BATCH_SIZE)
    return sum(len(study.batch(indices)[0]) for indices in batches)


def measure_epochs(folder: Path, rounds: int) -> None:
    """Print the time of an epoch of a study by each of three means."""
    started = time.perf_counter()
    study = open_study(folder, "train", image_size=IMAGE_SIZE)
    seconds = time.perf_counter() - started
    print(f"the first opening at {IMAGE_SIZE} px decodes all images: {seconds:.1f} s, once")
    plain = image_folder_loader(folder, len(study))
    ours = DataLoader(study, BATCH_SIZE, shuffle=True)
    epochs: dict[str, Callable[[], int]] = {
        IMAGE_FOLDER: lambda: count_images(plain),
        "open_study in a DataLoader": lambda: count_images(ours),
        "open_study, batch": lambda: count_indexed(study),
    }
    epochs[IMAGE_FOLDER]()  # workers and files are ready
    times: dict[str, list[float]] = {name: [] for name in epochs}
    for _ in range(rounds):
        for name, epoch in epochs.items():
            started = time.perf_counter()
            assert epoch() == len(study)
            times[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(
            f"{name:28} {median:7.3f} s an epoch of {len(study)} images, "
            f"{len(study) / median:9.0f} images/s, {medians[IMAGE_FOLDER] / median:6.1f}×"
        )


@click.command()
@click.option("--images", default=2000, help="Of the study whose epochs are measured.")
@click.option("--sizes", default="1000,3000,10000", help="Numbers of images to import.")
@click.option("--rounds", default=3, help="Epochs by each means.")
def main(images: int, sizes: str, rounds: int) -> None:
    """Measure imports of several sizes, then epochs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure_imports(folder, [int(size) for size in sizes.split(",")])
        import_source(draw_source(folder / "source", images), folder / "study")
        measure_epochs(folder / "study", rounds)


if __name__ == "__main__":
    main()
