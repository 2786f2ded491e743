"""State on disk: one visible dict, written atomically, read without running any code."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from runtime.files import atomic

VERSION = 2


def save(path: Path, kind: str, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings and containers of them) as a file of this kind."""
    serialized = io.BytesIO()  # not straight to the file: torch would turn a full disk into an error that does not say so
    torch.save({"cxr": kind, "version": VERSION, **state}, serialized)
    with atomic(path) as file:
        file.write(serialized.getbuffer())


def load(path: Path, kind: str) -> dict[str, Any]:
    """Read a file written by `save`, onto the CPU.

    Raises FileNotFoundError when it is absent, and ValueError that names the file when it is
    truncated, holds anything but plain data, or is of another kind or version.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} cannot be read as a {kind}: it is truncated, damaged or not a file of cxr") from error
    if not isinstance(state, dict) or state.get("cxr") != kind:
        found = state.get("cxr", "no cxr file") if isinstance(state, dict) else "no cxr file"
        raise ValueError(f"{path} is {found}, expected a {kind}")
    if state["version"] != VERSION:
        raise ValueError(f"{path} has format version {state['version']}, this cxr reads version {VERSION}")
    return state
