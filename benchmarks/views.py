"""What a classifier learns in each view of the images: the finding, or the source.

    python benchmarks/views.py DATA FOLDER [--splits 5] [--arch cnn --arch vgg16] [--weights FILE]

DATA holds covid-chestxray-dataset and chestxray8-subset. Each split is a study of its own in
FOLDER: COVID-19 images of the collection against NIH normals, with Hannover's COVID-19 images and
all images of other findings put aside as external set. A classifier is trained for every view, and
asked four things: the study's own test split; its COVID-19 test images against the other findings
of the same collection, where the source cannot help; Hannover's COVID-19 images against the
collection's "No Finding"; and, by an audit, what it can tell with the lungs covered. Nothing is
chosen here. What is there already in FOLDER is kept.

--negatives FOLDER adds a folder of other findings to the training images labelled normal.
"""

from __future__ import annotations

import csv
import fnmatch
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np
from sklearn.metrics import roc_auc_score

from pipelines.results.predictions import EXTERNAL_PREDICTIONS, PREDICTIONS, read_predictions
from pipelines.study.view_names import VIEWS
from pipelines.study.workspace import Workspace
from runtime.run import Run, list_runs

ROOT = Path(__file__).resolve().parent.parent
IN_FP32 = ("--device", "cpu", "--precision", "fp32")
HOSPITAL = "*Hannover*"
LABELS = ("covid", "normal")
MEASURES = (
    "inside accuracy",
    "inside AUC",
    "other findings AUC",
    "other findings specificity",
    "hospital AUC",
)


@dataclass(frozen=True)
class Answers:
    """What a classifier says of images: its probability of covid, (N,), and what they are."""

    chance: np.ndarray
    is_covid: np.ndarray
    file_names: list[str]


def run_cxr(study: Path, *arguments: object) -> None:
    """Run a command on a study; its output goes to a file beside the study's data."""
    command = [sys.executable, "-m", "pipelines.cli", "-C", str(study), *map(str, arguments)]
    with open(study / "output.txt", "a") as output:
        subprocess.run(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=True)


def make_study(data: Path, study: Path, seed: int, negatives: Path | None) -> None:
    """Import a split and find its lungs, where that is not done yet."""
    if (study / "data" / "lungs.csv").exists():
        return
    study.mkdir(parents=True, exist_ok=True)
    sources = [f"{data / 'chestxray8-subset' / 'No_findings'}=normal"]
    sources += [f"{negatives}=normal"] if negatives else []
    rules = ["--hold-out", f"location={HOSPITAL}", "--hold-out", "finding!=COVID*"]
    collection = data / "covid-chestxray-dataset"
    if not (study / "data" / "manifest.csv").exists():
        run_cxr(
            study,
            *("data", "import", collection, *sources),
            *("--label", "*=normal", *rules, "--seed", seed),
        )
    run_cxr(study, "data", "lungs", *IN_FP32)


def train(study: Path, view: str, options: Sequence[str]) -> Run:
    """Train a classifier in a view, or take the one that is there."""
    wanted = " ".join([view, *options])
    notes = study / f"{wanted.replace('/', '_')}.txt"
    if not notes.exists():
        run_cxr(study, "classify-train", "--view", view, *options, *IN_FP32)
        notes.write_text(newest(study, "classify-train").name)
    return Workspace(study).named_run(notes.read_text())


def newest(study: Path, command: str) -> Run:
    """Return the newest finished run of a command."""
    runs = [run for run in list_runs(study / "runs") if run.command == command and run.finished]
    return runs[-1]


def read_answers(table: Path) -> Answers:
    """Read a table of predictions."""
    tested = read_predictions(table, LABELS)
    covid = LABELS.index("covid")
    return Answers(
        tested.probabilities[:, covid], tested.labels == covid, tested.file_names.tolist()
    )


def findings_of(data: Path, study: Path) -> dict[str, Mapping[str, str]]:
    """Return the collection's row of each image of a study that is from there."""
    with open(data / "covid-chestxray-dataset" / "metadata.csv", encoding="utf-8") as file:
        collection = {row["filename"]: row for row in csv.DictReader(file)}
    with open(study / "data" / "originals.csv", encoding="utf-8") as file:
        origins = {row["file_name"]: Path(row["origin"]).name for row in csv.DictReader(file)}
    return {
        name: collection[origin]
        for name, origin in origins.items()
        if name and origin in collection
    }


