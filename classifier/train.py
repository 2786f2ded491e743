"""Training of a classifier: AdamW, warm-up and cosine, the weights of the lowest validation loss.

The budget is optimizer steps, so that training sets of different length get the same. Every random number
is keyed by (seed, purpose, rank, step), so that a resumed run continues bit for bit. What a fixed trunk
makes of the images is computed once, before the first step. Of several processes each takes its share of a batch, and gradients are
averaged; BatchNorm, dropout and augmentation work per process, so that training differs a little with their number, and evaluation not at all.
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
from classifier.features import FeatureStore, apply
from classifier.networks import Network, ScaledPixels
from classifier.predict import TrainedClassifier, save_classifier
from classifier.svm import Svm, svm_trunk
from classifier.task import prepare
from runtime import checkpoint
from runtime.dataset import stacked
from runtime.device import Compute
from runtime.progress import progress
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
    start: TrainedClassifier | None = None,
    store: FeatureStore | None = None,
    what: str = "classify-train",
) -> TrainedClassifier:
    """Train a classifier and leave it in the run's folder as `classifier.pt`.

    training, validation: (uint8 1×S×S image, label index) pairs. classes: the name of each label index.
    trunk: the pretrained trunk of an architecture that has one. start: a classifier of the same kind whose weights to begin with, for fine-tuning. store: where features are looked up and kept. what: the name on the progress bar.
    A checkpoint in the run's folder is continued. Per evaluation the journal gets the step, the epoch,
    and loss and accuracy in training (mean over the steps since the last one) and validation.

    Raises ValueError on images of another shape, FloatingPointError when the loss stops being finite, and
    Interrupted after a signal, with everything saved.
    """
    device, store = compute.device, store or FeatureStore()
    images, labels = stacked(training)
    validation_images, validation_labels = stacked(validation)
    if images.shape[1:] != validation_images.shape[1:]:
        raise ValueError(
            f"training images are {tuple(images.shape[1:])}, validation images {tuple(validation_images.shape[1:])}; expected one shape"
        )
    size = images.shape[-1]

    if config.arch == "svm":
        return _fit_svm(
            config,
            (images, labels),
            (validation_images, validation_labels),
            run,
            compute,
            classes,
            trunk,
            store,
        )
    task = prepare(config, images, labels, compute, classes, trunk, store)
    network, head, optimizer = task.network, task.network.head, task.optimizer()
    if start:
        head.load_state_dict(start.network.head.state_dict())
    fixed = not isinstance(network.trunk, ScaledPixels)
    validation_inputs = (
        store.features(network.trunk, validation_images, compute, "features")
        if fixed
        else validation_images
    )
    validation_labels = validation_labels.to(device)
    best, best_loss, best_step = copy.deepcopy(head.state_dict()), math.inf, 0
    totals = torch.zeros(
        2, device=device
    )  # loss and correct share over the steps since the last evaluation
    step, seconds_before, tired = 0, 0.0, False

    path = run.folder / "checkpoints" / "last.pt"
    if path.exists():
        state = checkpoint.load(
            path,
            "classifier checkpoint",
            best=dict,
            best_loss=float,
            best_step=int,
            step=int,
            seconds=float,
            journal_size=int,
        )
        checkpoint.restore({"best": head}, state)
        checkpoint.restore({"head": head, "optimizer": optimizer, "totals": totals}, state)
        best, best_loss, best_step = state["best"], state["best_loss"], state["best_step"]
        step, seconds_before = state["step"], state["seconds"]
        tired = (
            bool(config.patience) and step - best_step >= config.patience * config.evaluate_every
        )
    if compute.is_main_process:
        path.parent.mkdir(exist_ok=True)
        run.rewind_journal(state["journal_size"] if path.exists() else 0)
    started = time.monotonic()

    def save() -> None:
        if not compute.is_main_process:
            return
        state = {
            "head": head.state_dict(),
            "optimizer": optimizer.state_dict(),
            "totals": totals,
            "step": step,
        }
        state |= {"best": best, "best_loss": best_loss, "best_step": best_step}
        state |= {
            "seconds": seconds_before + time.monotonic() - started,
            "journal_size": run.journal_size(),
        }
        checkpoint.save(path, "classifier checkpoint", state)

    with stop_on_signal() as stop, progress(config.steps, what, "step", done=step) as bar:
        while step < config.steps and not tired:
            network.train()
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * group["factor"] * schedule(step, config.steps)
            loss, right = task.loss(step)
            optimizer.zero_grad()
            loss.backward()
            compute.average([parameter.grad for parameter in head.parameters()])
            optimizer.step()
            totals += torch.stack([loss.detach(), right])
            step += 1
            bar.update()

            if step % config.evaluate_every == 0 or step == config.steps:
                since = (step - 1) % config.evaluate_every + 1
                compute.average(
                    [totals, *(buffer for buffer in head.buffers() if buffer.is_floating_point())]
                )  # BatchNorm's statistics
                loss, accuracy = (totals / since).tolist()
                totals.zero_()
                if not math.isfinite(loss):
                    raise FloatingPointError(
                        f"the loss is no longer finite at step {step}; try a lower --learning-rate"
                    )
                logits = apply(head if fixed else network, validation_inputs, compute).to(device)
                val_loss, val_accuracy = (
                    cross_entropy(logits, validation_labels).item(),
                    (logits.argmax(1) == validation_labels).float().mean().item(),
                )
                if val_loss < best_loss:
                    best, best_loss, best_step = copy.deepcopy(head.state_dict()), val_loss, step
                epoch = round(step * config.batch_size / len(images), 3)
                if compute.is_main_process:
                    run.log(
                        step=step,
                        epoch=epoch,
                        loss=loss,
                        accuracy=accuracy,
                        validation_loss=val_loss,
                        validation_accuracy=val_accuracy,
                    )
                bar.set_postfix(loss=f"{loss:.3f}", validation=f"{val_accuracy:.3f}")
                tired = (
                    bool(config.patience)
                    and step - best_step >= config.patience * config.evaluate_every
                )
                save()
            in_step = (
                compute.world_size == 1 or step % config.evaluate_every == 0
            )  # of BatchNorm's statistics there is one state again
            if step < config.steps and in_step and compute.any(stop.requested):
                save()
                raise Interrupted(
                    f"stopped at step {step} of {config.steps}, saved; continue with --resume"
                )

    head.load_state_dict(best)
    trained = TrainedClassifier(network.eval(), config, size, tuple(classes))
    if compute.is_main_process:
        save_classifier(run.folder / "classifier.pt", trained)
        run.log(best_step=best_step, best_validation_loss=best_loss)
    compute.agree(None)
    return trained


def schedule(step: int, steps: int) -> float:
    """Learning-rate factor: linear warm-up, then half a cosine to zero (Loshchilov & Hutter 2017, eq. 5)."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _fit_svm(
    config: ClassifierConfig,
    training: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    run: Run,
    compute: Compute,
    classes: Sequence[str],
    trunk: nn.Module | None,
    store: FeatureStore,
) -> TrainedClassifier:
    """The classical baseline in the place of a training: no steps, and one look at the validation images."""
    source = svm_trunk(trunk).to(compute.device)
    features, held_out = (
        store.features(source, images, compute, "features").numpy()
        for images, _ in (training, validation)
    )
    machine = Svm(features.shape[1], len(classes))
    loss, penalty = machine.fit(features, training[1].numpy(), held_out, validation[1].numpy())
    trained = TrainedClassifier(
        Network(source, machine), config, training[0].shape[-1], tuple(classes)
    )
    if compute.is_main_process:
        run.rewind_journal(0)
        save_classifier(run.folder / "classifier.pt", trained)
        run.log(best_step=0, best_validation_loss=loss, penalty=penalty)
    compute.agree(None)
    return trained
