"""The generators and synthetic sets of a comparison: those that the study has, and further ones made like the first.

Generator 0 is the one behind the synthetic set that is compared, generator g has its seed plus g, and draw d of a generator the set's seed plus d.
At a fraction of the reals generators are trained on that fraction alone. What is there already, in runs/ or replicates/, is used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from gan.config import GanConfig
from pipelines.study.manifest import fingerprint
from pipelines.study.splitting import training_part
from pipelines.study.workspace import Workspace
from pipelines.training.generator import train_generator
from pipelines.training.synthesis import synthesize
from runtime.device import Compute
from runtime.run import Run, list_runs

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """A generator of a comparison: the share of the reals it is trained on, its number, and its seed."""

    fraction: float
    number: int
    seed: int


def wanted_generators(first: Run, fractions: Sequence[float], generators: int) -> list[Wanted]:
    """The generators of a comparison whose generator 0 at all reals is `first`."""
    if first.config["real_fraction"] != 1.0:
        raise ValueError(
            f"{first.name} was trained on {first.config['real_fraction']:g} of the real images; compare needs a set of a generator of all: cxr gan-train, cxr synthesize"
        )
    return [
        Wanted(fraction, number, first.config["seed"] + number)
        for fraction in fractions
        for number in range(generators)
    ]


def find_generator(workspace: Workspace, first: Run, wanted: Wanted) -> Run | None:
    """The newest finished generator of this fraction and seed, of the preset and image size of `first`; None where there is none."""
    if wanted.fraction == 1.0 and wanted.number == 0:
        return first
    return finished_generator(
        workspace,
        {name: first.config[name] for name in ("preset", "image_size")} | {"seed": wanted.seed},
        wanted.fraction,
    )


def finished_generator(
    workspace: Workspace, options: dict[str, Any], fraction: float
) -> Run | None:
    """The newest generator with these options that was trained on this share of the reals as they are now."""
    data = fingerprint(row.sha256 for row in training_part(workspace.rows(), fraction))
    for shelf in (workspace, workspace.replicates):
        run = _newest(
            shelf,
            "gan-train",
            options | {"real_fraction": fraction},
            lambda run: run.finished and run.result["data"] == data,
        )
        if run:
            return run
    return None


def make_generators(
    workspace: Workspace, first: Run | None, missing: Sequence[Wanted], compute: Compute
) -> None:
    """Train what is missing with the options of `first`, in replicates/; of several processes each takes its share."""
    for wanted in missing[compute.rank :: compute.world_size]:
        options = {field.name: first.config[field.name] for field in fields(GanConfig)} | {
            "seed": wanted.seed
        }
        _log.warning(
            "training generator %d on %g of the real images, seed %d",
            wanted.number,
            wanted.fraction,
            wanted.seed,
        )
        continued_generator(
            workspace.replicates,
            options,
            wanted.fraction,
            first.config["max_minutes"],
            compute.alone(),
        )
    compute.agree(None)


def continued_generator(
    shelf: Workspace,
    options: dict[str, Any],
    fraction: float,
    max_minutes: float | None,
    compute: Compute,
    *,
    keep_going: bool = False,
) -> Run:
    """A generator trained with these options; where an unfinished run has them, that one is continued."""
    begun = unfinished(shelf, "gan-train", options | {"real_fraction": fraction})
    if begun:
        shelf.hold(begun, wait=True)  # another comparison may be at it
    if begun is None or not begun.finished:
        again = {"resuming": begun is not None, "resume_name": begun and begun.name}
        begun = train_generator(
            shelf,
            options,
            compute,
            real_fraction=fraction,
            max_minutes=max_minutes,
            keep_going=keep_going,
            **again,
        )
    shelf.release(begun)
    return begun


def synthetic_run(
    workspace: Workspace, like: Run, generator: Run, draw: int, n: int, compute: Compute
) -> Run:
    """A finished synthetic set of a generator with at least n images, made like `like` but for its generator and seed.

    The first n images of a larger set are those of a set of n. What there is not yet is made, in replicates/.
    """
    rejects = "reject_copies" in like.config
    seen = sorted(
        row.sha256 for row in training_part(workspace.rows(), generator.config["real_fraction"])
    )

    def made(shelf: Workspace) -> dict[str, Any]:
        alike = {name: like.config[name] for name in ("labels", "snapshot")}
        return alike | {
            "generator": shelf.name_of(generator),
            "seed": like.config["seed"] + draw,
            "trained_on": seen,
        }

    def enough(run: Run) -> bool:
        return run.finished and run.config["n"] >= n and ("reject_copies" in run.config) == rejects

    if enough(like) and _holds(like, made(workspace)):
        return like
    for shelf in (workspace, workspace.replicates):
        run = _newest(shelf, "synthesize", made(shelf), enough)
        if run:
            return run
    shelf = workspace.replicates
    asked = made(shelf)
    begun = unfinished(shelf, "synthesize", asked | {"n": n})
    if begun:
        shelf.hold(begun, wait=True)  # another comparison may be at it
    if begun is None:
        begun = synthesize(
            shelf,
            compute,
            n=n,
            reject_copies=rejects,
            **{name: asked[name] for name in ("seed", "labels", "generator", "snapshot")},
        )
    elif not begun.finished:
        begun = synthesize(shelf, compute, resuming=True, resume_name=begun.name)
    shelf.release(begun)
    return begun


def finished(shelf: Workspace, command: str, options: dict[str, Any]) -> Run | None:
    """The newest finished run of a command with these values in its configuration."""
    return _newest(shelf, command, options, lambda run: run.finished)


def unfinished(shelf: Workspace, command: str, options: dict[str, Any]) -> Run | None:
    """The newest unfinished run of a command with these values in its configuration."""
    return _newest(shelf, command, options, lambda run: not run.finished)


def _newest(
    shelf: Workspace, command: str, options: dict[str, Any], chosen: Callable[[Run], bool]
) -> Run | None:
    for run in reversed(list_runs(shelf.runs)):
        if run.command == command and chosen(run) and _holds(run, options):
            return run
    return None


def _holds(run: Run, options: dict[str, Any]) -> bool:
    config = run.config
    return all(name in config and config[name] == value for name, value in options.items())
