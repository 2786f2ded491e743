"""Find the lungs in every image of a study: masks that were brought, or else a network's.

Everything is made beside the study's own files and moved into place at the end, the table last:
what an interrupted command leaves is not in use, and the next one deletes it.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import interpolate, pad

from gan.segan.segmentation import PACKAGED, LungNetwork, load_lung_network, lung_chances
from pipelines.data.lung_masks import FoundMasks, check_masks, match_masks, read_mask
from pipelines.study.image_io import read_gray, write_gray
from pipelines.study.lung_shape import box_of, clean_mask, dice, find_doubts
from pipelines.study.lungs import (
    DOUBTFUL,
    GOOD,
    HUMAN,
    NETWORK,
    Box,
    LungRow,
    mask_hash,
    mask_name,
    stretch,
    table_path,
    write_lungs,
)
from pipelines.study.manifest import Row, study_fingerprint
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.files import read_json, sha256_of
from runtime.lock import held
from runtime.progress import progress
from runtime.records import write_record
from runtime.run import Interrupted, stop_on_signal

LUNGS_FORMAT = 1
PACKAGED_NAME = "packaged"
SHIFT = 1 / 32  # of the side, by which the film is shifted to see whether the lungs move with it
ENLARGEMENT = 5 / 4  # of the shifted film: a network draws better on films larger than in training


class DrawnLungs(NamedTuple):
    """A mask bool (H, W) of an image's size, and its agreement with a changed film's (Dice)."""

    mask: np.ndarray
    agreement: float


@dataclass(frozen=True)
class LungsSummary:
    """What `cxr data lungs` did, as data/lungs.json holds it.

    Attributes:
        network: "packaged", or the run of lungs-train that the network is from.
        network_sha256: Of its file.
        network_images: How many images it was trained on.
        images: How many images of the study have a mask of each source.
        doubtful: How many of these do not look like two lungs, by source.
        trained_on_held_out: How many validation, test and external images of the study the network
            drew the masks of and was trained on, by split.
        masks_resized: How many brought masks had another size than their image.
        masks_left_out: How many brought masks are of images that the import left out.
        other_annotations: How many annotations of the masks' files are of no lung, by their names.
        data: Fingerprint of the study's images and splits.
    """

    network: str
    network_sha256: str
    network_images: int
    images: dict[str, int]
    doubtful: dict[str, int]
    trained_on_held_out: dict[str, int]
    masks_resized: int
    masks_left_out: int
    other_annotations: dict[str, int]
    data: str


def find_network(workspace: Workspace, name: str | None) -> tuple[Path, str]:
    """Return file and name of the lung network of a lungs-train run, or of the package's own.

    name: the run; None or "packaged": the package's.
    """
    if name in (None, PACKAGED_NAME):
        return PACKAGED, PACKAGED_NAME
    run = workspace.find_run("lungs-train", name)
    return run.folder / "lungs.pt", run.name


def load_network(workspace: Workspace, sha256: str, device: torch.device) -> LungNetwork:
    """Load the lung network whose masks the study has. Raises ValueError where it is another."""
    name = read_json(workspace.data / "lungs.json").expect(network=str)["network"]
    file, _ = find_network(workspace, name)
    if sha256_of(file) != sha256:
        raise ValueError(
            f"{file} is another lung network than the one that the study's lungs were found by; "
            "find them anew with: cxr data lungs, and train on them"
        )
    return load_lung_network(file, device)


def draw_lungs(network: LungNetwork, gray: np.ndarray) -> DrawnLungs:
    """Let a network draw the lungs of an image uint8 (H, W).

    It sees the film, and the film mirrored, shifted a little and larger; the mean of both is the
    mask. That networks do better on images larger than in training: Touvron et al. 2019 (FixRes).
    """
    size = network.config.image_size
    large = round(size * ENLARGEMENT)
    by = max(1, round(large * SHIFT))
    film, larger = (torch.from_numpy(stretch(gray, s).copy())[None, None] for s in (size, large))
    shifted = pad(larger.float(), (by, 0, by, 0), mode="replicate")[..., :large, :large].byte()
    changed = lung_chances(network.segmentor, shifted.flip(3)).flip(2)[:, by:, by:]  # (1, L, L)
    changed = pad(changed, (0, by, 0, by), mode="replicate")
    straight = lung_chances(network.segmentor, film)[None]  # (1, 1, S, S)
    straight = interpolate(straight, (large, large), mode="bilinear", align_corners=False)[0]
    agreement = dice((straight[0] > 0.5).numpy(), (changed[0] > 0.5).numpy())
    mean = (straight + changed)[None] / 2
    full = interpolate(mean, gray.shape, mode="bilinear", align_corners=False)
    return DrawnLungs(clean_mask(full[0, 0].numpy() > 0.5), agreement)


def find_lungs(
    workspace: Workspace, compute: Compute, *, masks: Sequence[Path], network: str | None
) -> tuple[LungsSummary, list[LungRow]]:
    """Write data/lungs/, data/lungs.json and data/lungs.csv for every image of the study.

    masks: folders and files of masks to use for their images. network: the run of lungs-train
    whose network draws the others, the packaged one when None.

    Returns what was done, and a row per image. Raises ValueError at the first bad mask or image;
    then what was there before is untouched.
    """
    rows = workspace.rows()
    file, name = find_network(workspace, network)
    lung_network = load_lung_network(file, compute.device)
    found = match_masks(workspace, masks)
    resized = check_masks(rows, found)
    staging = workspace.data / ".lungs.new"
    with held(workspace.data):
        shutil.rmtree(staging, ignore_errors=True)
        try:
            lung_rows = _write_masks(workspace, rows, found, lung_network, staging)
            summary = LungsSummary(
                network=name,
                network_sha256=sha256_of(file),
                network_images=len(lung_network.trained_on),
                images=dict(Counter(row.source for row in lung_rows)),
                doubtful=dict(Counter(row.source for row in lung_rows if row.doubts)),
                trained_on_held_out=_count_held_out(rows, lung_rows),
                masks_resized=resized,
                masks_left_out=found.left_out,
                other_annotations=dict(sorted(found.other_names.items())),
                data=study_fingerprint(rows),
            )
            _move_into_place(workspace, staging, summary, lung_rows)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return summary, lung_rows


def _write_masks(
    workspace: Workspace,
    rows: Sequence[Row],
    found: FoundMasks,
    network: LungNetwork,
    staging: Path,
) -> list[LungRow]:
    """Write the mask of every image into the staging folder. Raises Interrupted by a signal."""
    lung_rows = []
    trained_on = frozenset(network.trained_on)
    with stop_on_signal() as stop, progress(len(rows), "data lungs", "image") as bar:
        for row in rows:
            gray = read_gray(workspace.data / row.file_name)
            brought = found.by_image.get(row.file_name)
            if brought:
                source, mask = HUMAN, read_mask(brought, row)
                doubts = find_doubts(mask, gray)
            else:
                source = NETWORK
                drawn = draw_lungs(network, gray)
                mask, doubts = drawn.mask, find_doubts(drawn.mask, gray, drawn.agreement)
            path = staging / mask_name(row.file_name)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_gray(path, mask.astype(np.uint8) * 255)
            was_seen = source == NETWORK and row.sha256 in trained_on
            lung_rows.append(_describe(row, mask, doubts, source, was_seen))
            bar.update()
            if stop.requested:
                raise Interrupted(
                    f"stopped at image {len(lung_rows)} of {len(rows)}; the study is as it was"
                )
    return lung_rows


def _describe(
    row: Row, mask: np.ndarray, doubts: Sequence[str], source: str, was_seen: bool
) -> LungRow:
    box = box_of(mask) or Box(0, 0, 0, 0)
    return LungRow(
        file_name=row.file_name,
        sha256=row.sha256,
        left=box.left,
        top=box.top,
        right=box.right,
        bottom=box.bottom,
        quality=DOUBTFUL if doubts else GOOD,
        doubts="; ".join(doubts),
        source=source,
        trained_on="yes" if was_seen else "no",
        mask_sha256=mask_hash(mask),
    )


def _count_held_out(rows: Sequence[Row], lung_rows: Sequence[LungRow]) -> dict[str, int]:
    """Count the images outside of training whose mask's network was trained on them, by split."""
    return dict(
        Counter(
            row.split
            for row, lungs in zip(rows, lung_rows, strict=True)
            if row.split != "train" and lungs.trained_on == "yes"
        )
    )


def _move_into_place(
    workspace: Workspace, staging: Path, summary: LungsSummary, lung_rows: Sequence[LungRow]
) -> None:
    """Replace the lungs of the study, the table last."""
    folder = workspace.data / "lungs"
    table_path(workspace.data).unlink(missing_ok=True)
    (workspace.data / "lungs.png").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(staging, folder)
    write_record(workspace.data / "lungs.json", summary, LUNGS_FORMAT)
    write_lungs(table_path(workspace.data), lung_rows)
