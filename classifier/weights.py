"""Files of published weights: from torch.hub's cache, from the network, or from the user's disk."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from runtime.files import sha256_of
from runtime.options import OptionError

SAFETENSORS_TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


def cached(url: str) -> Path:
    """Return where torch.hub keeps what it has downloaded from there; the file may be absent.

    url: or the name of the file alone.
    """
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]


def downloaded(name: str, url: str) -> Mapping[str, Tensor]:
    """Return a state dict from torch.hub's cache or from the network.

    It is held against the hash in its file name. name: whose weights they are. Raises
    ConnectionError that says which file to fetch and where to put it.
    """
    try:
        return torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as error:
        raise _download_error(name, url, cached(url), error) from error


def fetched(name: str, url: str, sha256: str, file_name: str) -> Path:
    """Return a file from torch.hub's cache or from the network, held against its whole hash.

    file_name: what it is called in the cache. Raises ConnectionError as `downloaded` does, and
    ValueError when the file in the cache is another.
    """
    file = cached(file_name)
    if not file.exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file), hash_prefix=sha256)
        except (OSError, RuntimeError) as error:
            raise _download_error(name, url, file, error) from error
    elif sha256_of(file) != sha256:
        raise ValueError(
            f"{file} is damaged or of another hash than {sha256[:8]}…; delete it, or give a file "
            "as the weights"
        )
    return file


def _download_error(name: str, url: str, file: Path, error: Exception) -> Exception:
    """Say which file to fetch and where to put it; of a full disk return the error itself."""
    if isinstance(error, OSError):  # urllib's URLError is one
        if error.errno in DISK_ERRORS:
            error.filename = str(file)
            return error
        return ConnectionError(
            f"the weights of {name} cannot be downloaded ({error}); fetch {url} elsewhere and give "
            f"that file as the weights, or put it at {file}"
        )
    return ConnectionError(  # its hash is wrong
        f"the download of {url} is damaged ({error}); try again, or give its file as the weights"
    )


def read_state_dict(file: Path) -> Mapping[str, Tensor]:
    """Read a file of names and tensors, as torch.save or safetensors writes it.

    It is read as data, whatever its name. Raises OptionError when it is none.
    """
    try:
        state = (
            _read_safetensors(file)
            if file.suffix == ".safetensors"
            else torch.load(file, map_location="cpu", weights_only=True)
        )
    except Exception as error:
        raise OptionError(
            "weights",
            file,
            f"cannot be read as a state dict ({type(error).__name__}); expected one saved by "
            "torch.save, or a .safetensors file",
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(value, Tensor) for value in state.values()
    ):
        raise OptionError("weights", file, "holds no state dict; expected names and tensors")
    return state


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    """Read the tensors of a file: eight bytes of length, a header in JSON, and the numbers."""
    content = file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    state = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, end = entry["data_offsets"]
            if not 0 <= first <= end <= len(content) - start:
                raise ValueError(f"{name} lies outside the file")
            numbers = bytearray(content[start + first : start + end])
            kind, shape = SAFETENSORS_TYPES[entry["dtype"]], entry["shape"]
            state[name] = torch.frombuffer(numbers, dtype=kind).reshape(shape)
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
