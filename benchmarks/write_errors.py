"""Disks that fill up at random moments of every command of a study, and whether the study survives it.

    python benchmarks/write_errors.py [--points 60] [--seed 0] [--command NAME]...

For each point a command works on a tmpfs with room for a random share of what it needs; where nothing can be mounted, no file may be longer than a
random share of the longest that it writes. It must say so in one line, and leave what was there as it was. Then there is room again, the command is
resumed or given again, and what it leaves must be what an undisturbed one leaves. Exits with 1 on any loss.
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

from tests.support.command_server import open_command_server
from tests.support.full_disk import STUDY_COMMANDS, finish_with_room, run_on_full_disk, run_steps

MOST = 1.3  # times what stays of a command is what it needs while it works, at most


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
    random = np.random.default_rng(seed)
    chosen = commands or tuple(STUDY_COMMANDS)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    losses, started = [], time.monotonic()
    with open_command_server() as command_server, tempfile.TemporaryDirectory() as folder:
        print(
            "disks of a tmpfs"
            if command_server.has_disks
            else "nothing can be mounted here: a limit on the size of files instead",
            flush=True,
        )
        study = Path(folder) / "phantoms"
        assert command_server.run("data", "phantom", "--n", 64, folder=study).returncode == 0
        legs = run_steps(command_server, study, Path(folder))
        for number in range(points):
            name = chosen[number % len(chosen)]
            share = float(random.uniform(0, MOST))
            place = Path(folder) / f"point {number}"
            try:
                answer = run_on_full_disk(command_server, legs[name], place, share)
                finish_with_room(command_server, legs[name], place, answer)
                counts[name]["failed with a clear line" if answer.returncode else "finished"] += 1
            except AssertionError as error:
                counts[name]["LOST"] += 1
                losses.append(f"{name} at {share:.3f}: {error}")
                print(f"LOST {losses[-1]}", flush=True)
            command_server.unmount(place)
            shutil.rmtree(place)
    print(f"{'':16}{'points':>8}{'failed with a clear line':>26}{'finished':>10}{'losses':>8}")
    for name, found in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        print(
            f"{name:16}{found.total():8}{found['failed with a clear line']:26}{found['finished']:10}{found['LOST']:8}"
        )
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(bool(losses))


if __name__ == "__main__":
    main()
