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

from classifier.augment import augment
from classifier.config import ClassifierConfig
from classifier.networks import Network, ScaledPixels, Unfrozen, build
from classifier.predict import TrainedClassifier, apply, save_classifier
from classifier.svm import Svm, svm_trunk
from runtime import checkpoint
from runtime.dataset import stacked
from runtime.device import Compute
from runtime.progress import progress
from runtime.randomness import batch_indices, key, torch_generator
from runtime.run import Interrupted, Run, stop_on_signal

WARM_UP = 0.05  # share of the steps
PRETRAINED_FACTOR = 0.1  # of the learning rate, for stages that were trained on ImageNet
CACHE_BYTES = 2 * 1024**3  # of features that are kept for all epochs


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

    if config.arch == "svm":
        return _fit_svm(config, (images, labels), (validation_images, validation_labels), run, compute, classes, trunk)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(config.seed, "network"))
        network = build(config.arch, len(classes), trunk, config.unfreeze).to(device, memory_format=torch.channels_last)
    cached = _worth_keeping(network.trunk, images, config)
    inputs = apply(network.trunk, images, compute, "features") if cached else images
    keep_validation = not isinstance(network.trunk, ScaledPixels)
    validation_inputs = apply(network.trunk, validation_images, compute, "features") if keep_validation else validation_images
    inputs, labels = inputs.to(device), labels.to(device)
    validation_labels = validation_labels.to(device)
    counts = torch.bincount(labels, minlength=len(classes)).clamp(min=1)
    class_weights = len(labels) / (len(classes) * counts) if config.balance == "weights" else None
    head = network.head
    pretrained = [parameter for part in head.modules() if isinstance(part, Unfrozen) for parameter in part.parameters()]
    fresh = [parameter for parameter in head.parameters() if all(parameter is not other for other in pretrained)]
    groups = [{"params": fresh, "factor": 1.0}] + ([{"params": pretrained, "factor": PRETRAINED_FACTOR}] if pretrained else [])
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=device.type != "mps")
    best, best_loss, best_step = copy.deepcopy(head.state_dict()), math.inf, 0
    totals = torch.zeros(2, device=device)  # loss and correct share over the steps since the last evaluation
    step, seconds_before, tired = 0, 0.0, False

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
        tired = bool(config.patience) and step - best_step >= config.patience * config.evaluate_every
    else:
        run.rewind_journal(0)
    started = time.monotonic()

    def save() -> None:
        state = {"head": head.state_dict(), "optimizer": optimizer.state_dict(), "totals": totals, "step": step}
        state |= {"best": best, "best_loss": best_loss, "best_step": best_step}
        state |= {"seconds": seconds_before + time.monotonic() - started, "journal_size": run.journal_size()}
        checkpoint.save(path, "classifier checkpoint", state)

    with stop_on_signal() as stop, progress(config.steps, what, "step", done=step) as bar:
        while step < config.steps and not tired:
            network.train()
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * group["factor"] * schedule(step, config.steps)
            chosen = _drawn(config, labels, counts, step).to(device)
            x = inputs[chosen]
            if config.augment:
                x = augment(x, torch_generator(config.seed, "augment", step, device=device), flip=config.flip)
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                torch.manual_seed(key(config.seed, "step", 0, step))  # dropout
                with compute.autocast():
                    if not cached:
                        with torch.no_grad():
                            x = network.trunk(x)
                    logits = head(x)
            loss = cross_entropy(logits.float(), labels[chosen], weight=class_weights, label_smoothing=config.label_smoothing)
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
                logits = apply(head if keep_validation else network, validation_inputs, compute).to(device)
                val_loss, val_accuracy = cross_entropy(logits, validation_labels).item(), (logits.argmax(1) == validation_labels).float().mean().item()
                if val_loss < best_loss:
                    best, best_loss, best_step = copy.deepcopy(head.state_dict()), val_loss, step
                epoch = round(step * config.batch_size / len(inputs), 3)
                run.log(step=step, epoch=epoch, loss=loss, accuracy=accuracy, validation_loss=val_loss, validation_accuracy=val_accuracy)
                bar.set_postfix(loss=f"{loss:.3f}", validation=f"{val_accuracy:.3f}")
                tired = bool(config.patience) and step - best_step >= config.patience * config.evaluate_every
                save()
            if stop.requested and step < config.steps:
                save()
                raise Interrupted(f"stopped at step {step} of {config.steps}, saved; continue with --resume")

    head.load_state_dict(best)
    trained = TrainedClassifier(network.eval(), config, size, tuple(classes))
    save_classifier(run.folder / "classifier.pt", trained)
    run.log(best_step=best_step, best_validation_loss=best_loss)
    return trained


def schedule(step: int, steps: int) -> float:
    """Learning-rate factor: linear warm-up, then half a cosine to zero (Loshchilov & Hutter 2017, eq. 5)."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _worth_keeping(trunk: nn.Module, images: Tensor, config: ClassifierConfig) -> bool:
    """Whether the trunk's output is computed once for all epochs: not where it is a mere scaling, nor where images change, nor where it fills the memory."""
    if isinstance(trunk, ScaledPixels) or config.augment:
        return False
    with torch.no_grad():
        one = trunk(images[:1].to(next(trunk.buffers()).device))
    return 4 * one.numel() * len(images) <= CACHE_BYTES


def _drawn(config: ClassifierConfig, labels: Tensor, counts: Tensor, step: int) -> Tensor:
    """The images of a step: the next of an endless shuffled pass, or of a class drawn first, each class as likely."""
    if config.balance != "sampling":
        return batch_indices(len(labels), config.batch_size, step, config.seed)
    chances = 1 / counts[labels].cpu().double()
    return torch.multinomial(chances, config.batch_size, replacement=True, generator=torch_generator(config.seed, "balanced", step))


def _fit_svm(
    config: ClassifierConfig, training: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor], run: Run, compute: Compute, classes: Sequence[str], trunk: nn.Module | None
) -> TrainedClassifier:
    """The classical baseline in the place of a training: no steps, and one look at the validation images."""
    source = svm_trunk(trunk).to(compute.device)
    features, held_out = (apply(source, images, compute, "features").numpy() for images, _ in (training, validation))
    machine = Svm(features.shape[1], len(classes))
    run.rewind_journal(0)
    loss, penalty = machine.fit(features, training[1].numpy(), held_out, validation[1].numpy())
    trained = TrainedClassifier(Network(source, machine), config, training[0].shape[-1], tuple(classes))
    save_classifier(run.folder / "classifier.pt", trained)
    run.log(best_step=0, best_validation_loss=loss, penalty=penalty)
    return trained
