"""`cxr score`, `audit`, `classify` and `reader-study`.

Heavy imports stand inside the commands, so that help is instant.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.audit_tables import audit_table
from pipelines.cli.classifier_tables import predictions_table
from pipelines.cli.options import compute_options, done, run_options, say, workspace_option
from pipelines.cli.reader_tables import readings_table
from pipelines.cli.score_tables import checks_table, held_out_line, scores_table

if TYPE_CHECKING:
    from pipelines.study.runs import RunRequest
    from pipelines.study.workspace import Workspace
    from runtime.device import Compute

FEATURES_HELP = (
    "Networks whose features are compared, several with commas: inception (the one of FID), "
    "vgg16, resnet50, dinov2, raddino (DINOv2 taught on chest X-rays), cnn (the study's own), "
    "random. "
    "auto is the first that needs no download: vgg16 or inception where their weights are at "
    "hand, cnn, random.  [default: auto]"
)


@click.command()
@click.option(
    "--synthetic", metavar="RUN", help="The synthetic set to score.  [default: the newest]"
)
@click.option(
    "--features", multiple=True, metavar="NAME[,NAME]", default=("auto",), help=FEATURES_HELP
)
@click.option(
    "--weights",
    multiple=True,
    metavar="[NAME=]FILE",
    help="The weights of inception (pytorch-fid's file), vgg16 or resnet50 (as torchvision saves "
    "them), dinov2 or raddino (.pth or .safetensors); without it they are downloaded once.",
)
@click.option(
    "--dataset-a",
    "first",
    type=click.Path(path_type=Path),
    metavar="DIR|FILE.npz",
    help="Score plain folders without a study: the reals, or statistics of theirs.",
)
@click.option(
    "--dataset-b",
    "second",
    type=click.Path(path_type=Path),
    metavar="DIR|FILE.npz",
    help="The images to compare with those of --dataset-a, or statistics of theirs.",
)
@click.option(
    "--save-statistics",
    "statistics",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.npz",
    help="Write mu and sigma of --dataset-a as pytorch-fid reads them.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where score.json and score.csv of plain folders go.  [default: the current folder]",
)
@click.option(
    "--final",
    is_flag=True,
    help="Hold out the test images in the place of the validation images: once, when everything is "
    "chosen.",
)
@compute_options
@workspace_option()
def score(
    workspace: Workspace,
    compute: Compute,
    first: Path | None,
    second: Path | None,
    statistics: Path | None,
    out: Path | None,
    synthetic: str | None,
    final: bool,
    **choices: Any,
) -> None:
    """How good synthetic images are, per class and overall, each score beside that of held-out
    reals: of the validation images, or with --final of the test images.

    Choose by the scores without --final. A score with it is one look at the test images; its run
    says so, and the report page counts such runs.

    Distances (Fréchet, kernel), precision and recall, density and coverage, diversity, training on
    synthetic and testing on real images and the reverse, and whether they can be told from reals at
    all. Of reals, one image of each patient is scored, and as many synthetic images as there are
    held-out patients: a generator can be expected to come as close to the training reals as those
    held-out reals do. "All synthetic" is for comparison with other tools. Folders without a study
    tell no patients: there every image counts as one.

    Then what no score tells: copies of training images, with the nearest pairs on a sheet, whether
    images are of the class that was asked for, and whether brightness, contrast, sharpness or
    borders give them away; with warnings in plain words.

    \b
    Without a study, of two folders of images, with a subfolder for each label or none:
      cxr score --dataset-a REALS --dataset-b SYNTHETIC
    """
    from pipelines.evaluation.score import score_synthetic
    from runtime.run import list_runs

    if first is not None and (final or synthetic):
        raise ValueError("--final and --synthetic are of a study, which --dataset-a has none of")
    if first is not None:
        _score_folders(first, second, compute, out or Path(), statistics, **choices)
        return
    if second or statistics or out:
        raise ValueError("--dataset-b, --save-statistics and --out go with --dataset-a DIR")
    run, summary = score_synthetic(workspace, compute, synthetic=synthetic, final=final, **choices)
    for warning in summary.warnings:
        say(f"cxr: {warning}")
    click.echo(f"held-out reals: {held_out_line(summary, list_runs(workspace.runs))}")
    click.echo(scores_table(summary))
    click.echo(checks_table(summary))
    next_step = "cxr report" if final else "cxr compare"
    done(f"the scores of {summary.synthetic}", run.folder / "score.json", next_step)


def _score_folders(
    first: Path,
    second: Path | None,
    compute: Compute,
    out: Path,
    statistics: Path | None,
    **choices: Any,
) -> None:
    """Score plain folders without a study."""
    from pipelines.evaluation.score_folders import score_folders

    scores = score_folders(first, second, compute, out=out, statistics=statistics, **choices)
    for warning in scores.warnings:
        say(f"cxr: {warning}")
    if second and scores.frechet is None:
        click.echo(scores_table(scores))
    elif second:
        click.echo(f"Fréchet distance: {scores.frechet:.6g}")
    if statistics:
        click.echo(f"made: statistics of {first}, in {statistics}")
    if second:
        click.echo(f"made: the scores of {second}, in {out / 'score.json'}")


@click.command()
@click.argument("run_name", required=False, metavar="[RUN]")
@click.option(
    "--steps",
    type=int,
    help="Optimizer steps of each classifier that is trained anew.  [default: those of the "
    "audited one]",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The ImageNet weights that RUN began with; needed only where it trained stages of them.",
)
@run_options()
@workspace_option()
def audit(workspace: Workspace, request: RunRequest, **choices: Any) -> None:
    """Ask whether a classifier could do without the lungs: the shortcut audit of the newest, or of
    the one named.

    On the test split, with the lungs covered, only the border left, 8×8 pixels, or blurred: what a
    classifier trained anew on real images altered alike still tells, and what the audited one makes
    of them. And whether sources can be told apart where a label has several, whether its answer
    follows the source where one has several labels, and which share of Grad-CAM's heat lies in the
    lungs where they are known. Leaves audit.json and audit.png.
    """
    from pipelines.evaluation.shortcut_audit import audit

    run, result = audit(workspace, request, **choices)
    click.echo(audit_table(result))
    for number, warning in enumerate(result.warnings, start=1):
        click.echo(f"warning {number}: {warning}")
    if not result.warnings:
        click.echo("no warning: no AUC without lungs comes close to that of the whole images")
    click.echo(result.intended_use)
    done(f"the audit of {result.classifier}", run.folder / "audit.png", "look at the picture")


@click.command()
@click.argument(
    "images", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IMAGE..."
)
@click.option(
    "--classifier", metavar="RUN", help="The classify-train run to ask.  [default: the newest]"
)
@click.option(
    "--csv",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write the answers as a table, with the probability of every label.",
)
@click.option(
    "--explain",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also draw, for each image, where the classifier saw its label (Grad-CAM), and say which "
    "share of that lies in the lungs where they are known.",
)
@compute_options
@workspace_option()
def classify(workspace: Workspace, compute: Compute, **choices: Any) -> None:
    """Say what a trained classifier makes of images: files or folders, DICOM too.

    For research on methods. Its probability is no diagnosis: it knows no label but those of the
    study, and may tell sources and not diseases apart.
    """
    from pipelines.evaluation.prediction import classify_images
    from pipelines.study.intended_use import INTENDED_USE

    run, trained, predictions, passed_over = classify_images(workspace, compute, **choices)
    click.echo(predictions_table(predictions))
    if passed_over:
        reasons = (f"{count} {reason}" for reason, count in passed_over.most_common())
        click.echo(f"passed over: {', '.join(reasons)}")
    left_out = sum(bool(prediction.fault) for prediction in predictions)
    click.echo(
        f"{run.name}: {trained.config.arch} at {trained.image_size} px, labels "
        f"{', '.join(trained.classes)}" + (f"; {left_out} not classified" if left_out else "")
    )
    click.echo(INTENDED_USE)
    for what, where in (("a table", choices["csv"]), ("explanations", choices["explain"])):
        if where:
            click.echo(f"made: {what}, in {where}")


@click.command("reader-study")
@click.option("-n", "--n", type=int, help="Images to judge, half of them real.  [default: 50]")
@click.option(
    "--synthetic", metavar="RUN", help="The synthetic set of the other half.  [default: the newest]"
)
@click.option(
    "--seed", type=int, help="Seed of the choice of images and of their order.  [default: 0]"
)
@click.option(
    "--score",
    "answers",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Score a file of answers, instead of making a study; once for each reader.",
)
@workspace_option()
def reader_study(
    workspace: Workspace,
    answers: tuple[Path, ...],
    n: int | None,
    synthetic: str | None,
    seed: int | None,
) -> None:
    """Make a page on which a radiologist judges images, real or synthetic; or score the answers.

    Send reader.html, and only that, to the reader: key.json beside it holds the answers. The reader
    opens it in a browser, without network, and sends back the file that it saves.
    """
    if answers:
        if (n, synthetic, seed) != (None, None, None):
            raise ValueError(
                "--n, --synthetic and --seed are of a new study; give --score FILE alone"
            )
        from pipelines.evaluation.reader_score import score_readings

        scores, agreements = score_readings(workspace, answers)
        click.echo(readings_table(scores, agreements))
        for score in scores:
            folder = workspace.runs / score.run
            click.echo(
                f"made: the score of {score.answers}, in {folder / score.file}"
                + (f"; look at {folder / score.sheet}" if score.sheet else "")
            )
        return
    from pipelines.evaluation.reader_study import make_reader_study

    run = make_reader_study(
        workspace, n=50 if n is None else n, synthetic=synthetic, seed=seed or 0
    )
    result = run.result
    counts = ", ".join(f"{count} {label}" for label, count in result["labels"].items())
    click.echo(
        f"{result['real']} test images of {result['patients']} patients and {result['synthetic']} "
        f"images of {run.config['synthetic']}: {counts}"
    )
    click.echo(
        f"give the reader {run.folder / 'reader.html'} and nothing else; key.json beside it holds "
        "the answers"
    )
    if result["caution"]:
        click.echo(f"beware: {result['caution']}")
    done("a reader study", run.folder / "reader.html", "cxr reader-study --score ANSWERS.json")
