"""What a classifier sees of a picture from anywhere, and where the lungs are in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from gan.segan.segmentation import LungNetwork
from pipelines.data.lungs import draw_lungs, load_network
from pipelines.study.image_io import pixel_hash, to_square
from pipelines.study.lung_shape import box_of, find_doubts
from pipelines.study.lungs import LungRow, Lungs, lungs_of, read_network_hash
from pipelines.study.manifest import Row
from pipelines.study.view_names import WHOLE
from pipelines.study.views import in_view_of, show_lung_share, show_lungs
from pipelines.study.workspace import Workspace
from runtime.run import Run


class Sight(NamedTuple):
    """A picture as a classifier sees it, uint8 (S, S).

    lungs: The share of each of its pixels that is lung, float32 (S, S); None where not known.
    """

    image: np.ndarray
    lungs: np.ndarray | None


@dataclass(frozen=True)
class Viewer:
    """Brings pictures to what a classifier was trained on.

    Attributes:
        workspace: The study in the classifier's view.
        size: Pixels of a side.
        rows: Of the study, by the hash of their pixels.
        lungs: Of the study's images, by file name; empty where lungs are not looked for.
        network: Draws the lungs of pictures from elsewhere; None where lungs are not looked for.
    """

    workspace: Workspace
    size: int
    rows: Mapping[str, Row]
    lungs: Mapping[str, LungRow]
    network: LungNetwork | None

    def see(self, gray: np.ndarray) -> Sight:
        """Return a picture uint8 (H, W) as the classifier sees it.

        Raises ValueError where it is to see lungs, and they cannot be trusted.
        """
        if self.network is None:
            return Sight(to_square(gray, self.size), None)
        view = self.workspace.view
        lungs, doubts = self._find_lungs(gray, self.network)
        if doubts and view != WHOLE:
            raise ValueError(f"lungs that cannot be trusted: {doubts}")
        share = None if doubts else show_lung_share(lungs, view, self.size)
        if view == WHOLE:
            return Sight(to_square(gray, self.size), share)
        return Sight(show_lungs(gray, lungs, view, self.size), share)

    def _find_lungs(self, gray: np.ndarray, network: LungNetwork) -> tuple[Lungs, str]:
        """Return the study's lungs where the picture is of it, else drawn ones, and any doubts."""
        row = self.rows.get(pixel_hash(gray))
        if row:
            found = self.lungs[row.file_name]
            lungs = lungs_of(self.workspace.data, row, self.lungs)
            return lungs, "" if found.is_usable else found.doubts or found.quality
        mask, agreement = draw_lungs(network, gray)
        return Lungs(mask, box_of(mask)), "; ".join(find_doubts(mask, gray, agreement))


def open_viewer(
    workspace: Workspace, run: Run, size: int, device: torch.device, *, find_lungs: bool
) -> Viewer:
    """Return what brings pictures to the view and size that a classifier knows.

    run: That trained it. find_lungs: Whether lungs are looked for in whole images too, where the
    study has some.

    Raises ValueError when the study's lungs, or their network, are others by now, and
    FileNotFoundError when they are gone.
    """
    seen = in_view_of(workspace, run)
    rows = {row.sha256: row for row in seen.all_rows()}
    if seen.view == WHOLE and not (find_lungs and seen.has_lungs):
        return Viewer(seen, size, rows, {}, None)
    network = load_network(seen, read_network_hash(seen.data), device)
    return Viewer(seen, size, rows, seen.lungs, network)
