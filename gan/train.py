"""Training of a class-conditional GAN.

One step: draw a batch of reals and as many fakes of the same classes; the discriminator is updated
on both, then the generator against it. Every random number is keyed by (seed, purpose, step), so
that a resumed run continues bit for bit. Of several processes each takes its share of the same
batch and the same random numbers, and gradients are averaged: the number of processes changes the
speed of training and, but for rounding, nothing else (BatchNorm, Dropout and the minibatch's
deviation of the papers' presets work per process).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from tqdm import tqdm

from gan import fbgan
from gan.augment import augment
from gan.batches import Batch, BatchSampler, TrainingData, stack_training_images
from gan.checkpoints import Checkpoints
from gan.compiled import compile_networks
from gan.config import GanConfig
from gan.growth import growth_at
from gan.losses import DiscriminatorLoss, Game
from gan.monitor import Monitor, measure_references
from gan.presets import build_game, count_parameters, is_steady
from gan.snapshots import best_snapshot, describe_rollback
from gan.training_state import Clock, TrainingState, build_networks, cooldown_end
from runtime.device import Compute
from runtime.progress import progress
from runtime.randomness import seed_layers
from runtime.recorded_step import RecordedStep
from runtime.run import Interrupted, Run, stop_on_signal
from runtime.stopwatch import Stopwatch

LOG_EVERY = 10  # steps between two log lines of the losses
CHECK_EVERY = 50  # steps between two looks of the doctor

_log = logging.getLogger(__name__)


def train(
    config: GanConfig,
    data: TrainingData,
    run: Run,
    compute: Compute,
    *,
    max_minutes: float | None = None,
    keep_going: bool = False,
    compiled: bool = False,
    graph: bool = True,
) -> dict[str, Any]:
    """Train a generator; leave snapshots in the run's folder, and the best as `generator.pt`.

    A checkpoint in the run's folder is continued; from before its learning rate fell, when it is
    to be trained for longer.

    Args:
        config: What determines the generator.
        data: Images of the last of config.sides.
        run: Where everything is written, by the main process alone.
        compute: Device, precision and processes.
        max_minutes: Be finished after this much training time in all, with the learning rate at 0.
        keep_going: Go on whatever the doctor says, and end with the best snapshot where losses are
            no longer finite.
        compiled: Compile the networks first; their arithmetic then rounds differently.
        graph: Launch each step as one CUDA graph where that can be; the results are the same.

    Returns:
        What goes into the run's result: step, seconds, those of each part of this session, images,
        and parameters of each network.

    Raises:
        OptionError: The processes cannot share a batch equally.
        ValueError: The images have another size, the checkpoint is of other images or options, or
            the doctor stops a collapsed run.
        FloatingPointError: The losses are no longer finite, and it was not told to keep going or
            has no snapshot.
        Interrupted: A signal stopped it; everything is saved.
    """
    watch = Stopwatch("preparation")
    is_main_process, device = compute.is_main_process, compute.device
    images, labels = stack_training_images(data, config)  # (N, 1, S, S) uint8, (N,)
    asked, config = config, limit_steps(config, len(images), compute)
    batches = BatchSampler(config, images, labels, compute)
    networks = build_networks(config, len(data.classes), images, labels)
    monitor = Monitor(
        config, data, run, measure_references(config, data) if is_main_process else []
    )

    # All that changes as it trains, from the run's checkpoint if it has one.
    time_limit = 60 * max_minutes if max_minutes else math.inf  # seconds
    state = TrainingState.initial(config, *networks, device)
    checkpoints = Checkpoints(run, asked, data.trained_on, time_limit)
    checkpoints.resume(state, is_main_process=is_main_process)
    clock = Clock(state.seconds_before, time_limit, compute)
    take_step = prepare_steps(config, state, compute, compiled=compiled, graph=graph)
    is_lost = False  # to losses that are no longer finite
    watch.begin("first step")

    with (
        stop_on_signal() as stop,
        progress(config.steps, "gan-train", "step", done=state.step) as bar,
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
    ):
        while state.step < state.end and (time_share := clock.share()) < 1:
            # The networks grow, where they are to, side by side.
            growth = state.grow(growth_at(config, state.step, time_share))

            # The learning rate is constant, then falls to 0 from a state that is kept.
            end = cooldown_end(config, state, time_share)
            if end is not None:
                if is_main_process:
                    checkpoints.save_before_cooldown(state, clock.seconds())
                state.cooling_from, state.end = state.step, end
            state.prepare_step(config, time_share)

            # This process's part of the batch, b pairs of a real and a fake of its class.
            seed_layers(device, config.seed, "layers", compute.rank, state.step)
            take_step(batches.draw(state.step, growth))
            state.step += 1
            bar.update()

            # Log, look, save, stop.
            if state.step % LOG_EVERY == 0:
                is_lost = not log_losses(state, run, bar, is_main_process, keep_going=keep_going)
                if is_lost:
                    break
            if state.step % CHECK_EVERY == 0:
                watch.begin("doctor")
                check_health(state, monitor, run, compute, keep_going=keep_going)
            if state.step % config.sample_every == 0 and is_main_process:
                watch.begin("snapshots")
                monitor.save_snapshot(state.average, state.step)
                checkpoints.save(state, clock.seconds())
            may_stop = compute.world_size == 1 or state.step % LOG_EVERY == 0
            if may_stop and compute.any(stop.requested):
                if is_main_process:
                    checkpoints.save(state, clock.seconds())
                raise Interrupted(
                    f"stopped at step {state.step} of {config.steps}, saved; continue with `resume`"
                )
            watch.begin("steps")

    if is_main_process and not is_lost:
        watch.begin("snapshots")
        monitor.save_snapshot(state.average, state.step)
        checkpoints.save(state, clock.seconds())
    return {
        "step": state.step,
        "seconds": round(clock.seconds(), 1),
        "seconds_by_part": watch.read(),
        "images": len(images),
        "parameters": {
            "generator": count_parameters(state.generator),
            "discriminator": count_parameters(state.discriminator),
        },
    }


def limit_steps(config: GanConfig, images: int, compute: Compute) -> GanConfig:
    """Return the config with the steps that so many images may have; say if those are fewer."""
    limited = config.for_images(images)
    if compute.is_main_process and limited.steps < config.steps:
        _log.warning(
            "%d training images: %d of %d steps, in which each is seen %d times (--max-epochs)",
            images,
            limited.steps,
            config.steps,
            config.max_epochs,
        )
    return limited


def prepare_steps(
    config: GanConfig, state: TrainingState, compute: Compute, *, compiled: bool, graph: bool
) -> Callable[[Batch], None]:
    """Return what takes a step on a batch: `training_step`, or a recording of it."""
    if compiled:
        compile_networks(config, state)
    take_step = partial(training_step, config, state, build_game(config), compute)
    if graph and is_steady(config) and compute.world_size == 1:
        return RecordedStep(take_step, compute.device)
    if graph and compute.device.type == "cuda" and compute.is_main_process:
        _log.warning(
            "each kernel is launched by itself: a step is one CUDA graph with preset small-data at "
            "one side, in one process"
        )
    return take_step


def training_step(
    config: GanConfig, state: TrainingState, game: Game, compute: Compute, batch: Batch
) -> None:
    """Update discriminator, generator and average by one batch.

    Nothing is read back from the device here, and all that changes from step to step is in the
    batch and the state's tensors: so that the step can be recorded.
    """
    reals, latents = batch.reals, batch.latents  # (b, C, S, S), (b, latent_size)
    with compute.autocast():
        if state.encodes:
            latents = cast(fbgan.Generator, state.generator).encode(reals, batch.labels)
        fakes = state.generator(latents, batch.labels)  # (b, C, S, S)
    if config.augment:
        both = augment(torch.cat([reals, fakes]), batch.draws.flatten(0, 1))
        reals, fakes = both[: len(reals)].detach(), both[len(reals) :]
    judged = fakes.detach().requires_grad_()
    loss = discriminator_step(state, game, reals, judged, batch, compute)
    state.totals += generator_step(state, game, fakes, judged, loss, batch, compute)
    if config.ema_decay:
        state.update_average()


def discriminator_step(
    state: TrainingState,
    game: Game,
    reals: Tensor,
    judged: Tensor,
    batch: Batch,
    compute: Compute,
) -> DiscriminatorLoss:
    """Update the discriminator on reals and fakes; the fakes get their gradient of its loss.

    Args:
        state: Its discriminator is updated.
        game: The losses.
        reals: (b, C, S, S), augmented.
        judged: The fakes, (b, C, S, S), a leaf of the graph.
        batch: The batch.
        compute: Precision and processes.
    """
    with compute.autocast():
        loss = game.discriminator(state.discriminator, reals, judged, batch.labels, batch.noise)
    state.discriminator_optimizer.zero_grad()
    loss.total.backward()
    compute.average(gradients(state.discriminator))
    state.discriminator_optimizer.step()
    return loss


def generator_step(
    state: TrainingState,
    game: Game,
    fakes: Tensor,
    judged: Tensor,
    loss: DiscriminatorLoss,
    batch: Batch,
    compute: Compute,
) -> Tensor:
    """Update the generator against the discriminator.

    Args:
        state: Its generator is updated.
        game: The losses.
        fakes: (b, C, S, S), on the generator's graph.
        judged: The same, as the discriminator's step left them.
        loss: What that step returned.
        batch: The batch.
        compute: Precision and processes.

    Returns:
        Discriminator loss, generator loss and mean logit gap of the whole batch, (3,).
    """
    assert judged.grad is not None
    gap = loss.gap.detach()  # (b,)
    state.discriminator.requires_grad_(False)
    with compute.autocast():
        generator_loss, gradient = game.generator(
            state.discriminator, judged, judged.grad, gap, batch.labels
        )
        if state.encodes:
            distance, pull = fbgan.pull_to_reals(judged, batch.reals)
            generator_loss, gradient = generator_loss + distance, gradient + pull
    state.discriminator.requires_grad_(True)
    state.generator_optimizer.zero_grad()
    fakes.backward(gradient)
    statistics = torch.stack([loss.adversarial.detach(), generator_loss.detach(), gap.mean()])
    compute.average([*gradients(state.generator), statistics])
    state.generator_optimizer.step()
    return statistics


def gradients(network: nn.Module) -> list[Tensor]:
    """Return the gradient of every parameter."""
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]


def log_losses(
    state: TrainingState, run: Run, bar: tqdm, is_main_process: bool, *, keep_going: bool
) -> bool:
    """Log the mean losses since the last time, and say whether they are finite.

    Raises FloatingPointError if one is not, unless to keep going leaves a snapshot to end with.
    """
    d_loss, g_loss, gap = (state.totals / LOG_EVERY).tolist()
    state.totals.zero_()
    if not all(math.isfinite(mean) for mean in (d_loss, g_loss, gap)):
        finding = (
            f"losses are no longer finite at step {state.step}; {describe_rollback(run)}; try a "
            "lower `learning_rate`"
        )
        if not keep_going or best_snapshot(run) is None:
            raise FloatingPointError(finding)
        if is_main_process:
            _log.warning("%s", finding)
            run.log(step=state.step, doctor=finding)
        return False
    losses = {"d_loss": round(d_loss, 6), "g_loss": round(g_loss, 6), "gap": round(gap, 6)}
    side = {} if state.side is None else {"side": state.side}
    if is_main_process:
        run.log(step=state.step, **losses, **side)
    bar.set_postfix(d_loss=f"{d_loss:.3f}", g_loss=f"{g_loss:.3f}", **side)
    return True


def check_health(
    state: TrainingState, monitor: Monitor, run: Run, compute: Compute, *, keep_going: bool
) -> None:
    """Let the doctor look at the generator. Raises ValueError if it is hopeless to go on."""
    hopeless = compute.agree(
        monitor.check_health(state.average, state.step) if compute.is_main_process else None
    )
    if hopeless and not keep_going:
        raise ValueError(
            f"stopped at step {state.step}: {hopeless}; {describe_rollback(run)} "
            "(`keep_going` would go on)"
        )
