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
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click

from benchmarks.generator_quality import check_split
from pipelines.study.workspace import Workspace

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


def read_results(path: Path) -> dict[Training, dict[str, Any]]:
    """Return the lines that are there, by their training."""
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    names = [field.name for field in fields(Training)]
    return {Training(**{name: line[name] for name in names}): line for line in lines}


def describe(own: dict[tuple, float], first: dict[tuple, float]) -> str:
    """Return mean ± standard deviation, and the paired difference from the first ± its error."""
    text = f"{statistics.mean(own.values()):.2f}"
    if len(own) > 1:
        text += f" ± {statistics.stdev(own.values()):.2f}"
    if own != first and len(own) > 1:
        pairs = [value - first[training] for training, value in own.items()]
        error = statistics.stdev(pairs) / math.sqrt(len(pairs))
        text += f" ({statistics.mean(pairs):+.2f} ± {error:.2f})"
    return text


def print_table(lines: Mapping[Training, dict[str, Any]], variants: Sequence[str]) -> None:
    """Print one row a variant and class."""

    def values(variant: str, label: str, measure: str) -> dict[tuple, float]:
        return {
            (training.study, training.seed): line[label]["synthetic"][measure][0]
            for training, line in lines.items()
            if training.variant == variant
        }

    labels = [name for name, value in next(iter(lines.values())).items() if isinstance(value, dict)]
    click.echo("| variant | class | " + " | ".join(MEASURES) + " |")
    click.echo("|---" * (2 + len(MEASURES)) + "|")
    for variant in variants:
        for label in labels:
            cells = [
                describe(values(variant, label, measure), values(variants[0], label, measure))
                for measure in MEASURES
            ]
            click.echo(f"| {variant or 'as it is'} | {label} | " + " | ".join(cells) + " |")


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
    for study in studies:
        check_split(Workspace(Path(study)), final=False)
    trainings = [
        Training(variant, of_all, str(Path(study).resolve()), seed)
        for seed in range(seeds)
        for study in studies
        for variant in variants
    ]
    lines = read_results(results)
    missing = [training for training in trainings if training not in lines]
    with ThreadPoolExecutor(processes) as pool, results.open("a") as file:
        begun = {pool.submit(training.run, weights): training for training in missing}
        try:
            for number, ended in enumerate(as_completed(begun), start=1):
                lines[begun[ended]] = line = ended.result()
                file.write(json.dumps(line) + "\n")
                file.flush()
                click.echo(f"{number} of {len(missing)} trainings", err=True)
        finally:
            pool.shutdown(cancel_futures=True)  # where one fails, the others are not begun
    print_table({training: lines[training] for training in trainings}, variants)


if __name__ == "__main__":
    main()
