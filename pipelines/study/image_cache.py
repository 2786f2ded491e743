"""Images as arrays: decoded once per size, kept beside the manifest, memory-mapped from then on.

Every process that opens a study maps the same file, so the memory is shared and bounded whatever
the number of images.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipelines.study.manifest import Row, fingerprint
from pipelines.study.view_names import WHOLE
from pipelines.study.views import PIXELS_FORMAT, read_view
from pipelines.study.workspace import Workspace
from runtime.files import atomic
from runtime.lock import held
from runtime.processors import count_processors
from runtime.progress import progress

MAX_THREADS = 16

Item = TypeVar("Item")
Image = TypeVar("Image")


def load_images(workspace: Workspace, rows: Sequence[Row], size: int) -> np.ndarray:
    """Load uint8 (len(rows), size, size) of these rows in the workspace's view, in their order."""
    images, positions = map_images(workspace, size)
    return images[[positions[row.file_name] for row in rows]]


def map_images(workspace: Workspace, size: int) -> tuple[np.memmap, dict[str, int]]:
    """Map all images that the workspace's view shows, read-only, as uint8 (N, size, size).

    Returns the map, and the place of each file name in it. The images are decoded on the first call
    for a size and a view, and kept in data/arrays/; the file is made anew when the manifest or the
    lungs change. Raises ValueError or FileNotFoundError that names a bad image.
    """
    rows = workspace.rows()
    folder = workspace.data / "arrays"
    contents = fingerprint(f"{row.file_name} {workspace.identity(row)}" for row in rows)
    kind = f"{size}-{workspace.view}" + ("" if workspace.view == WHOLE else f".{PIXELS_FORMAT}")
    path = folder / f"{kind}-{contents[:16]}.npy"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        with held(folder, wait=True):
            if not path.exists():  # which another process may have made meanwhile
                _write_arrays(path, workspace, rows, size)
                _delete_others(path, f"{kind}-*.npy")
    try:
        images = np.load(path, mmap_mode="r")
    except (ValueError, EOFError) as error:
        raise ValueError(
            f"{path} is damaged ({error}); delete it, it is made anew from the images"
        ) from error
    return images, {row.file_name: index for index, row in enumerate(rows)}


def _write_arrays(path: Path, workspace: Workspace, rows: Sequence[Row], size: int) -> None:
    """Decode images one after the other into a .npy file."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(rows), size, size)}
    read = partial(read_view, workspace, size=size)
    with atomic(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for square in read_in_order(rows, read, "decode"):
            file.write(square.tobytes())


def _delete_others(path: Path, pattern: str) -> None:
    for other in path.parent.glob(pattern):
        if other != path:
            other.unlink()


def read_in_order(
    items: Sequence[Item], read: Callable[[Item], Image], what: str
) -> Iterator[Image]:
    """Read images of something each, in order.

    They are read in parallel, with few at a time in memory. what: the progress bar's text.
    """
    threads = min(count_processors(), MAX_THREADS)
    waiting = iter(items)
    with ThreadPoolExecutor(threads) as pool, progress(len(items), what, "image") as bar:
        pending = deque(pool.submit(read, item) for item in islice(waiting, 8 * threads))
        for _ in items:
            image = pending.popleft().result()
            pending.extend(pool.submit(read, following) for following in islice(waiting, 1))
            yield image
            bar.update()
