"""The formats that a model can be exported to, and how each is written and read back."""

from __future__ import annotations

import importlib
import io
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipelines.training.exportable import Exportable

Function = Callable[..., Tensor]


@dataclass(frozen=True)
class Format:
    """A format of exported files: the end of their names, and the packages that it needs."""

    suffix: str
    packages: tuple[str, ...] = ()


EXPORT_FORMATS = {
    "torchscript": Format("torchscript.pt"),
    "onnx": Format("onnx", ("onnx", "onnxruntime", "onnxscript")),
}


def check_packages(format: str) -> None:
    """Raise ValueError when a package that this format needs is not installed."""
    packages = EXPORT_FORMATS[format].packages
    try:
        for package in packages:
            importlib.import_module(package)
    except ImportError as error:
        raise ValueError(
            f"--format {format} needs the packages {', '.join(packages)} ({error}); install them "
            f"with: pip install 'cxr[{format}]'"
        ) from error


def export_module(model: Exportable, format: str) -> tuple[bytes, Function]:
    """Return a model in this format, and a function that runs those bytes."""
    example = tuple(value[:2].contiguous() for value in model.samples.values())
    if format == "onnx":
        return _export_onnx(model, example)
    return _export_torchscript(model, example)


def _export_torchscript(model: Exportable, example: tuple[Tensor, ...]) -> tuple[bytes, Function]:
    """The bytes of a recorded module, and the module as those bytes give it back."""
    written = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # It is deprecated, but what has taken its place needs torch's Python to run.
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(model.module, example, check_trace=False), written)
        module = _without_call_stacks(written.getvalue())
        return module, torch.jit.load(io.BytesIO(module))


def _without_call_stacks(recorded: bytes) -> bytes:
    """Leave the stack of calls that recorded a module out of its bytes.

    It names folders of this machine, and is another wherever the module is recorded.
    """
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(recorded)) as whole, zipfile.ZipFile(written, "w") as kept:
        for entry in whole.infolist():
            if not entry.filename.endswith((".debug_pkl", "/.data/serialization_id")):
                kept.writestr(zipfile.ZipInfo(entry.filename), whole.read(entry))
    return written.getvalue()


def _export_onnx(model: Exportable, example: tuple[Tensor, ...]) -> tuple[bytes, Function]:
    """The bytes of an ONNX graph, and a function that runs them with onnxruntime."""
    import onnxruntime

    batch = torch.export.Dim("batch")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model.module,
            example,
            input_names=list(model.samples),
            output_names=[model.output.name],
            dynamic_shapes=tuple({0: batch} for _ in example),
            dynamo=True,
            verbose=False,
        )
    assert program is not None, "with dynamo=True it is given"
    graph = program.model_proto
    _remove_call_stacks(graph)
    written = graph.SerializeToString()
    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])

    def run(*values: Tensor) -> Tensor:
        inputs = {name: value.numpy() for name, value in zip(model.samples, values, strict=True)}
        return torch.from_numpy(session.run(None, inputs)[0])

    return written, run


def _remove_call_stacks(model: Any) -> None:
    """Delete from an ONNX model the stacks of calls that recorded it.

    They name folders of this machine.
    """
    for part in (
        model,
        model.graph,
        *model.graph.node,
        *model.graph.value_info,
        *model.graph.initializer,
        *model.functions,
        *(node for function in model.functions for node in function.node),
    ):
        del part.metadata_props[:]
