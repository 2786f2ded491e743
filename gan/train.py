"""Training of the class-conditional DCGAN.

One step: draw a batch of reals and as many fakes of the same classes; the discriminator compares
each real with its fake under the relativistic loss and both penalties; the generator is updated
against it. Every random number is keyed by (seed, purpose, rank, step), so that a resumed run
continues bit for bit.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch.utils.data import Dataset

from gan import ema
from gan.augment import augment
from gan.config import GanConfig
from gan.losses import discriminator_loss, generator_loss, gradient_penalty
from gan.networks import Discriminator, Generator
from gan.sample import save_generator, to_float, to_uint8, write_grid
from runtime import checkpoint
from runtime.dataset import stacked
from runtime.device import Compute
from runtime.progress import progress
from runtime.randomness import batch_indices, key, torch_generator
from runtime.run import Interrupted, Run, stop_on_signal

SIGMA = 0.05  # scale of the finite differences, in units of the −1..1 range
PROBED = 4  # the penalties are estimated on every fourth image of a batch: unbiased, and a third cheaper per step
LOG_EVERY = 10
GRID_COLUMNS = 8


def train(
    config: GanConfig,
    dataset: Dataset,
    run: Run,
    compute: Compute,
    *,
    classes: Sequence[str],
    trained_on: Sequence[str],
    max_minutes: float | None = None,
) -> dict[str, Any]:
    """Train a generator on `dataset` and leave it in the run's folder as `generator.pt`.

    dataset: (uint8 1×S×S image, label index) pairs, S = config.image_size.
    classes: the name of each label index. trained_on: SHA-256 of each image, kept in the generator.
    max_minutes: stop, finished, after this much training time in all.
    A checkpoint in the run's folder is continued. Returns what goes into the run's result.

    Raises ValueError on images of another size, FloatingPointError when the losses stop being
    finite, and Interrupted after a signal, with everything saved.
    """
    device = compute.device
    reals, labels = stacked(dataset)
    if reals.shape[1:] != (1, config.image_size, config.image_size):
        raise ValueError(f"images are {tuple(reals.shape[1:])}, expected (1, {config.image_size}, {config.image_size})")
    label_counts = torch.bincount(labels, minlength=len(classes))
    reals, labels = reals.to(device), labels.to(device)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(config.seed, "networks"))
        shape = {"image_size": config.image_size, "classes": len(classes), "width": config.width}
        generator, discriminator = Generator(latent_size=config.latent_size, **shape), Discriminator(**shape)
    generator = generator.to(device, memory_format=torch.channels_last)
    discriminator = discriminator.to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(generator).requires_grad_(False)
    adam = {"lr": config.learning_rate, "betas": (0.0, 0.99), "fused": device.type != "mps"}
    generator_optimizer = torch.optim.Adam(generator.parameters(), **adam)
    discriminator_optimizer = torch.optim.Adam(discriminator.parameters(), **adam)
    stateful = {
        "generator": generator,
        "discriminator": discriminator,
        "average": average,
        "generator_optimizer": generator_optimizer,
        "discriminator_optimizer": discriminator_optimizer,
    }
    totals = torch.zeros(3, device=device)  # discriminator loss, generator loss, logit gap since the last log line
    probes = -(-config.batch_size // PROBED)
    step, seconds_before = 0, 0.0

    path = run.folder / "checkpoints" / "last.pt"
    path.parent.mkdir(exist_ok=True)
    (run.folder / "samples").mkdir(exist_ok=True)
    if path.exists():
        state = checkpoint.load(path, "gan checkpoint")
        if state["trained_on"] != list(trained_on):
            raise ValueError(f"{path}: the training images have changed since; start a new run without --resume")
        for name, part in stateful.items():
            part.load_state_dict(state[name])
        totals.copy_(state["totals"])
        step, seconds_before = state["step"], state["seconds"]
        run.reopen(asdict(config))
        run.rewind_journal(state["journal_size"])
    else:
        run.rewind_journal(0)
    started = time.monotonic()

    def seconds() -> float:
        return seconds_before + time.monotonic() - started

    def save() -> None:
        """The whole state, the generator that samples are drawn from, and its pictures."""
        network = ema.recalibrated(average, label_counts, config.batch_size, config.seed)
        save_generator(run.folder / "generator.pt", network, config=asdict(config), classes=classes, step=step, trained_on=trained_on)
        rows = 2 if len(classes) <= 4 else 1
        fixed = torch.randn(len(classes) * rows * GRID_COLUMNS, config.latent_size, generator=torch_generator(config.seed, "grid"))
        of_class = torch.arange(len(classes)).repeat_interleave(rows * GRID_COLUMNS)
        with torch.no_grad():
            images = to_uint8(network(fixed.to(device), of_class.to(device)))
        write_grid(run.folder / "samples" / f"step-{step:06d}.png", images.squeeze(1).cpu().numpy(), GRID_COLUMNS)
        state = {name: part.state_dict() for name, part in stateful.items()}
        state |= {"step": step, "seconds": seconds(), "totals": totals, "trained_on": list(trained_on), "journal_size": run.journal_size()}
        checkpoint.save(path, "gan checkpoint", state)

    with stop_on_signal() as stop, progress(config.steps, "gan-train", "step", done=step) as bar:
        while step < config.steps and not (max_minutes and seconds() >= 60 * max_minutes):
            random = torch_generator(config.seed, "step", 0, step, device=device)
            chosen = batch_indices(len(reals), config.batch_size, step, config.seed).to(device)
            real, label = to_float(reals[chosen]), labels[chosen]  # (B, 1, S, S), (B,)
            latents = torch.randn(config.batch_size, config.latent_size, generator=random, device=device)
            with compute.autocast():
                fake = generator(latents, label)

            seen = torch.cat([augment(real, random), augment(fake.detach(), random)])
            probed = torch.cat([seen[:probes], seen[config.batch_size : config.batch_size + probes]])
            shifted = probed + SIGMA * torch.randn(probed.shape, generator=random, device=device)
            with compute.autocast():
                logits = discriminator(torch.cat([seen, shifted]), torch.cat([label, label, label[:probes], label[:probes]]))
            real_logits, fake_logits, real_shifted, fake_shifted = logits.split([config.batch_size] * 2 + [probes] * 2)
            penalty = gradient_penalty(real_logits[:probes], real_shifted, SIGMA) + gradient_penalty(fake_logits[:probes], fake_shifted, SIGMA)
            d_loss = discriminator_loss(real_logits, fake_logits)
            discriminator_optimizer.zero_grad()
            (d_loss + config.penalty * penalty).backward()
            discriminator_optimizer.step()

            discriminator.requires_grad_(False)
            with compute.autocast():
                with torch.no_grad():
                    real_logits = discriminator(augment(real, random), label)
                fake_logits = discriminator(augment(fake, random), label)
            g_loss = generator_loss(real_logits, fake_logits)
            generator_optimizer.zero_grad()
            g_loss.backward()
            generator_optimizer.step()
            discriminator.requires_grad_(True)
            ema.update(average, generator, min(config.ema_decay, (1 + step) / (10 + step)))
            step += 1
            bar.update()

            gap = (real_logits - fake_logits.detach()).mean()
            totals += torch.stack([d_loss.detach(), g_loss.detach(), gap])
            if step % LOG_EVERY == 0:
                means = (totals / LOG_EVERY).tolist()
                totals.zero_()
                if not all(math.isfinite(value) for value in means):
                    raise FloatingPointError(f"losses are no longer finite at step {step}; the checkpoint before it is kept; try a lower --learning-rate")
                run.log(step=step, d_loss=round(means[0], 6), g_loss=round(means[1], 6), gap=round(means[2], 6))
                bar.set_postfix(d_loss=f"{means[0]:.3f}", g_loss=f"{means[1]:.3f}")
            if stop.requested:
                save()
                raise Interrupted(f"stopped at step {step} of {config.steps}, saved; continue with --resume")
            if step % config.sample_every == 0:
                save()
    save()
    return {"step": step, "seconds": round(seconds(), 1), "images": len(reals), "parameters": parameter_counts(generator, discriminator)}


def parameter_counts(generator: Generator, discriminator: Discriminator) -> dict[str, int]:
    return {name: sum(p.numel() for p in network.parameters()) for name, network in (("generator", generator), ("discriminator", discriminator))}
