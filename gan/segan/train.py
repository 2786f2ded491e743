"""Training of a lung network.

One step: a batch of images with their masks, augmented; the segmentor lowers its loss, and against
a critic the critic climbs the part of it that it shares. Two departures from SegAN (Xue et al.
2018): it updates the two in turn, here one pass, forward and back, serves both, since they play for
one loss; and its segmentor has the critic's gradient alone, here the pixel loss stands beside it,
so that the critic is all that differs between the losses. Every random number is keyed by (seed,
purpose, step), so that a resumed run continues bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gan.segan.augment import augment
from gan.segan.config import LungsConfig
from gan.segan.losses import multi_scale_l1, pixel_loss
from gan.segan.segmentation import LungNetwork, dice_of_masks, lung_chances, save_lung_network
from gan.segan.training_state import TrainingState
from runtime.device import Compute
from runtime.progress import progress
from runtime.randomness import batch_indices, torch_generator
from runtime.run import Interrupted, Run, stop_on_signal

WARM_UP = 0.05  # share of the steps


@dataclass(frozen=True)
class LungData:
    """What a lung network is trained on.

    Attributes:
        images, masks: uint8 (N, 1, S, S); a mask is 0 to 255, the share of lung in each pixel.
        trained_on: SHA-256 of each image.
        validation_images, validation_masks: The same, of the images that choose the step.
    """

    images: Tensor
    masks: Tensor
    trained_on: Sequence[str]
    validation_images: Tensor
    validation_masks: Tensor


def train(
    config: LungsConfig,
    data: LungData,
    run: Run,
    compute: Compute,
    start: LungNetwork | None = None,
) -> TrainingState:
    """Train a lung network and leave it in the run's folder as `lungs.pt`.

    start: a network of the same width whose weights to begin with; its images count as seen too.
    A checkpoint in the run's folder is continued. Per look at the validation images the journal
    gets the step, the mean losses since the last one, and the mean Dice of the averaged segmentor.

    Returns:
        The state at the end; its `best` are the weights that were kept.

    Raises:
        ValueError: The checkpoint is of other images or options.
        FloatingPointError: The loss is no longer finite.
        Interrupted: A signal stopped it; everything is saved.
    """
    device = compute.device
    trained_on = list(dict.fromkeys([*data.trained_on, *(start.trained_on if start else ())]))
    segmentor = start.segmentor if start else None
    state = TrainingState.begin(config, trained_on, run, compute, segmentor)
    with (
        stop_on_signal() as stop,
        progress(config.steps, "lungs-train", "step", done=state.step) as bar,
    ):
        while state.step < config.steps:
            rate = config.learning_rate * schedule(state.step, config.steps)
            state.segmentor_optimizer.param_groups[0]["lr"] = rate
            chosen = batch_indices(len(data.images), config.batch_size, state.step, config.seed)
            images, masks = augment(
                data.images[chosen].to(device).float() / 255,  # (B, 1, S, S)
                data.masks[chosen].to(device).float() / 255,
                torch_generator(config.seed, "lung augmentation", state.step),
            )
            state.totals += update_networks(config, state, images, masks, compute)
            state.step += 1
            state.update_average()
            bar.update()

            if state.step % config.evaluate_every == 0 or state.step == config.steps:
                dice = look_at_validation(state, data)
                log_losses(config, state, run, dice)
                bar.set_postfix(dice=f"{dice:.4f}")
                state.save(run, config, trained_on)
            if state.step < config.steps and stop.requested:
                state.save(run, config, trained_on)
                raise Interrupted(
                    f"stopped at step {state.step} of {config.steps}, saved; continue with `resume`"
                )

    state.average.load_state_dict(state.best)
    network = LungNetwork(state.average, config, tuple(trained_on))
    save_lung_network(run.folder / "lungs.pt", network)
    return state


def update_networks(
    config: LungsConfig, state: TrainingState, images: Tensor, masks: Tensor, compute: Compute
) -> Tensor:
    """Do one step of the segmentor, and of the critic where there is one.

    images, masks: (B, 1, S, S) in 0..1. Returns pixel loss and multi-scale L1, (2,).
    """
    images = images.contiguous(memory_format=torch.channels_last)
    with compute.autocast():
        logits = state.segmentor(images).float()  # (B, 1, S, S)
    pixels = pixel_loss(logits, masks)
    critic_part = torch.zeros_like(pixels)
    if config.loss == "segan":
        shifted = 2 * images - 1  # so that the dark of a lung differs from what is masked out
        with compute.autocast():
            true = state.critic(shifted * masks)
            drawn = state.critic(shifted * logits.sigmoid())
        critic_part = multi_scale_l1(true, drawn)
    state.segmentor_optimizer.zero_grad()
    state.critic_optimizer.zero_grad()
    (pixels + critic_part).backward()
    state.segmentor_optimizer.step()
    if config.loss == "segan":
        state.critic_optimizer.step()
        state.critic.clip()
    return torch.stack([pixels.detach(), critic_part.detach()])


def look_at_validation(state: TrainingState, data: LungData) -> float:
    """Return the mean Dice of the validation images, and keep the weights if it is the best."""
    drawn = lung_chances(state.average, data.validation_images) > 0.5  # (N, S, S)
    dice = dice_of_masks(drawn, data.validation_masks[:, 0] > 127).mean().item()
    state.keep_if_best(dice)
    return dice


def log_losses(config: LungsConfig, state: TrainingState, run: Run, dice: float) -> None:
    """Log the mean losses since the last look. Raises FloatingPointError if one is not finite."""
    steps = (state.step - 1) % config.evaluate_every + 1
    pixels, critic_part = (state.totals / steps).tolist()
    state.totals.zero_()
    if not math.isfinite(pixels + critic_part):
        raise FloatingPointError(
            f"the loss is no longer finite at step {state.step}; try a lower `learning_rate`"
        )
    run.log(step=state.step, pixel_loss=pixels, critic_loss=critic_part, validation_dice=dice)


def schedule(step: int, steps: int) -> float:
    """Return the learning-rate factor: linear warm-up, then half a cosine to zero."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
