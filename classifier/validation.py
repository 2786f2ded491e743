"""What a look at the validation images says of the weights of a step."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from classifier.features import FeatureStore, apply_in_batches
from classifier.networks import Network
from runtime.device import Compute


@dataclass(frozen=True)
class ValidationSet:
    """Validation images as the part of a network takes them that is looked at.

    Attributes:
        module: The head where the trunk's features are kept, or else the whole network.
        inputs: Features (M, …), or images uint8 (M, 1, S, S), on the device, where every look
            finds them.
        labels: Label indices (M,).
    """

    module: nn.Module
    inputs: Tensor
    labels: Tensor

    def evaluate(self, compute: Compute) -> tuple[float, float]:
        """Return loss and accuracy, in float32 whatever the precision of training."""
        logits = apply_in_batches(self.module, self.inputs, compute).to(compute.device)
        loss = cross_entropy(logits, self.labels).item()
        return loss, (logits.argmax(1) == self.labels).float().mean().item()


def prepare_validation(
    network: Network, images: Tensor, labels: Tensor, compute: Compute, store: FeatureStore
) -> ValidationSet:
    """Compute what of the images never changes; images uint8 (M, 1, S, S), labels (M,)."""
    labels = labels.to(compute.device)
    if network.has_fixed_features:
        features = store.features(network.trunk, images, compute, "features")
        return ValidationSet(network.head, features.to(compute.device), labels)
    return ValidationSet(network, images.to(compute.device), labels)
