"""Our training step against a plain PyTorch loop of the same networks, losses and batch, in one process, as ratios.

    python benchmarks/gan_training.py [--rounds 3] [--image-size 64]

The plain loop is written as PyTorch's DCGAN example is: ImageFolder with torchvision's transforms, a DataLoader with two workers, fp32,
contiguous layout, upsampling and then convolving, reals and fakes through the discriminator one after the other, new fakes' logits
for the generator's step. It is measured with its penalties on the whole batch, as one would write them, and on a quarter, as ours are.
Ours is `gan.train.train` as the command runs it. Rounds of all are interleaved; medians. Images per second, data path included.
Last, how near ours comes to the rate at which the same machine multiplies large matrices.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import torch
from torch.nn.functional import conv2d, interpolate
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms
from torchvision.datasets import ImageFolder

from gan.augment import DRAWS, augment
from gan.config import GanConfig
from gan.losses import PROBED, SIGMA, discriminator_loss, generator_loss, gradient_penalty
from gan.networks import UpsampleConv
from gan.presets import build_discriminator, build_generator
from gan.train import train
from pipelines.data.importing import import_listings
from pipelines.data.sources import phantom_listing
from pipelines.study.image_cache import load_images
from pipelines.study.workspace import Workspace
from runtime.device import Compute, choose_compute
from runtime.run import create_run

IMAGES = 256
STEPS = 10  # of the plain loop per round; ours is the difference between a run of STEPS and one of 4 · STEPS


class PlainUpsampleConv(UpsampleConv):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return conv2d(
            interpolate(x, scale_factor=2, mode="nearest"), self.weight, self.bias, padding=1
        )


def plain_loop(config: GanConfig, folder: Path, device: torch.device, every: int) -> Iterator[None]:
    """Endless training; every `every`-th image of a batch is probed for the penalties. Yields after each step."""
    steps = [
        transforms.Grayscale(),
        transforms.Resize(config.image_size),
        transforms.CenterCrop(config.image_size),
        transforms.ToTensor(),
        transforms.Normalize(0.5, 0.5),
    ]
    dataset = ImageFolder(folder, transforms.Compose(steps))
    loader = DataLoader(
        dataset,
        batch_size=config.batch_size,
        shuffle=True,
        num_workers=2,
        drop_last=True,
        persistent_workers=True,
    )
    generator, discriminator = (
        build_generator(config, 2).to(device),
        build_discriminator(config, 2).to(device),
    )
    for module in generator.modules():
        if isinstance(module, UpsampleConv):
            module.__class__ = PlainUpsampleConv
    adam = {"lr": config.learning_rate, "betas": (config.beta1, config.beta2)}
    optimizers = [
        torch.optim.Adam(network.parameters(), **adam) for network in (discriminator, generator)
    ]

    def seen(images: torch.Tensor) -> torch.Tensor:
        return augment(images, torch.rand(len(images), DRAWS, device=device))

    def penalty(images: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        shifted = images[::every] + SIGMA * torch.randn_like(images[::every])
        return gradient_penalty(
            discriminator(shifted, labels[::every]), logits[::every], SIGMA / 2
        )  # one-sided: σ apart and not 2σ

    while True:
        for images, labels in loader:
            real, labels = images.to(device), labels.to(device)
            fake = generator(torch.randn(len(real), config.latent_size, device=device), labels)
            optimizers[0].zero_grad()
            seen_real, seen_fake = seen(real), seen(fake.detach())
            real_logits, fake_logits = (
                discriminator(seen_real, labels),
                discriminator(seen_fake, labels),
            )
            penalties = penalty(seen_real, real_logits, labels) + penalty(
                seen_fake, fake_logits, labels
            )
            loss = discriminator_loss(real_logits, fake_logits) + config.penalty * penalties
            loss.backward()
            optimizers[0].step()
            optimizers[1].zero_grad()
            g_loss = generator_loss(
                discriminator(seen(real), labels), discriminator(seen(fake), labels)
            )
            g_loss.backward()
            optimizers[1].step()
            loss.item(), g_loss.item()  # the example prints them
            yield


def matrix_rate(compute: Compute) -> float:
    """Operations per second of a large matrix product in the precision that training uses."""
    dtype = torch.bfloat16 if compute.precision == "bf16" else torch.float32
    a = torch.randn(2048, 2048, device=compute.device, dtype=dtype)
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        (a @ a).sum().item()
        seconds.append(time.perf_counter() - started)
    return 2 * 2048**3 / min(seconds)


@click.command()
@click.option("--rounds", default=3)
@click.option("--image-size", default=64)
@click.option("--device", default="auto")
def main(rounds: int, image_size: int, device: str) -> None:
    compute = choose_compute(device)
    config = GanConfig(image_size=image_size, sample_every=10**9)
    with tempfile.TemporaryDirectory() as name:
        workspace = Workspace(Path(name))
        import_listings(workspace, [phantom_listing(IMAGES, 0)], ratios=(0.8, 0.1, 0.1), seed=0)
        rows = workspace.rows()
        classes = sorted({row.label for row in rows})
        images = torch.from_numpy(load_images(workspace, rows, image_size)).unsqueeze(1)
        dataset = TensorDataset(images, torch.tensor([classes.index(row.label) for row in rows]))
        loops = {
            "plain": plain_loop(config, workspace.data / "images", compute.device, 1),
            f"plain, penalties on every {PROBED}th": plain_loop(
                config, workspace.data / "images", compute.device, PROBED
            ),
        }

        def of_plain(loop: Iterator[None]) -> float:
            started = time.perf_counter()
            for _ in range(STEPS):
                next(loop)
            return (time.perf_counter() - started) / STEPS

        def run_ours(steps: int) -> None:
            asked = replace(config, steps=steps)
            run = create_run(workspace.runs, "gan-train", asdict(asked))
            train(
                asked,
                dataset,
                run,
                compute,
                classes=classes,
                trained_on=[row.sha256 for row in rows],
            )

        def of_ours() -> float:
            seconds = []
            for steps in (STEPS, 4 * STEPS):
                started = time.perf_counter()
                run_ours(steps)
                seconds.append(time.perf_counter() - started)
            return (seconds[1] - seconds[0]) / (3 * STEPS)

        def operations() -> float:
            """Floating-point operations of one step of ours."""
            counts = []
            for steps in (1, 2):
                with FlopCounterMode(display=False) as counter:
                    run_ours(steps)
                counts.append(counter.get_total_flops())
            return counts[1] - counts[0]

        for loop in loops.values():
            next(loop)  # workers, memory and kernels are ready
        times: dict[str, list[float]] = {name: [] for name in [*loops, "ours"]}
        for _ in range(rounds):
            for which, loop in loops.items():
                times[which].append(of_plain(loop))
            times["ours"].append(of_ours())
        work, peak = operations(), matrix_rate(compute)
    ours = statistics.median(times["ours"])
    print(
        f"{compute}, {torch.get_num_threads()} threads, {image_size} px, batch {config.batch_size}, width {config.width}; medians of {rounds} interleaved rounds"
    )
    for which, values in times.items():
        median = statistics.median(values)
        print(
            f"{which:32} {median:.3f} s a step, {config.batch_size / median:6.0f} images/s, ours is {median / ours:.2f}×"
        )
    print(
        f"a step of ours: {work / 1e9:.1f} GFLOP in {ours:.3f} s, {work / ours / 1e9:.0f} GFLOP/s; matrix products here: {peak / 1e9:.0f} GFLOP/s, {100 * work / ours / peak:.0f} %"
    )


if __name__ == "__main__":
    main()