def measure(run: Run, findings: Mapping[str, Mapping[str, str]]) -> list[float]:
    """Return a classifier's MEASURES."""
    inside = read_answers(run.folder / PREDICTIONS)
    outside = read_answers(run.folder / EXTERNAL_PREDICTIONS)
    rows = [findings[name] for name in outside.file_names]
    no_finding = np.array([row["finding"] == "No Finding" for row in rows])
    in_hospital = np.array([fnmatch.fnmatch(row["location"], HOSPITAL) for row in rows])
    others = outside.chance[~outside.is_covid]
    covid = inside.chance[inside.is_covid]
    return [
        float(((inside.chance > 0.5) == inside.is_covid).mean()),
        float(roc_auc_score(inside.is_covid, inside.chance)),
        auc(covid, others),
        float((others <= 0.5).mean()),
        auc(
            outside.chance[outside.is_covid & in_hospital],
            outside.chance[~outside.is_covid & no_finding],
        ),
    ]


def auc(positives: np.ndarray, negatives: np.ndarray) -> float:
    """Return the share of pairs in which the positive has the higher score, ties half."""
    labels = np.r_[np.ones(len(positives)), np.zeros(len(negatives))]
    return float(roc_auc_score(labels, np.r_[positives, negatives]))


def audited(study: Path, run: Run) -> dict[str, float]:
    """Audit a classifier, or take the audit that is there; the AUC of each alteration."""
    table = run.folder / "audit-of-it.json"
    if not table.exists():
        run_cxr(study, "audit", run.name, *IN_FP32)
        audit = json.loads((newest(study, "audit").folder / "audit.json").read_text())
        table.write_text(
            json.dumps(
                {
                    result["name"]: result["retrained"]["roc_auc"]["value"]
                    for result in audit["alterations"]
                    if result["retrained"]
                }
            )
        )
    values: dict[str, float] = json.loads(table.read_text())
    return values


def list_trainings(archs: Sequence[str], weights: Path | None) -> Iterator[tuple[str, list[str]]]:
    """Yield each kind of classifier and its options."""
    for arch in archs:
        name, *extra = arch.split("+")
        pretrained = [] if name == "cnn" else ["--image-size", "112"]
        pretrained += ["--weights", str(weights)] if weights and pretrained else []
        augmented = ["--augment", "yes"] if "augment" in extra else []
        yield arch, ["--arch", name, *pretrained, *augmented]


def print_rows(title: str, names: Sequence[str], values: Sequence[Sequence[float]]) -> None:
    """Print the mean of each column and its standard deviation over splits."""
    table = np.array(values)
    cells = [
        f"{name} {mean:.3f} ±{spread:.3f}"
        for name, mean, spread in zip(
            names,
            table.mean(0),
            table.std(0, ddof=1) if len(table) > 1 else table[0] * 0,
            strict=True,
        )
    ]
    print(f"{title:32}{'  '.join(cells)}", flush=True)


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--splits", default="0,1,2,3,4", help="Seeds of the splits, with commas between.")
@click.option("--arch", "archs", multiple=True, default=("cnn", "vgg16"), help="cnn+augment too.")
@click.option("--weights", type=click.Path(path_type=Path))
@click.option("--negatives", type=click.Path(path_type=Path))
@click.option("--audit", "with_audit", is_flag=True, help="Also audit every classifier.")
def main(
    data: Path,
    folder: Path,
    splits: str,
    archs: tuple[str, ...],
    weights: Path | None,
    negatives: Path | None,
    with_audit: bool,
) -> None:
    """Measure every view."""
    studies = [folder / f"split-{seed}" for seed in splits.split(",")]
    for study, seed in zip(studies, splits.split(","), strict=True):
        make_study(data.resolve(), study.resolve(), int(seed), negatives)
    for arch, options in list_trainings(archs, weights):
        for view in VIEWS:
            runs = [train(study.resolve(), view, options) for study in studies]
            values = [
                measure(run, findings_of(data, study))
                for study, run in zip(studies, runs, strict=True)
            ]
            title = f"{arch}, {view}"
            print_rows(title, MEASURES, values)
            if with_audit:
                audits = [audited(study, run) for study, run in zip(studies, runs, strict=True)]
                names = list(audits[0])
                print_rows(
                    title + ", audit", names, [[own[name] for name in names] for own in audits]
                )


if __name__ == "__main__":
    main()
