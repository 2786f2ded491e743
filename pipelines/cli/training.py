"""`cxr gan-train`, `synthesize`, `classify-train`, `lungs-train` and `export`.

Heavy imports stand inside the commands, so that help is instant.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from classifier.config import ClassifierConfig
from gan.config import GanConfig
from gan.segan.config import LungsConfig
from pipelines.cli.classifier_tables import metrics_table, options_table
from pipelines.cli.foreign import (
    FOREIGN_OPTIONS,
    check_without_source,
    export_options,
    export_set,
    foreign_options,
    import_set,
)
from pipelines.cli.lung_tables import scores_table
from pipelines.cli.options import (
    config_options,
    done,
    positive_option,
    run_options,
    say,
    verbose_option,
    view_option,
    weights_option,
    workspace_option,
)
from pipelines.study.view_names import VIEWS
from runtime.estimate import significant

if TYPE_CHECKING:
    from pipelines.study.runs import RunRequest
    from pipelines.study.workspace import Workspace
    from runtime.run import Run


@click.command("gan-train")
@config_options(GanConfig)
@click.option(
    "--real-fraction",
    metavar="SHARE|LABEL=SHARE",
    help="Train on this share of the training images, or of those of one label, whole patients at "
    "a time.  [default: 1]",
)
@click.option(
    "--view",
    type=click.Choice(VIEWS),
    help="What of each image is drawn: whole, the box of the lungs (lung-box), or the lungs alone "
    "(lungs); the two need cxr data lungs first. Later commands follow.  [default: whole]",
)
@click.option(
    "--max-minutes",
    type=float,
    help="Finish after this many minutes of training, whatever --steps says.",
)
@click.option(
    "--keep-going",
    is_flag=True,
    help="Do not stop a run that has collapsed, only say so; end with its best snapshot.",
)
@verbose_option
@click.option(
    "--compile",
    type=click.Choice(["yes", "no"]),
    help="Compile the networks before training (torch.compile): faster steps after a minute or "
    "two, in another rounding.  [default: no]",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the resolved options and the parameter counts, and do nothing.",
)
@click.option(
    "--preview-augment",
    is_flag=True,
    help="Write a sheet of the training images as the discriminator sees them, and do nothing "
    "else.",
)
@run_options(several_processes=True, tensorboard=True)
@workspace_option()
def gan_train(
    workspace: Workspace,
    request: RunRequest,
    options: dict[str, Any],
    dry_run: bool,
    preview_augment: bool,
    verbose: bool,
    **choices: Any,
) -> None:
    """Train a class-conditional GAN on the study's training split.

    Leaves the best snapshot as generator.pt, earlier ones, sample grids, curves, a strip and an
    animation of the progress and walks between latents, in a new folder under runs/. While it
    trains it watches each class's diversity and the discriminator, says what goes wrong, and stops
    what cannot be saved.

    \b
    In several processes, on one machine or many:
      torchrun --nproc-per-node=2 -m pipelines.cli gan-train
    """
    from pipelines.study.fractions import parse_fraction
    from pipelines.study.shares import RealShare
    from pipelines.training.generator import (
        plan_training,
        preview_augmentation,
        train_generator,
    )

    if dry_run:
        plan = plan_training(workspace, options)
        click.echo(options_table(plan.config))
        of = f" ({plan.classes or 'two'} classes)"
        if plan.config.preset in ("dcgan", "fbgan"):
            of = " (of each class)"
        for network, count in plan.parameters.items():
            click.echo(f"{network}: {count:,} parameters{of}")
        return
    if preview_augment:
        done(
            "a sheet of augmented training images",
            preview_augmentation(workspace, options, choices["view"]),
            "cxr gan-train",
        )
        return
    fraction = choices.pop("real_fraction")
    share = None if fraction is None else RealShare(parse_fraction(fraction))
    run = train_generator(workspace, options, request, share=share, **choices)
    result = run.result
    click.echo(
        f"{result['step']} steps on {result['images']} images in {_minutes(result['seconds'])} "
        f"({run.config['compute']}); best snapshot: step {result['best_step']}"
    )
    if verbose:
        _tell_parts(run)
    click.echo(
        f"look at {run.folder / 'progress.png'}, {run.folder / 'curves.png'}, "
        f"{run.folder / 'interpolation.png'} and {run.folder / 'samples'}"
    )
    done("a generator", run.folder / "generator.pt", "cxr synthesize --n 2000")


@click.command()
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
    "--sampling-scale",
    type=float,
    metavar="SCALE",
    help="Standard deviation of the latents, in that of training: above it images vary more and "
    "cover more of the reals, and each is a little less like one.  [default: the generator's own]",
)
@click.option(
    "--reject-copies",
    is_flag=True,
    help="Pass over samples that are nearer to a training image than 99 in 100 real images are to "
    "another patient's, and draw others instead; of images of --from leave out real ones of the "
    "training split.",
)
@foreign_options
@export_options
@run_options(several_processes=True)
@workspace_option()
def synthesize(
    workspace: Workspace,
    request: RunRequest,
    source: Path | None,
    target: tuple[str, Path] | None,
    synthetic: str | None,
    **choices: Any,
) -> None:
    """Write synthetic images from the newest generator, as PNGs with a manifest, or make such a
    set of images that another program made, or write a finished set for other programs.
    """
    from pipelines.training.synthesis import synthesize

    if target is not None or synthetic is not None:
        export_set(workspace, request, target, synthetic, choices | {"source": source})
        return
    if source is not None:
        import_set(workspace, request, source, choices)
        return
    check_without_source(choices)
    ours = {name: value for name, value in choices.items() if name not in FOREIGN_OPTIONS}
    run = synthesize(workspace, ours, request)
    counts = ", ".join(f"{count} {label}" for label, count in run.result["images"].items())
    scale = run.config["sampling_scale"]
    latents = "" if scale is None else f", latents {scale:g} times as wide as in training"
    click.echo(
        f"{counts}, from {run.config['generator']} at step {run.config['generator_step']}"
        f"{latents}; look at {run.folder / 'samples.png'}"
    )
    if "dropped" in run.result:
        dropped = (
            ", ".join(f"{count} {label}" for label, count in run.result["dropped"].items())
            or "none"
        )
        click.echo(
            f"copies of training images that were drawn and not written: {dropped} (nearer than "
            f"{significant(run.config['copy_threshold'])} in pixels)"
        )
    for label in run.config["unhealthy"]:
        say(
            f"cxr: class {label} was not healthy at that snapshot, look at its images before you "
            "use them"
        )
    done(f"{run.config['n']} synthetic images", run.folder, "cxr classify-train --with-synthetic")


@click.command("classify-train")
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
@view_option
@weights_option
@positive_option
@verbose_option
@click.option(
    "--preview-augment",
    is_flag=True,
    help="Write a sheet of augmented training images, and do nothing else.",
)
@click.option(
    "--find-learning-rate",
    is_flag=True,
    help="Try learning rates from 1e-6 to 1 on the training images, suggest one, and do nothing "
    "else.",
)
@run_options(several_processes=True, tensorboard=True)
@workspace_option()
def classify_train(
    workspace: Workspace,
    request: RunRequest,
    options: dict[str, Any],
    synthetic: str | None,
    preview_augment: bool,
    find_learning_rate: bool,
    verbose: bool,
    **choices: Any,
) -> None:
    """Train a classifier and judge it once on the test split.

    The weights with the lowest validation loss are kept, and a threshold is chosen on the
    validation images. Leaves metrics.json, predictions.csv, training curves, confusion matrix,
    measures, ROC and precision-recall curves and calibration in a new folder under runs/; the same
    of an external test set where the study has one.

    \b
    In several processes, on one machine or many:
      torchrun --nproc-per-node=2 -m pipelines.cli classify-train
    """
    from pipelines.training.classifier import preview_augmentation, train_classifier

    if preview_augment:
        done(
            "a sheet of augmented training images",
            preview_augmentation(workspace, options, choices["image_size"], choices["view"]),
            "cxr classify-train --augment yes",
        )
        return
    if find_learning_rate:
        _find_learning_rate(workspace, request, options, choices)
        return
    run, metrics = train_classifier(workspace, options, request, synthetic=synthetic, **choices)
    for name, measured in metrics.items():
        click.echo(metrics_table(measured, "test split" if name == "test" else "external set"))
    if "caution" in run.config:
        click.echo(f"beware: {run.config['caution']}")
    if verbose:
        _tell_parts(run)
    click.echo(f"look at {', '.join(sorted(path.name for path in run.folder.glob('*.png')))} there")
    done(
        "a classifier",
        run.folder / "classifier.pt",
        "cxr classify-train --with-synthetic"
        if synthetic is None
        else "cxr score, then cxr compare",
    )


def _find_learning_rate(
    workspace: Workspace, request: RunRequest, options: dict[str, Any], choices: dict[str, Any]
) -> None:
    """Print which learning rate a range test suggests."""
    from pipelines.training.classifier import suggest_learning_rate

    rate, curve = suggest_learning_rate(
        workspace,
        options,
        request.choose_compute(),
        choices["image_size"],
        choices["view"],
        choices["weights"],
    )
    done(
        f"a learning-rate test, which suggests {rate:.1e}",
        curve,
        f"cxr classify-train --learning-rate {rate:.1e}",
    )


@click.command("lungs-train")
@click.option(
    "--masks",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Masks that people drew: PNGs named like the images, V7 Darwin or COCO JSON, in a folder "
    "or one with folders called masks, or one file. May be given several times.",
)
@click.option(
    "--start",
    "start_with",
    metavar="RUN|packaged",
    help="Begin with the weights of this lungs-train run, or of the network of the package.",
)
@config_options(LungsConfig)
@run_options()
@workspace_option()
def lungs_train(
    workspace: Workspace,
    request: RunRequest,
    options: Mapping[str, Any],
    masks: tuple[Path, ...],
    start_with: str | None,
) -> None:
    """Train a network that finds the lungs, for cxr data lungs --network.

    On the training images that have a mask; the validation images choose the step, the test images
    are measured once at the end. Leaves lungs.pt, lungs.json, dice.csv with every image, the worst
    on worst-validation.png and worst-test.png, and a model card, in a new folder under runs/.
    """
    from pipelines.training.lungs import train_lungs

    run, result = train_lungs(workspace, options, request, masks=masks, start_with=start_with)
    click.echo(
        f"{result.steps} steps on {result.train_images} images of {result.train_patients} patients "
        f"({run.config['compute']}); best step: {result.best_step}"
    )
    click.echo(scores_table(result))
    click.echo(f"look at {run.folder / 'worst-test.png'} and {run.folder / 'worst-validation.png'}")
    done("a lung network", run.folder / "lungs.pt", f"cxr data lungs --network {run.name}")


@click.command()
@click.argument("run_name", required=False, metavar="[RUN]")
@click.option(
    "--format",
    type=click.Choice(["torchscript", "onnx"]),
    default="torchscript",
    help="onnx needs pip install 'cxr[onnx]'.  [default: torchscript]",
)
@workspace_option()
def export(workspace: Workspace, run_name: str | None, format: str) -> None:
    """Write the newest classifier, or the classifier or generator of the run named, as one file for
    other programs.

    Beside it a JSON says what goes in and what comes out. The file is written only when it gives
    the outputs of the original.
    """
    from pipelines.study.intended_use import INTENDED_USE
    from pipelines.training.export import export

    exported = export(workspace, run_name=run_name, format=format)
    click.echo(
        f"{exported.kind} of {exported.source}: largest difference from the original's "
        f"outputs {exported.check.largest_difference:.1e}, on {exported.check.inputs} inputs"
    )
    for direction, tensors in (("input", exported.inputs), ("output", exported.outputs)):
        for tensor in tensors:
            shape = ", ".join(map(str, tensor.shape))
            click.echo(f"{direction:7} {tensor.name}: {tensor.dtype} ({shape}), {tensor.range}")
    click.echo(INTENDED_USE)
    folder = exported.run.folder
    done(
        f"a {exported.kind} as {exported.format}",
        folder / exported.file,
        f"read {folder / f'{exported.kind}.json'}",
    )


def _tell_parts(run: Run) -> None:
    """Print how long each part of the command that made a run took."""
    from runtime.stopwatch import describe_parts

    click.echo(describe_parts(run.result["seconds_by_part"]))


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
