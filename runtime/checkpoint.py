"""State on disk: one visible dict, written atomically, read without running any code."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from runtime.files import ANOTHER_VERSION, Record, atomic

Network = TypeVar("Network", bound=nn.Module)

VERSION = 2

# All that torch, zipfile and pickle raise on a damaged or foreign file.
_UNREADABLE = (
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
)


def save(path: Path, kind: str, state: Mapping[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings and containers of them) as a file of this kind."""
    # Not straight to the file: torch would turn a full disk into an error that does not say so.
    serialized = io.BytesIO()
    torch.save({"cxr": kind, "version": VERSION, **state}, serialized)
    with atomic(path) as file:
        file.write(serialized.getbuffer())


def load(path: Path, kind: str, **kinds: type) -> Record:
    """Read a file written by `save`, onto the CPU, in no more memory than its own size.

    Args:
        path: The file.
        kind: What `save` was told that it is.
        kinds: The types of the values that it must have, by name.

    Raises:
        FileNotFoundError: It is absent.
        ValueError: It is truncated, holds anything but plain data, lacks a value, or is of another
            kind or version; the text names the file.
    """
    try:
        _refuse_compressed(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except _UNREADABLE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the file
        raise ValueError(
            f"{path} cannot be read as a {kind}: it is truncated, damaged or not a file of cxr"
        ) from error
    found = state.get("cxr", "no cxr file") if isinstance(state, dict) else "no cxr file"
    if found != kind:
        raise ValueError(f"{path} is {found!s:.40}, expected a {kind}")
    record = Record(path, state).expect(version=int, **kinds)
    if record["version"] != VERSION:
        raise ValueError(
            f"{path} has format version {record['version']}, this cxr reads version {VERSION}"
        )
    return record


def _refuse_compressed(path: Path) -> None:
    """Raise ValueError if an archive is compressed, and might so unpack to any size."""
    with zipfile.ZipFile(path) as archive:  # as torch writes it
        if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
            raise ValueError("it unpacks to more than its size")


def build_with_weights(
    build: Callable[[], Network], weights: Mapping[str, Any], path: Path
) -> Network:
    """Build a network and give it the weights of a file.

    Names and shapes are compared before there is memory for them: a file cannot ask for more than
    it holds.

    Args:
        build: Makes the network, of whatever size the file's configuration says.
        weights: What the file holds, a state_dict if it is undamaged.
        path: The file, for the message.

    Raises:
        ValueError: The weights are another network's; the text names the file.
    """
    with shapes_alone():
        try:
            shapes = {name: tensor.shape for name, tensor in build().state_dict().items()}
        except RuntimeError as error:  # sizes beyond all numbers
            raise ValueError(f"{path} cannot be a network ({error})") from error
    for name in dict.fromkeys([*shapes, *weights]):
        weight = weights.get(name)
        shape = weight.shape if isinstance(weight, Tensor) else None
        if name not in shapes or shape != shapes[name]:
            raise ValueError(
                f"{path} holds other weights than its configuration says, first {name!s:.60}; "
                f"{ANOTHER_VERSION}"
            )
    network = build()
    try:
        network.load_state_dict(weights)
    except ValueError as error:
        raise ValueError(f"{path} holds {error}; it is damaged or not a file of cxr") from error
    return network


@contextmanager
def shapes_alone() -> Iterator[None]:
    """Build the networks of a block without memory for their tensors, nor values in them."""
    with torch.device("meta"), _Unfilled():
        yield


class _Unfilled(TorchFunctionMode):
    """Leaves weights without first values: random numbers of the meta device load the compiler."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else kwargs["tensor"]
        if func in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        return func(*args, **kwargs)


def restore(parts: Mapping[str, Any], state: Record) -> None:
    """Load the state of networks, optimizers and tensors by name, in place.

    Raises ValueError that names the file when one does not fit.
    """
    for name, part in parts.items():
        try:
            if isinstance(part, Tensor):
                part.copy_(state[name])
            else:
                part.load_state_dict(state[name])
        except (RuntimeError, ValueError, TypeError, AttributeError, LookupError) as error:
            raise ValueError(
                f"{state.path} has a {name} that does not fit; it is damaged, start a new run "
                "without `resume`"
            ) from error
