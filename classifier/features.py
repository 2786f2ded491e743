"""What networks make of images, batch by batch and in float32.

Training may multiply in bfloat16, but whatever is looked at, chosen by or reported is made here: so
an answer is that of the saved weights, whatever precision and machine they were trained with. For
fixed networks it is computed only once for all epochs, seeds, arms and scores. A kept feature
belongs to the bytes of an image and to the weights of a network, and is looked up by the hashes of
both; so none can be stale.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

from runtime.device import Compute, send
from runtime.files import atomic
from runtime.lock import held
from runtime.progress import progress

FEATURE_BATCH = 64  # images
MAX_STORED_VALUES = 4096  # per image; a larger feature, such as a map, is kept in memory only


@torch.no_grad()
def apply_in_batches(
    module: nn.Module,
    images: Tensor,
    compute: Compute,
    what: str | None = None,
    *,
    fill: bool = False,
) -> Tensor:
    """Compute module(images) on the device in float32, whatever the precision of training.

    images (N, …), anywhere, result (N, …) on the CPU. Of several processes each takes every
    so-many-th batch, and all get the whole result, as one process would have it.

    what: the name on a progress bar; without it there is none. fill: compute the last batch at full
    size too, since rounding may depend on it: then an image gives the same bits in any company.
    """
    module.eval()
    is_shown = what is not None and compute.is_main_process
    computed: dict[int, Tensor] = {}
    with progress(len(images), what or "", "image", shown=is_shown) as bar:
        for number, batch in enumerate(images.split(FEATURE_BATCH)):
            if number % compute.world_size == compute.rank:
                inputs = _fill_batch(batch) if fill else batch
                outputs = module(send(inputs, compute.device))[: len(batch)]
                computed[number] = outputs.float().cpu()
            bar.update(len(batch))
    gathered = compute.gather(computed)
    results = {number: result for part in gathered for number, result in part.items()}
    return torch.cat([results[number] for number in sorted(results)])


class FeatureStore:
    """Features by network and image, in memory and, where there is a folder, on disk.

    On disk they are in a file NETWORK-PART.npz for each set of new images.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._known: dict[str, dict[bytes, np.ndarray]] = {}

    def features(
        self, network: nn.Module, images: Tensor, compute: Compute, what: str | None = None
    ) -> Tensor:
        """Return network(images) as float32 (N, …) on the CPU, of uint8 images (N, C, S, S).

        Only images never seen before are computed. network: on the device. what: the name on a
        progress bar, shown when anything has to be computed. Of several processes the main one
        keeps the store. Raises ValueError when a file of the store is damaged.
        """
        name = network_hash(network, compute)
        if name not in self._known:
            self._known[name] = self._read(name) if compute.is_main_process else {}
        known = self._known[name]
        keys = [_image_hash(image) for image in images]
        first_places = {key: index for index, key in enumerate(keys) if key not in known}
        new = compute.agree(list(first_places.values()))
        if new:
            computed = apply_in_batches(network, images[new], compute, what, fill=True).numpy()
            if compute.is_main_process:
                new_keys = [keys[index] for index in new]
                known.update(zip(new_keys, computed, strict=True))
                self._write(name, new_keys, computed)
        stacked = np.stack([known[key] for key in keys]) if compute.is_main_process else np.empty(0)
        return torch.from_numpy(compute.agree(stacked))

    def _read(self, name: str) -> dict[bytes, np.ndarray]:
        known: dict[bytes, np.ndarray] = {}
        for path in sorted(self.folder.glob(f"{name}-*.npz")) if self.folder else []:
            try:
                with np.load(path, allow_pickle=False) as part:
                    known |= {
                        key.tobytes(): row
                        for key, row in zip(part["keys"], part["features"], strict=True)
                    }
            except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # the disk, not the file
                raise ValueError(
                    f"{path} is damaged ({error}); delete it, it is made anew from the images"
                ) from error
        return known

    def _write(self, name: str, keys: Sequence[bytes], features: np.ndarray) -> None:
        if self.folder and features[0].size <= MAX_STORED_VALUES:
            self.folder.mkdir(parents=True, exist_ok=True)
            part = hashlib.sha256(b"".join(keys)).hexdigest()[:16]
            with held(self.folder, wait=True), atomic(self.folder / f"{name}-{part}.npz") as file:
                np.savez(
                    file,
                    keys=np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32),
                    features=features,
                )


def network_hash(network: nn.Module, compute: Compute) -> str:
    """Return 16 hexadecimal digits of a network's form, weights and buffers.

    They are of the kind of device that it runs on, too.
    """
    digest = hashlib.sha256(f"{network} {compute.device.type} fp32".encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(
            tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()[:16]


def _image_hash(image: Tensor) -> bytes:
    return hashlib.sha256(repr(tuple(image.shape)).encode() + image.numpy().tobytes()).digest()


def _fill_batch(batch: Tensor) -> Tensor:
    """Repeat the first image until the batch has its full size."""
    missing = FEATURE_BATCH - len(batch)
    return torch.cat([batch, batch[:1].expand(missing, *batch.shape[1:])])
