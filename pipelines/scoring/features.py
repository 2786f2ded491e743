"""Networks that turn images into the features scores are computed on, each named with the hash of its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from classifier.pretrained import cached_weights, load_trunk, weights_hash
from classifier.predict import apply, load_classifier
from pipelines.workspace import Workspace
from runtime.device import Compute
from runtime.run import list_runs

EXTRACTORS = ("auto", "vgg16", "cnn")


@dataclass(frozen=True)
class Extractor:
    """A fixed network from uint8 images (N, 1, S, S) to features (N, d)."""

    name: str
    sha256: str
    note: str
    network: nn.Module

    def features(self, images: np.ndarray, compute: Compute, what: str) -> np.ndarray:
        """Features (N, d), float64, of uint8 images (N, S, S)."""
        return apply(self.network, torch.from_numpy(images).unsqueeze(1), compute, what).double().numpy()


def choose_extractor(workspace: Workspace, name: str, weights: Path | None, compute: Compute) -> Extractor:
    """The extractor asked for; "auto" is vgg16 where its weights are at hand, else the study's own cnn.

    Raises FileNotFoundError when the study has no cnn trained on reals alone.
    """
    if name == "auto":
        name = "vgg16" if weights or cached_weights("vgg16").exists() else "cnn"
    if name == "vgg16":
        trunk = load_trunk("vgg16", weights).to(compute.device)
        return Extractor("vgg16", weights_hash(trunk), "ImageNet VGG16, average of the last feature map, input 112 px", trunk)
    if weights is not None:
        raise ValueError(f"--weights {weights}: the cnn is the study's own and takes none; use it with --features vgg16")
    runs = [run for run in list_runs(workspace.runs) if run.command == "classify-train" and run.finished]
    own = [run for run in runs if run.config["arch"] == "cnn" and run.config["synthetic"] is None]
    if not own:
        raise FileNotFoundError("no cnn trained on real images yet to take features from; make one with: cxr classify-train (or name VGG16 weights: --weights FILE)")
    network = load_classifier(own[-1].folder / "classifier.pt", compute.device).network
    body = nn.Sequential(network.trunk, *list(network.head)[:-2])  # up to the pooled features, before dropout and classes
    return Extractor("cnn", weights_hash(body), f"this study's own cnn ({own[-1].name}): comparable within this study only", body)
