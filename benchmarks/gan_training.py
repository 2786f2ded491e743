"""Our training step against a plain PyTorch loop of the same networks, losses and batch, on a CPU.

    python benchmarks/gan_training.py [--rounds 3] [--image-size 64] [--compiled]

The plain loop is written as PyTorch's DCGAN example is: ImageFolder with torchvision's transforms,
a DataLoader with two workers, fp32, contiguous layout, upsampling and then convolving, reals and
fakes through the discriminator one after the other, new fakes' logits for the generator's step. It
is measured with its penalties on the whole batch, as one would write them, and on a share of it, as
ours are. Ours is `gan.train.train` as the command runs it. Rounds of all are interleaved, in one
process; medians. Images per second, data path included. Last, how near ours comes to the rate at
which the same machine multiplies large matrices. On a GPU gpu.py measures both.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, leaky_relu
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms
from torchvision.datasets import ImageFolder

from gan import networks
from gan.augment import DRAWS, augment
from gan.batches import TrainingData
from gan.config import GanConfig
from gan.losses import (
    PENALTY_STRIDE,
    SIGMA,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)
from gan.networks import SLOPE, UpsampleConv
from gan.presets import build_discriminator, build_generator
from gan.train import train
from pipelines.data.importing import import_listings
from pipelines.data.phantom_source import list_phantoms
from pipelines.study.image_cache import load_images
from pipelines.study.workspace import Workspace
from runtime.device import Compute, choose_compute
from runtime.run import create_run

IMAGES = 256
STEPS = 10  # of the plain loop per round; ours is the difference of runs of STEPS and 4 · STEPS
MATRIX_SIDE = 2048


def normalise_plainly(x: Tensor) -> Tensor:
    """The generator's normalisation, as one would write it."""
    return leaky_relu(x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-6), SLOPE)


class PlainUpsampleConv(UpsampleConv):
    """Upsampling and then convolving, as one would write it."""

    def forward(self, x: Tensor) -> Tensor:
        doubled = interpolate(x, scale_factor=2, mode="nearest")
        return conv2d(doubled, self.weight, self.bias, padding=1)


