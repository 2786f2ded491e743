"""Commands killed at random moments, and what is lost by it.

    python benchmarks/survival.py [--kills 60] [--seed 0]

Each command runs undisturbed first. Then, on copies of the study before it, it is killed (SIGKILL)
and given again, with --resume where there is something to resume, until it is done. Of five kills
three come at a moment drawn from the whole time that the undisturbed command took, one from the
last tenth of it, and one at a change to a file, drawn from all that it makes; every third time what
goes on is killed once more. A loss is: a file that is not as the undisturbed command left it, a
file that was there and is neither as it was nor as it will be, something half-written in the end,
another exit code, or another word on standard error. Exits 1 when there is any.
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
from tests.support.command_steps import CommandStep, run_steps
from tests.support.study_files import file_contents, study_differences, unfinished_files

TINY_GAN = "--image-size 32 --width 4 --batch-size 8 --sample-every 4"
TINY_CLASSIFIER = "--batch-size 8 --evaluate-every 3"
COMMANDS = {
    "data": "data phantom --n 64",
    "gan-train": f"gan-train --steps 24 {TINY_GAN}",
    "synthesize": "synthesize --n 300",
    "classify-train": f"classify-train --steps 24 {TINY_CLASSIFIER}",
    "score": "score",
    "compare": (
        f"compare --arms real,real+gan --seeds 2 --generators 2 --steps 6 {TINY_CLASSIFIER}"
    ),
}
FIRST_COMMAND = "data phantom --n 24"  # makes what the study holds when the first of them begins
SECOND_KILL_EVERY = 3  # kills
TABLE_HEAD = (
    f"{'command':16} {'undisturbed':>18} {'kills':>7} {'of them again':>14}"
    f" {'before its folder':>18} {'after':>6} {'losses':>7}"
)


@dataclass(frozen=True)
class Kill:
    """When a command is killed: after so many seconds, or right before a change to a file."""

    after: float | None = None
    before_change: tuple[str, int] | None = None


def draw_kill(number: int, step: CommandStep, random: np.random.Generator) -> Kill:
    """Draw the moment, or the change to a file, at which a command is killed."""
    kind = number % 5
    if kind == 4:
        change = int(random.integers(1, step.undisturbed.changes + 1))
        return Kill(before_change=("", change))
    return Kill(after=step.undisturbed.seconds * random.uniform(0.9 if kind == 3 else 0, 1))


def run_killed(
    command_server: CommandServer, arguments: list[str], study: Path, kill: Kill
) -> CommandResult:
    """Run a command that is killed, unless it ends before."""
    return command_server.run(
        *arguments, folder=study, kill_after=kill.after, kill_before_change=kill.before_change
    )


def survive(
    command_server: CommandServer,
    step: CommandStep,
    study: Path,
    kill: Kill,
    second_kill: Kill | None,
) -> tuple[Counter[str], list[str]] | None:
    """Kill a command, go on, perhaps kill that too, and compare with the undisturbed one.

    Returns:
        Counts and losses, or None when the command was done before it could be killed.
    """
    shutil.copytree(step.before, study)
    command = step.arguments(study)
    result = run_killed(command_server, command, study, kill)
    if not result.killed:
        return None
    counts = Counter(kills=1)
    losses = unusual_lines(step, result)
    for next_kill in (second_kill or Kill(), Kill()):
        counts["begun" if has_begun(command, study) else "not begun"] += 1
        losses += [f"neither as it was nor as it will be: {name}" for name in torn(step, study)]
        arguments = continuation(study, command)
        if arguments is None:
            break
        result = run_killed(command_server, list(arguments), study, next_kill)
        losses += unusual_lines(step, result)
        if not result.killed:
            break
        counts["kills"] += 1
        counts["killed again"] += 1
    expected_code = 2 if found_nothing_to_do(command, result) else 0
    if arguments is not None and result.returncode != expected_code:
        losses.append(f"exit code {result.returncode}")
    losses += study_differences(study, step.after)
    return counts, losses + [f"left: {name}" for name in unfinished_files(study)]


def has_begun(command: list[str], study: Path) -> bool:
    """Whether the command has made the folder that it works in."""
    if command[0] == "data":
        return (study / "data" / ".incoming").exists()
    return any(study.glob(f"runs/*-{command[0]}"))


def torn(step: CommandStep, study: Path) -> list[str]:
    """Return the files of the study before that are neither as they were nor as they will be."""
    before, now, after = map(file_contents, (step.before, study, step.after))
    return [
        name for name, content in before.items() if now.get(name) not in (content, after.get(name))
    ]


def found_nothing_to_do(command: list[str], result: CommandResult) -> bool:
    """Whether an import was killed when it was whole, so that the same again does nothing."""
    nothing = "cxr: nothing to import: 64 already in the study"
    return command[0] == "data" and result.stderr.strip() == nothing


def unusual_lines(step: CommandStep, result: CommandResult) -> list[str]:
    """Return lines on standard error that the undisturbed command did not write."""
    if found_nothing_to_do(list(step.words), result):
        return []
    usual = step.undisturbed.stderr.splitlines()
    return [f"said: {line}" for line in result.stderr.splitlines() if line not in usual]


def survive_many(
    command_server: CommandServer,
    step: CommandStep,
    folder: Path,
    num_kills: int,
    random: np.random.Generator,
) -> tuple[Counter[str], list[str]]:
    """Kill a command so many times, each on a fresh copy; return all counts and losses."""
    counts: Counter[str] = Counter()
    losses: list[str] = []
    number = 0
    while number < num_kills:
        kill, second_kill = draw_kill(number, step, random), None
        if number % SECOND_KILL_EVERY == SECOND_KILL_EVERY - 1:
            second_kill = draw_kill(number // SECOND_KILL_EVERY, step, random)
        outcome = survive(command_server, step, folder / "killed", kill, second_kill)
        shutil.rmtree(folder / "killed")
        if outcome:
            number += 1
            counts += outcome[0]
            losses += [f"killed {kill}, then {second_kill}: {loss}" for loss in outcome[1]]
    return counts, losses


@click.command()
@click.option(
    "--kills",
    default=60,
    help="Kills in all, shared alike among the commands; second kills come on top.",
)
@click.option("--seed", default=0, help="Seed of the moments.")
def main(kills: int, seed: int) -> None:
    """Kill the commands of a study at random moments and count what is lost."""
    started, total, num_losses = time.monotonic(), Counter(), 0
    with tempfile.TemporaryDirectory() as name, open_command_server() as command_server:
        folder = Path(name)
        first = command_server.run(*FIRST_COMMAND.split(), folder=folder / "first")
        assert first.returncode == 0, first.stderr
        commands = {name: tuple(command.split()) for name, command in COMMANDS.items()}
        steps = run_steps(command_server, folder / "first", folder, commands)
        print(TABLE_HEAD, flush=True)
        for place, (name, step) in enumerate(steps.items()):
            num_kills = kills // len(steps) + (place < kills % len(steps))
            random = np.random.default_rng([seed, place])
            counts, losses = survive_many(command_server, step, folder, num_kills, random)
            undisturbed = f"{step.undisturbed.seconds:.1f} s, {step.undisturbed.changes} changes"
            print(
                f"{name:16} {undisturbed:>18} {counts['kills']:7} {counts['killed again']:14}"
                f" {counts['not begun']:18} {counts['begun']:6} {len(losses):7}",
                flush=True,
            )
            for loss in losses:
                print(f"    {name} {loss}", flush=True)
            total, num_losses = total + counts, num_losses + len(losses)
    print(f"{total['kills']} kills, {num_losses} losses, {time.monotonic() - started:.0f} s")
    sys.exit(bool(num_losses))


if __name__ == "__main__":
    main()
