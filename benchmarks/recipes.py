"""Ways of using synthetic images, cross-validated on the training and validation images alone.

    python benchmarks/recipes.py STUDY FOLDER [--fractions 0.1,covid=0.1] [--arms ARM,ARM]

FOLDER/development becomes a study of its own, with the images of STUDY but its test images, so that
nothing can be chosen by them. There a generator is trained, and `cxr compare --folds` holds the
recipes against each other, each fraction by itself: every patient is tested once, by classifiers
and generators that never saw that patient. Printed is a row for each arm: the mean of both
measures, and how far each seed is from `real` with the same seed. What is there already in FOLDER
is kept, and an interrupted comparison goes on.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np

from pipelines.results.comparison_rows import ClassifierRow, read_rows
from pipelines.study.manifest import EXTERNAL, read_manifest, write_manifest
from pipelines.study.workspace import Workspace
from runtime.run import Run, list_runs

ROOT = Path(__file__).resolve().parent.parent
IN_FP32 = ("--device", "cpu", "--precision", "fp32")
RECIPES = (
    "real,real+classical,real+weights,real+gan,real+gan@share=0.5,real+gan@share=0.5@until=0.7,"
    "real+gan@share=0.5@statistics=separate,real+gan@share=0.5@weight=0.3,"
    "real+gan@share=0.5@keep=0.5,gan-pretrain,gan-pretrain@rate=0.3,real+gan+classical,"
    "real+gan+classical@share=0.5,real+gan+classical@share=0.5@until=0.7,"
    "real+gan+classical@share=0.25"
)
MEASURES = ("roc_auc", "balanced_accuracy")


def run_cxr(study: Path, *arguments: object) -> None:
    """Run a command on a study; its output goes to a file in it."""
    command = [sys.executable, "-m", "pipelines.cli", "-C", str(study), *map(str, arguments)]
    with open(study / "output.txt", "a") as output:
        subprocess.run(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=True)


def make_development_study(study: Path, development: Path) -> None:
    """Copy a study's images but those of its test split and external set, unless that is done."""
    if (development / "data" / "manifest.csv").exists():
        return
    rows = [
        row
        for row in read_manifest(study / "data" / "manifest.csv")
        if row.split not in ("test", EXTERNAL)
    ]
    for row in rows:
        copy = development / "data" / row.file_name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(study / "data" / row.file_name, copy)
    for name in ("import.json", "originals.csv"):
        shutil.copyfile(study / "data" / name, development / "data" / name)
    write_manifest(development / "data" / "manifest.csv", rows)


def newest(study: Path, command: str, *, is_finished: bool, fraction: str = "1") -> Run | None:
    """Return the newest run of a command, finished or not, and at a fraction of the reals."""
    wanted = [fraction if "=" in fraction else float(fraction)]
    for run in reversed(list_runs(Workspace(study).runs)):
        is_of_fraction = command != "compare" or run.config["design"]["fractions"] == wanted
        if run.command == command and run.finished == is_finished and is_of_fraction:
            return run
    return None


def table(rows: Sequence[ClassifierRow], seeds: Sequence[int]) -> list[str]:
    """Write a line for each arm: means in per cent, and points above `real` by the same seed."""
    lines = [
        f"{'arm':50}{'ROC AUC':>9}{'bal. acc.':>11}{'AUC − real by seed':>30}{'± SE of folds':>15}"
    ]
    for arm in dict.fromkeys(row.arm for row in rows):
        own = [row for row in rows if row.arm == arm]
        means = [100 * np.mean([getattr(row, name) for row in own]) for name in MEASURES]
        gains = [_gain(rows, arm, seed=seed) for seed in seeds]
        by_fold = [_gain(rows, arm, fold=fold) for fold in {row.fold for row in own}]
        error = np.std(by_fold, ddof=1) / len(by_fold) ** 0.5 if len(by_fold) > 1 else 0.0
        lines.append(
            f"{arm:50}{means[0]:9.1f}{means[1]:11.1f}"
            f"{' '.join(f'{gain:+.1f}' for gain in gains):>30}{error:15.1f}"
        )
    return lines


def _gain(
    rows: Sequence[ClassifierRow], arm: str, seed: int | None = None, fold: int | None = None
) -> float:
    """How many points of ROC AUC an arm is above `real`, over the rows of a seed or of a fold."""

    def mean(name: str) -> float:
        values = [
            row.roc_auc
            for row in rows
            if row.arm == name and seed in (None, row.seed) and fold in (None, row.fold)
        ]
        return float(np.mean(values))

    return 100 * (mean(arm) - mean("real"))


@click.command()
@click.argument("study", type=click.Path(path_type=Path, exists=True))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--fractions", default="0.1,covid=0.1", help="Of the reals, with commas between.")
@click.option("--arms", default=RECIPES, help="Arms and recipes, with commas between.")
@click.option("--folds", default=4, help="In how many parts patients are tested.")
@click.option("--seeds", default=2, help="Classifiers of each arm and fold.")
@click.option("--steps", default=400, help="Of each classifier.")
@click.option("--generator-steps", default=600, help="Of each generator.")
def main(
    study: Path,
    folder: Path,
    fractions: str,
    arms: str,
    folds: int,
    seeds: int,
    steps: int,
    generator_steps: int,
) -> None:
    """Cross-validate recipes on the images of STUDY that are no test images."""
    development = folder / "development"
    make_development_study(study, development)
    if newest(development, "gan-train", is_finished=True) is None:
        run_cxr(development, "gan-train", "--steps", generator_steps, *IN_FP32)
    if newest(development, "synthesize", is_finished=True) is None:
        run_cxr(development, "synthesize", *IN_FP32)
    for fraction in fractions.split(","):
        done = newest(development, "compare", is_finished=True, fraction=fraction)
        if done is None:
            begun = newest(development, "compare", is_finished=False, fraction=fraction)
            run_cxr(
                development,
                *("compare", "--arms", arms, "--folds", folds, "--real-fractions", fraction),
                *("--seeds", seeds, "--steps", steps, *IN_FP32),
                *(("--resume", begun.name) if begun else ()),
            )
            done = newest(development, "compare", is_finished=True, fraction=fraction)
        assert done is not None, "the comparison has just been made"
        rows = read_rows(done)
        print(f"\n{fraction} of the reals, {folds} folds, {steps} steps")
        print("\n".join(table(rows, sorted({row.seed for row in rows}))), flush=True)


if __name__ == "__main__":
    main()
