"""From the study's training images and masks that people drew to a lung network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from classifier.bootstrap import percentile_interval, resampled_means
from gan.segan.config import LungsConfig
from gan.segan.segmentation import LungNetwork, load_lung_network
from gan.segan.train import LungData, train
from pipelines.data.lung_masks import match_masks, read_mask
from pipelines.data.lungs import draw_lungs, find_network
from pipelines.figures.lung_sheets import DRAWN_COLOUR, TRUE_COLOUR, Outlined, draw_outline_sheet
from pipelines.results.lung_result import LUNG_MEASURES, LungResult, LungScores
from pipelines.study.image_io import read_gray
from pipelines.study.lung_shape import dice, find_doubts, iou, split_lungs
from pipelines.study.lungs import stretch, stretch_mask
from pipelines.study.manifest import SPLITS, Row, fingerprint
from pipelines.study.runs import RunRequest, prepare_run
from pipelines.study.tables import format_table
from pipelines.study.workspace import Workspace
from pipelines.training.lungs_card import write_lungs_card
from runtime.estimate import Estimate
from runtime.files import sha256_of, write_text
from runtime.memory import explain_out_of_memory
from runtime.options import OptionError
from runtime.run import Run

MIN_MASKED_IMAGES = {"train": 8, "validation": 2, "test": 2}
WORST = 24  # images on the sheet of the worst
POOR_DICE = 0.80


@dataclass(frozen=True, kw_only=True)
class LungsTraining:
    """What `cxr lungs-train` was asked for."""

    config: LungsConfig
    start: str | None = None  # the lungs-train run to begin with, or "packaged"
    masks: tuple[str, ...] = ()  # folders and files of masks

    def __post_init__(self) -> None:
        if not self.masks:
            raise OptionError(
                "masks",
                "PATH",
                "expected masks that people drew: a folder of PNGs named like the images of the "
                "study, or Darwin or COCO JSON",
            )


@dataclass(frozen=True)
class MaskedImages:
    """The images of one split that have a mask.

    Attributes:
        rows: Of the manifest.
        grays: uint8 (H, W) each.
        masks: bool (H, W) each.
    """

    rows: list[Row] = field(default_factory=list)
    grays: list[np.ndarray] = field(default_factory=list)
    masks: list[np.ndarray] = field(default_factory=list)

    def tensors(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images and masks as a trainer takes them, uint8 (N, 1, S, S) each."""
        images = np.stack([stretch(gray, size) for gray in self.grays])
        masks = np.stack([stretch_mask(mask, size) for mask in self.masks])
        return torch.from_numpy(images).unsqueeze(1), torch.from_numpy(masks).unsqueeze(1)


@dataclass(frozen=True)
class LungAgreement:
    """How a drawn mask of one image agrees with the true one; Dice and IoU of both lungs and each.

    Attributes:
        drawn: bool (H, W).
        doubts: What does not look like two lungs in it.
    """

    row: Row
    drawn: np.ndarray
    doubts: str
    dice: float
    iou: float
    right_dice: float
    right_iou: float
    left_dice: float
    left_iou: float


def train_lungs(
    workspace: Workspace,
    options: Mapping[str, Any],
    request: RunRequest,
    *,
    masks: Sequence[Path],
    start_with: str | None,
) -> tuple[Run, LungResult]:
    """Train a lung network on the study's training images that have a mask.

    options: the fields of LungsConfig that were asked for. masks: folders and files of
    masks. start_with: the run of lungs-train to begin with, or "packaged".
    Returns the finished run and the network's scores.

    Raises ValueError when a mask is bad or a split has too few images with a mask.
    """
    rows = workspace.rows()
    start = prepare_run(
        workspace,
        "lungs-train",
        LungsTraining,
        {**options, "masks": tuple(map(str, masks)) or None, "start": start_with},
        request,
    )
    config = start.settings.config
    first = _load_start(workspace, start.settings, rows, start.compute.device)
    splits = load_masked_images(workspace, rows, [Path(folder) for folder in start.settings.masks])
    run = start.begin(_describe_data(splits))
    training = splits["train"]
    data = LungData(
        *training.tensors(config.image_size),
        [row.sha256 for row in training.rows],
        *splits["validation"].tensors(config.image_size),
    )
    with explain_out_of_memory(config.batch_size, run):
        state = train(config, data, run, start.compute, first)
    file = run.folder / "lungs.pt"
    network = load_lung_network(file, start.compute.device)  # as it is kept, in float16
    agreements = {name: _draw_all(network, splits[name]) for name in ("validation", "test")}
    result = LungResult(
        validation=score(agreements["validation"]),
        test=score(agreements["test"]),
        train_images=len(training.rows),
        train_patients=len({row.patient for row in training.rows}),
        steps=state.step,
        best_step=state.best_step,
    )
    result.save(run)
    _write_agreements(run, agreements)
    for name, of_split in agreements.items():
        _draw_worst(run, name, of_split, splits[name])
    write_lungs_card(run, workspace, training.rows, result, sha256_of(file))
    run.finish(
        {"step": state.step, "best_step": state.best_step, "seconds": round(state.seconds, 1)}
    )
    return run, result


