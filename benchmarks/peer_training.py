"""Train a generator of another package on exported images, unmodified, and draw from it.

`benchmarks/peers.py` runs this in an interpreter that has the package; nothing of this project is
imported here. Each class gets a model of its own and an equal part of the minutes. Models have the
settings of their package's README but for what the options say; images are not mirrored.

    python benchmarks/peer_training.py denoising-diffusion EXPORT OUT --minutes 30 --images 2000
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torchvision.utils import save_image

Draw = Callable[[int], torch.Tensor]  # how many images -> (n, 1, S, S) in 0..1
LAST_STEP = 10**9


def train_denoising_diffusion(
    folder: Path, work: Path, seconds: float, options: argparse.Namespace
) -> tuple[int, Draw]:
    """Train denoising-diffusion-pytorch; return the steps made, and how to draw from it."""
    from denoising_diffusion_pytorch import GaussianDiffusion, Trainer, Unet

    diffusion = GaussianDiffusion(
        Unet(dim=options.width, dim_mults=(1, 2, 4, 8), channels=1),
        image_size=options.image_size,
        timesteps=1000,
        sampling_timesteps=options.diffusion_steps,
    )
    trainer = Trainer(
        diffusion,
        str(folder),
        train_batch_size=options.batch_size,
        train_lr=8e-5,
        train_num_steps=0,
        augment_horizontal_flip=False,
        calculate_fid=False,
        save_and_sample_every=LAST_STEP,
        results_folder=str(work),
    )
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        trainer.train_num_steps += 1
        trainer.train()
    model = trainer.ema.ema_model.eval()
    return trainer.step, lambda n: model.sample(batch_size=n)


def train_lightweight_gan(
    folder: Path, work: Path, seconds: float, options: argparse.Namespace
) -> tuple[int, Draw]:
    """Train lightweight-gan; return the steps made, and how to draw from it."""
    from lightweight_gan import Trainer  # refuses to be imported without CUDA

    trainer = Trainer(
        name="peer",
        base_dir=str(work),
        image_size=options.image_size,
        batch_size=options.batch_size,
        greyscale=True,
        attn_res_layers=[32],
        use_aim=False,
        save_every=LAST_STEP,
        evaluate_every=LAST_STEP,
    )
    trainer.clear()
    trainer.set_data_src(str(folder))
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        trainer.train()
    trainer.GAN.eval()

    def draw(n: int) -> torch.Tensor:
        latents = torch.randn(n, trainer.latent_dim, device="cuda")
        return trainer.generate_(trainer.GAN.GE, latents)

    return trainer.steps, draw


PEERS = {
    "denoising-diffusion": train_denoising_diffusion,
    "lightweight-gan": train_lightweight_gan,
}


@torch.no_grad()
def draw_images(draw: Draw, folder: Path, count: int, batch_size: int) -> None:
    """Write `count` PNGs."""
    folder.mkdir(parents=True)
    for first in range(0, count, batch_size):
        for number, image in enumerate(draw(min(batch_size, count - first)), start=first):
            save_image(image, folder / f"{number:06d}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("export", type=Path, help="what cxr data export --for imagefolder wrote")
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--width", type=int, default=64, help="of the diffusion's U-Net")
    parser.add_argument("--diffusion-steps", type=int, default=250, help="of DDIM, in drawing")
    options = parser.parse_args()
    labels = sorted(path for path in options.export.iterdir() if path.is_dir())
    steps: dict[str, int] = {}
    training_seconds = drawing_seconds = processor_seconds = 0.0
    for number, label in enumerate(labels):
        torch.manual_seed(number)
        work = options.out / "work" / label.name
        work.mkdir(parents=True)
        start, processor = time.monotonic(), time.process_time()
        seconds = 60 * options.minutes / len(labels)
        steps[label.name], draw = PEERS[options.peer](label, work, seconds, options)
        training_seconds += time.monotonic() - start
        processor_seconds += time.process_time() - processor
        start = time.monotonic()
        count = options.images // len(labels) + (number < options.images % len(labels))
        draw_images(draw, options.out / "images" / label.name, count, 50)
        drawing_seconds += time.monotonic() - start
        print(f"{label.name}: {steps[label.name]} steps, {count} images", flush=True)
    facts = {
        "steps": steps,
        "training_seconds": training_seconds,
        "processor_seconds": processor_seconds,
        "drawing_seconds": drawing_seconds,
    }
    (options.out / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
