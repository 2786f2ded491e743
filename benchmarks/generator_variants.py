"""Variants of gan-train's options, each trained with several seeds on several splits, and judged.

    python benchmarks/generator_variants.py RESULTS.jsonl STUDY [STUDY ...] \
        --weights vgg16_features.pth --variant "" --variant "--learning-rate 1e-3" \
        [--all "--steps 3000"] [--seeds 3] [--processes 2]

Two trainings of the same options differ by 0.1 and more in the Fréchet ratio, so that one of each
says little. Here every variant is trained with each seed in each study, by the command as people
run it, on one thread and so many at a time, and judged by generator_quality.py on the images that
are for development. Printed are the mean over the trainings and their standard deviation, and the
difference from the first variant, paired by study and seed, with its standard error.

RESULTS.jsonl gets a line a training. Started again, what is there is not trained again.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
ONE_THREAD = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
MEASURES = ("frechet_ratio", "recall", "told_apart", "diversity_pixels", "diversity_features")
MADE = re.compile(r"^made: a generator, in (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Training:
    """One training: a variant's options, beside those of all, with a seed in a study."""

    variant: str
    of_all: str
    study: str
    seed: int

    def run(self, weights: str) -> dict[str, Any]:
        """Train and judge; return the line of the results."""
        options = shlex.split(self.of_all) + shlex.split(self.variant)
        command = ["-m", "pipelines.cli", "-C", self.study, "gan-train", "--seed", str(self.seed)]
        made = MADE.search(run_python(*command, *options))
        assert made, "the command says where the generator is"
        judge = str(ROOT / "benchmarks" / "generator_quality.py")
        generator = str(Path(self.study) / made[1])
        judged = run_python(judge, self.study, generator, "--weights", weights)
        return asdict(self) | json.loads(judged)


def run_python(*arguments: str) -> str:
    """Run Python on one thread; return what it prints. Raises UsageError with its last words."""
    done = subprocess.run(
        [sys.executable, *arguments], env=ONE_THREAD, capture_output=True, text=True
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no word"]
        raise click.UsageError(f"{shlex.join(arguments[1:])}: {last[0]}")
    return done.stdout


def read_results(path: Path) -> list[dict[str, Any]]:
    """Return the lines that are there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def values(lines: Sequence[dict[str, Any]], label: str, measure: str) -> dict[tuple, float]:
    """Return a measure of one class by (study, seed)."""
    return {(line["study"], line["seed"]): line[label]["synthetic"][measure][0] for line in lines}


def describe(own: dict[tuple, float], first: dict[tuple, float]) -> str:
    """Return mean ± standard deviation, and the paired difference from the first ± its error."""
    text = f"{statistics.mean(own.values()):.2f}"
    if len(own) > 1:
        text += f" ± {statistics.stdev(own.values()):.2f}"
    pairs = [own[key] - first[key] for key in own if key in first]
    if own != first and len(pairs) > 1:
        error = statistics.stdev(pairs) / math.sqrt(len(pairs))
        text += f" ({statistics.mean(pairs):+.2f} ± {error:.2f})"
    return text


def print_table(lines: Sequence[dict[str, Any]], variants: Sequence[str]) -> None:
    """Print one row a variant and class."""
    of_variant = {name: [line for line in lines if line["variant"] == name] for name in variants}
    click.echo("| variant | class | trainings | " + " | ".join(MEASURES) + " |")
    click.echo("|---" * (3 + len(MEASURES)) + "|")
    for variant, own in of_variant.items():
        for label in [name for name, value in lines[0].items() if isinstance(value, dict)]:
            cells = [
                describe(
                    values(own, label, measure), values(of_variant[variants[0]], label, measure)
                )
                for measure in MEASURES
            ]
            click.echo(
                f"| {variant or 'as it is'} | {label} | {len(own)} | " + " | ".join(cells) + " |"
            )


@click.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.argument("studies", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--weights", required=True, type=click.Path(exists=True), help="VGG16's weights.")
@click.option("--variant", "variants", multiple=True, required=True, help="Options of gan-train.")
@click.option("--all", "of_all", default="", help="Options of every training.")
@click.option("--seeds", default=3, type=click.IntRange(1), help="Trainings of each in a study.")
@click.option("--processes", default=2, type=click.IntRange(1), help="Trainings at a time.")
def main(
    results: Path,
    studies: tuple[str, ...],
    weights: str,
    variants: tuple[str, ...],
    of_all: str,
    seeds: int,
    processes: int,
) -> None:
    wanted = [
        Training(variant, of_all, str(Path(study).resolve()), seed)
        for seed in range(seeds)
        for study in studies
        for variant in variants
    ]
    names = [*asdict(wanted[0])]
    done = [{name: line[name] for name in names} for line in read_results(results)]
    missing = [training for training in wanted if asdict(training) not in done]
    with ThreadPoolExecutor(processes) as pool, results.open("a") as file:
        trainings = [pool.submit(training.run, weights) for training in missing]
        try:
            for number, training in enumerate(as_completed(trainings), start=1):
                file.write(json.dumps(training.result()) + "\n")
                file.flush()
                click.echo(f"{number} of {len(missing)} trainings", err=True)
        finally:
            pool.shutdown(cancel_futures=True)  # where one fails, the others are not begun
    asked = [asdict(training) for training in wanted]
    lines = [
        line for line in read_results(results) if {name: line[name] for name in names} in asked
    ]
    print_table(lines, variants)


if __name__ == "__main__":
    main()
