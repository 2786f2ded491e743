"""A trained classifier or generator as one file for other programs: TorchScript, or ONNX.

What comes out is held against the original on real inputs before any file is written. Any number of images goes in at once.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from classifier.predict import TrainedClassifier, load_classifier, predict
from gan.papers import PerClass
from gan.sample import TrainedGenerator, load_generator
from pipelines.study.image_cache import load_images
from pipelines.study.intended_use import INTENDED_USE
from pipelines.study.manifest import Row, fingerprint
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.files import atomic, write_json
from runtime.randomness import torch_generator
from runtime.run import Run

FORMATS = {"torchscript": "torchscript.pt", "onnx": "onnx"}  # and the ends of their file names
PACKAGES = ("onnx", "onnxruntime", "onnxscript")
TOLERANCE = 1e-4  # of probabilities, and of gray levels in −1..1
CHECKED = 200  # inputs, at most
CPU = Compute(torch.device("cpu"), "fp32")

Function = Callable[..., Tensor]


class Probabilities(nn.Module):
    """Images uint8 (B, 1, S, S) to class probabilities (B, K)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images).softmax(dim=1)


class GrayImages(nn.Module):
    """Latents (B, L) and labels (B,) to images (B, 1, S, S) in −1..1.

    Of one network per class each draws every latent, and the label chooses among the images: a recorded graph cannot sort a batch.
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
            drawn = torch.stack(
                [network(latents) for network in self.networks], dim=1
            )  # (B, classes, C, S, S)
            chosen = nn.functional.one_hot(labels, len(self.networks)).to(drawn.dtype)
            images = (drawn * chosen[:, :, None, None, None]).sum(dim=1)
        return images.mean(dim=1, keepdim=True)


@dataclass(frozen=True)
class Model:
    """What is exported: a module, the inputs it is checked on, what the original makes of them, and what a user has to know."""

    kind: str  # classifier or generator
    module: nn.Module
    inputs: dict[str, Tensor]  # by name, (N, …) each
    expected: Tensor  # (N, …)
    output: str  # its name
    about: dict[str, Any]


def export(
    workspace: Workspace, *, run_name: str | None = None, format: str = "torchscript"
) -> tuple[Run, dict[str, Any]]:
    """Write a classifier, or a generator where a gan-train run is named, into a new run, and beside it a JSON of what it takes and gives.

    run_name: the newest finished classify-train when None. format: "torchscript" or "onnx".
    Returns the run and what the JSON says. Raises ValueError for an svm, without the packages of ONNX, or when the outputs differ from the original's.
    """
    if format not in FORMATS:
        raise ValueError(f"--format {format}: expected one of {', '.join(FORMATS)}")
    source = workspace.named_run(run_name) if run_name else workspace.find_run("classify-train")
    if source.command not in ("classify-train", "gan-train"):
        raise ValueError(
            f"{source.folder} is a {source.command}, expected a classify-train or a gan-train"
        )
    if format == "onnx":
        _need_onnx()
    if source.command == "gan-train":
        model = _generator(
            load_generator(
                workspace.find_run("gan-train", source.name, holding="generator.pt").folder
                / "generator.pt",
                CPU.device,
            )
        )
    else:
        model = _classifier(
            load_classifier(
                workspace.find_run("classify-train", source.name, holding="classifier.pt").folder
                / "classifier.pt",
                CPU.device,
            ),
            workspace,
        )
    example = tuple(value[:2].contiguous() for value in model.inputs.values())
    model.module.eval().requires_grad_(False)
    exported, function = (_onnx if format == "onnx" else _torchscript)(model, example)
    difference = largest_difference(function, model.inputs, model.expected)
    if not difference <= TOLERANCE:
        raise ValueError(
            f"{source.name} as {format} gives other outputs than the original, by up to {difference:.2g} (at most {TOLERANCE:g} is expected); nothing was written"
        )
    name = f"{model.kind}.{FORMATS[format]}"
    result = {
        "file": name,
        "sha256": hashlib.sha256(exported).hexdigest(),
        "kind": model.kind,
        "format": format,
        "exported_from": source.name,
        **model.about,
        "checked": {
            "inputs": len(model.expected),
            "largest_difference": difference,
            "tolerance": TOLERANCE,
        },
        "versions": {
            package: importlib.import_module(package).__version__
            for package in ("torch", *(PACKAGES if format == "onnx" else ()))
        },
        "intended_use": INTENDED_USE,
    }
    run = workspace.create_run(
        "export", {"exported_from": source.name, "format": format}, instead=True
    )
    with atomic(run.folder / name) as file:
        file.write(exported)
    write_json(run.folder / f"{model.kind}.json", result)
    run.finish({"file": name, "largest_difference": difference})
    return run, result


@torch.no_grad()
def largest_difference(function: Function, inputs: dict[str, Tensor], expected: Tensor) -> float:
    """Between what a function makes of inputs, one alone and then the others together, and what is expected of them."""
    parts = [[value[:1] for value in inputs.values()], [value[1:] for value in inputs.values()]]
    found = torch.cat([function(*part) for part in parts if len(part[0])])
    return float((found.double() - expected.double()).abs().max())


def _classifier(trained: TrainedClassifier, workspace: Workspace) -> Model:
    """Checked on test images of the study."""
    if trained.config.arch == "svm":
        raise ValueError(
            "an svm is scikit-learn's and no network: it cannot be exported; train another with: cxr classify-train --arch cnn"
        )
    size, rows = trained.image_size, [row for row in workspace.rows() if row.split == "test"]
    images = torch.from_numpy(load_images(workspace, _spread(rows), size)).unsqueeze(1)
    about = {
        "arch": trained.config.arch,
        "image_size": size,
        "classes": list(trained.classes),
        "inputs": [
            {
                "name": "images",
                "shape": ["batch", 1, size, size],
                "dtype": "uint8",
                "range": "gray levels 0..255, bright where the body is dense",
            }
        ],
        "outputs": [
            {
                "name": "probabilities",
                "shape": ["batch", len(trained.classes)],
                "dtype": "float32",
                "range": "0..1, in the order of classes; each row sums to 1",
            }
        ],
        "preparation": f"8-bit gray, the largest centred square, resized to {size}×{size} by Pillow's bicubic filter; nothing is normalised outside of the model",
    }
    expected = torch.from_numpy(predict(trained, images, CPU))
    return Model(
        "classifier",
        Probabilities(trained.network),
        {"images": images},
        expected,
        "probabilities",
        about,
    )


def _generator(trained: TrainedGenerator) -> Model:
    """Checked on the latents of samples, with every label."""
    config, classes = trained.config, trained.classes
    scale = config.scale_of_samples
    latents = (
        torch.stack(
            [
                torch.randn(config.latent_size, generator=torch_generator(0, "sample", index))
                for index in range(CHECKED)
            ]
        )
        * scale
    )
    labels = torch.arange(CHECKED) % len(classes)
    about = {
        "preset": config.preset,
        "step": trained.step,
        "image_size": config.image_size,
        "classes": list(classes),
        "inputs": [
            {
                "name": "latents",
                "shape": ["batch", config.latent_size],
                "dtype": "float32",
                "range": f"normal, of mean 0 and standard deviation {scale:g}",
            },
            {
                "name": "labels",
                "shape": ["batch"],
                "dtype": "int64",
                "range": f"0..{len(classes) - 1}, places in classes",
            },
        ],
        "outputs": [
            {
                "name": "images",
                "shape": ["batch", 1, config.image_size, config.image_size],
                "dtype": "float32",
                "range": "-1..1; gray level = round((x + 1) · 127.5), bright where the body is dense",
            }
        ],
        "trained_on": fingerprint(trained.trained_on),
        "synthetic": "what it draws are no patients; say so wherever its images go",
    }
    with torch.no_grad():
        expected = trained.network(latents, labels).mean(dim=1, keepdim=True)
    return Model(
        "generator",
        GrayImages(trained.network),
        {"latents": latents, "labels": labels},
        expected,
        "images",
        about,
    )


def _spread(rows: Sequence[Row]) -> list[Row]:
    """At most CHECKED rows, of every part of the list."""
    return list(rows[:: -(-len(rows) // CHECKED)])


def _torchscript(model: Model, example: tuple[Tensor, ...]) -> tuple[bytes, Function]:
    """The bytes of a recorded module, and the module as those bytes give it back."""
    written = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter(
            "ignore"
        )  # that it is deprecated: what has taken its place needs torch's Python to run
        torch.jit.save(torch.jit.trace(model.module, example, check_trace=False), written)
        module = _anonymous(written.getvalue())
        return module, torch.jit.load(io.BytesIO(module))


def _anonymous(recorded: bytes) -> bytes:
    """A recorded module without the stack of calls that recorded it, which names folders of this machine, and is another wherever it is recorded."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(recorded)) as whole, zipfile.ZipFile(written, "w") as kept:
        for entry in whole.infolist():
            if not entry.filename.endswith((".debug_pkl", "/.data/serialization_id")):
                kept.writestr(zipfile.ZipInfo(entry.filename), whole.read(entry))
    return written.getvalue()


