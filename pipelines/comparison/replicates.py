"""The generators and synthetic sets of a comparison: those that there are, and further ones.

Generator 0 is the one behind the synthetic set that is compared, generator g has its seed plus g,
and draw d of a generator the set's seed plus d. A share of the reals (a fraction, a subset of that
size, a fold) has generators of its own, trained on that share alone by the recipe of generator 0.
What is there already, in runs/ or replicates/, is used.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from gan.config import GanConfig
from pipelines.study.manifest import Row
from pipelines.study.runs import RunRequest
from pipelines.study.shares import RealShare
from pipelines.study.views import view_of
from pipelines.study.workspace import Workspace
from pipelines.training.generator import MIN_IMAGES_PER_CLASS, train_generator
from pipelines.training.synthesis import synthesize
from runtime.device import Compute, parse_compute
from runtime.run import Run, list_runs

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WantedGenerator:
    """A generator of a comparison: its share of the reals, its number and its seed."""

    share: RealShare
    number: int
    seed: int


def wanted_generators(
    first: Run, shares: Sequence[RealShare], generators: int
) -> list[WantedGenerator]:
    """List the generators of a comparison whose generator 0 at all reals is `first`."""
    share = RealShare.from_record(first.config)
    if share != RealShare():
        raise ValueError(
            f"{first.name} was trained on {share}; "
            "compare needs a set of a generator of all: cxr gan-train, cxr synthesize"
        )
    return [
        WantedGenerator(share, number, first.config["seed"] + number)
        for share in shares
        for number in range(generators)
    ]


def find_generator(workspace: Workspace, first: Run, wanted: WantedGenerator) -> Run | None:
    """Find the newest finished generator of this share and seed, made by `first`'s recipe.

    Everything of its configuration but the seed is `first`'s. None where there is none.
    """
    if wanted.share == RealShare() and wanted.number == 0:
        return first
    return finished_generator(workspace, _recipe(first) | {"seed": wanted.seed}, wanted.share)


def finished_generator(
    workspace: Workspace, options: Mapping[str, Any], share: RealShare
) -> Run | None:
    """Find the newest generator with these options, of this share of the reals as they are now."""
    data = workspace.fingerprint_of(share.training_rows(workspace))

    def is_usable(run: Run) -> bool:
        return run.finished and _is_of(run, share, workspace) and run.result["data"] == data

    return _newest_of_both(workspace, "gan-train", lambda _: options, is_usable)


def expected_seconds(first: Run, images: int) -> float:
    """Return how long a generator takes of so many images, no more than `first` is of.

    By what a step of that took, which had as many steps or more.
    """
    done = int(first.result["step"])  # fewer than its recipe has, where its time was limited
    steps = min(GanConfig(**_recipe(first)).for_images(images).steps, done)
    return float(first.result["seconds"]) * steps / done


def check_enough_images(view: Sequence[Row], share: RealShare, classes: Sequence[str]) -> None:
    """Raise ValueError when a share of the reals is too small for a generator.

    view: The study's rows as the share sees them.
    """
    counts = Counter(row.label for row in view if row.split == "train")
    for label in classes:
        if counts[label] < MIN_IMAGES_PER_CLASS:
            raise ValueError(
                f"{share}: {counts[label]} training image(s) of {label}, and a generator needs at "
                f"least {MIN_IMAGES_PER_CLASS}; take larger fractions, fewer folds, or import more"
            )


def make_generators(
    workspace: Workspace, missing: Sequence[tuple[Run, WantedGenerator]], compute: Compute
) -> None:
    """Train what is missing, each with the options of the first of its kind, in replicates/.

    Of several processes each takes its share.
    """
    for first, wanted in missing[compute.rank :: compute.world_size]:
        _log.warning(
            "training generator %d on %s, seed %d", wanted.number, wanted.share, wanted.seed
        )
        continue_generator(
            workspace.replicates,
            {**_recipe(first), "seed": wanted.seed},
            wanted.share,
            first.config["max_minutes"],
            compute.alone(),
        )
    compute.agree(None)


def continue_generator(
    workspace: Workspace,
    options: Mapping[str, Any],
    share: RealShare,
    max_minutes: float | None,
    compute: Compute,
) -> Run:
    """Train a generator with these options, or go on with an unfinished run that has them.

    It is trained to its end whatever the doctor says of it: a study that broke off, or left out,
    the trainings that fail would answer of the lucky ones alone.
    """
    wanted = {**options, "compute": str(compute)}

    def is_begun(run: Run) -> bool:
        return not run.finished and _is_of(run, share, workspace)

    run = _newest(workspace, "gan-train", wanted, is_begun)
    if run:
        workspace.hold(run, wait=True)  # another comparison may be at it
    if run is None or not run.finished:
        run = train_generator(
            workspace,
            dict(options),
            RunRequest.of(run, compute),
            share=share,
            view=workspace.view,
            max_minutes=max_minutes,
            keep_going=True,
        )
    workspace.release(run)
    return run


def make_synthetic_set(
    workspace: Workspace, like: Run, generator: Run, draw: int, n: int, compute: Compute
) -> Run:
    """Find or make a synthetic set of a generator with at least n images.

    It is made like `like` but for its generator and seed, in replicates/. The first n images of a
    larger set are those of a set of n.
    """
    rejects_copies = bool(like.config.get("reject_copies"))
    scale = like.config.get("sampling_scale")
    share = RealShare.from_record(generator.config)
    trained_on = sorted(row.sha256 for row in share.training_rows(workspace))

    def wanted(runs: Workspace) -> dict[str, Any]:
        return {
            "labels": like.config["labels"],
            "snapshot": like.config["snapshot"],
            "generator": runs.name_of(generator),
            "seed": like.config["seed"] + draw,
        }

    def is_usable(run: Run) -> bool:
        config = run.config
        is_alike = (
            bool(config.get("reject_copies")) == rejects_copies
            and config.get("sampling_scale") == scale
            and config.get("trained_on") == trained_on
        )
        return run.finished and config["n"] >= n and is_alike

    if is_usable(like) and _has(like, wanted(workspace)):
        return like
    finished_set = _newest_of_both(workspace, "synthesize", wanted, is_usable)
    if finished_set:
        return finished_set
    replicates = workspace.replicates
    options = wanted(replicates) | {
        "n": n,
        "reject_copies": rejects_copies,
        "sampling_scale": scale,
    }
    recorded = {"trained_on": trained_on, "compute": str(compute)}
    begun = unfinished(replicates, "synthesize", options | recorded)
    if begun:
        replicates.hold(begun, wait=True)  # another comparison may be at it
    if begun is None or not begun.finished:
        begun = synthesize(replicates, options, RunRequest.of(begun, compute))
    replicates.release(begun)
    return begun


def finished(workspace: Workspace, command: str, options: Mapping[str, Any]) -> Run | None:
    """Find the newest finished run of a command with these values in its configuration."""
    return _newest(workspace, command, options, lambda run: run.finished)


def unfinished(
    workspace: Workspace,
    command: str,
    options: Mapping[str, Any],
    compute: Compute | None = None,
) -> Run | None:
    """Find the newest unfinished run of a command with these values in its configuration.

    compute: Where it computes, in however many processes; anywhere when None.
    """
    choice = None if compute is None else parse_compute(str(compute))

    def is_usable(run: Run) -> bool:
        recorded = run.config.get("compute")
        is_here = choice is None or (recorded and parse_compute(recorded) == choice)
        return bool(is_here) and not run.finished

    return _newest(workspace, command, options, is_usable)


def _recipe(generator: Run) -> dict[str, Any]:
    """The options that a generator was trained with."""
    return {field.name: generator.config[field.name] for field in fields(GanConfig)}


def _is_of(generator: Run, share: RealShare, workspace: Workspace) -> bool:
    """Whether a generator is one of this share of the reals, in the workspace's view."""
    config = generator.config
    is_of_share = "real_fraction" in config and RealShare.from_record(config) == share
    return is_of_share and view_of(config) == workspace.view


def _newest_of_both(
    workspace: Workspace,
    command: str,
    options: Callable[[Workspace], Mapping[str, Any]],
    is_usable: Callable[[Run], bool],
) -> Run | None:
    """The newest usable run in runs/, or else in replicates/, where runs have other names."""
    for runs in (workspace, workspace.replicates):
        run = _newest(runs, command, options(runs), is_usable)
        if run:
            return run
    return None


def _newest(
    workspace: Workspace,
    command: str,
    options: Mapping[str, Any],
    is_usable: Callable[[Run], bool],
) -> Run | None:
    for run in reversed(list_runs(workspace.runs)):
        if run.command == command and is_usable(run) and _has(run, options):
            return run
    return None


def _has(run: Run, options: Mapping[str, Any]) -> bool:
    config = run.config
    return all(name in config and config[name] == value for name, value in options.items())
