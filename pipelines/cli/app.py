"""The command `cxr`. Heavy imports stand inside the commands, so that help is instant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from classifier.config import ClassifierConfig
from gan.config import GanConfig
from pipelines.cli.compare import compare, reader_study, report, reproduce
from pipelines.cli.data import data
from pipelines.cli.options import (
    WEIGHTS_HELP,
    Commands,
    compute_options,
    config_options,
    done,
    resume_option,
    say,
    workspace_option,
)
from pipelines.cli.tables import (
    answers_table,
    arms_table,
    audit_table,
    checks_table,
    metrics_table,
    options_table,
    scores_table,
)

if TYPE_CHECKING:
    from pipelines.study.workspace import Workspace
    from runtime.device import Compute

HELP_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
FEATURES_HELP = (
    "Networks whose features are compared, several with commas: inception (the one of FID), vgg16, resnet50, cnn (the study's own), random. "
    "auto is the first that needs no download: vgg16 or inception where their weights are at hand, cnn, random.  [default: auto]"
)


@click.group(cls=Commands, context_settings=HELP_SETTINGS)
@click.option(
    "-C",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The study's folder.  [default: the current folder]",
)
@click.version_option(package_name="cxr")
def main(folder: Path | None) -> None:
    """Synthetic chest X-rays from a GAN, and an honest answer to whether they help a classifier.

    \b
    A study, in this order, in an empty folder:
      cxr data import PATH...              images in, split by patient
      cxr gan-train                        a generator from the training split
      cxr synthesize --n 2000              synthetic images from the generator
      cxr classify-train                   a classifier on real images
      cxr classify-train --with-synthetic  the same with synthetic images added
      cxr score                            how close the synthetic images are to real ones
      cxr compare                          with against without, several seeds, one verdict, a page
    Or all of it on drawn phantom images, in a few minutes:
      cxr demo

    For research on methods. Not a medical device.
    """


main.add_command(data)
for command in (compare, report, reader_study, reproduce):
    main.add_command(command)


@main.command("gan-train")
@config_options(GanConfig)
@click.option(
    "--real-fraction",
    type=float,
    metavar="SHARE",
    help="Train on this share of the training images, whole patients at a time.  [default: 1]",
)
@click.option(
    "--max-minutes",
    type=float,
    help="Finish after this many minutes of training, whatever --steps says.",
)
@click.option(
    "--keep-going", is_flag=True, help="Do not stop a run that has collapsed, only say so."
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the resolved options and the parameter counts, and do nothing.",
)
@click.option(
    "--preview-augment",
    is_flag=True,
    help="Write a sheet of the training images as the discriminator sees them, and do nothing else.",
)
@resume_option
@compute_options(processes="many")
@workspace_option()
def gan_train(
    workspace: Workspace,
    compute: Compute,
    options: dict[str, Any],
    dry_run: bool,
    preview_augment: bool,
    **choices: Any,
) -> None:
    """Train a class-conditional GAN on the study's training split.

    Leaves the best snapshot as generator.pt, earlier ones, sample grids, curves, a strip and an animation of the
    progress and walks between latents, in a new folder under runs/. While it trains it watches each class's diversity
    and the discriminator, says what goes wrong, and stops what cannot be saved.

    \b
    In several processes, on one machine or many:
      torchrun --nproc-per-node=2 -m pipelines.cli gan-train
    """
    from pipelines.training.generator import plan, preview_augmentation, train_generator

    if dry_run:
        config, counts, classes = plan(workspace, options)
        click.echo(options_table(config))
        of = " (of each class)" if config.preset == "dcgan" else f" ({classes or 'two'} classes)"
        for network, count in counts.items():
            click.echo(f"{network}: {count:,} parameters{of}")
        return
    if preview_augment:
        done(
            "a sheet of augmented training images",
            preview_augmentation(workspace, options),
            "cxr gan-train",
        )
        return
    run = train_generator(workspace, options, compute, **choices)
    result = run.result
    click.echo(
        f"{result['step']} steps on {result['images']} images in {_minutes(result['seconds'])} ({compute}); best snapshot: step {result['best_step']}"
    )
    click.echo(
        f"look at {run.folder / 'progress.png'}, {run.folder / 'curves.png'}, {run.folder / 'interpolation.png'} and {run.folder / 'samples'}"
    )
    done("a generator", run.folder / "generator.pt", "cxr synthesize --n 2000")


@main.command()
@click.option(
    "-n", "--n", type=int, help="Number of images, spread evenly over the labels.  [default: 2000]"
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="LABEL",
    help="Only this label; may be given several times.",
)
@click.option("--generator", metavar="RUN", help="The gan-train run to use.  [default: the newest]")
@click.option(
    "--snapshot", metavar="best|last|STEP", help="Which of its snapshots.  [default: best]"
)
@click.option(
    "--seed",
    type=int,
    help="Seed of the latents; sample i depends on it and on i alone.  [default: 0]",
)
@click.option(
    "--reject-copies",
    is_flag=True,
    help="Pass over samples that are nearer to a training image than 99 in 100 real images are to another patient's, and draw others instead.",
)
@resume_option
@compute_options(processes="many")
@workspace_option()
def synthesize(workspace: Workspace, compute: Compute, **choices: Any) -> None:
    """Write synthetic images from the newest generator, as PNGs with a manifest."""
    from pipelines.training.synthesis import synthesize

    run = synthesize(workspace, compute, **choices)
    counts = ", ".join(f"{count} {label}" for label, count in run.result["images"].items())
    click.echo(
        f"{counts}, from {run.config['generator']} at step {run.config['generator_step']}; look at {run.folder / 'samples.png'}"
    )
    if "dropped" in run.result:
        dropped = (
            ", ".join(f"{count} {label}" for label, count in run.result["dropped"].items())
            or "none"
        )
        click.echo(
            f"copies of training images that were drawn and not written: {dropped} (nearer than {run.config['reject_copies']:.3g} in pixels)"
        )
    for label in run.config["unhealthy"]:
        say(
            f"cxr: class {label} was not healthy at that snapshot, look at its images before you use them"
        )
    done(f"{run.config['n']} synthetic images", run.folder, "cxr classify-train --with-synthetic")


@main.command("classify-train")
@click.option(
    "--with-synthetic",
    "synthetic",
    is_flag=False,
    flag_value="",
    default=None,
    metavar="[RUN]",
    help="Add the newest synthetic set, or the one named, to the training split.",
)
@config_options(ClassifierConfig)
@click.option(
    "--image-size",
    type=int,
    help="Side in pixels at which images are read.  [default: the generator's, or 64]",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE|none",
    help=WEIGHTS_HELP,
)
@click.option(
    "--positive",
    metavar="LABEL",
    help="The class that sensitivity is about.  [default: covid, where there is one]",
)
@click.option(
    "--preview-augment",
    is_flag=True,
    help="Write a sheet of augmented training images, and do nothing else.",
)
@click.option(
    "--find-learning-rate",
    is_flag=True,
    help="Try learning rates from 1e-6 to 1 on the training images, suggest one, and do nothing else.",
)
@resume_option
@compute_options(processes="many")
@workspace_option()
def classify_train(
    workspace: Workspace,
    compute: Compute,
    options: dict[str, Any],
    synthetic: str | None,
    preview_augment: bool,
    find_learning_rate: bool,
    **choices: Any,
) -> None:
    """Train a classifier and judge it once on the test split.

    The weights with the lowest validation loss are kept, and a threshold is chosen on the validation images. Leaves metrics.json,
    predictions.csv, training curves, confusion matrix, measures, ROC and precision-recall curves and calibration in a new folder under runs/;
    the same of an external test set where the study has one.

    \b
    In several processes, on one machine or many:
      torchrun --nproc-per-node=2 -m pipelines.cli classify-train
    """
    from pipelines.training.classifier import (
        preview_augmentation,
        suggest_learning_rate,
        train_classifier,
    )

    if preview_augment:
        done(
            "a sheet of augmented training images",
            preview_augmentation(workspace, options, choices["image_size"]),
            "cxr classify-train --augment yes",
        )
        return
    if find_learning_rate:
        rate, curve = suggest_learning_rate(
            workspace, options, compute, choices["image_size"], choices["weights"]
        )
        done(
            f"a learning-rate test, which suggests {rate:.1e}",
            curve,
            f"cxr classify-train --learning-rate {rate:.1e}",
        )
        return
    run, metrics = train_classifier(
        workspace,
        options,
        compute,
        synthetic=synthetic or None,
        with_synthetic_images=synthetic is not None,
        **choices,
    )
    for name, measured in metrics.items():
        click.echo(metrics_table(measured, "test split" if name == "test" else "external set"))
    click.echo(f"look at {', '.join(sorted(path.name for path in run.folder.glob('*.png')))} there")
    done(
        "a classifier",
        run.folder / "classifier.pt",
        "cxr classify-train --with-synthetic"
        if synthetic is None
        else "cxr score, then cxr compare",
    )


@main.command()
@click.argument("run_name", required=False, metavar="[RUN]")
@click.option(
    "--steps",
    type=int,
    help="Optimizer steps of each classifier that is trained anew.  [default: those of the audited one]",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The ImageNet weights that RUN began with; needed only where it trained stages of them.",
)
@resume_option
@compute_options()
@workspace_option()
def audit(workspace: Workspace, compute: Compute, **choices: Any) -> None:
    """Ask whether a classifier could do without the lungs: the shortcut audit of the newest, or of the one named.

    On the test split, with the lungs covered, only the border left, 8×8 pixels, or blurred: what a classifier trained anew on real
    images altered alike still tells, and what the audited one makes of them. And whether sources can be told apart where a label has
    several. Leaves audit.json and audit.png.
    """
    from pipelines.evaluation.shortcut_audit import audit

    run, result = audit(workspace, compute, **choices)
    click.echo(audit_table(result))
    for number, warning in enumerate(result["warnings"], start=1):
        click.echo(f"warning {number}: {warning}")
    if not result["warnings"]:
        click.echo("no warning: no AUC without lungs comes close to that of the whole images")
    click.echo(result["intended_use"])
    done(f"the audit of {result['classifier']}", run.folder / "audit.png", "look at the picture")


@main.command()
@click.argument("run_name", required=False, metavar="[RUN]")
@click.option(
    "--format",
    type=click.Choice(["torchscript", "onnx"]),
    default="torchscript",
    help="onnx needs pip install 'cxr[onnx]'.  [default: torchscript]",
)
@workspace_option()
def export(workspace: Workspace, run_name: str | None, format: str) -> None:
    """Write the newest classifier, or the classifier or generator of the run named, as one file for other programs.

    Beside it a JSON says what goes in and what comes out. The file is written only when it gives the outputs of the original.
    """
    from pipelines.training.export import export

    run, result = export(workspace, run_name=run_name, format=format)
    checked = result["checked"]
    click.echo(
        f"{result['kind']} of {result['exported_from']}: largest difference from the original's outputs {checked['largest_difference']:.1e}, on {checked['inputs']} inputs"
    )
    for way in ("inputs", "outputs"):
        for one in result[way]:
            click.echo(
                f"{way[:-1]:7} {one['name']}: {one['dtype']} ({', '.join(map(str, one['shape']))}), {one['range']}"
            )
    click.echo(result["intended_use"])
    done(
        f"a {result['kind']} as {result['format']}",
        run.folder / result["file"],
        f"read {run.folder / (result['kind'] + '.json')}",
    )


@main.command()
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
    help="Also draw, for each image, where the classifier saw its label (Grad-CAM).",
)
@compute_options()
@workspace_option()
def classify(workspace: Workspace, compute: Compute, **choices: Any) -> None:
    """Say what a trained classifier makes of images: files or folders, DICOM too.

    For research on methods. Its probability is no diagnosis: it knows no label but those of the study, and may tell sources and not diseases apart.
    """
    from pipelines.evaluation.prediction import classify_images
    from pipelines.study.intended_use import INTENDED_USE

    run, trained, answers = classify_images(workspace, compute, **choices)
    click.echo(answers_table(answers))
    left_out = sum(bool(answer.fault) for answer in answers)
    click.echo(
        f"{run.name}: {trained.config.arch} at {trained.image_size} px, labels {', '.join(trained.classes)}"
        + (f"; {left_out} not classified" if left_out else "")
    )
    click.echo(INTENDED_USE)
    for what, where in (("a table", choices["csv"]), ("explanations", choices["explain"])):
        if where:
            click.echo(f"made: {what}, in {where}")


@main.command()
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
    help="The weights of inception (pytorch-fid's file), vgg16 or resnet50 (as torchvision saves them); without it they are downloaded once.",
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
@compute_options()
@workspace_option()
def score(
    workspace: Workspace,
    compute: Compute,
    first: Path | None,
    second: Path | None,
    statistics: Path | None,
    out: Path | None,
    synthetic: str | None,
    **choices: Any,
) -> None:
    """How good synthetic images are, per class and overall, each score beside that of held-out reals.

    Distances (Fréchet, kernel), precision and recall, density and coverage, diversity, training on synthetic and testing on real images and
    the reverse, and whether they can be told from reals at all. All are of as many synthetic images as there are held-out reals: a
    generator can be expected to come as close to the training reals as those do. "All synthetic" is for comparison with other tools.

    Then what no score tells: copies of training images, with the nearest pairs on a sheet, whether images are of the class that was
    asked for, and whether brightness, contrast, sharpness or borders give them away; with warnings in plain words.

    \b
    Without a study, of two folders of images, with a subfolder for each label or none:
      cxr score --dataset-a REALS --dataset-b SYNTHETIC
    """
    from pipelines.evaluation.score import score_synthetic
    from pipelines.evaluation.score_folders import score_folders

    if first is None and (second or statistics or out):
        raise ValueError("--dataset-b, --save-statistics and --out go with --dataset-a DIR")
    if first is not None:
        out = out or Path()
        _, summary = score_folders(
            first, second, compute, out=out, statistics=statistics, **choices
        )
    else:
        run, _, summary = score_synthetic(workspace, compute, synthetic=synthetic, **choices)
    if summary:
        for warning in summary.get("warnings", []):
            say(f"cxr: {warning}")
        click.echo(
            f"Fréchet distance: {summary['frechet']:.6g}"
            if "frechet" in summary
            else scores_table(summary)
        )
        if "memorisation" in summary:
            click.echo(checks_table(summary))
    if statistics:
        click.echo(f"made: statistics of {first}, in {statistics}")
    if first is None:
        done(f"the scores of {summary['synthetic']}", run.folder / "score.json", "cxr compare")
    elif summary:
        click.echo(f"made: the scores of {second}, in {out / 'score.json'}")


@main.command()
@click.option("--seed", default=0, help="Seed of everything.  [default: 0]")
@compute_options()
@workspace_option(Path("demo-study"))
def demo(workspace: Workspace, compute: Compute, seed: int) -> None:
    """The whole study on phantom images, small enough for a few minutes on two CPU cores.

    Nothing that is in the folder already is overwritten.
    """
    from pipelines.comparison.demo import demo

    summary, scores, page = demo(workspace, compute, seed, say=say)
    click.echo(arms_table(summary))
    overall = next(one for one in scores if one.group == "overall" and one.score == "frechet")
    click.echo(
        f"Fréchet distance of the synthetic images: {overall.value:.2f} at n = {overall.n}, where held-out reals have {overall.floor:.2f}"
    )
    click.echo(summary["sentence"])
    done(
        "a whole study on phantom images",
        page,
        "open the report page, then bring your own images: cxr data import PATH...",
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
