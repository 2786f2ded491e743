"""Training of a class-conditional GAN.

One step: draw a batch of reals and as many fakes of the same classes; the discriminator is updated on both, then the generator
against it. Every random number is keyed by (seed, purpose, step), so that a resumed run continues bit for bit. Of several
processes each takes its share of the same batch and the same random numbers, and gradients are averaged: the number of processes
changes the speed of training and, but for rounding, nothing else (BatchNorm and Dropout of the papers' presets work per process).

The learning rate is constant and falls linearly to 0 at the end (the schedule of Hu et al. 2024, arXiv:2404.06395, section 4). The state before it falls
is kept, so that a run that is made longer goes on from there, and becomes what it would have been had it been asked for that length at once.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from gan.augment import DRAWS, augment
from gan.config import GanConfig
from gan.doctor import Reference, diagnose
from gan.losses import PROBED
from gan.networks import Generator
from gan.presets import build_discriminator, build_game, build_generator
from gan.sample import drawn, save_generator, to_float, write_grid
from gan.snapshots import best_snapshot, file_as_tensor, go_back, prune, snapshots, what_is_kept
from runtime import checkpoint
from runtime.dataset import stacked
from runtime.device import Compute
from runtime.files import Record
from runtime.progress import progress
from runtime.randomness import batch_indices, key, torch_generator
from runtime.run import Interrupted, Run, stop_on_signal

LOG_EVERY = 10
CHECK_EVERY = 50  # steps between two looks of the doctor
CHECKED, SCORED = 64, 256  # samples per class for a look, and for the score of a snapshot
GRID_COLUMNS = 8

_log = logging.getLogger(__name__)


def train(
    config: GanConfig,
    dataset: Dataset,
    run: Run,
    compute: Compute,
    *,
    classes: Sequence[str],
    trained_on: Sequence[str],
    validation: Dataset | None = None,
    max_minutes: float | None = None,
    keep_going: bool = False,
) -> dict[str, Any]:
    """Train a generator on `dataset`; leave snapshots in the run's folder, and the best as `generator.pt`.

    dataset: (uint8 1×S×S image, label index) pairs, S = config.image_size. validation: more of the kind, to measure snapshots
    by beside the training images; never trained on.
    classes: the name of each label index. trained_on: SHA-256 of each image, kept in the generator.
    max_minutes: be finished after this much training time in all. keep_going: whatever the doctor says.
    A checkpoint in the run's folder is continued; from before its learning rate fell, when it is to be trained for longer. Returns what goes into the run's result.

    Raises ValueError on images of another size, a batch that the processes cannot share, a checkpoint of other images or options,
    or when the doctor stops a collapsed run; FloatingPointError when the losses stop being finite; and Interrupted after a
    signal, with everything saved.
    """
    device = compute.device
    reals, labels = stacked(dataset)
    if reals.shape[1:] != (1, config.image_size, config.image_size):
        raise ValueError(
            f"images are {tuple(reals.shape[1:])}, expected (1, {config.image_size}, {config.image_size})"
        )
    if compute.world_size > 1 and config.batch_size % (PROBED * compute.world_size):
        raise ValueError(
            f"--batch-size {config.batch_size} over {compute.world_size} processes: expected a multiple of {PROBED * compute.world_size}"
        )
    share = config.batch_size // compute.world_size
    mine = slice(compute.rank * share, (compute.rank + 1) * share)  # of every batch
    mine_probed = slice(
        compute.rank * share // PROBED,
        (compute.rank + 1) * share // PROBED if compute.world_size > 1 else None,
    )
    probed = -(-config.batch_size // PROBED)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(config.seed, "networks"))
        generator, discriminator = (
            build_generator(config, len(classes)),
            build_discriminator(config, len(classes)),
        )
    if isinstance(generator, Generator):
        generator.start_from(to_float(reals), labels)
    references = (
        _references(reals, labels, validation, len(classes)) if compute.is_main_process else []
    )
    generator = generator.to(device, memory_format=torch.channels_last)
    discriminator = discriminator.to(device, memory_format=torch.channels_last)
    reals, labels = reals.to(device), labels.to(device)
    average = copy.deepcopy(generator).requires_grad_(False) if config.ema_decay else generator
    adam = {
        "lr": config.learning_rate,
        "betas": (config.beta1, config.beta2),
        "fused": device.type != "mps",
    }
    generator_optimizer = torch.optim.Adam(generator.parameters(), **adam)
    discriminator_optimizer = torch.optim.Adam(discriminator.parameters(), **adam)
    stateful = {
        "generator": generator,
        "discriminator": discriminator,
        "average": average,
        "generator_optimizer": generator_optimizer,
        "discriminator_optimizer": discriminator_optimizer,
    }
    game = build_game(config)
    totals = torch.zeros(
        3, device=device
    )  # discriminator loss, generator loss, logit gap since the last log line
    step, seconds_before = 0, 0.0
    cooling_from, end = (
        -1,
        config.steps,
    )  # the step at which the learning rate began to fall, if it has, and the one at which it is 0
    limit = 60 * max_minutes if max_minutes else math.inf  # seconds

    path, before_cooldown = (
        run.folder / "checkpoints" / name for name in ("last.pt", "before-cooldown.pt")
    )
    if path.exists():
        state, longer = _load_state(path), False
        if state["cooling_from"] >= 0:
            longer = config.steps > state["config"].get("steps", 0) or limit > state["limit"]
            state = _load_state(before_cooldown, generator_file=torch.Tensor) if longer else state
        changed = [
            name
            for name, value in asdict(config).items()
            if name != "steps" and state["config"].get(name) != value
        ]
        if changed:
            raise ValueError(
                f"{path} was made with another {', '.join(changed)}; start a new run without --resume"
            )
        if state["trained_on"] != list(trained_on):
            raise ValueError(
                f"{path}: the training images have changed since; start a new run without --resume"
            )
        checkpoint.restore(stateful | {"totals": totals}, state)
        run.journal(
            state["journal_size"]
        )  # which raises where it is damaged, before anything is changed
        step, seconds_before = state["step"], state["seconds"]
        cooling_from, end = (
            (state["cooling_from"], state["end"])
            if state["cooling_from"] >= 0
            else (-1, config.steps)
        )
    if compute.is_main_process:
        for folder in ("checkpoints", "samples", "snapshots"):
            (run.folder / folder).mkdir(exist_ok=True)
        if path.exists():
            run.reopen(asdict(config))
            if longer:
                go_back(run, state)
        run.rewind_journal(state["journal_size"] if path.exists() else 0)
    for parameter in [*generator.parameters(), *discriminator.parameters()]:
        parameter.grad = torch.zeros_like(parameter)
    started = time.monotonic()

    def seconds() -> float:
        return seconds_before + time.monotonic() - started

    def past(share: float) -> bool:
        """Whether this share of the time is over, for all processes alike."""
        return limit < math.inf and compute.agree(seconds() >= share * limit)

    def measure(count: int) -> tuple[list[float], list[float]]:
        """Diversity and distance of each class."""
        samples = drawn(
            average,
            [index for index in range(len(classes)) for _ in range(count)],
            config,
            "measure",
        )
        pairs = [
            reference.measure(part)
            for reference, part in zip(references, to_float(samples).split(count))
        ]
        return [round(a, 4) for a, _ in pairs], [round(b, 4) for _, b in pairs]

    def save_state(path: Path = path, **more: Any) -> None:
        state = {name: part.state_dict() for name, part in stateful.items()}
        state |= {
            "step": step,
            "seconds": seconds(),
            "totals": totals,
            "trained_on": list(trained_on),
            "limit": limit,
        }
        state |= {
            "cooling_from": cooling_from,
            "end": end,
            "config": asdict(config),
            "journal_size": run.journal_size(),
        }
        checkpoint.save(path, "gan checkpoint", state | more)

    def save_snapshot() -> None:
        """The generator of this step with its score and pictures, as the run's generator if it is the best so far."""
        if any(event["step"] == step for event in snapshots(run)):
            return
        diversities, distances = measure(SCORED)
        run.log(step=step, diversity=diversities, distance=distances)
        about = {
            "step": step,
            "diversity": diversities,
            "distance": distances,
            "classes": list(classes),
            "trained_on": list(trained_on),
        }
        save_generator(run.folder / "snapshots" / f"step-{step:06d}.pt", average, config, **about)
        if best_snapshot(run)["step"] == step:
            save_generator(run.folder / "generator.pt", average, config, **about)
        rows = 2 if len(classes) <= 4 else 1
        grid = drawn(
            average,
            [index for index in range(len(classes)) for _ in range(rows * GRID_COLUMNS)],
            config,
            "grid",
        )
        write_grid(
            run.folder / "samples" / f"step-{step:06d}.png", grid.squeeze(1).numpy(), GRID_COLUMNS
        )
        prune(run, step, config.sample_every)

    def consult_doctor() -> str | None:
        """Log the diversity of the samples; the reason to stop, if there is one."""
        run.log(step=step, diversity=measure(CHECKED)[0])
        journal = run.journal()
        finding, hopeless = diagnose(journal, classes)
        if finding and not any(
            event.get("doctor") and event["step"] > step - 500 for event in journal
        ):
            _log.warning("step %d: %s", step, finding)
            run.log(step=step, doctor=finding)
        return finding if hopeless and not keep_going else None

    on_cuda = [device] if device.type == "cuda" else []
    with (
        stop_on_signal() as stop,
        progress(config.steps, "gan-train", "step", done=step) as bar,
        torch.random.fork_rng(devices=on_cuda),
    ):
        while step < end and not past(1):
            if config.cooldown and cooling_from < 0:
                in_time = past(1 - config.cooldown)
                if in_time or step >= round(config.steps * (1 - config.cooldown)):
                    if compute.is_main_process:
                        save_state(
                            before_cooldown,
                            generator_file=file_as_tensor(run.folder / "generator.pt"),
                        )
                    cooling_from, end = (
                        step,
                        min(config.steps, max(step + 1, round(step / (1 - config.cooldown))))
                        if in_time
                        else config.steps,
                    )
            if cooling_from >= 0:
                for optimizer in (generator_optimizer, discriminator_optimizer):
                    optimizer.param_groups[0]["lr"] = (
                        config.learning_rate * (end - step) / max(end - cooling_from, 1)
                    )
            random = torch_generator(config.seed, "step", step, device=device)
            torch.manual_seed(key(config.seed, "layers", compute.rank, step))  # for Dropout
            chosen = batch_indices(len(reals), config.batch_size, step, config.seed)[mine].to(
                device
            )
            latents = (
                torch.randn(config.batch_size, config.latent_size, generator=random, device=device)[
                    mine
                ]
                * config.latent_scale
            )
            draws = torch.rand(2, config.batch_size, DRAWS, generator=random, device=device)[
                :, mine
            ]
            noise = torch.randn(
                2, probed, config.channels, *reals.shape[2:], generator=random, device=device
            )[:, mine_probed].flatten(0, 1)
            real, label = (
                to_float(reals[chosen]).expand(-1, config.channels, -1, -1),
                labels[chosen],
            )  # (B, C, S, S), (B,)
            with compute.autocast():
                fake = generator(latents, label)
            if config.augment:
                real, fake = augment(real, draws[0]), augment(fake, draws[1])

            judged = fake.detach().requires_grad_()
            with compute.autocast():
                loss, d_loss, gap = game.discriminator(discriminator, real, judged, label, noise)
            discriminator_optimizer.zero_grad(set_to_none=False)
            loss.backward()
            compute.average([parameter.grad for parameter in discriminator.parameters()])
            discriminator_optimizer.step()

            discriminator.requires_grad_(False)
            with compute.autocast():
                g_loss, gradient = game.generator(
                    discriminator, judged, judged.grad, gap.detach(), label
                )
            discriminator.requires_grad_(True)
            generator_optimizer.zero_grad(set_to_none=False)
            fake.backward(gradient)
            statistics = torch.stack([d_loss.detach(), g_loss.detach(), gap.detach().mean()])
            compute.average([*(parameter.grad for parameter in generator.parameters()), statistics])
            generator_optimizer.step()
            if config.ema_decay:
                decay = min(config.ema_decay, (1 + step) / (10 + step))
                with (
                    torch.no_grad()
                ):  # or each step would hang on the one before, in memory, to the end
                    torch._foreach_lerp_(
                        list(average.parameters()), list(generator.parameters()), 1 - decay
                    )
            totals += statistics
            step += 1
            bar.update()

            if step % LOG_EVERY == 0:
                means = (totals / LOG_EVERY).tolist()
                totals.zero_()
                if not all(math.isfinite(value) for value in means):
                    raise FloatingPointError(
                        f"losses are no longer finite at step {step}; {what_is_kept(run)}; try a lower --learning-rate"
                    )
                if compute.is_main_process:
                    run.log(
                        step=step,
                        d_loss=round(means[0], 6),
                        g_loss=round(means[1], 6),
                        gap=round(means[2], 6),
                    )
                bar.set_postfix(d_loss=f"{means[0]:.3f}", g_loss=f"{means[1]:.3f}")
            if step % CHECK_EVERY == 0:
                hopeless = compute.agree(consult_doctor() if compute.is_main_process else None)
                if hopeless:
                    raise ValueError(
                        f"stopped at step {step}: {hopeless}; {what_is_kept(run)} (--keep-going would go on)"
                    )
            if step % config.sample_every == 0 and compute.is_main_process:
                save_snapshot()
                save_state()
            if (compute.world_size == 1 or step % LOG_EVERY == 0) and compute.any(stop.requested):
                if compute.is_main_process:
                    save_state()
                raise Interrupted(
                    f"stopped at step {step} of {config.steps}, saved; continue with --resume"
                )
    if compute.is_main_process:
        save_snapshot()
        save_state()
    counts = {
        name: sum(p.numel() for p in stateful[name].parameters())
        for name in ("generator", "discriminator")
    }
    return {
        "step": step,
        "seconds": round(seconds(), 1),
        "images": len(reals),
        "parameters": counts,
    }


def _load_state(path: Path, **kinds: type) -> Record:
    kinds |= {
        "config": dict,
        "trained_on": list,
        "step": int,
        "seconds": float,
        "journal_size": int,
        "cooling_from": int,
        "end": int,
        "limit": float,
    }
    return checkpoint.load(path, "gan checkpoint", **kinds)


def _references(
    reals: torch.Tensor, labels: torch.Tensor, validation: Dataset | None, classes: int
) -> list[Reference]:
    if validation is not None and len(validation):
        more, more_labels = stacked(validation)
        reals, labels = torch.cat([reals, more]), torch.cat([labels, more_labels])
    return [Reference(to_float(reals[labels == index])) for index in range(classes)]
