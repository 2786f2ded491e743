"""The commands `cxr data`. Heavy imports stand inside them, as in `pipelines.cli`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.data_tables import check_table, counts_table, held_out_lines, looked_for_lines
from pipelines.cli.lung_tables import lung_counts_table, lungs_table
from pipelines.cli.options import Commands, compute_options, done, workspace_option
from pipelines.study.text import one_line
from pipelines.study.view_names import VIEWS, WHOLE

if TYPE_CHECKING:
    from pipelines.study.import_log import ImportSource, ImportSummary
    from pipelines.study.workspace import Workspace
    from runtime.device import Compute

KIND_NAMES = (  # of data/sources.py, which imports too much for help
    "figure1",
    "actualmed",
    "covid-chestxray-dataset",
    "radiography",
    "covidx",
    "nih",
    "csv",
    "folders",
)
EXPORT_NAMES = ("imagefolder", "huggingface", "flat", "stylegan")  # of study/folder_formats.py


@click.group(cls=Commands)
def data() -> None:
    """Bring images into the study."""


@data.command("import")
@click.argument("sources", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--as",
    "kind",
    type=click.Choice(KIND_NAMES),
    help="What the sources are, where it should not be told from what is in them.",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="FINDING=LABEL",
    help="The label of a finding, folder or class of the sources; an empty one leaves it out. "
    'May be given several times; "*" stands for every other finding of a collection that is else '
    "left out.",
)
@click.option(
    "--external",
    multiple=True,
    metavar="PATH",
    help="A test set from another source, held apart from training. May be given several times.",
)
@click.option(
    "--hold-out",
    multiple=True,
    metavar="COLUMN=PATTERN",
    help="Make an external test set of the images for which a source's table has such a value, and "
    'of all others of their patients: "location=Hannover*", or "finding!=COVID*" for any other '
    "value. May be given several times; holds for later imports too.",
)
@click.option(
    "--split",
    "ratios",
    default="70/10/20",
    metavar="T/V/T",
    help="Shares of train/validation/test, by patient.  [default: 70/10/20]",
)
@click.option(
    "--folds",
    type=int,
    metavar="K",
    help="Also deal what is not in the test split into K folds, for cross-validation.",
)
@click.option("--seed", default=0, help="Seed of the split.  [default: 0]")
@click.option(
    "--min-side",
    default=64,
    help="Leave out images with a side shorter than this many pixels.  [default: 64]",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Stop, with the study as it was, when any file would be left out.",
)
@click.option(
    "--same-patients",
    is_flag=True,
    help="A patient's number is that of one patient in all sources, not in each its own.",
)
@workspace_option()
def import_(
    workspace: Workspace,
    sources: tuple[str, ...],
    kind: str | None,
    labels: tuple[str, ...],
    external: tuple[str, ...],
    ratios: str,
    folds: int | None,
    seed: int,
    **choices: Any,
) -> None:
    """Copy images into the study as 8-bit gray PNGs without any metadata, split by patient.

    \b
    PATH is one of
      a folder with one subfolder per label
      FOLDER=LABEL, a folder of images of one label
      a CSV with file_name,label[,patient,view,split], or the usual other names of
        columns, or a folder with one
      a published collection as it comes: cxr data sources lists them

    A patient is told by the source's table, by DICOM, by an NIH file name (00001280_004.png), by a
    folder such as patient00001, or else every file is a patient of its own. Folders train, val and
    test are a split, which is kept. Importing more later never moves an image from one split to
    another. What is left out stands in data/import.json with the reason, and data/originals.csv
    links images back to files and patients: keep it to yourself, or delete it, nothing needs it.
    """
    from pipelines.data.importing import ImportRules, import_listings
    from pipelines.data.listing import parse_labels
    from pipelines.data.patient_notes import name_doubtful_numbers
    from pipelines.data.sources import read_sources
    from pipelines.study.splitting import parse_ratios

    shares, wanted, rules = parse_ratios(ratios), parse_labels(labels), ImportRules(**choices)
    listings = read_sources(sources, external=external, kind=kind, labels=wanted)
    own, others = listings[: len(sources)], listings[len(sources) :]
    summary = import_listings(
        workspace,
        own,
        external=others,
        ratios=shares,
        seed=seed,
        folds=folds,
        rules=rules,
    )
    _echo_summary(summary, workspace.data)
    for note in [*summary.patient_notes, *name_doubtful_numbers(workspace)]:
        click.echo(f"patients: {one_line(note)}")
    click.echo(counts_table(workspace.rows()))
    done(
        f"{summary.kept} images imported",
        workspace.manifest_path,
        "cxr data check, then cxr gan-train",
    )


def _echo_summary(summary: ImportSummary, folder: Path) -> None:
    """Say what each source held, and what was left out."""
    for source in summary.sources:
        click.echo(_source_line(source))
        for note in source.notes:
            click.echo(f"  note: {one_line(note)}")
    if summary.held_out:
        for line in held_out_lines(summary.held_out):
            click.echo(line)
    for reason, count in summary.left_out_counts.items():
        click.echo(f"left out: {count} {reason}")
    if summary.left_out:
        click.echo(
            f"which, and why: {folder / 'import.json'}; "
            f"the files behind its numbers: {folder / 'originals.csv'}"
        )
    if summary.near_duplicates:
        click.echo(
            f"{len(summary.near_duplicates)} pairs look like one film; each pair is in one split"
        )
    if summary.unknown_views:
        views = ", ".join(
            f"{one_line(view)} ({count})" for view, count in summary.unknown_views.items()
        )
        click.echo(f"views of unknown names, kept as if frontal: {views}")
    if summary.may_show_text:
        click.echo(
            f"{summary.may_show_text} DICOM images may show names or dates in their pixels, "
            "which no import can take away: look at them with cxr data show"
        )


def _source_line(source: ImportSource) -> str:
    external = ", external test set" if source.external else ""
    reasons = [f"{count} {reason}" for reason, count in source.passed_over.items() if count]
    passed_over = f"; passed over: {', '.join(reasons)}" if reasons else ""
    return f"{source.source} ({source.kind}{external}): {source.images} images{passed_over}"


@data.command()
def sources() -> None:
    """List the kinds of sources that import knows, where to get them, and their licences."""
    from pipelines.data.sources import SOURCE_KINDS

    for kind in SOURCE_KINDS:
        click.echo(f"{kind.name}\n    {kind.about}")
        if kind.url:
            click.echo(f"    {kind.url}\n    licence: {kind.licence}")


@data.command()
@workspace_option()
def check(workspace: Workspace) -> None:
    """Print what the study's images are, and what a reviewer would object to. Nothing is
    changed.
    """
    from pipelines.data.checking import check_study
    from pipelines.data.patient_notes import name_doubtful_numbers
    from pipelines.study.lung_counts import count_lungs

    report = check_study(workspace)
    click.echo(check_table(report))
    for note in name_doubtful_numbers(workspace):
        click.echo(f"patients: {one_line(note)}")
    click.echo(looked_for_lines(workspace.imports()))
    try:
        click.echo(lung_counts_table(count_lungs(workspace)))
    except (FileNotFoundError, ValueError) as error:
        click.echo(f"lungs: {one_line(error)}")
    for number, warning in enumerate(report.warnings, start=1):
        click.echo(f"warning {number}: {warning}")
    done(
        f"{len(report.warnings)} warnings" if report.warnings else "no warning",
        workspace.data / "check.json",
        "cxr data show",
    )


@data.command()
@workspace_option()
def show(workspace: Workspace) -> None:
    """Draw the study: a sheet of images by label and split, a page of figures and, where its lungs
    are known, some images as each --view shows them.
    """
    from pipelines.figures.data_figures import show_study

    drawn = show_study(workspace)
    views = f", and {drawn.views.name}" if drawn.views else ""
    if drawn.no_views:
        click.echo(f"views of the lungs: not drawn; {one_line(drawn.no_views)}")
    done(f"a sheet of images, {drawn.figures.name}{views}", drawn.sheet, "cxr gan-train")


@data.command()
@click.option(
    "--masks",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Masks to be used in place of the network's: PNGs named like the images, V7 Darwin or "
    "COCO JSON, in a folder or one with folders called masks, or one file. May be given several "
    "times.",
)
@click.option(
    "--network",
    metavar="RUN",
    help="The lungs-train run whose network draws the masks.  [default: the one of the package]",
)
@compute_options
@workspace_option()
def lungs(
    workspace: Workspace, compute: Compute, masks: tuple[Path, ...], network: str | None
) -> None:
    """Find the lungs in every image of the study: mask, box, and whether they look like lungs.

    Masks are those that you bring, or else a network's, without internet. Leaves
    data/lungs/LABEL/ID.png, the table data/lungs.csv, and data/lungs.png, on which the doubtful
    ones come first. What looks wrong is listed here too.
    """
    from pipelines.data.lung_masks import find_masks_beside
    from pipelines.data.lungs import find_lungs
    from pipelines.figures.lung_sheets import draw_study_lungs

    summary, rows = find_lungs(workspace, compute, masks=masks, network=network)
    beside = [] if masks else find_masks_beside(workspace)
    click.echo(lungs_table(summary, rows, beside))
    sheet = draw_study_lungs(workspace)
    done(f"masks of {len(rows)} images", workspace.data / "lungs.csv", f"look at {sheet}")


@data.command("export")
@click.argument("target", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--for",
    "format",
    type=click.Choice(EXPORT_NAMES),
    required=True,
    help="imagefolder: a folder per label; huggingface: the same with metadata.jsonl; flat: all "
    "side by side with metadata.jsonl; stylegan: the zip of StyleGAN2-ADA and StyleGAN3.",
)
@click.option("--split", default="train", help="Only train is ever exported.  [default: train]")
@click.option("--image-size", default=128, help="Side in pixels.  [default: 128]")
@click.option(
    "--real-fraction",
    default="1",
    metavar="SHARE|LABEL=SHARE",
    help="This share of the training images, or of those of one label, whole patients at a time.  "
    "[default: 1]",
)
@click.option(
    "--fold",
    type=int,
    metavar="K",
    help="Leave out the images of fold K too, of a study that was imported with --folds.",
)
@click.option(
    "--view",
    type=click.Choice(VIEWS),
    default=WHOLE,
    help="What of each image is written; lung-box and lungs need cxr data lungs first.  "
    "[default: whole]",
)
@workspace_option()
def export_(workspace: Workspace, target: Path, real_fraction: str, **choices: Any) -> None:
    """Write the training images into DIR for a generator of another program.

    TRAINED_ON.json beside them says which they are. Give it back with that generator's images: cxr
    synthesize --from IMAGES --trained-on DIR/TRAINED_ON.json.
    """
    from pipelines.data.export import export_training_images
    from pipelines.study.fractions import parse_fraction
    from pipelines.study.trained_on import TRAINED_ON_FILE

    stated = export_training_images(
        workspace, target, real_fraction=parse_fraction(real_fraction), **choices
    )
    classes = ", ".join(f"{index} {label}" for index, label in enumerate(stated.classes))
    click.echo(f"labels by index: {classes}")
    done(
        f"{len(stated.images)} training images of {stated.image_size} px",
        target,
        "train a generator on them, then cxr synthesize --from IMAGES --trained-on "
        f"{target / TRAINED_ON_FILE}",
    )


@data.command()
@click.option("--n", default=600, help="Number of images.  [default: 600]")
@click.option("--seed", default=0, help="Seed of the drawings and of the split.  [default: 0]")
@workspace_option()
def phantom(workspace: Workspace, n: int, seed: int) -> None:
    """Draw phantom chest X-rays, labelled covid and normal, as this study's data.

    For trying the tool without any data; the same seed gives the same bytes. No patient was ever
    X-rayed for them.
    """
    from pipelines.data.importing import import_listings
    from pipelines.data.phantom_source import list_phantoms
    from pipelines.study.splitting import parse_ratios

    summary = import_listings(
        workspace, [list_phantoms(n, seed)], ratios=parse_ratios("70/10/20"), seed=seed
    )
    click.echo(counts_table(workspace.rows()))
    done(f"{summary.kept} phantom images drawn", workspace.manifest_path, "cxr gan-train")
