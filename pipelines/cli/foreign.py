"""The options of `cxr synthesize` for images that another program made, and for sets that another
program shall read. Heavy imports stand inside the functions, as in `pipelines.cli`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.options import Command, done, say
from pipelines.study.text import flag_of, one_line
from pipelines.study.view_names import VIEWS

if TYPE_CHECKING:
    from pipelines.study.runs import RunRequest
    from pipelines.study.workspace import Workspace

FOREIGN_OPTIONS = ("labels_csv", "trained_on", "name", "image_size", "view")
OURS_ONLY = ("n", "generator", "snapshot", "seed", "sampling_scale")  # of a generator of ours


def foreign_options(command: Command) -> Command:
    """`--from` and what goes with it."""
    for option in reversed(
        (
            click.option(
                "--from",
                "source",
                type=click.Path(path_type=Path),
                metavar="PATH",
                help="Take the images of another program instead: a folder per label, a folder of "
                "one label (--label), a folder with a table (--labels-csv) or a metadata.jsonl, or "
                "a zip of StyleGAN's.",
            ),
            click.option(
                "--trained-on",
                metavar="FILE|nothing|unknown",
                help="What their generator saw: the TRAINED_ON.json of the export that it was "
                "trained on; nothing of this study; or unknown, which every result then says.",
            ),
            click.option(
                "--labels-csv",
                type=click.Path(path_type=Path, dir_okay=False),
                metavar="FILE",
                help="A table with the columns name and label, of the images of --from.",
            ),
            click.option(
                "--name",
                help="What the set is called in comparisons.  [default: the last part of --from]",
            ),
            click.option(
                "--image-size",
                type=int,
                help="Side in pixels that the images of --from are brought to.  [default: that of "
                "the export, or their own]",
            ),
            click.option(
                "--view",
                type=click.Choice(VIEWS),
                help="What of a film the images of --from show.  [default: that of the export, or "
                "whole]",
            ),
        )
    ):
        command = option(command)
    return command


def check_without_source(choices: Mapping[str, Any]) -> None:
    """Raise ValueError where an option of `--from` is given without it."""
    for name in FOREIGN_OPTIONS:
        if choices[name] is not None:
            raise ValueError(f"{flag_of(name)} is about images of another program; add --from PATH")


def export_options(command: Command) -> Command:
    """`--to` and what goes with it."""
    command = click.option(
        "--synthetic", metavar="RUN", help="The set that --to writes.  [default: the newest]"
    )(command)
    return click.option(
        "--to",
        "target",
        type=(str, click.Path(path_type=Path)),
        metavar="FORMAT DIR",
        help="Make no images, but write a finished set into a new folder: a folder per label "
        "(imagefolder), or the same with metadata.jsonl (huggingface).",
    )(command)


def export_set(
    workspace: Workspace,
    request: RunRequest,
    target: tuple[str, Path] | None,
    synthetic: str | None,
    choices: Mapping[str, Any],
) -> None:
    """Write a finished set for other programs, and say so."""
    from pipelines.training.synthetic_export import export_synthetic

    if target is None:
        raise ValueError("--synthetic names the set that --to writes; add --to FORMAT DIR")
    given = [name for name, value in choices.items() if value]
    given += ["resume"] if request.resume is not None else []
    if given:
        flag = {"source": "--from", "labels": "--label"}.get(given[0], flag_of(given[0]))
        raise ValueError(f"{flag} is about making images; leave it out beside --to")
    format, folder = target
    found = export_synthetic(workspace, format, folder, synthetic=synthetic)
    if found.caution:
        say(f"cxr: {found.caution}")
    reader = {
        "imagefolder": f"torchvision.datasets.ImageFolder({str(folder)!r})",
        "huggingface": f"datasets.load_dataset('imagefolder', data_dir={str(folder)!r})",
    }[format]
    done(
        f"{len(found.rows)} synthetic images of {found.folder.name}", folder, f"{reader} in Python"
    )


def import_set(
    workspace: Workspace, request: RunRequest, source: Path, choices: Mapping[str, Any]
) -> None:
    """Import a set, and say what was made of it."""
    from pipelines.results.held_out_nearness import HeldOutNearness
    from pipelines.study.synthetic import read_synthetic
    from pipelines.training.foreign_set import import_foreign_set

    given = [flag_of(name) for name in OURS_ONLY if choices[name] is not None]
    given += ["--resume"] if request.resume is not None else []
    if given:
        raise ValueError(f"{given[0]} is about a generator of ours; leave it out beside --from")
    if len(choices["labels"]) > 1:
        raise ValueError("--label names the one label of all images of --from; give it once")
    if choices["labels"] and choices["labels_csv"]:
        raise ValueError("--label and --labels-csv both say labels; give one of them")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("cxr synthesize --from runs in one process; start it without torchrun")
    run = import_foreign_set(
        workspace,
        source,
        labels=next(iter(choices["labels"]), choices["labels_csv"]),
        reject_copies=choices["reject_copies"],
        **{name: choices[name] for name in FOREIGN_OPTIONS[1:]},
    )
    counts = ", ".join(f"{count} {label}" for label, count in run.result["images"].items())
    foreign = run.config["foreign"]
    look = f"look at {run.folder / 'samples.png'}"
    click.echo(f"{counts}, from {one_line(foreign['source'])}; {look}")
    if foreign["copies_left_out"]:
        click.echo(f"left out: {foreign['copies_left_out']} copies of training images")
    for change in foreign["changes"]:
        click.echo(f"note: {change}")
    nearness = HeldOutNearness.load(run.folder)
    if nearness:
        click.echo(nearness.sentence)
    else:
        click.echo(f"nearness to held-out images: not measured; {run.result['no_nearness']}")
    for warning in nearness.warnings if nearness else ():
        say(f"cxr: {warning}")
    if caution := read_synthetic(run.folder).caution:
        say(f"cxr: {caution}; every result that uses the set will say so")
    done(
        f"{run.config['n']} synthetic images as the set {foreign['name']}",
        run.folder,
        f"cxr score, then cxr compare --synthetic {run.name}",
    )
