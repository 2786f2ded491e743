"""What of an image is read: the whole of it, the box of its lungs, or its lungs alone.

A view of the lungs shows them in one frame and one scale of grays, whatever the hospital: the box
of both lungs with a margin, stretched to a square, its gray levels set by those inside the lungs.
Where films differ in borders, letters and exposure by their source, a classifier of whole images
learns the source (Teixeira et al. 2021, Sensors 21, 7116).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.study.image_io import read_gray, square_box, to_square
from pipelines.study.lungs import (
    MADE_BY_COMMAND,
    Box,
    FloatBox,
    Lungs,
    lungs_of,
    read_network_hash,
    stretch,
    stretch_mask,
)
from pipelines.study.manifest import Row
from pipelines.study.view_names import LUNGS, WHOLE
from pipelines.study.workspace import Workspace
from runtime.options import OptionError
from runtime.run import Run

PIXELS_FORMAT = 1  # of a view of the lungs: to be raised with every change of its pixels
MARGIN = 1 / 32  # of the box's width and height, on each side
OUTSIDE_GRAY = 128  # around the lungs, in the view of the lungs alone


def choose_view(workspace: Workspace, asked: str | None, source: Run | None) -> Workspace:
    """Return the study in the view that a command reads it in.

    It is that of the images that are added to the study's own; else the one asked for, that of the
    newest generator, or the whole image.

    source: The run that the added images are of. Raises OptionError when it has another view than
    the one asked for, and as `in_view_of` does.
    """
    if source and asked not in (None, view_of(source.config)):
        raise OptionError(
            "view",
            asked,
            f"{source.name} has images of view {view_of(source.config)}, and reals and synthetic "
            f"images share one; make others with: cxr gan-train --view {asked}, cxr synthesize",
        )
    if source:
        return in_view_of(workspace, source)
    if asked is not None:
        return workspace.in_view(asked)
    try:
        newest = workspace.find_run("gan-train", holding="generator.pt")
    except FileNotFoundError:
        return workspace.in_view(WHOLE)
    return workspace.in_view(view_of(newest.config))


def view_of(config: Mapping[str, Any]) -> str:
    """Return the view that a run was made in; runs of older versions know whole images alone."""
    view: str = config.get("view", WHOLE)
    return view


def in_view_of(workspace: Workspace, run: Run) -> Workspace:
    """Return the study in the view that a run was made in.

    Raises ValueError when the study's lungs were drawn by another network since.
    """
    seen = workspace.in_view(view_of(run.config))
    if view_facts(seen)["lung_network"] != run.config.get("lung_network"):
        raise ValueError(
            f"{run.name} was made with lungs of another network than {workspace.data} has by now; "
            f"draw them with that one ({MADE_BY_COMMAND} --network RUN), or make the run anew"
        )
    return seen


def view_facts(workspace: Workspace) -> dict[str, str | None]:
    """Return what a run's config.json holds of the view, and of the network behind it."""
    is_whole = workspace.view == WHOLE
    network = None if is_whole else read_network_hash(workspace.data)
    return {"view": workspace.view, "lung_network": network}


def read_view(workspace: Workspace, row: Row, size: int) -> np.ndarray:
    """Read an image of the study in the workspace's view, uint8 (size, size).

    Raises ValueError or FileNotFoundError that names a bad image or mask.
    """
    gray = read_gray(workspace.data / row.file_name)
    if workspace.view == WHOLE:
        return to_square(gray, size)
    lungs = lungs_of(workspace.data, row, workspace.lungs)
    return show_lungs(gray, lungs, workspace.view, size)


def read_lung_shares(workspace: Workspace, rows: Sequence[Row], size: int) -> np.ndarray:
    """Read where the lungs are in the workspace's view of these images, whatever their quality.

    Returns the share of each pixel that is lung, float32 (len(rows), size, size).
    """
    lungs = (lungs_of(workspace.data, row, workspace.lungs) for row in rows)
    return np.stack([show_lung_share(own, workspace.view, size) for own in lungs])


def show_lung_share(lungs: Lungs, view: str, size: int) -> np.ndarray:
    """Return where lungs are in a view of their image.

    It is the share of each pixel that is lung, float32 (size, size).
    """
    box: FloatBox = square_box(lungs.mask.shape)
    if view != WHOLE and lungs.box is not None:
        box = framed(lungs.box, lungs.mask.shape)
    return stretch_mask(lungs.mask, size, box).astype(np.float32) / 255


def show_lungs(gray: np.ndarray, lungs: Lungs, view: str, size: int) -> np.ndarray:
    """Return the view of the lungs of an image uint8 (H, W), as uint8 (size, size).

    lungs: Whose box is not None. view: LUNG_BOX or LUNGS.
    """
    assert lungs.box is not None
    levels = harmonise(gray[lungs.mask])[gray]  # (H, W)
    if view == LUNGS:
        levels = np.where(lungs.mask, levels, np.uint8(OUTSIDE_GRAY))
    return stretch(levels, size, framed(lungs.box, gray.shape))


def framed(box: Box, shape: tuple[int, ...]) -> FloatBox:
    """Return the box with its margin: left, top, right, bottom in pixels, cut at the film's edge.

    shape: (H, W) of the film.
    """
    height, width = shape
    across, down = MARGIN * (box.right - box.left), MARGIN * (box.bottom - box.top)
    return (
        max(box.left - across, 0),
        max(box.top - down, 0),
        min(box.right + across, width),
        min(box.bottom + down, height),
    )


def harmonise(inside: np.ndarray) -> np.ndarray:
    """Return the gray level, uint8 (256,), that each of 0 to 255 becomes.

    The 1st and 99th percentile of the lungs become 0 and 255, what is beyond them is cut.
    inside: The levels within the lungs, uint8 (N,).
    """
    low, high = np.percentile(inside, (1, 99))
    levels = (np.arange(256) - low) / max(high - low, 1) * 255
    return levels.round().clip(0, 255).astype(np.uint8)
