"""`cxr compare`, `report`, `reproduce` and `demo`.

Heavy imports stand inside the commands, so that help is instant.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from classifier.config import ClassifierConfig
from pipelines.cli.comparison_tables import arms_table
from pipelines.cli.options import (
    compute_options,
    config_options,
    done,
    positive_option,
    run_options,
    say,
    view_option,
    weights_option,
    workspace_option,
)
from pipelines.cli.reproduction_tables import ladder_table, reproduction_table

if TYPE_CHECKING:
    from pipelines.study.runs import RunRequest
    from pipelines.study.workspace import Workspace
    from runtime.device import Compute

ARMS_HELP = (
    "real, which all are compared with, and some of real+classical, real+weights, "
    "real+oversampled, real+duplicates, real+gan, real+gan+classical, real+gan-balanced, gan-only, "
    "gan-pretrain, and the controls real+shuffled and, on phantoms, real+oracle; or one of them "
    "with a recipe of its own, such as real+gan@share=0.5@until=0.7: @share, @until, @weight, "
    "@statistics and @keep are --synthetic-share and so on, @balance is --balance, and "
    "gan-pretrain@rate=0.3 fine-tunes at that part of the rate.  [default: real, real+classical, "
    "real+gan and real+gan+classical]"
)
DESIGN_OPTIONS = (
    "arms",
    "seeds",
    "generators",
    "draws",
    "real_fractions",
    "synthetic_ratio",
    "budget",
    "measure",
    "folds",
    "subsets",
)


@click.command()
@click.option("--arms", metavar="ARM[,ARM]", help=ARMS_HELP)
@click.option(
    "--seeds",
    type=int,
    help="Classifiers per arm, generator and draw, with consecutive seeds.  [default: 5]",
)
@click.option(
    "--generators",
    type=int,
    help="Generators of consecutive seeds; those there are not are trained like the first.  "
    "[default: 1]",
)
@click.option("--draws", type=int, help="Synthetic sets of each generator.  [default: 1]")
@click.option(
    "--real-fractions",
    metavar="SHARE[,SHARE]",
    help="Shares of the training images, or as covid=0.1 of those of one label, with generators "
    "trained on the same share.  [default: 1]",
)
@click.option(
    "--synthetic-ratio",
    metavar="RATIO[,RATIO]",
    help="Images beside the reals for each real one.  [default: the whole synthetic set]",
)
@click.option(
    "--budget",
    type=click.Choice(["steps", "epochs"]),
    help="steps: the same for all; epochs: more for longer training sets, as in the literature.  "
    "[default: steps]",
)
@click.option(
    "--measure",
    type=click.Choice(["auc", "accuracy", "balanced-accuracy", "sensitivity"]),
    help="What the verdict is judged by; the others stand beside it.  [default: auc]",
)
@click.option(
    "--folds",
    type=int,
    help="Test every patient once, in so many parts, each by classifiers and generators that are "
    "trained without its patients.  [default: 1, the study's own test split]",
)
@click.option(
    "--subsets",
    type=int,
    help="How many times the reals of a fraction below 1 are drawn, with generators of their own.  "
    "[default: 1]",
)
@click.option(
    "--plan",
    is_flag=True,
    help="Say what would be trained, how long that takes and which difference could be found, and "
    "leave the study as it is.",
)
@click.option(
    "--synthetic",
    metavar="[NAME=]RUN[,[NAME=]RUN]",
    help="The synthetic set to add, or several, the first that of the question: each has arms of "
    "its own, real+NAME for real+gan and so on.  [default: the newest]",
)
@view_option
@config_options(ClassifierConfig)
@weights_option
@positive_option
@run_options(several_processes=True)
@workspace_option()
def compare(
    workspace: Workspace, request: RunRequest, options: dict[str, Any], plan: bool, **choices: Any
) -> None:
    """Train classifiers of several arms, with equal optimizer steps, and say which help.

    Leaves results.csv (a row per classifier), summary.json, figures and report.html. Killed or
    stopped, it goes on with --resume.

    \b
    In several processes, on one machine or many with a shared folder:
      torchrun --nproc-per-node=2 -m pipelines.cli compare
    """
    from pipelines.comparison.forecast import plan_comparison
    from pipelines.comparison.runner import compare

    design = {name: choices.pop(name) for name in DESIGN_OPTIONS}
    if plan:
        del choices["weights"]
        planned, forecast = plan_comparison(workspace, options, request, design=design, **choices)
        click.echo(
            f"{planned.classifiers} classifiers to train, and {forecast.generators} generators "
            f"before them; tested on {planned.test_images} images"
        )
        click.echo(forecast.sentence)
        click.echo(planned.sentence)
        return
    run, summary = compare(workspace, options, request, design=design, **choices)
    click.echo(arms_table(summary))
    click.echo(summary.sentence)
    done("the comparison", run.folder / "report.html", "open the report page in a browser")


@click.command()
@click.argument("run_name", required=False, metavar="[RUN]")
@workspace_option()
def report(workspace: Workspace, run_name: str | None) -> None:
    """Write the report page of the newest comparison, or of the one named, anew.

    For when something it shows has come after it, such as a score.
    """
    from pipelines.report.page import write_report

    run = workspace.find_run("compare", run_name)
    workspace.hold(run)
    page = write_report(workspace, run)
    done("the report page", page, "open it in a browser")


@click.command()
@click.argument("paper", type=click.Choice(["covidgan"]))
@click.option(
    "--scale",
    type=float,
    default=1.0,
    metavar="SHARE",
    help="Share of the paper's GAN steps, synthetic images and epochs: 0.1 is a rehearsal.  "
    "[default: 1]",
)
@click.option(
    "--seeds", type=int, default=5, help="Classifiers per arm in the fair protocol.  [default: 5]"
)
@click.option("--seed", type=int, default=0, help="Seed of every random decision.  [default: 0]")
@click.option(
    "--generator",
    metavar="RUN",
    help="A finished generator of the study in the place of the paper's GAN, which takes hours "
    "without a GPU; the page says so.  [default: the paper's GAN, trained here]",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="ImageNet weights of VGG16 as torchvision saves them; without it they are downloaded "
    "once.",
)
@run_options(resumable=False)
@workspace_option()
def reproduce(workspace: Workspace, request: RunRequest, **choices: Any) -> None:
    """A paper's experiment on this study's images: by its own protocol, by a fair one, what each
    difference between them is worth, and beside both its own table.

    Leaves reproduce.json, tables, and the page reproduce.html.

    covidgan: Waheed et al. 2020, an AC-GAN and a frozen VGG16. The same command again goes on where
    it was stopped.
    """
    from pipelines.comparison.reproduction import reproduce
    from pipelines.report.reproduction_page import REPRODUCTION_PAGE

    run, result = reproduce(workspace, request, **choices)
    click.echo(reproduction_table(result))
    click.echo(ladder_table(result))
    click.echo(result.sentence)
    done(
        f"a reproduction of {result.source}",
        run.folder / REPRODUCTION_PAGE,
        "open it in a browser",
    )


@click.command()
@click.option("--seed", default=0, help="Seed of everything.  [default: 0]")
@compute_options
@workspace_option(Path("demo-study"))
def demo(workspace: Workspace, compute: Compute, seed: int) -> None:
    """The whole study on phantom images, small enough for a few minutes on two CPU cores.

    Nothing that is in the folder already is overwritten.
    """
    from pipelines.comparison.demo import demo

    summary, scores, page = demo(workspace, compute, seed, say=say)
    click.echo(arms_table(summary))
    for overall in scores.overall_distances:  # none where the held-out patients are too few
        click.echo(
            f"Fréchet distance of the synthetic images: {overall.synthetic.value:.2f} at "
            f"n = {overall.synthetic.n}, where held-out reals have {overall.floor.value:.2f}"
        )
    click.echo(summary.sentence)
    done(
        "a whole study on phantom images",
        page,
        "open the report page, then bring your own images: cxr data import PATH...",
    )
