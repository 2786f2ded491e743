"""From a generator to synthetic images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gan.doctor import is_healthy
from gan.sample import TrainedGenerator, load_generator
from gan.snapshots import snapshot_file
from pipelines.metrics.nearest import copy_guard
from pipelines.study.leak_lock import check_leak
from pipelines.study.manifest import Row
from pipelines.study.runs import RunRequest, prepare_run
from pipelines.study.shares import RealShare
from pipelines.study.views import in_view_of, view_facts
from pipelines.study.workspace import Workspace
from pipelines.training.sample_set import SampleSource, write_sample_set
from runtime.options import OptionError
from runtime.run import Run

MAX_IMAGES = 1_000_000  # of one set


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """What `cxr synthesize` was asked for."""

    n: int = 2000  # images
    seed: int = 0
    labels: tuple[str, ...] = ()  # every class, where none is named
    generator: str | None = None  # the newest, where none is named
    snapshot: str = "best"  # or "last", or a step
    sampling_scale: float | None = None  # std of the latents in that of training, or its own
    reject_copies: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.n <= MAX_IMAGES:
            raise OptionError("n", self.n, f"expected at least 1 image, and at most {MAX_IMAGES:,}")
        if self.sampling_scale is not None and not 0 < self.sampling_scale < math.inf:
            raise OptionError("sampling_scale", self.sampling_scale, "expected a positive number")


def synthesize(workspace: Workspace, options: Mapping[str, Any], request: RunRequest) -> Run:
    """Write synthetic images, spread evenly over the labels, as PNGs with a manifest.

    Sample i is of class labels[i mod len(labels)] and depends on (generator, sampling_scale, seed,
    i) alone, whatever the number of processes. options: the fields of `Synthesis` that were asked
    for; None, False and () are not asked for. With reject_copies, samples that are copies of
    training images are passed over, and further ones of their class drawn instead, up to MAX_TRIES
    · n in all. Raises ValueError when those are not enough.
    """
    given = {name: value for name, value in options.items() if value is not False and value != ()}
    if given.get("generator") is not None:
        run = workspace.find_run("gan-train", given["generator"])
        given["generator"] = workspace.name_of(run)
    start = prepare_run(workspace, "synthesize", Synthesis, given, request)
    settings, compute = start.settings, start.compute
    _check_ours(start.resumed)
    source = workspace.find_run("gan-train", settings.generator, holding="generator.pt")
    workspace = in_view_of(workspace, source)
    share = RealShare.from_record(source.config)
    rows = share.whole().rows(workspace)
    trained = _load_usable(rows, source, settings.snapshot, compute.device)
    if settings.sampling_scale is not None:
        trained = trained.with_sampling_scale(settings.sampling_scale)
    unknown = [label for label in settings.labels if label not in trained.classes]
    if unknown:
        raise OptionError("label", unknown[0], f"{source.name} knows {', '.join(trained.classes)}")
    asked_labels = list(settings.labels or trained.classes)
    size = trained.config.image_size
    guard = copy_guard(workspace, rows, size) if settings.reject_copies else None
    run = start.begin(
        {
            "labels": asked_labels,
            "image_size": size,
            "generator": workspace.name_of(source),
            "generator_step": trained.step,
            "unhealthy": [
                label
                for label, diversity in zip(trained.classes, trained.diversity, strict=True)
                if not is_healthy([diversity])
            ],
            "trained_on": sorted(trained.trained_on),
            "copy_threshold": guard.threshold if guard else None,
            **view_facts(workspace),
            **share.record(),
        }
    )
    write_sample_set(SampleSource(run, trained, asked_labels), compute, guard)
    return run


def _check_ours(resumed: Run | None) -> None:
    """Raise ValueError when a run to go on with is an import of another program's images."""
    if resumed and resumed.config.get("foreign"):
        raise ValueError(
            f"{resumed.name} is an import of another program's images that was killed; give its "
            "own command again, without `resume`"
        )


def _load_usable(
    rows: Sequence[Row], source: Run, snapshot: str, device: torch.device
) -> TrainedGenerator:
    """Load a snapshot of a generator. Raises ValueError when this study may not use its images.

    rows: the study's, with the splits that hold for what the generator was trained on.
    """
    path = snapshot_file(source, snapshot)
    trained = load_generator(path, device)
    if not trained.trained_on:
        raise ValueError(
            f"{path} does not say which images it was trained on; train one on this study: "
            "cxr gan-train"
        )
    # A class names a folder, and only the manifest's labels are known to be fit for that.
    strange = set(trained.classes) - {row.label for row in rows}
    if strange:
        raise ValueError(
            f"{path} draws {', '.join(sorted(strange))!r}, unknown to this study; train one on "
            "it: cxr gan-train"
        )
    check_leak(trained.trained_on, rows, source.name)
    return trained
