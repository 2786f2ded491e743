"""Images as arrays: decoded once per size, kept beside the manifest, memory-mapped from then on.

Every process that opens a study maps the same file, so the memory is shared and bounded whatever the number of images.
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


def load_images(workspace: Workspace, rows: Sequence[Row], size: int) -> np.ndarray:
    """uint8 (len(rows), size, size) of these rows of the study, in their order, in memory."""
    arrays, positions = mapped_images(workspace, size)
    return arrays[[positions[row.file_name] for row in rows]]


def mapped_images(workspace: Workspace, size: int) -> tuple[np.ndarray, dict[str, int]]:
    """All images of the study as a read-only memory map uint8 (N, size, size), and the place of each file name in it.

    They are decoded on the first call for a size and kept in data/arrays/; the file is made anew when the manifest changes.
    Raises ValueError or FileNotFoundError that names a bad image.
    """
    study = workspace.rows()
    folder = workspace.data / "arrays"
    path = (
        folder / f"{size}-{fingerprint(f'{row.file_name} {row.sha256}' for row in study)[:16]}.npy"
    )
    if not path.exists():
        folder.mkdir(exist_ok=True)
        with held(folder, wait=True):
            if not path.exists():  # which another process may have made meanwhile
                _decode(workspace, study, size, path)
    try:
        arrays = np.load(path, mmap_mode="r")
    except (ValueError, EOFError) as error:
        raise ValueError(
            f"{path} is damaged ({error}); delete it, it is made anew from the images"
        ) from error
    return arrays, {row.file_name: index for index, row in enumerate(study)}


def _decode(workspace: Workspace, study: Sequence[Row], size: int, path: Path) -> None:
    with atomic(path) as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (len(study), size, size)}
        )
        for square in squares([workspace.data / row.file_name for row in study], size, "decode"):
            file.write(square.tobytes())
    for stale in path.parent.glob(f"{size}-*.npy"):
        if stale != path:
            stale.unlink()


def squares(
    paths: Sequence[Path], size: int, what: str, *, exact: bool = False
) -> Iterator[np.ndarray]:
    """Read image files in parallel, by the one pixel path, to uint8 (size, size) each, in order and with few at a time in memory.

    exact: raise ValueError when a file is not (size, size) already.
    """
    workers = min(os.cpu_count() or 1, 16)
    waiting = iter(paths)
    with ThreadPoolExecutor(workers) as pool, progress(len(paths), what, "image") as bar:
        pending = deque(pool.submit(read_gray, path) for path in islice(waiting, 8 * workers))
        for path in paths:
            gray = pending.popleft().result()
            pending.extend(pool.submit(read_gray, following) for following in islice(waiting, 1))
            if exact and gray.shape != (size, size):
                raise ValueError(
                    f"{path} is {gray.shape[1]}×{gray.shape[0]} px, expected {size}×{size}"
                )
            yield to_square(gray, size)
            bar.update()
