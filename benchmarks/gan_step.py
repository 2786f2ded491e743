"""What the two savings of the GAN's training step are worth, side by side in one process, as ratios.

    python benchmarks/gan_step.py

The fused upsampling against upsampling and convolving (same numbers), and penalties probed on a quarter of the batch
against on all of it (same expectation). Medians of interleaved rounds, forward and backward, 64 px, batch 64.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch.nn.functional import conv2d, interpolate

from gan.networks import Discriminator, Generator, UpsampleConv

ROUNDS = 7


class PlainUpsampleConv(UpsampleConv):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return conv2d(interpolate(x, scale_factor=2, mode="nearest"), self.weight, padding=1)


def compare(name: str, plain: Callable[[], None], ours: Callable[[], None]) -> None:
    times: dict[str, list[float]] = {"plain": [], "ours": []}
    for round_number in range(ROUNDS + 1):
        for which, work in (("plain", plain), ("ours", ours)):
            started = time.perf_counter()
            work()
            if round_number:
                times[which].append(time.perf_counter() - started)
    medians = {which: statistics.median(values) for which, values in times.items()}
    print(f"{name}: {medians['plain']:.3f} s → {medians['ours']:.3f} s, {medians['plain'] / medians['ours']:.2f}×")


def main() -> None:
    shape = {"image_size": 64, "classes": 2, "width": 32}
    generator = Generator(latent_size=64, **shape).to(memory_format=torch.channels_last)
    discriminator = Discriminator(**shape).to(memory_format=torch.channels_last)
    latents, labels = torch.randn(64, 64), torch.arange(64) % 2

    def generate(layer: type) -> None:
        for module in generator.modules():
            if isinstance(module, UpsampleConv):
                module.__class__ = layer
        generator(latents, labels).mean().backward()

    def discriminate(batch: int) -> None:
        discriminator(torch.randn(batch, 1, 64, 64), torch.arange(batch) % 2).mean().backward()

    compare("generator, fused upsampling", lambda: generate(PlainUpsampleConv), lambda: generate(UpsampleConv))
    compare("discriminator, penalties on a quarter", lambda: discriminate(4 * 64), lambda: discriminate(2 * 64 + 2 * 16))


if __name__ == "__main__":
    main()
