"""Files of published weights: from torch.hub's cache, from the network, or from the user's disk."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from runtime.options import OptionError

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


def cached(url: str) -> Path:
    """Return where torch.hub keeps what it has downloaded from there; the file may be absent."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]


def downloaded(name: str, url: str) -> Mapping[str, Tensor]:
    """Return a state dict from torch.hub's cache or from the network.

    It is held against the hash in its file name. name: whose weights they are. Raises
    ConnectionError that says which file to fetch and where to put it.
    """
    try:
        return torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, weights_only=True
        )
    except OSError as error:  # urllib's URLError is one
        if error.errno in DISK_ERRORS:
            error.filename = str(cached(url))
            raise  # the disk, not the network
        raise ConnectionError(
            f"the weights of {name} cannot be downloaded ({error}); fetch {url} elsewhere and give "
            f"that file as the weights, or put it at {cached(url)}"
        ) from error
    except RuntimeError as error:  # its hash is wrong
        raise ConnectionError(
            f"the download of {url} is damaged ({error}); try again, or give its file as the "
            "weights"
        ) from error


def read_state_dict(file: Path) -> Mapping[str, Tensor]:
    """Read a file that torch.save made of names and tensors. Raises OptionError when it is none."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise OptionError(
            "weights",
            file,
            f"cannot be read as a state dict ({type(error).__name__}); expected one saved by "
            "torch.save",
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(value, Tensor) for value in state.values()
    ):
        raise OptionError("weights", file, "holds no state dict; expected names and tensors")
    return state


def weights_hash(module: nn.Module) -> str:
    """Return the SHA-256 over a module's parameters in float32 and their names.

    The same weights in any container agree.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(module.named_parameters()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
