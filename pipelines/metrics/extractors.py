"""Networks that turn images into the features scores are computed on.

Each is named with the hash of its weights. All run in float32, as all features do.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from classifier.features import FeatureStore
from classifier.predict import load_classifier
from classifier.pretrained import cached_weights, load_trunk
from classifier.weights import weights_hash
from pipelines.metrics.dinov2 import PUBLISHED, describe_dinov2, load_dinov2
from pipelines.metrics.inception import cached_inception, is_published, load_inception
from pipelines.metrics.scores import ExtractorRecord
from pipelines.study.views import view_of
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.options import OptionError
from runtime.randomness import torch_generator
from runtime.run import Run, list_runs

EXTRACTORS_WITH_WEIGHTS = ("inception", "vgg16", "resnet50", *PUBLISHED)
EXTRACTORS = ("auto", *EXTRACTORS_WITH_WEIGHTS, "cnn", "random")
EXTRACTOR_NOTES = {
    "inception": "Inception of 2015 as pytorch-fid has it, input 299 px",
    "vgg16": "ImageNet VGG16, average of the last feature map, input 112 px",
    "resnet50": "ImageNet ResNet-50, average of the last feature map, input 112 px",
    "random": (
        "small convolutional network with random weights of a fixed seed: not comparable across "
        "studies"
    ),
}


@dataclass(frozen=True)
class Extractor:
    """A fixed network from uint8 images (N, 1, H, W) to features (N, d)."""

    record: ExtractorRecord
    network: nn.Module

    @property
    def name(self) -> str:
        return self.record.name

    def features(
        self, sets: Mapping[str, np.ndarray], store: FeatureStore, compute: Compute
    ) -> dict[str, np.ndarray]:
        """Compute features (N, d), float32, of each set of uint8 images (N, H, W).

        Those that the store knows are looked up.
        """
        images = torch.from_numpy(np.concatenate(list(sets.values()))).unsqueeze(1)
        features = store.features(self.network, images, compute, f"features of {self.name}").numpy()
        ends = np.cumsum([len(part) for part in sets.values()])
        return dict(zip(sets, np.split(features, ends[:-1]), strict=True))


def choose_extractors(
    names: Sequence[str],
    weights: Sequence[str],
    compute: Compute,
    workspace: Workspace | None = None,
) -> list[Extractor]:
    """Load the extractors asked for, in their order, on the device.

    Args:
        names: Of EXTRACTORS; several may stand in one text, with commas between them. "auto" is the
            first that needs no download: vgg16 or inception where their weights are at hand, the
            study's own cnn, random.
        weights: "FILE", or "NAME=FILE" where several could take it.
        compute: Where they run.
        workspace: Where the study's own cnn is looked for.

    Raises ValueError or FileNotFoundError that say which is unknown or not to be had.
    """
    names = list(dict.fromkeys(name.strip() for text in names for name in text.split(",")))
    unknown = [name for name in names if name not in EXTRACTORS]
    if unknown or not names:
        raise OptionError(
            "features", ", ".join(unknown), f"expected one or more of {', '.join(EXTRACTORS)}"
        )
    files = _weights_files(names, weights)
    chosen = dict.fromkeys(
        _first_at_hand(files, workspace) if name == "auto" else name for name in names
    )
    return [_load_extractor(name, files, compute, workspace) for name in chosen]


def _weights_files(names: Sequence[str], weights: Sequence[str]) -> dict[str, Path]:
    """Say which weights file each extractor was given, where it was given one."""
    takers = [name for name in names if name in EXTRACTORS_WITH_WEIGHTS]
    if not takers and "auto" in names:
        takers = ["vgg16"]
    files: dict[str, Path] = {}
    for text in weights:
        name, separator, file = text.partition("=")
        if not separator or name not in EXTRACTORS:
            name, file = takers[0] if len(takers) == 1 else "", text
        if name not in takers:
            problem = (
                f"say whose they are: `weights` {takers[0]}={file}"
                if takers
                else "the features asked for take none; use it with `features` "
                + ", ".join(EXTRACTORS_WITH_WEIGHTS)
            )
            raise OptionError("weights", text, problem)
        files[name] = Path(file)
    return files


def _first_at_hand(files: Mapping[str, Path], workspace: Workspace | None) -> str:
    """Choose the extractor of "auto"."""
    if "vgg16" in files or cached_weights("vgg16").exists():
        return "vgg16"
    if cached_inception().exists():
        return "inception"
    return "cnn" if workspace and _own_classifiers(workspace) else "random"


def _load_extractor(
    name: str, files: Mapping[str, Path], compute: Compute, workspace: Workspace | None
) -> Extractor:
    if name == "cnn":
        return _load_own_cnn(workspace, compute)
    if name in PUBLISHED:
        transformer = load_dinov2(name, files.get(name)).to(compute.device).eval()
        note = describe_dinov2(name, transformer, files.get(name))
        return Extractor(ExtractorRecord(name, weights_hash(transformer), note), transformer)
    network: nn.Module
    if name == "random":
        network = RandomNetwork()
    elif name == "inception":
        network = load_inception(files.get(name))
    else:
        network = load_trunk(name, files.get(name))
    note = EXTRACTOR_NOTES[name]
    if name == "inception" and name in files and not is_published(files[name]):
        note += "; other weights than its own: comparable with scores of the same weights only"
    network = network.to(compute.device).eval()
    return Extractor(ExtractorRecord(name, weights_hash(network), note), network)


def _load_own_cnn(workspace: Workspace | None, compute: Compute) -> Extractor:
    """Load the study's newest cnn up to its pooled features, before dropout and classes."""
    own = _own_classifiers(workspace) if workspace else []
    if not own:
        raise FileNotFoundError(
            "no cnn trained on real images yet to take features from; make one with: "
            "cxr classify-train (or use --features random)"
        )
    network = load_classifier(own[-1].folder / "classifier.pt", compute.device).network
    body = nn.Sequential(network.trunk, *list(network.head.children())[:-2]).eval()
    note = f"this study's own cnn ({own[-1].name}): comparable within this study only"
    return Extractor(ExtractorRecord("cnn", weights_hash(body), note), body)


def _own_classifiers(workspace: Workspace) -> list[Run]:
    """List the finished runs that trained a cnn on real images alone, in the workspace's view."""
    runs = [
        run for run in list_runs(workspace.runs) if run.command == "classify-train" and run.finished
    ]
    return [
        run
        for run in runs
        if run.config["arch"] == "cnn"
        and run.config["synthetic"] is None
        and view_of(run.config) == workspace.view
    ]


class RandomNetwork(nn.Module):
    """Four convolutions with random weights, the maps of each averaged over 2×2 quarters.

    Features (B, 480) of uint8 images (B, 1, H, W).
    """

    def __init__(self) -> None:
        super().__init__()
        generator = torch_generator(0, "random features")
        widths = (1, 8, 16, 32, 64)
        layers = [
            nn.Conv2d(before, after, 3, stride=2, padding=1)
            for before, after in itertools.pairwise(widths)
        ]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, generator=generator)
            assert layer.bias is not None  # for the type checker
            nn.init.normal_(layer.bias, std=0.1, generator=generator)
        self.layers = nn.ModuleList(layers)

    def forward(self, images: Tensor) -> Tensor:
        x = interpolate(images.float() / 127.5 - 1, (64, 64), mode="bilinear", antialias=True)
        features = []
        for layer in self.layers:
            x = layer(x).relu()
            features.append(adaptive_avg_pool2d(x, 2).flatten(1))  # (B, 4 × channels)
        return torch.cat(features, dim=1)
