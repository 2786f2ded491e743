"""Real images of the study among images that somebody brings as synthetic: they are copies.

A picture is known again by its pixels, as the manifest has them and as the study reads them; by its
perceptual hash (see `data.cleaning`), but for phantoms, which are alike by their making; and by its
thumbnail (see `metrics.nearest`). Of 4800 samples of generators of 925 public X-rays none came
nearer to a real one than 54 of 256 bits and 0.27 in thumbnails, of 840 mixtures and principal
components of phantoms 0.15; phantoms and X-rays that were made smaller and larger again, down to
24 px, saved as JPEG of quality 50, noisier or darker stay within 0.1 in 98 of 100 cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.data.cleaning import perceptual_hash
from pipelines.data.foreign_images import ForeignImage
from pipelines.metrics.nearest import nearest, thumbnails
from pipelines.study.image_cache import load_images
from pipelines.study.image_io import pixel_hash
from pipelines.study.manifest import Row
from pipelines.study.persons import NEAR_BITS
from pipelines.study.workspace import Workspace

SAME_THUMBNAIL = 0.1  # distance of thumbnails below which two are one picture
_HASHES_AT_ONCE = 1024  # hashes compared at once
SHOWN_COPIES = 3  # copies that a message names


@dataclass(frozen=True)
class RealCopy:
    """An image that is one of the study's, and how that was seen."""

    image: ForeignImage
    row: Row
    how: str

    def __str__(self) -> str:
        return f"{self.image.name} is {self.row.file_name} ({self.row.split}, {self.how})"


def find_real_copies(
    workspace: Workspace, images: Sequence[ForeignImage], size: int
) -> list[RealCopy]:
    """Find the images that are one of the study's, of whatever split, in the order of the images.

    workspace: In the view of the images. size: At which these were decoded.
    """
    rows = workspace.rows()
    squares = load_images(workspace, rows, size)  # (M, S, S)
    at_size = {pixel_hash(square): row for square, row in zip(squares, rows, strict=True)}
    whole = {row.sha256: row for row in workspace.all_rows()}
    near, bits = _nearest_hashes(images, rows, squares)
    found = nearest(thumbnails(np.stack([image.pixels for image in images])), thumbnails(squares))
    copies = []
    for place, image in enumerate(images):
        row, how = whole.get(image.sha256), "the same pixels"
        if row is None:
            row, how = at_size.get(pixel_hash(image.pixels)), f"the same pixels at {size} px"
        if row is None and bits[place] <= NEAR_BITS:
            row, how = near[place], f"alike but for {bits[place]} of 256 bits"
        if row is None and found.distance[place] < SAME_THUMBNAIL:
            row = rows[found.index[place]]
            how = f"its thumbnail differs by {found.distance[place]:.2f}"
        if row is not None:
            copies.append(RealCopy(image, row, how))
    return copies


def refuse_copies(copies: Sequence[RealCopy], total: int, source: str) -> None:
    """Raise ValueError that names the copies; those of held-out images come first."""
    if not copies:
        return
    held_out = [copy for copy in copies if copy.row.split != "train"]
    first = [*held_out, *(copy for copy in copies if copy.row.split == "train")][:SHOWN_COPIES]
    listed = "; ".join(map(str, first)) + ("; …" if len(copies) > SHOWN_COPIES else "")
    way_out = (
        "whoever made them has seen images that are held out: the set cannot be used in this study"
        if held_out
        else "take them out, or have them left out with --reject-copies"
    )
    raise ValueError(
        f"{source}: {len(copies)} of {total} images are real images of this study, "
        f"or near-copies ({len(held_out)} of them of held-out ones): {listed}; {way_out}"
    )


def _nearest_hashes(
    images: Sequence[ForeignImage], rows: Sequence[Row], squares: np.ndarray
) -> tuple[list[Row | None], np.ndarray]:
    """Return the row whose hash is nearest to each image's (N,), and the bits that differ (N,).

    A row has two hashes: that of the manifest, and that of what the view shows at the set's size.
    """
    hashed = [place for place, row in enumerate(rows) if row.near_hash]
    if not hashed:
        return [None] * len(images), np.full(len(images), 256)
    references = [rows[place].near_hash for place in hashed]
    references += [perceptual_hash(squares[place]) for place in hashed]
    known = _words(references)
    owners = [rows[place] for place in hashed] * 2
    queries = _words([image.near_hash for image in images])
    queries_at_size = _words([perceptual_hash(image.pixels) for image in images])
    nearest = np.zeros(len(images), np.int64)
    bits = np.full(len(images), 256)
    for words in (queries, queries_at_size):
        for start in range(0, len(words), _HASHES_AT_ONCE):
            block = slice(start, start + _HASHES_AT_ONCE)
            distance = np.bitwise_count(words[block, None] ^ known[None]).sum(axis=-1)
            place = distance.argmin(axis=1)
            least = distance[np.arange(len(place)), place]
            better = least < bits[block]
            nearest[block][better], bits[block][better] = place[better], least[better]
    return [owners[place] for place in nearest], bits


def _words(hashes: Sequence[str]) -> np.ndarray:
    """Turn hashes of 64 hexadecimal digits into uint64 (N, 4)."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64).reshape(-1, 4)
