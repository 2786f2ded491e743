"""`cxr study`: the run of a preregistration.

Heavy imports stand inside the command, so that help is instant.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli.options import done, run_options, weights_option, workspace_option
from pipelines.cli.study_tables import answer_table, forecast_table

if TYPE_CHECKING:
    from pipelines.study.runs import RunRequest
    from pipelines.study.workspace import Workspace


def _names(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    """Split an option's text at its commas."""
    return None if text is None else tuple(part.strip() for part in text.split(","))


def _fractions(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    """Read an option's text as shares of the reals."""
    from pipelines.study.fractions import parse_fraction

    parts = _names(context, parameter, text)
    return parts and tuple(parse_fraction(part, "fractions") for part in parts)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--folds", type=int, help="So many folds in place of those of the file.")
@click.option("--subsets", type=int, help="So many subsets of each fraction.")
@click.option("--generators", type=int, help="So many generators of each subset.")
@click.option("--seeds", type=int, help="So many classifiers of each.")
@click.option(
    "--fractions", metavar="SHARE[,SHARE]", callback=_fractions, help="These shares of the reals."
)
@click.option("--archs", metavar="ARCH[,ARCH]", callback=_names, help="These architectures.")
@click.option("--views", metavar="VIEW[,VIEW]", callback=_names, help="These views.")
@click.option("--generator-steps", type=int, help="So many steps of every generator.")
@click.option(
    "--plan",
    is_flag=True,
    help="Say what would be trained, how long that takes and which difference could be found, and "
    "leave the study as it is.",
)
@weights_option
@run_options(several_processes=True, resumable=False)
@workspace_option()
def study(
    workspace: Workspace,
    request: RunRequest,
    file: Path,
    plan: bool,
    weights: Path | None,
    generator_steps: int | None,
    **changes: Any,
) -> None:
    """Make every comparison of a preregistration, FILE, and answer its question.

    FILE is Markdown with one fenced block of TOML, or TOML alone. Whatever is given here in place
    of what it says is reported as a departure. Leaves study.html, study.json and study.csv. Killed
    or stopped, the same command again goes on.

    \b
    In several processes:
      torchrun --nproc-per-node=2 -m pipelines.cli study FILE
    """
    from pipelines.comparison.preregistered_study import plan_study, run_study

    changes["steps"] = generator_steps
    if plan:
        forecast = plan_study(workspace, request, file, changes=changes)
        click.echo(forecast_table(forecast))
        return
    run, result = run_study(
        workspace, request, file, changes=changes, weights=weights, say=_say_above_bars
    )
    click.echo(answer_table(result))
    click.echo(result.sentence)
    for departure in result.departures:
        click.echo(f"not as preregistered: {departure}")
    done("a preregistered study", run.folder / "study.html", "open the page in a browser")


def _say_above_bars(line: str) -> None:
    """Write a line on standard error, above whatever progress bar is there."""
    import sys

    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)
