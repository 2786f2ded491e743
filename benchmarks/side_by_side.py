"""A comparison whose classifiers are trained side by side, against one after the other.

    python benchmarks/side_by_side.py [--seeds 5] [--rounds 1]

Whole commands, start and report included: `cxr compare` of reals with and without classical
augmentation, on phantom X-rays at 64 px, with as many processes as it takes by itself and with one
that has all threads. Rounds are interleaved; medians.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import torch

from pipelines.comparison.trials import MAX_SIDE_BY_SIDE

ROOT = Path(__file__).resolve().parent.parent
# The command line of a checkout, whose comparisons take no more processes than the first argument.
SCRIPT = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pipelines.cli import main
from pipelines.comparison import trials

if __name__ == "__main__":
    trials.MAX_SIDE_BY_SIDE = int(sys.argv[1])
    main(sys.argv[2:])
"""


def seconds_of(script: Path, study: Path, *arguments: object, processes: int) -> float:
    """Run a command of the study; return how long it took."""
    started = time.perf_counter()
    words = [sys.executable, script, processes, *arguments]
    subprocess.run([str(word) for word in words], cwd=study, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


@click.command()
@click.option("--seeds", default=5)
@click.option("--rounds", default=1)
def main(seeds: int, rounds: int) -> None:
    """Print the seconds of both ways, and their ratio."""
    ways = {"one after the other": 1, "side by side": MAX_SIDE_BY_SIDE}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        script, study = Path(folder) / "script.py", Path(folder) / "study"
        script.write_text(SCRIPT)
        study.mkdir()
        seconds_of(script, study, "data", "phantom", processes=1)
        compare = ("compare", "--arms", "real,real+classical", "--seeds", seeds, "--device", "cpu")
        for _ in range(rounds):
            for way, processes in ways.items():
                seconds[way].append(seconds_of(script, study, *compare, processes=processes))
    first, second = (statistics.median(taken) for taken in seconds.values())
    print(
        f"{2 * seeds} classifiers on {torch.get_num_threads()} threads: one after the other "
        f"{first:.1f} s, side by side {second:.1f} s: {first / second:.2f} times as fast"
    )


if __name__ == "__main__":
    main()
