"""From the study's training images to a generator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import TensorDataset

from gan.augment import augment, count_draws
from gan.batches import TrainingData
from gan.compiled import check_compiling
from gan.config import GanConfig
from gan.presets import parameter_counts
from gan.sample import to_float, to_uint8
from gan.snapshots import best_snapshot
from gan.train import train
from pipelines.figures.gan_progress import (
    draw_interpolations,
    draw_progress_strip,
    write_progress_animation,
)
from pipelines.figures.image_sheet import draw_image_sheet
from pipelines.figures.training_figures import draw_gan_curves
from pipelines.study.fractions import RealFraction
from pipelines.study.image_cache import load_images
from pipelines.study.manifest import Row
from pipelines.study.runs import RunRequest, RunStart, prepare_run
from pipelines.study.shares import RealShare
from pipelines.study.view_names import WHOLE
from pipelines.study.views import view_facts
from pipelines.study.workspace import Workspace
from pipelines.training.generator_card import write_generator_card
from runtime.device import Compute
from runtime.memory import explain_out_of_memory
from runtime.options import OptionError
from runtime.randomness import torch_generator
from runtime.run import Interrupted, Run
from runtime.stopwatch import Stopwatch

MIN_IMAGES_PER_CLASS = 8
GAN_PREVIEW_IMAGES = 16  # reals per class on the sheet of augmentations


@dataclass(frozen=True, kw_only=True)
class GanTraining:
    """What `cxr gan-train` was asked for."""

    config: GanConfig
    real_fraction: RealFraction = 1.0  # of the training images, whole patients at a time
    max_minutes: float | None = None
    view: str = WHOLE  # what of the images it draws
    compile: str = "no"  # the networks: yes or no

    def __post_init__(self) -> None:
        if self.compile not in ("yes", "no"):
            raise OptionError("compile", self.compile, "expected yes or no")
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise OptionError(
                "max_minutes", self.max_minutes, "expected a positive number of minutes"
            )


@dataclass(frozen=True)
class Images:
    """Images of a part of the study as a trainer takes them."""

    pixels: torch.Tensor  # (N, 1, S, S) uint8
    labels: torch.Tensor  # (N,) int64
    hashes: list[str]  # SHA-256 of each

    @property
    def dataset(self) -> TensorDataset:
        return TensorDataset(self.pixels, self.labels)


@dataclass(frozen=True)
class GanPlan:
    """What training would be, without training."""

    config: GanConfig
    parameters: dict[str, int]  # by network
    classes: int | None  # None without data; then the parameters are those for two


def plan_training(workspace: Workspace, options: dict[str, Any]) -> GanPlan:
    """Resolve the options of a training, and count the parameters of its networks."""
    config = GanConfig.from_options(**options)
    classes = None
    if workspace.manifest_path.exists():
        classes = len({row.label for row in workspace.rows()})
    return GanPlan(config, parameter_counts(config, classes or 2), classes)


def train_generator(
    workspace: Workspace,
    options: dict[str, Any],
    request: RunRequest,
    *,
    share: RealShare | None = None,
    view: str | None = None,
    max_minutes: float | None = None,
    keep_going: bool = False,
    compile: str | None = None,
) -> Run:
    """Train a generator on the study's training images, and return the finished run.

    options: the fields of GanConfig that were asked for. share: the reals to train on, all of the
    study's training split when None; a resumed run has its own. view: what it draws, one of VIEWS;
    whole images when None. keep_going: whatever the doctor says. compile: the networks, yes or no,
    which it is when None; a resumed run has its own.
    """
    watch = Stopwatch("imports", request.started)
    watch.begin("data")
    given = options | {
        "real_fraction": share and share.fraction,
        "max_minutes": max_minutes,
        "view": view,
        "compile": compile,
    }
    start = prepare_run(
        workspace,
        "gan-train",
        GanTraining,
        given,
        request,
        may_grow=("steps",),
        may_change=("max_minutes",),
    )
    config, compute = start.settings.config, start.compute
    is_compiled = start.settings.compile == "yes"
    if is_compiled:
        check_compiling(config, compute)
    workspace = workspace.in_view(start.settings.view)
    share = _settle_share(start, share)
    data, facts = _load_data(workspace, share, config)
    run = start.begin(facts)

    watch.begin("training")
    with explain_out_of_memory(config.batch_size, run), _draw_when_stopped(run, compute):
        result = train(
            config,
            data,
            run,
            compute,
            max_minutes=start.settings.max_minutes,
            keep_going=keep_going,
            compiled=is_compiled,
        )
    if compute.is_main_process:
        _conclude(run, workspace, share, result, watch)
    compute.agree(None)
    return run


def _load_data(
    workspace: Workspace, share: RealShare, config: GanConfig
) -> tuple[TrainingData, dict[str, object]]:
    """Load the images of a training, and say what a run records of them."""
    rows = share.rows(workspace)
    training_rows = [row for row in rows if row.split == "train"]
    counts = _count_images(training_rows, {row.label for row in workspace.rows()})
    classes = list(counts)
    training = _load(workspace, training_rows, config.sides[-1], classes)
    validation_rows = [row for row in rows if row.split == "validation"]
    validation = _load(workspace, validation_rows, config.sides[-1], classes)
    facts: dict[str, object] = {
        "data": workspace.fingerprint_of(training_rows + validation_rows),
        "classes": classes,
        "class_counts": counts,
        **share.record(),
        **view_facts(workspace),
    }
    return TrainingData(training.dataset, classes, training.hashes, validation.dataset), facts


@contextmanager
def _draw_when_stopped(run: Run, compute: Compute) -> Iterator[None]:
    """Draw how far a training came that a signal, the doctor or its losses stop.

    Where the disk or the memory is full there is nothing to draw on.
    """
    journal_size = run.journal_size()
    try:
        yield
    except (Interrupted, ValueError, FloatingPointError):
        if compute.is_main_process and run.journal_size() != journal_size:
            _draw(run, run.config["classes"])
        raise


def _conclude(
    run: Run,
    workspace: Workspace,
    share: RealShare,
    trained: Mapping[str, Any],
    watch: Stopwatch,
) -> None:
    """Draw the pictures of a finished training, write its card, and finish its run."""
    watch.begin("figures")
    _draw(run, run.config["classes"])
    around = watch.read()
    parts = {name: around[name] for name in ("imports", "data")}
    parts |= trained["seconds_by_part"] | {"figures": around["figures"]}
    best = best_snapshot(run)
    assert best is not None  # training ends with a snapshot
    training_rows = share.training_rows(workspace)
    data = workspace.fingerprint_of(training_rows)
    result = {**trained, "seconds_by_part": parts, "best_step": best.step, "data": data}
    all_rows = share.whole().rows(workspace)
    write_generator_card(run, workspace, all_rows, training_rows, result, best)
    run.finish(result)


def _settle_share(start: RunStart[GanTraining], asked: RealShare | None) -> RealShare:
    """The share that was asked for, or the resumed run's own when that does not differ."""
    if start.resumed is None:
        return asked or RealShare(start.settings.real_fraction)
    own = RealShare.from_record(start.resumed.config)
    if asked not in (None, own):
        raise ValueError(f"{start.resumed.name} is of {own}, and cannot go on with {asked}")
    return own


