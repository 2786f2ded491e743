"""What can be exported: a module of plain tensors, and what a user of it has to know."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from classifier.predict import TrainedClassifier, predict
from gan.papers import PerClass
from gan.sample import TrainedGenerator
from pipelines.study.image_cache import load_images
from pipelines.study.manifest import Row, fingerprint
from pipelines.study.view_names import LUNG_BOX, LUNGS, WHOLE
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.randomness import torch_generator

MAX_SAMPLES = 200  # inputs that an exported file is checked on
CPU = Compute(torch.device("cpu"), "fp32")


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that an exported file takes or gives."""

    name: str
    shape: tuple[str | int, ...]  # a name for a dimension of any size
    dtype: str
    range: str


@dataclass(frozen=True, kw_only=True)
class Exportable:
    """A model to export.

    Attributes:
        kind: classifier or generator.
        module: Takes `inputs`, gives `output`.
        samples: Of the inputs, by name, (N, …) each.
        expected: What the original makes of them, (N, …).
        facts, notes: What else the JSON says, before the inputs and after the output.
    """

    kind: str
    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    output: TensorSpec
    samples: dict[str, Tensor]
    expected: Tensor
    facts: dict[str, str | int | list[str]]
    notes: dict[str, str]


class Probabilities(nn.Module):
    """Images uint8 (B, 1, S, S) to class probabilities (B, K)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images).softmax(dim=1)


class GrayImages(nn.Module):
    """Latents (B, L) and labels (B,) to images (B, 1, S, S) in −1..1.

    Of one network per class each draws every latent, and the label chooses among the images: a
    recorded graph cannot sort a batch.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.networks = (
            network.networks if isinstance(network, PerClass) else nn.ModuleList([network])
        )
        self.conditional = not isinstance(network, PerClass)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        if self.conditional:
            images = self.networks[0](latents, labels)
        else:
            drawn = torch.stack([network(latents) for network in self.networks], dim=1)
            # (B, classes, C, S, S)
            chosen = nn.functional.one_hot(labels, len(self.networks)).to(drawn.dtype)
            images = (drawn * chosen[:, :, None, None, None]).sum(dim=1)
        return images.mean(dim=1, keepdim=True)


SHOWN = {
    WHOLE: "the largest centred square",
    LUNG_BOX: "the box of both lungs as pipelines.study.views.show_lungs makes it",
    LUNGS: "the lungs alone as pipelines.study.views.show_lungs makes them",
}


def exportable_classifier(trained: TrainedClassifier, workspace: Workspace) -> Exportable:
    """Make a classifier exportable; it is checked on test images of the study.

    Raises ValueError for an svm.
    """
    if trained.config.arch == "svm":
        raise ValueError(
            "an svm is scikit-learn's and no network: it cannot be exported; train another with: "
            "cxr classify-train --arch cnn"
        )
    size, classes = trained.image_size, list(trained.classes)
    test_rows = [row for row in workspace.rows() if row.split == "test"]
    images = torch.from_numpy(load_images(workspace, _spread(test_rows), size)).unsqueeze(1)
    return Exportable(
        kind="classifier",
        module=Probabilities(trained.network),
        inputs=(
            TensorSpec(
                name="images",
                shape=("batch", 1, size, size),
                dtype="uint8",
                range="gray levels 0..255, bright where the body is dense",
            ),
        ),
        output=TensorSpec(
            name="probabilities",
            shape=("batch", len(classes)),
            dtype="float32",
            range="0..1, in the order of classes; each row sums to 1",
        ),
        samples={"images": images},
        expected=torch.from_numpy(predict(trained, images, CPU)),
        facts={"arch": trained.config.arch, "image_size": size, "classes": classes},
        notes={
            "preparation": f"8-bit gray, {SHOWN[workspace.view]}, resized to {size}×{size} by "
            "Pillow's bicubic filter; nothing else is normalised outside of the model"
        },
    )


def _spread(rows: Sequence[Row]) -> list[Row]:
    """At most MAX_SAMPLES rows, of every part of the list."""
    return list(rows[:: math.ceil(len(rows) / MAX_SAMPLES)])


def exportable_generator(trained: TrainedGenerator) -> Exportable:
    """Make a generator exportable; it is checked on the latents of samples, with every label."""
    config, classes = trained.config, list(trained.classes)
    latents = _sample_latents(config.latent_size) * config.sample_latent_std
    labels = torch.arange(MAX_SAMPLES) % len(classes)
    with torch.no_grad():
        expected = trained.network(latents, labels).mean(dim=1, keepdim=True)
    return Exportable(
        kind="generator",
        module=GrayImages(trained.network),
        inputs=(
            TensorSpec(
                name="latents",
                shape=("batch", config.latent_size),
                dtype="float32",
                range=f"normal, of mean 0 and standard deviation {config.sample_latent_std:g}",
            ),
            TensorSpec(
                name="labels",
                shape=("batch",),
                dtype="int64",
                range=f"0..{len(classes) - 1}, places in classes",
            ),
        ),
        output=TensorSpec(
            name="images",
            shape=("batch", 1, config.image_size, config.image_size),
            dtype="float32",
            range="-1..1; gray level = round((x + 1) · 127.5), bright where the body is dense",
        ),
        samples={"latents": latents, "labels": labels},
        expected=expected,
        facts={
            "preset": config.preset,
            "step": trained.step,
            "image_size": config.image_size,
            "classes": classes,
        },
        notes={
            "trained_on": fingerprint(trained.trained_on),
            "synthetic": "what it draws are no patients; say so wherever its images go",
        },
    )


def _sample_latents(size: int) -> Tensor:
    return torch.stack(
        [
            torch.randn(size, generator=torch_generator(0, "sample", index))
            for index in range(MAX_SAMPLES)
        ]
    )
