"""State on disk: one visible dict, written atomically, read without running any code."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runtime.files import Record, atomic

VERSION = 2


def save(path: Path, kind: str, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings and containers of them) as a file of this kind."""
    serialized = (
        io.BytesIO()
    )  # not straight to the file: torch would turn a full disk into an error that does not say so
    torch.save({"cxr": kind, "version": VERSION, **state}, serialized)
    with atomic(path) as file:
        file.write(serialized.getbuffer())


def load(path: Path, kind: str, **kinds: type) -> Record:
    """Read a file written by `save`, onto the CPU, in no more memory than its own size.

    kinds: of the values it must have, by name. Raises FileNotFoundError when it is absent, and ValueError that names the file when it
    is truncated, holds anything but plain data, lacks a value, or is of another kind or version.
    """
    try:
        with zipfile.ZipFile(
            path
        ) as archive:  # as torch writes it; a compressed one could unpack to any size
            if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                raise ValueError("it unpacks to more than its size")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except (
        RuntimeError,
        OSError,
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        NotImplementedError,
    ) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the file
        raise ValueError(
            f"{path} cannot be read as a {kind}: it is truncated, damaged or not a file of cxr"
        ) from error
    if not isinstance(state, dict) or state.get("cxr") != kind:
        found = state.get("cxr", "no cxr file") if isinstance(state, dict) else "no cxr file"
        raise ValueError(f"{path} is {found!s:.40}, expected a {kind}")
    record = Record(path, state).expect(version=int, **kinds)
    if record["version"] != VERSION:
        raise ValueError(
            f"{path} has format version {record['version']}, this cxr reads version {VERSION}"
        )
    return record


def filled(make: Callable[[], nn.Module], weights: Mapping[str, Any], path: Path) -> nn.Module:
    """A network with the weights of a file. Raises ValueError that names the file when they are another network's.

    Names and shapes are compared before there is memory for them: a file cannot ask for more than it holds.
    """
    with torch.device("meta"):
        try:
            expected = {name: tensor.shape for name, tensor in make().state_dict().items()}
        except RuntimeError as error:  # sizes beyond all numbers
            raise ValueError(f"{path} cannot be a network ({error})") from error
    for name in dict.fromkeys([*expected, *weights]):
        found = weights[name].shape if isinstance(weights.get(name), Tensor) else None
        if name not in expected or found != expected[name]:
            raise ValueError(
                f"{path} holds other weights than its configuration says, first {name!s:.60}; it is damaged or not a file of cxr"
            )
    network = make()
    network.load_state_dict(weights)
    return network


def restore(parts: Mapping[str, Any], state: Record) -> None:
    """Load the state of networks, optimizers and tensors by name, in place. Raises ValueError that names the file when one does not fit."""
    for name, part in parts.items():
        try:
            part.copy_(state[name]) if isinstance(part, Tensor) else part.load_state_dict(
                state[name]
            )
        except (
            RuntimeError,
            ValueError,
            TypeError,
            AttributeError,
            LookupError,
        ) as error:  # all that torch raises on a foreign one
            raise ValueError(
                f"{state.path} has a {name} that does not fit; it is damaged, start a new run without --resume"
            ) from error
