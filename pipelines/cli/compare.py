"""The commands that answer: `cxr compare`, `report`, `reproduce` and `reader-study`. Heavy imports stand inside them, as in `pipelines.cli`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from classifier.config import ClassifierConfig
from pipelines.cli.options import (
    WEIGHTS_HELP,
    compute_options,
    config_options,
    done,
    resume_option,
    workspace_option,
)
from pipelines.cli.tables import arms_table, readings_table, reproduction_table

if TYPE_CHECKING:
    from pipelines.study.workspace import Workspace
    from runtime.device import Compute

ARMS_HELP = (
    "real, which all are compared with, and some of real+classical, real+duplicates, real+gan, real+gan+classical, gan-only, gan-pretrain, and the controls "
    "real+shuffled and, on phantoms, real+oracle.  [default: real,real+classical,real+gan]"
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
    help="Generators of consecutive seeds; those there are not are trained like the first.  [default: 1]",
)
@click.option("--draws", type=int, help="Synthetic sets of each generator.  [default: 1]")
@click.option(
    "--real-fractions",
    metavar="SHARE[,SHARE]",
    help="Shares of the training images, with generators trained on the same share.  [default: 1]",
)
@click.option(
    "--synthetic-ratio",
    metavar="RATIO[,RATIO]",
    help="Images beside the reals for each real one.  [default: the whole synthetic set]",
)
@click.option(
    "--budget",
    type=click.Choice(["steps", "epochs"]),
    help="steps: the same for all; epochs: more for longer training sets, as in the literature.  [default: steps]",
)
@click.option(
    "--plan",
    is_flag=True,
    help="Say what would be trained and which difference could be found, and do nothing.",
)
@click.option("--synthetic", metavar="RUN", help="The synthetic set to add.  [default: the newest]")
@config_options(ClassifierConfig)
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
@resume_option
@compute_options(processes="many")
@workspace_option()
def compare(
    workspace: Workspace, compute: Compute, options: dict[str, Any], plan: bool, **choices: Any
) -> None:
    """Train classifiers of several arms, with equal optimizer steps, and say which help.

    Leaves results.csv (a row per classifier), summary.json, figures and report.html. Killed or stopped, it goes on with --resume.

    \b
    In several processes, on one machine or many with a shared folder:
      torchrun --nproc-per-node=2 -m pipelines.cli compare
    """
    from pipelines.comparison.runner import compare

    design = {
        name: choices.pop(name)
        for name in (
            "arms",
            "seeds",
            "generators",
            "draws",
            "real_fractions",
            "synthetic_ratio",
            "budget",
        )
    }
    run, summary = compare(workspace, options, compute, design=design, plan=plan, **choices)
    if plan:
        click.echo(
            f"{summary['classifiers']} classifiers to train, and {summary['generators_to_train']} generators before them; tested on {summary['test_images']} images"
        )
        click.echo(summary["sentence"])
        return
    click.echo(arms_table(summary))
    click.echo(summary["sentence"])
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

    Send reader.html, and only that, to the reader: key.json beside it holds the answers. The reader opens it in a browser, without
    network, and sends back the file that it saves.
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
            folder = workspace.runs / score["run"]
            click.echo(
                f"made: the score of {score['answers']}, in {folder / score['file']}"
                + (f"; look at {folder / score['sheet']}" if score["sheet"] else "")
            )
        return
    from pipelines.evaluation.reader_study import make_reader_study

    run = make_reader_study(
        workspace, n=50 if n is None else n, synthetic=synthetic, seed=seed or 0
    )
    result = run.result
    counts = ", ".join(f"{count} {label}" for label, count in result["labels"].items())
    click.echo(
        f"{result['real']} test images of {result['patients']} patients and {result['synthetic']} images of {run.config['synthetic']}: {counts}"
    )
    click.echo(
        f"give the reader {run.folder / 'reader.html'} and nothing else; key.json beside it holds the answers"
    )
    done("a reader study", run.folder / "reader.html", "cxr reader-study --score ANSWERS.json")


@click.command()
@click.argument("paper", type=click.Choice(["covidgan"]))
@click.option(
    "--scale",
    type=float,
    default=1.0,
    metavar="SHARE",
    help="Share of the paper's GAN steps, synthetic images and epochs: 0.1 is a rehearsal.  [default: 1]",
)
@click.option(
    "--seeds", type=int, default=5, help="Classifiers per arm in the fair protocol.  [default: 5]"
)
@click.option("--seed", type=int, default=0, help="Seed of every random decision.  [default: 0]")
@click.option(
    "--weights",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="ImageNet weights of VGG16 as torchvision saves them; without it they are downloaded once.",
)
@compute_options()
@workspace_option()
def reproduce(workspace: Workspace, compute: Compute, **choices: Any) -> None:
    """A paper's experiment on this study's images: by its own protocol, by a fair one, and beside both its own table.

    covidgan: Waheed et al. 2020, an AC-GAN and a frozen VGG16. The same command again goes on where it was stopped.
    """
    from pipelines.comparison.reproduction import reproduce

    run, result = reproduce(workspace, compute, **choices)
    click.echo(reproduction_table(result))
    click.echo(result["sentence"])
    done(
        f"a reproduction of {result['source']}",
        run.folder / "reproduce.json",
        f"open {workspace.runs / result['compare'] / 'report.html'}",
    )
