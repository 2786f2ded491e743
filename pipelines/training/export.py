"""A trained classifier or generator as one file for other programs: TorchScript, or ONNX.

What comes out is held against the original on real inputs before any file is written. Any number of
images goes in at once.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from classifier.predict import load_classifier
from gan.sample import load_generator
from pipelines.study.intended_use import INTENDED_USE
from pipelines.study.views import in_view_of, view_of
from pipelines.study.workspace import Workspace
from pipelines.training.export_formats import (
    EXPORT_FORMATS,
    Function,
    check_packages,
    export_module,
)
from pipelines.training.exportable import (
    CPU,
    Exportable,
    TensorSpec,
    exportable_classifier,
    exportable_generator,
)
from runtime.files import atomic, write_json
from runtime.options import OptionError
from runtime.run import Run

TOLERANCE = 1e-4  # of probabilities, and of gray levels in −1..1


@dataclass(frozen=True)
class Check:
    """How far the outputs of an exported file are from those of the original."""

    inputs: int
    largest_difference: float
    tolerance: float


@dataclass(frozen=True)
class Export:
    """A file that was exported.

    Attributes:
        run: That holds it.
        file: Its name.
        kind: classifier or generator.
        format: One of EXPORT_FORMATS.
        source: The run that it was exported from.
        inputs, outputs: What it takes and gives.
    """

    run: Run
    file: str
    kind: str
    format: str
    source: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    check: Check


def export(
    workspace: Workspace, *, run_name: str | None = None, format: str = "torchscript"
) -> Export:
    """Write a classifier, or a generator where a gan-train run is named, into a new run.

    Next to it a JSON says what it takes and gives.

    run_name: the newest finished classify-train when None. format: one of EXPORT_FORMATS. Raises
    ValueError for an svm, without the packages of ONNX, or when the outputs differ from the
    original's.
    """
    if format not in EXPORT_FORMATS:
        raise OptionError("format", format, f"expected one of {', '.join(EXPORT_FORMATS)}")
    source = workspace.named_run(run_name) if run_name else workspace.find_run("classify-train")
    if source.command not in ("classify-train", "gan-train"):
        raise ValueError(
            f"{source.folder} is a {source.command}, expected a classify-train or a gan-train"
        )
    check_packages(format)
    model = _load_model(workspace, source)
    model.module.eval().requires_grad_(False)
    exported, function = export_module(model, format)
    check = _check_outputs(model, function, f"{source.name} as {format}")
    file_name = f"{model.kind}.{EXPORT_FORMATS[format].suffix}"
    description = _describe(model, exported, file_name, format, source, check)
    run = workspace.create_run(
        "export", {"exported_from": source.name, "format": format}, instead=True
    )
    with atomic(run.folder / file_name) as file:
        file.write(exported)
    write_json(run.folder / f"{model.kind}.json", description)
    run.finish({"file": file_name, "largest_difference": check.largest_difference})
    return Export(
        run=run,
        file=file_name,
        kind=model.kind,
        format=format,
        source=source.name,
        inputs=model.inputs,
        outputs=(model.output,),
        check=check,
    )


def _load_model(workspace: Workspace, source: Run) -> Exportable:
    if source.command == "gan-train":
        run = workspace.find_run("gan-train", source.name, holding="generator.pt")
        return exportable_generator(load_generator(run.folder / "generator.pt", CPU.device))
    run = workspace.find_run("classify-train", source.name, holding="classifier.pt")
    return exportable_classifier(
        load_classifier(run.folder / "classifier.pt", CPU.device), in_view_of(workspace, run)
    )


def _check_outputs(model: Exportable, function: Function, name: str) -> Check:
    """Raise ValueError when the exported function gives other outputs than the original."""
    difference = largest_difference(function, model.samples, model.expected)
    if not difference <= TOLERANCE:
        raise ValueError(
            f"{name} gives other outputs than the original, by up to {difference:.2g} (at most "
            f"{TOLERANCE:g} is expected); nothing was written"
        )
    return Check(len(model.expected), difference, TOLERANCE)


@torch.no_grad()
def largest_difference(function: Function, inputs: Mapping[str, Tensor], expected: Tensor) -> float:
    """Return the largest difference between a function's outputs and the expected ones.

    The function gets the first of the inputs alone, then the others together.
    """
    parts = [[value[:1] for value in inputs.values()], [value[1:] for value in inputs.values()]]
    outputs = torch.cat([function(*part) for part in parts if len(part[0])])
    return float((outputs.double() - expected.double()).abs().max())


def _describe(
    model: Exportable, exported: bytes, file_name: str, format: str, source: Run, check: Check
) -> dict[str, object]:
    """What the JSON next to an exported file says."""
    packages = ("torch", *EXPORT_FORMATS[format].packages)
    return {
        "file": file_name,
        "sha256": hashlib.sha256(exported).hexdigest(),
        "kind": model.kind,
        "format": format,
        "exported_from": source.name,
        "view": view_of(source.config),
        **model.facts,
        "inputs": [asdict(spec) for spec in model.inputs],
        "outputs": [asdict(model.output)],
        **model.notes,
        "checked": asdict(check),
        "versions": {name: importlib.import_module(name).__version__ for name in packages},
        "intended_use": INTENDED_USE,
    }