def _onnx(model: Model, example: tuple[Tensor, ...]) -> tuple[bytes, Function]:
    """The bytes of an ONNX graph, and a function that runs them with onnxruntime."""
    import onnxruntime

    batch = torch.export.Dim("batch")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model.module,
            example,
            input_names=list(model.inputs),
            output_names=[model.output],
            dynamic_shapes=tuple({0: batch} for _ in example),
            dynamo=True,
            verbose=False,
        )
    graph = program.model_proto
    for part in (
        graph,
        graph.graph,
        *graph.graph.node,
        *graph.graph.value_info,
        *graph.graph.initializer,
        *graph.functions,
        *(node for function in graph.functions for node in function.node),
    ):
        del part.metadata_props[
            :
        ]  # the stack of calls that recorded it, which names folders of this machine
    written = graph.SerializeToString()
    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])

    def run(*values: Tensor) -> Tensor:
        return torch.from_numpy(
            session.run(None, {name: value.numpy() for name, value in zip(model.inputs, values)})[0]
        )

    return written, run


def _need_onnx() -> None:
    try:
        for package in PACKAGES:
            importlib.import_module(package)
    except ImportError as error:
        raise ValueError(
            f"--format onnx needs the packages {', '.join(PACKAGES)} ({error}); install them with: pip install 'cxr[onnx]'"
        ) from error
