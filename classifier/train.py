"""Training of a classifier: AdamW, warm-up and cosine, the weights of the lowest validation loss.

The budget is optimizer steps, so that training sets of different length get the same. Every random number
is keyed by (seed, purpose, rank, step), so that a resumed run continues bit for bit. What a fixed trunk
makes of the images is computed once, before the first step.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

from classifier.config import ClassifierConfig
from classifier.networks import ScaledPixels, build
from classifier.predict import TrainedClassifier, apply, save_classifier
from runtime import checkpoint
from runtime.dataset import stacked
from runtime.device import Compute
from runtime.progress import progress
from runtime.randomness import batch_indices, key
from runtime.run import Interrupted, Run, stop_on_signal

WARM_UP = 0.05  # share of the steps


def train(
    config: ClassifierConfig,
    training: Dataset,
    validation: Dataset,
    run: Run,
    compute: Compute,
    *,
    classes: Sequence[str],
    trunk: nn.Module | None = None,
    what: str = "classify-train",
) -> TrainedClassifier:
    """Train a classifier and leave it in the run's folder as `classifier.pt`.

    training, validation: (uint8 1×S×S image, label index) pairs. classes: the name of each label index.
    trunk: the pretrained trunk of an architecture that has one. what: the name on the progress bar.
    A checkpoint in the run's folder is continued. Per evaluation the journal gets the step, the epoch,
    and loss and accuracy in training (mean over the steps since the last one) and validation.

    Raises ValueError on images of another shape, FloatingPointError when the loss stops being finite, and
    Interrupted after a signal, with everything saved.
    """
    device = compute.device
    images, labels = stacked(training)
    validation_images, validation_labels = stacked(validation)
    if images.shape[1:] != validation_images.shape[1:]:
        raise ValueError(f"training images are {tuple(images.shape[1:])}, validation images {tuple(validation_images.shape[1:])}; expected one shape")
    size = images.shape[-1]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(config.seed, "network"))
        network = build(config.arch, len(classes), trunk).to(device, memory_format=torch.channels_last)
    inputs, validation_inputs = (_through_trunk(network.trunk, part, compute) for part in (images, validation_images))
    inputs, labels = inputs.to(device), labels.to(device)
    validation_labels = validation_labels.to(device)
    head = network.head
    optimizer = torch.optim.AdamW(head.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=device.type != "mps")
    best, best_loss, best_step = copy.deepcopy(head.state_dict()), math.inf, 0
    totals = torch.zeros(2, device=device)  # loss and correct share over the steps since the last evaluation
    step, seconds_before = 0, 0.0

    path = run.folder / "checkpoints" / "last.pt"
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        state = checkpoint.load(path, "classifier checkpoint")
        head.load_state_dict(state["head"])
        optimizer.load_state_dict(state["optimizer"])
        totals.copy_(state["totals"])
        best, best_loss, best_step = state["best"], state["best_loss"], state["best_step"]
        step, seconds_before = state["step"], state["seconds"]
        run.rewind_journal(state["journal_size"])
    else:
        run.rewind_journal(0)
    started = time.monotonic()

    def save() -> None:
        state = {"head": head.state_dict(), "optimizer": optimizer.state_dict(), "totals": totals, "step": step}
        state |= {"best": best, "best_loss": best_loss, "best_step": best_step}
        state |= {"seconds": seconds_before + time.monotonic() - started, "journal_size": run.journal_size()}
        checkpoint.save(path, "classifier checkpoint", state)

    with stop_on_signal() as stop, progress(config.steps, what, "step", done=step) as bar:
        while step < config.steps:
            network.train()
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * schedule(step, config.steps)
            chosen = batch_indices(len(inputs), config.batch_size, step, config.seed).to(device)
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                torch.manual_seed(key(config.seed, "step", 0, step))  # dropout
                with compute.autocast():
                    logits = head(_as_input(network.trunk, inputs[chosen]))
            loss = cross_entropy(logits.float(), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            totals += torch.stack([loss.detach(), (logits.argmax(1) == labels[chosen]).float().mean()])
            step += 1
            bar.update()

            if step % config.evaluate_every == 0 or step == config.steps:
                since = (step - 1) % config.evaluate_every + 1
                loss, accuracy = (totals / since).tolist()
                totals.zero_()
                if not math.isfinite(loss):
                    raise FloatingPointError(f"the loss is no longer finite at step {step}; try a lower --learning-rate")
                val_loss, val_accuracy = _evaluate(network, validation_inputs, validation_labels, compute)
                if val_loss < best_loss:
                    best, best_loss, best_step = copy.deepcopy(head.state_dict()), val_loss, step
                epoch = round(step * config.batch_size / len(inputs), 3)
                run.log(step=step, epoch=epoch, loss=loss, accuracy=accuracy, validation_loss=val_loss, validation_accuracy=val_accuracy)
                bar.set_postfix(loss=f"{loss:.3f}", validation=f"{val_accuracy:.3f}")
                save()
            if stop.requested and step < config.steps:
                save()
                raise Interrupted(f"stopped at step {step} of {config.steps}, saved; continue with --resume")

    head.load_state_dict(best)
    trained = TrainedClassifier(network.eval(), config.arch, size, tuple(classes))
    save_classifier(run.folder / "classifier.pt", trained)
    run.log(best_step=best_step, best_validation_loss=best_loss)
    return trained


def schedule(step: int, steps: int) -> float:
    """Learning-rate factor: linear warm-up, then half a cosine to zero (Loshchilov & Hutter 2017, eq. 5)."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _through_trunk(trunk: nn.Module, images: Tensor, compute: Compute) -> Tensor:
    """What is fed to the head in every epoch: pixels where the trunk is only a scaling, features where it is a network."""
    return images if isinstance(trunk, ScaledPixels) else apply(trunk, images, compute, "features")


def _as_input(trunk: nn.Module, inputs: Tensor) -> Tensor:
    return trunk(inputs) if inputs.dtype == torch.uint8 else inputs


def _evaluate(network: nn.Module, inputs: Tensor, labels: Tensor, compute: Compute) -> tuple[float, float]:
    """Cross-entropy and accuracy over all inputs."""
    module = network if inputs.dtype == torch.uint8 else network.head
    logits = apply(module, inputs, compute).to(labels.device)
    return cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).float().mean().item()