def _describe_data(splits: Mapping[str, MaskedImages]) -> dict[str, object]:
    """Return what a run's config.json holds of the images and masks."""
    pairs = [
        pair for split in splits.values() for pair in zip(split.rows, split.masks, strict=True)
    ]
    return {
        "images": {name: len(split.rows) for name, split in splits.items()},
        "data": fingerprint(row.sha256 for row, _ in pairs),
        "true_masks": fingerprint(
            f"{row.sha256} {np.packbits(mask).tobytes().hex()}" for row, mask in pairs
        ),
    }


def _load_start(
    workspace: Workspace, settings: LungsTraining, rows: Sequence[Row], device: torch.device
) -> LungNetwork | None:
    """Load the network to begin with.

    Raises ValueError when it has another width, or saw a held-out image of the study.
    """
    if settings.start is None:
        return None
    file, name = find_network(workspace, settings.start)
    network = load_lung_network(file, device)
    if network.config.width != settings.config.width:
        raise OptionError(
            "width", settings.config.width, f"{name} has {network.config.width}; use the same"
        )
    seen = sum(row.split != "train" and row.sha256 in network.trained_on for row in rows)
    if seen:
        raise ValueError(
            f"leak: the lung network {name} was trained on {seen} held-out images of this study; "
            "train one from the start"
        )
    return network


def load_masked_images(
    workspace: Workspace, rows: Sequence[Row], sources: Sequence[Path]
) -> dict[str, MaskedImages]:
    """Read the images that have a mask in the sources, folders or files, by split.

    Raises ValueError when a mask is bad or a split has too few.
    """
    found = match_masks(workspace, sources)
    splits = {name: MaskedImages() for name in SPLITS}
    for row in rows:
        mask = found.by_image.get(row.file_name)
        if mask and row.split in splits:
            split = splits[row.split]
            split.rows.append(row)
            split.grays.append(read_gray(workspace.data / row.file_name))
            split.masks.append(read_mask(mask, row))
    for name, split in splits.items():
        if len(split.rows) < MIN_MASKED_IMAGES[name]:
            raise ValueError(
                f"{len(split.rows)} {name} image(s) of the study have a mask, a lung "
                f"network needs at least {MIN_MASKED_IMAGES[name]}"
            )
    return splits


def compare_masks(row: Row, drawn: np.ndarray, true: np.ndarray, doubts: str) -> LungAgreement:
    """Measure a drawn mask bool (H, W) against the true one, lung by lung."""
    drawn_right, drawn_left = split_lungs(drawn)
    true_right, true_left = split_lungs(true)
    return LungAgreement(
        row=row,
        drawn=drawn,
        doubts=doubts,
        dice=dice(drawn, true),
        iou=iou(drawn, true),
        right_dice=dice(drawn_right, true_right),
        right_iou=iou(drawn_right, true_right),
        left_dice=dice(drawn_left, true_left),
        left_iou=iou(drawn_left, true_left),
    )


def score(agreements: Sequence[LungAgreement]) -> LungScores:
    """Average over images, with 95 % intervals of the bootstrap over patients."""
    patients = [agreement.row.patient for agreement in agreements]

    def estimate(name: str) -> Estimate:
        values = np.array([getattr(agreement, name) for agreement in agreements])
        resampled = resampled_means(values, np.ones(len(values)), patients)
        return Estimate(float(values.mean()), *percentile_interval(resampled), len(values))

    return LungScores(
        **{name: estimate(name) for name in LUNG_MEASURES},
        patients=len(set(patients)),
        under_80=sum(agreement.dice < POOR_DICE for agreement in agreements),
        doubtful=sum(bool(agreement.doubts) for agreement in agreements),
    )


def _draw_all(network: LungNetwork, split: MaskedImages) -> list[LungAgreement]:
    agreements = []
    for row, gray, true in zip(split.rows, split.grays, split.masks, strict=True):
        drawn = draw_lungs(network, gray)
        doubts = "; ".join(find_doubts(drawn.mask, gray, drawn.agreement))
        agreements.append(compare_masks(row, drawn.mask, true, doubts))
    return agreements


def _write_agreements(run: Run, agreements: dict[str, list[LungAgreement]]) -> None:
    """Write dice.csv, a row per validation and test image, the worst first."""
    rows = [
        {
            "file_name": agreement.row.file_name,
            "split": name,
            "patient": agreement.row.patient,
            **{measure: f"{getattr(agreement, measure):.6f}" for measure in LUNG_MEASURES},
            "doubts": agreement.doubts,
        }
        for name, of_split in agreements.items()
        for agreement in sorted(of_split, key=lambda agreement: agreement.dice)
    ]
    columns = ["file_name", "split", "patient", *LUNG_MEASURES, "doubts"]
    write_text(run.folder / "dice.csv", format_table(columns, rows))


def _draw_worst(
    run: Run, name: str, agreements: Sequence[LungAgreement], split: MaskedImages
) -> None:
    """Draw worst-SPLIT.png: the images of the lowest Dice, with both outlines."""
    order = sorted(range(len(agreements)), key=lambda index: agreements[index].dice)[:WORST]
    images = [
        Outlined(
            split.grays[index],
            [(split.masks[index], TRUE_COLOUR), (agreements[index].drawn, DRAWN_COLOUR)],
            f"Dice {agreements[index].dice:.3f} {agreements[index].doubts}",
        )
        for index in order
    ]
    title = f"The {len(images)} lowest Dice of {len(agreements)} {name} images; green: drawn by "
    draw_outline_sheet(
        images, run.folder / f"worst-{name}.png", title + "people, orange: by the network"
    )
