"""The classical baseline in the place of a training: no steps, and one look at the validation."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.networks import Network
from classifier.predict import TrainedClassifier, save_classifier
from classifier.pretrained import Trunk
from classifier.svm import Svm, svm_trunk
from runtime.device import Compute
from runtime.run import Run


def train_svm(
    config: ClassifierConfig,
    training: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    run: Run,
    compute: Compute,
    classes: Sequence[str],
    trunk: Trunk | None,
    store: FeatureStore,
) -> TrainedClassifier:
    """Fit a support vector machine and leave it in the run's folder as `classifier.pt`.

    training, validation: images uint8 (N, 1, S, S) and labels (N,) each. The journal gets one
    event, with the penalty that was chosen.
    """
    images, labels = training
    validation_images, validation_labels = validation
    source = svm_trunk(trunk).to(compute.device)
    features = store.features(source, images, compute, "features").numpy()
    validation_features = store.features(source, validation_images, compute, "features").numpy()
    machine = Svm(features.shape[1], len(classes))
    loss, penalty = machine.fit(
        features, labels.numpy(), validation_features, validation_labels.numpy()
    )
    network = Network(source, machine)
    trained = TrainedClassifier(network, config, images.shape[-1], tuple(classes))
    if compute.is_main_process:
        run.rewind_journal(0)
        save_classifier(run.folder / "classifier.pt", trained)
        run.log(best_step=0, best_validation_loss=loss, penalty=penalty)
    compute.agree(None)
    return trained
