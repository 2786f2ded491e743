"""Training of a classifier: AdamW, warm-up and cosine, the weights of the lowest validation loss.

The budget is optimizer steps, so that training sets of different length get the same. Every random
number is keyed by (seed, purpose, rank, step), so that a resumed run continues bit for bit. What a
fixed trunk makes of the images is computed once, before the first step and in float32. Steps may be
in bfloat16; looks at the validation images, which choose the weights, never are. Of several
processes each takes its share of a batch, and gradients are averaged; BatchNorm, dropout and
augmentation work per process, so that training differs a little with their number, and evaluation
not at all.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor
from torch.utils.data import Dataset

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.predict import TrainedClassifier, save_classifier
from classifier.pretrained import Trunk
from classifier.task import Batch, TrainingTask, prepare_task
from classifier.training_state import TrainingState
from classifier.validation import prepare_validation
from runtime.dataset import stack_dataset
from runtime.device import Compute
from runtime.progress import progress
from runtime.recorded_step import RecordedStep
from runtime.run import Interrupted, Run, stop_on_signal

WARM_UP = 0.05  # share of the steps

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """What a classifier is trained on.

    Attributes:
        training, validation: (uint8 1×S×S image, label index) pairs.
        classes: The name of each label index.
        is_synthetic: Whether each training image is synthetic, (N,); None where none is.
    """

    training: Dataset
    validation: Dataset
    classes: Sequence[str]
    is_synthetic: Tensor | None = None


def train(
    config: ClassifierConfig,
    data: TrainingData,
    run: Run,
    compute: Compute,
    *,
    trunk: Trunk | None = None,
    start: TrainedClassifier | None = None,
    store: FeatureStore | None = None,
    what: str = "classify-train",
) -> TrainedClassifier:
    """Train a classifier and leave it in the run's folder as `classifier.pt`.

    trunk: the pretrained trunk of an architecture that has one. start: a classifier of the same
    kind whose weights to begin with, for fine-tuning. store: where features are looked up and kept.
    what: the name on the progress bar.

    A checkpoint in the run's folder is continued. Per evaluation the journal gets the step, the
    epoch, and loss and accuracy in training (mean over the steps since the last one, in the
    precision of training) and validation (of the weights as they are saved, in float32).

    Raises ValueError on images of another shape, FloatingPointError when the loss stops being
    finite, and Interrupted after a signal, with everything saved.
    """
    store = store or FeatureStore()
    images, labels = stack_dataset(data.training)
    validation_images, validation_labels = stack_dataset(data.validation)
    if images.shape[1:] != validation_images.shape[1:]:
        raise ValueError(
            f"training images are {tuple(images.shape[1:])}, validation images "
            f"{tuple(validation_images.shape[1:])}; expected one shape"
        )
    if config.arch == "svm":
        from classifier.svm_training import train_svm  # with scikit-learn

        training, validation = (images, labels), (validation_images, validation_labels)
        return train_svm(config, training, validation, run, compute, data.classes, trunk, store)

    task = prepare_task(
        config, images, labels, compute, data.classes, trunk, store, data.is_synthetic
    )
    network, head, optimizer = task.network, task.network.head, task.optimizer()
    if start:
        head.load_state_dict(start.network.head.state_dict())
    validation_set = prepare_validation(
        network, validation_images, validation_labels, compute, store
    )
    state = TrainingState.begin(head, optimizer, run, compute)
    take_step = prepare_steps(task, state)
    is_stalled = has_stalled(config, state)

    with (
        task.own_randomness(),
        stop_on_signal() as stop,
        progress(config.steps, what, "step", done=state.step) as bar,
    ):
        while state.step < config.steps and not is_stalled:
            network.train()
            rate = config.learning_rate * schedule(state.step, config.steps)
            task.set_learning_rate(optimizer, rate)
            take_step(task.draw(state.step))
            state.step += 1
            bar.update()

            ends_interval = state.step % config.evaluate_every == 0
            if ends_interval or state.step == config.steps:
                mean_loss, mean_accuracy = average_since_evaluation(config, state, compute)
                validation_loss, validation_accuracy = validation_set.evaluate(compute)
                state.keep_if_best(validation_loss)
                is_stalled = has_stalled(config, state)
                bar.set_postfix(loss=f"{mean_loss:.3f}", validation=f"{validation_accuracy:.3f}")
                if compute.is_main_process:
                    run.log(
                        step=state.step,
                        epoch=round(state.step * config.batch_size / len(images), 3),
                        loss=mean_loss,
                        accuracy=mean_accuracy,
                        validation_loss=validation_loss,
                        validation_accuracy=validation_accuracy,
                    )
                    state.save(run)
            # Between evaluations each process has its own BatchNorm statistics.
            can_stop = compute.world_size == 1 or ends_interval
            if state.step < config.steps and can_stop and compute.any(stop.requested):
                if compute.is_main_process:
                    state.save(run)
                raise Interrupted(
                    f"stopped at step {state.step} of {config.steps}, saved; continue with `resume`"
                )

    head.load_state_dict(state.best)
    trained = TrainedClassifier(network.eval(), config, images.shape[-1], tuple(data.classes))
    if compute.is_main_process:
        save_classifier(run.folder / "classifier.pt", trained)
        run.log(best_step=state.best_step, best_validation_loss=state.best_loss)
    compute.agree(None)
    return trained


def prepare_steps(
    task: TrainingTask, state: TrainingState, *, graph: bool = True
) -> Callable[[Batch], None]:
    """Return what takes a step on a batch: `training_step`, or a recording of it.

    graph: launch each step as one CUDA graph where that can be; the results are the same.
    """
    compute, take_step = task.compute, partial(training_step, task, state)
    if graph and task.is_steady and compute.world_size == 1:
        return RecordedStep(take_step, compute.device)
    if graph and compute.device.type == "cuda" and compute.is_main_process:
        _say_not_recorded()
    return take_step


@cache
def _say_not_recorded() -> None:
    _log.warning(
        "each kernel of a classifier's step is launched by itself: a step is one CUDA graph in one "
        "process, with `synthetic_statistics` shared"
    )


def training_step(task: TrainingTask, state: TrainingState, batch: Batch) -> None:
    """Update the head by one batch.

    Nothing is read back from the device, and all that changes from step to step is in the batch and
    in tensors that stay: so that the step can be recorded.
    """
    loss, accuracy = task.loss(batch)
    state.optimizer.zero_grad()
    loss.backward()
    task.compute.average(
        [weight.grad for weight in state.head.parameters() if weight.grad is not None]
    )
    state.optimizer.step()
    state.totals += torch.stack([loss.detach(), accuracy])


def schedule(step: int, steps: int) -> float:
    """Return the learning-rate factor: linear warm-up, then half a cosine to zero.

    See Loshchilov & Hutter 2017, eq. 5.
    """
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def has_stalled(config: ClassifierConfig, state: TrainingState) -> bool:
    """Say whether patience is at an end: too many evaluations without a lower loss."""
    steps_without_gain = state.step - state.best_step
    return bool(config.patience) and steps_without_gain >= config.patience * config.evaluate_every


def average_since_evaluation(
    config: ClassifierConfig, state: TrainingState, compute: Compute
) -> tuple[float, float]:
    """Return mean loss and accuracy of the steps since the last evaluation, and begin anew.

    They and BatchNorm's statistics are averaged over the processes. Raises FloatingPointError when
    the loss is no longer finite.
    """
    statistics = [buffer for buffer in state.head.buffers() if buffer.is_floating_point()]
    compute.average([state.totals, *statistics])
    steps = (state.step - 1) % config.evaluate_every + 1
    loss, accuracy = (state.totals / steps).tolist()
    state.totals.zero_()
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the loss is no longer finite at step {state.step}; try a lower learning rate"
        )
    return loss, accuracy