def preview_augmentation(
    workspace: Workspace, options: dict[str, Any], view: str | None = None
) -> Path:
    """Draw a sheet of training reals, each beside what the discriminator would see of it.

    view: as in `train_generator`. Returns the sheet's path.
    """
    workspace = workspace.in_view(view or WHOLE)
    config = GanConfig.from_options(**options)
    training_rows = RealShare().training_rows(workspace)
    classes = list(_count_images(training_rows, {row.label for row in workspace.rows()}))
    training = _load(workspace, training_rows, config.sides[-1], classes)
    groups, num_draws = [], count_draws(len(training_rows))
    for index, label in enumerate(classes):
        reals = training.pixels[training.labels == index][:GAN_PREVIEW_IMAGES]
        random = torch_generator(config.seed, "preview", index)
        for title, augmented in (
            (f"{label}, reals", False),
            ("as the discriminator sees them", config.augment),
            ("and at another step", config.augment),
        ):
            draws = torch.rand(len(reals), num_draws, generator=random)
            images = to_uint8(augment(to_float(reals), draws)) if augmented else reals
            groups.append((title, images.squeeze(1).numpy()))
    path = workspace.root / "augmentation.png"
    draw_image_sheet(groups, path)
    return path


def _count_images(training: Sequence[Row], labels: Collection[str]) -> dict[str, int]:
    """Count the training images of each label, in the order of class indices.

    Raises ValueError when a class has too few.
    """
    counts = Counter(row.label for row in training)
    for label in sorted(labels):
        if counts[label] < MIN_IMAGES_PER_CLASS:
            raise ValueError(
                f"class {label} has {counts[label]} training image(s), a generator needs at "
                f"least {MIN_IMAGES_PER_CLASS}; import more"
            )
    return {label: counts[label] for label in sorted(counts)}


def _load(workspace: Workspace, rows: Sequence[Row], size: int, classes: Sequence[str]) -> Images:
    return Images(
        pixels=torch.from_numpy(load_images(workspace, rows, size)).unsqueeze(1),
        labels=torch.tensor([classes.index(row.label) for row in rows], dtype=torch.long),
        hashes=[row.sha256 for row in rows],
    )


def _draw(run: Run, classes: Sequence[str]) -> None:
    """Draw the pictures of a run, as far as it came."""
    best = best_snapshot(run)
    draw_gan_curves(run.journal(), classes, best.step if best else None, run.folder / "curves.png")
    draw_progress_strip(run)
    write_progress_animation(run)
    draw_interpolations(run)
