"""Images as arrays: decoded once per size, kept beside the manifest, memory-mapped from then on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from pipelines.data.manifest import Row, fingerprint
from pipelines.data.reading import read_gray, to_square
from pipelines.workspace import Workspace
from runtime.files import atomic
from runtime.progress import progress


def load_images(workspace: Workspace, rows: Sequence[Row], size: int) -> np.ndarray:
    """uint8 (len(rows), size, size) of these rows of the study, in their order.

    All images of the study are decoded at this size on the first call and kept in data/arrays/; the file
    is made anew when the manifest changes. Raises ValueError or FileNotFoundError that names a bad image.
    """
    study = workspace.rows()
    folder = workspace.data / "arrays"
    path = folder / f"{size}-{fingerprint(f'{row.file_name} {row.sha256}' for row in study)[:16]}.npy"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        arrays = decode([workspace.data / row.file_name for row in study], size, "decode")
        with atomic(path) as file:
            np.save(file, arrays)
        for stale in folder.glob(f"{size}-*.npy"):
            if stale != path:
                stale.unlink()
    try:
        arrays = np.load(path, mmap_mode="r")
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it, it is made anew from the images") from error
    position = {row.file_name: index for index, row in enumerate(study)}
    return arrays[[position[row.file_name] for row in rows]]


def decode(paths: Sequence[Path], size: int, what: str, *, exact: bool = False) -> np.ndarray:
    """Read image files in parallel, by the one pixel path, to uint8 (len(paths), size, size).

    exact: raise ValueError when a file is not (size, size) already.
    """
    arrays = np.empty((len(paths), size, size), np.uint8)
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as pool, progress(len(paths), what, "image") as bar:
        for index, gray in enumerate(pool.map(read_gray, paths)):
            if exact and gray.shape != (size, size):
                raise ValueError(f"{paths[index]} is {gray.shape[1]}×{gray.shape[0]} px, expected {size}×{size}")
            square = to_square(gray, size)
            arrays[index] = square
            bar.update()
    return arrays