def load_endlessly(config: GanConfig, folder: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of images (B, 1, S, S) in −1..1 and their labels (B,), for ever."""
    steps = [
        transforms.Grayscale(),
        transforms.Resize(config.image_size),
        transforms.CenterCrop(config.image_size),
        transforms.ToTensor(),
        transforms.Normalize(0.5, 0.5),
    ]
    loader = DataLoader(
        ImageFolder(folder, transforms.Compose(steps)),
        batch_size=config.batch_size,
        shuffle=True,
        num_workers=2,
        drop_last=True,
        persistent_workers=True,
    )
    while True:
        yield from loader


def train_plainly(
    config: GanConfig, folder: Path, device: torch.device, stride: int
) -> Iterator[None]:
    """Train for ever, with the penalties on every `stride`-th image; yield after each step."""
    generator = build_generator(config, 2).to(device)
    discriminator = build_discriminator(config, 2).to(device)
    for module in generator.modules():
        if isinstance(module, UpsampleConv):
            module.__class__ = PlainUpsampleConv
    betas = (config.beta1, config.beta2)
    d_optimizer, g_optimizer = (
        torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=betas)
        for network in (discriminator, generator)
    )

    def change(images: Tensor) -> Tensor:
        return augment(images, torch.rand(len(images), DRAWS, device=device))

    def penalise(images: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        shifted = images[::stride] + SIGMA * torch.randn_like(images[::stride])
        shifted_logits = discriminator(shifted, labels[::stride])
        return gradient_penalty(shifted_logits, logits[::stride], SIGMA / 2)  # σ apart and not 2σ

    for images, classes in load_endlessly(config, folder):
        reals, labels = images.to(device), classes.to(device)
        latents = torch.randn(len(reals), config.latent_size, device=device)
        with patch.object(networks, "normalise", normalise_plainly):
            fakes = generator(latents, labels)
        d_optimizer.zero_grad()
        shown_reals, shown_fakes = change(reals), change(fakes.detach())
        real_logits = discriminator(shown_reals, labels)
        fake_logits = discriminator(shown_fakes, labels)
        penalties = penalise(shown_reals, real_logits, labels)
        penalties = penalties + penalise(shown_fakes, fake_logits, labels)
        d_loss = discriminator_loss(real_logits, fake_logits) + config.penalty * penalties
        d_loss.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        real_logits = discriminator(change(reals), labels)
        g_loss = generator_loss(real_logits, discriminator(change(fakes), labels))
        g_loss.backward()
        g_optimizer.step()
        d_loss.item(), g_loss.item()  # the example prints them
        yield


def time_plain(loop: Iterator[None]) -> float:
    """Return the seconds of a step of a plain loop."""
    started = time.perf_counter()
    for _ in range(STEPS):
        next(loop)
    return (time.perf_counter() - started) / STEPS


@dataclass(frozen=True)
class Ours:
    """Our training, on the images of a study."""

    config: GanConfig
    data: TrainingData
    runs: Path
    compute: Compute
    compiled: bool = False

    def train(self, steps: int) -> None:
        """Train in a new run."""
        config = replace(self.config, steps=steps)
        run = create_run(self.runs, "gan-train", asdict(config))
        train(config, self.data, run, self.compute, compiled=self.compiled)

    def time_step(self) -> float:
        """Return the seconds of a step, without what each run costs besides."""
        seconds = []
        for steps in (STEPS, 4 * STEPS):
            started = time.perf_counter()
            self.train(steps)
            seconds.append(time.perf_counter() - started)
        return (seconds[1] - seconds[0]) / (3 * STEPS)

    def count_operations(self) -> int:
        """Return the floating-point operations of a step."""
        counts = []
        for steps in (1, 2):
            with FlopCounterMode(display=False) as counter:
                self.train(steps)
            counts.append(counter.get_total_flops())
        return counts[1] - counts[0]


def measure_matrix_rate(compute: Compute) -> float:
    """Return operations per second of a large matrix product in the precision of training."""
    dtype = torch.bfloat16 if compute.precision == "bf16" else torch.float32
    a = torch.randn(MATRIX_SIDE, MATRIX_SIDE, device=compute.device, dtype=dtype)
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        (a @ a).sum().item()
        seconds.append(time.perf_counter() - started)
    return 2 * MATRIX_SIDE**3 / min(seconds)


def make_study(folder: Path, image_size: int) -> tuple[Workspace, TrainingData]:
    """Import phantoms, and load all of them to train on."""
    workspace = Workspace(folder)
    import_listings(workspace, [list_phantoms(IMAGES, 0)], ratios=(0.8, 0.1, 0.1), seed=0)
    return workspace, load_data(workspace, image_size)


def load_data(workspace: Workspace, image_size: int) -> TrainingData:
    """Load all images of a study to train on."""
    rows = workspace.rows()
    classes = sorted({row.label for row in rows})
    images = torch.from_numpy(load_images(workspace, rows, image_size)).unsqueeze(1)
    dataset = TensorDataset(images, torch.tensor([classes.index(row.label) for row in rows]))
    return TrainingData(dataset, classes, [row.sha256 for row in rows])


@click.command()
@click.option("--rounds", default=3)
@click.option("--image-size", default=64)
@click.option("--compiled", is_flag=True, help="Also with the networks compiled.")
def main(rounds: int, image_size: int, compiled: bool) -> None:
    compute = choose_compute("cpu")
    config = GanConfig(image_size=image_size, sample_every=10**9)
    with tempfile.TemporaryDirectory() as name:
        workspace, data = make_study(Path(name), image_size)
        folder = workspace.data / "images"
        ours = Ours(config, data, workspace.runs, compute)
        loops = {
            "plain": train_plainly(config, folder, compute.device, 1),
            f"plain, penalties on every {PENALTY_STRIDE}th": train_plainly(
                config, folder, compute.device, PENALTY_STRIDE
            ),
        }
        for loop in loops.values():
            next(loop)  # workers, memory and kernels are ready
        ways = {"ours": ours}
        if compiled:
            ways["ours, compiled"] = replace(ours, compiled=True)
        for way in ways.values():
            way.train(1)  # compilers keep what they made
        times: dict[str, list[float]] = {name: [] for name in [*loops, *ways]}
        for _ in range(rounds):
            for name, loop in loops.items():
                times[name].append(time_plain(loop))
            for name, way in ways.items():
                times[name].append(way.time_step())
        operations, peak = ours.count_operations(), measure_matrix_rate(compute)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    seconds = medians["ours"]
    print(
        f"{compute}, {torch.get_num_threads()} threads, {image_size} px, batch "
        f"{config.batch_size}, width {config.width}; medians of {rounds} interleaved rounds"
    )
    for name, median in medians.items():
        print(
            f"{name:32} {median:.3f} s a step, {config.batch_size / median:6.0f} images/s, "
            f"ours is {median / seconds:.2f}×"
        )
    rate = operations / seconds
    print(
        f"a step of ours: {operations / 1e9:.1f} GFLOP in {seconds:.3f} s, {rate / 1e9:.0f} "
        f"GFLOP/s; matrix products here: {peak / 1e9:.0f} GFLOP/s, {100 * rate / peak:.0f} %"
    )


if __name__ == "__main__":
    main()
