"""Disks that fill up at random moments of every command of a study, and whether it survives.

    python benchmarks/write_errors.py [--points 60] [--seed 0] [--command NAME]...

For each point a command works on a tmpfs with room for a random share of what it needs; where
nothing can be mounted, no file may be longer than a random share of the longest that it writes. It
must say so in one line, and leave what was there as it was. Then there is room again, the command
is resumed or given again, and what it leaves must be what an undisturbed one leaves. Exits with 1
on any loss.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np

from tests.support.command_server import CommandServer, open_command_server
from tests.support.command_steps import STUDY_COMMANDS, CommandStep, run_steps
from tests.support.full_disk import finish_with_room, run_on_full_disk

MAX_SHARE = 1.3  # what a command needs while it works is at most so many times what stays of it
FAILED, FINISHED, LOST = "failed with a clear line", "finished", "losses"


def try_point(
    command_server: CommandServer, step: CommandStep, share: float, place: Path
) -> tuple[str, str]:
    """Run a command on a disk that fills up; return how it went, and what was lost."""
    try:
        result = run_on_full_disk(command_server, step, place, share)
        finish_with_room(command_server, step, place, result)
    except AssertionError as error:
        return LOST, str(error)
    finally:
        command_server.unmount(place)
        shutil.rmtree(place)
    return (FAILED if result.returncode else FINISHED), ""


def print_table(counts: dict[str, Counter[str]]) -> None:
    """Print a row for each command and one for all."""
    print(f"{'':16}{'points':>8}{FAILED:>26}{FINISHED:>10}{LOST:>8}")
    for name, row in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        print(f"{name:16}{row.total():8}{row[FAILED]:26}{row[FINISHED]:10}{row[LOST]:8}")


@click.command()
@click.option("--points", default=60, help="Disks that fill up, shared out among the commands.")
@click.option("--seed", default=0, help="Seed of their sizes.")
@click.option(
    "--command",
    "commands",
    multiple=True,
    type=click.Choice(list(STUDY_COMMANDS)),
    help="Only this one; may be given several times.",
)
def main(points: int, seed: int, commands: tuple[str, ...]) -> None:
    """Let disks fill up at random moments of the commands of a study, and count what is lost."""
    random = np.random.default_rng(seed)
    names = commands or tuple(STUDY_COMMANDS)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    started = time.monotonic()
    with open_command_server() as command_server, tempfile.TemporaryDirectory() as folder:
        print(
            "disks of a tmpfs"
            if command_server.has_disks
            else "nothing can be mounted here: a limit on the size of files instead",
            flush=True,
        )
        study = Path(folder) / "phantoms"
        phantoms = command_server.run("data", "phantom", "--n", 64, folder=study)
        assert phantoms.returncode == 0, phantoms.stderr
        steps = run_steps(command_server, study, Path(folder))
        for number in range(points):
            name = names[number % len(names)]
            share = float(random.uniform(0, MAX_SHARE))
            place = Path(folder) / f"point {number}"
            outcome, loss = try_point(command_server, steps[name], share, place)
            counts[name][outcome] += 1
            if loss:
                print(f"LOST {name} at {share:.3f}: {loss}", flush=True)
    print_table(counts)
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(any(row[LOST] for row in counts.values()))


if __name__ == "__main__":
    main()
