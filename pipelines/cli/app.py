"""The command `cxr`: a group of all commands, each defined beside those of its stage."""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.cli import comparison, data, evaluation, preregistered, training
from pipelines.cli.options import Commands

HELP_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
COMMANDS = (
    data.data,
    training.gan_train,
    training.synthesize,
    training.classify_train,
    training.lungs_train,
    training.export,
    evaluation.score,
    evaluation.audit,
    evaluation.classify,
    evaluation.reader_study,
    comparison.compare,
    comparison.report,
    comparison.reproduce,
    preregistered.study,
    comparison.demo,
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


for command in COMMANDS:
    main.add_command(command)
