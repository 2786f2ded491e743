"""Commands killed at random moments, and what is lost by it.

    python benchmarks/survival.py [--kills 60] [--seed 0]

Each command runs undisturbed first. Then, on copies of the study before it, it is killed (SIGKILL) and given again, with --resume where there is something
to resume, until it is done. Of five kills three come at a moment drawn from the whole time that the undisturbed command took, one from the last tenth of it,
and one at a change to a file, drawn from all that it makes; every third time what goes on is killed once more. A loss is: a file that is not as the
undisturbed command left it, a file that was there and is neither as it was nor as it will be, something half-written in the end, another exit code, or
another word on standard error. Exits 1 when there is any.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np

from tests.support.command_server import (
    CommandResult,
    CommandServer,
    continuation,
    open_command_server,
)
from tests.support.study_files import study_differences, study_files, unfinished_files

COMMANDS = {
    "data": "data phantom --n 64",
    "gan-train": "gan-train --steps 24 --image-size 32 --width 4 --batch-size 8 --sample-every 4",
    "synthesize": "synthesize --n 300",
    "classify-train": "classify-train --steps 24 --batch-size 8 --evaluate-every 3",
    "score": "score",
    "compare": "compare --arms real,real+gan --seeds 2 --generators 2 --steps 6 --batch-size 8 --evaluate-every 3",
}
BEFORE = "data phantom --n 24"  # what the study holds when the first of them begins
AGAIN = 3  # every so manieth kill is followed by another


@dataclass(frozen=True)
class Leg:
    """A command, the study before and after it, and how it ran undisturbed."""

    arguments: list[str]
    before: Path
    after: Path
    undisturbed: CommandResult


def undisturbed_course(command_server: CommandServer, folder: Path) -> dict[str, Leg]:
    """Every command in a row, with all the time in the world."""
    study, legs = folder / "course", {}
    assert command_server.run(*BEFORE.split(), folder=study).returncode == 0
    for name, command in COMMANDS.items():
        before, after = folder / f"before {name}", folder / f"after {name}"
        shutil.copytree(study, before)
        ended = command_server.run(*command.split(), folder=study)
        assert ended.returncode == 0, f"{command}: {ended.stderr}"
        shutil.copytree(study, after)
        legs[name] = Leg(command.split(), before, after, ended)
    return legs


def drawn(number: int, leg: Leg, random: np.random.Generator) -> dict:
    """The moment or the change at which a command is killed."""
    kind = number % 5
    if kind == 4:
        return {"kill_before_change": ("", int(random.integers(1, leg.undisturbed.changes + 1)))}
    return {"kill_after": leg.undisturbed.seconds * random.uniform(0.9 if kind == 3 else 0, 1)}


def survive(
    command_server: CommandServer, leg: Leg, study: Path, kill: dict, then: dict | None
) -> tuple[Counter[str], list[str]] | None:
    """Kill a command, go on, perhaps kill that too, and compare; counts and losses, or None when the command was done before it could be killed."""
    study.mkdir()
    shutil.copytree(leg.before, study, dirs_exist_ok=True)
    ended = command_server.run(*leg.arguments, folder=study, **kill)
    if not ended.killed:
        return None
    counts: Counter[str] = Counter(kills=1)
    losses = strange_words(leg, study, ended)
    for _ in range(2):
        counts["begun" if begun(leg, study) else "not begun"] += 1
        losses += [f"neither as it was nor as it will be: {name}" for name in unlike(leg, study)]
        arguments = continuation(study, leg.arguments)
        if arguments is None:
            break
        ended = command_server.run(*arguments, folder=study, **(then or {}))
        losses += strange_words(leg, study, ended)
        if not ended.killed:
            break
        counts["kills"] += 1
        counts["killed again"] += 1
        then = None
    whole = ended.returncode == (2 if there_already(leg, study, ended) else 0) or arguments is None
    losses += [] if whole else [f"exit code {ended.returncode}"]
    return counts, losses + study_differences(study, leg.after) + [
        f"left: {name}" for name in unfinished_files(study)
    ]


def begun(leg: Leg, study: Path) -> bool:
    """Whether the command has made the folder that it works in."""
    return (
        (study / "data" / ".incoming").exists()
        if leg.arguments[0] == "data"
        else bool([*study.glob(f"runs/*-{leg.arguments[0]}")])
    )


def unlike(leg: Leg, study: Path) -> list[str]:
    """Files of the study before that are neither as they were nor as they will be."""
    found, before, after = study_files(study), study_files(leg.before), study_files(leg.after)
    states = [
        (name, *(one[name].read_bytes() if name in one else None for one in (found, before, after)))
        for name, path in before.items()
        if path.is_file()
    ]
    return [name for name, now, was, will in states if now not in (was, will)]


def there_already(leg: Leg, study: Path, ended: CommandResult) -> bool:
    """Whether an import was killed when it was whole, so that the same one finds nothing to do."""
    return (
        leg.arguments[0] == "data"
        and ended.stderr.strip() == "cxr: nothing to import: 64 already in the study"
    )


def strange_words(leg: Leg, study: Path, ended: CommandResult) -> list[str]:
    """Lines on standard error that the undisturbed command did not write."""
    if there_already(leg, study, ended):
        return []
    return [
        f"said: {line}"
        for line in ended.stderr.splitlines()
        if line not in leg.undisturbed.stderr.splitlines()
    ]


@click.command()
@click.option(
    "--kills",
    default=60,
    help="Kills in all, shared alike among the commands; those that hit a command going on come on top.",
)
@click.option("--seed", default=0, help="Seed of the moments.")
def main(kills: int, seed: int) -> None:
    start, total, lost = time.monotonic(), Counter(), 0
    with tempfile.TemporaryDirectory() as folder, open_command_server() as command_server:
        legs = undisturbed_course(command_server, Path(folder))
        print(
            f"{'command':16} {'undisturbed':>18} {'kills':>7} {'of them again':>14} {'before its folder':>18} {'after':>6} {'losses':>7}",
            flush=True,
        )
        for place, (name, leg) in enumerate(legs.items()):
            random, counts, losses, number = np.random.default_rng([seed, place]), Counter(), [], 0
            wanted = kills // len(legs) + (place < kills % len(legs))
            while number < wanted:
                study = Path(folder) / "killed"
                kill, then = (
                    drawn(number, leg, random),
                    drawn(number // AGAIN, leg, random) if number % AGAIN == AGAIN - 1 else None,
                )
                done = survive(command_server, leg, study, kill, then)
                shutil.rmtree(study)
                if done:
                    number += 1
                    counts += done[0]
                    losses += [
                        f"{name} killed {kill}{f', then {then}' if then else ''}: {loss}"
                        for loss in done[1]
                    ]
            took = f"{leg.undisturbed.seconds:.1f} s, {leg.undisturbed.changes} changes"
            print(
                f"{name:16} {took:>18} {counts['kills']:7} {counts['killed again']:14} {counts['not begun']:18} {counts['begun']:6} {len(losses):7}",
                flush=True,
            )
            for loss in losses:
                print(f"    {loss}", flush=True)
            total, lost = total + counts, lost + len(losses)
    print(f"{total['kills']} kills, {lost} losses, {time.monotonic() - start:.0f} s")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
