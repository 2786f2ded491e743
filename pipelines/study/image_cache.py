"""Images as arrays: decoded once per size, kept beside the manifest, memory-mapped from then on.

Every process that opens a study maps the same file, so the memory is shared and bounded whatever
the number of images.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from pipelines.study.image_io import read_gray, to_square
from pipelines.study.manifest import Row, fingerprint
from pipelines.study.workspace import Workspace
from runtime.files import atomic
from runtime.lock import held
from runtime.progress import progress

MAX_THREADS = 16


def load_images(workspace: Workspace, rows: Sequence[Row], size: int) -> np.ndarray:
    """Load uint8 (len(rows), size, size) of these rows of the study, in their order, in memory."""
    images, positions = map_images(workspace, size)
    return images[[positions[row.file_name] for row in rows]]


def map_images(workspace: Workspace, size: int) -> tuple[np.memmap, dict[str, int]]:
    """Map all images of the study, read-only, as uint8 (N, size, size).

    Returns the map, and the place of each file name in it. The images are decoded on the first call
    for a size and kept in data/arrays/; the file is made anew when the manifest changes. Raises
    ValueError or FileNotFoundError that names a bad image.
    """
    rows = workspace.rows()
    folder = workspace.data / "arrays"
    contents = fingerprint(f"{row.file_name} {row.sha256}" for row in rows)
    path = folder / f"{size}-{contents[:16]}.npy"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        with held(folder, wait=True):
            if not path.exists():  # which another process may have made meanwhile
                _write_arrays(path, [workspace.data / row.file_name for row in rows], size)
                _delete_others(path, f"{size}-*.npy")
    try:
        images = np.load(path, mmap_mode="r")
    except (ValueError, EOFError) as error:
        raise ValueError(
            f"{path} is damaged ({error}); delete it, it is made anew from the images"
        ) from error
    return images, {row.file_name: index for index, row in enumerate(rows)}


def _write_arrays(path: Path, images: Sequence[Path], size: int) -> None:
    """Decode image files one after the other into a .npy file."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(images), size, size)}
    with atomic(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for square in read_squares(images, size, "decode"):
            file.write(square.tobytes())


def _delete_others(path: Path, pattern: str) -> None:
    for other in path.parent.glob(pattern):
        if other != path:
            other.unlink()


def read_squares(
    paths: Sequence[Path], size: int, what: str, *, exact: bool = False
) -> Iterator[np.ndarray]:
    """Read image files by the one pixel path, as uint8 (size, size) each, in order.

    They are decoded in parallel, with few at a time in memory. what: the progress bar's text.
    exact: raise ValueError when a file is not (size, size) already.
    """
    threads = min(os.cpu_count() or 1, MAX_THREADS)
    waiting = iter(paths)
    with ThreadPoolExecutor(threads) as pool, progress(len(paths), what, "image") as bar:
        pending = deque(pool.submit(read_gray, path) for path in islice(waiting, 8 * threads))
        for path in paths:
            gray = pending.popleft().result()
            pending.extend(pool.submit(read_gray, following) for following in islice(waiting, 1))
            if exact and gray.shape != (size, size):
                raise ValueError(
                    f"{path} is {gray.shape[1]}×{gray.shape[0]} px, expected {size}×{size}"
                )
            yield to_square(gray, size)
            bar.update()
