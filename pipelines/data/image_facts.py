"""Simple facts of images, measured without looking at the lungs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.study.image_cache import map_images
from pipelines.study.manifest import Row
from pipelines.study.workspace import Workspace

FACT_SIZE = 64  # pixels at which brightness and borders are measured
DARK_LEVEL = 16  # gray levels; a border pixel below it is film that no body covers
FRAME_WIDTH = 2  # pixels
FACTS = ("longest side", "width to height", "brightness", "contrast", "dark border")
_CHUNK = 4096  # images at a time, whatever the size of the study


def measure_facts(workspace: Workspace, rows: Sequence[Row]) -> np.ndarray:
    """Measure FACTS of each image, float (N, 5).

    They are pixels, a ratio, gray levels, gray levels, and a share of the frame.
    """
    facts = np.empty((len(rows), len(FACTS)))
    arrays, positions = map_images(workspace, FACT_SIZE)
    for start in range(0, len(rows), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        images = arrays[[positions[row.file_name] for row in rows[chunk]]]  # (B, 64, 64)
        facts[chunk, 2] = images.mean(axis=(1, 2))
        facts[chunk, 3] = images.std(axis=(1, 2))
        facts[chunk, 4] = (_frames(images) < DARK_LEVEL).mean(axis=1)
    sides = np.array([[row.width, row.height] for row in rows], float)  # (N, 2)
    facts[:, 0] = sides.max(axis=1)
    facts[:, 1] = sides[:, 0] / sides[:, 1]
    return facts


def _frames(images: np.ndarray) -> np.ndarray:
    """Return the border pixels (B, P) of images (B, S, S), the corners twice."""
    edges = (
        images[:, :FRAME_WIDTH],
        images[:, -FRAME_WIDTH:],
        images[:, :, :FRAME_WIDTH],
        images[:, :, -FRAME_WIDTH:],
    )
    return np.concatenate([edge.reshape(len(images), -1) for edge in edges], axis=1)
