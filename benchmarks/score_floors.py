"""How the floor of the Fréchet distance moves when reals are scored one image a patient.

    python benchmarks/score_floors.py STUDY [--weights vgg16_features.pth] [--rounds 10]

The real images of each class are split by patient in halves, over and over: one half is compared
with, the other is held out. n is the number of held-out patients. Three floors: n held-out images
of whole patients against all images of the other half (clustered), the same against one image of
each patient there (one side), and one image of each patient on both sides (both sides). Beside them
how many times the clustered floor and that of both sides the newest synthetic set's distance is, n
of its images at a time. Without weights there are no VGG16 features; the cnn is the study's own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np

from classifier.features import FeatureStore
from pipelines.metrics.extractors import choose_extractors
from pipelines.metrics.frechet import frechet_distance
from pipelines.metrics.image_selection import one_of_each_patient
from pipelines.metrics.nearest import persons, thumbnails
from pipelines.study.image_cache import load_images
from pipelines.study.labels import list_classes
from pipelines.study.manifest import SPLITS
from pipelines.study.synthetic import read_synthetic
from pipelines.study.workspace import Workspace
from runtime.device import choose_compute


def draw_whole_patients(patients: np.ndarray, n: int, random: np.random.Generator) -> np.ndarray:
    """Draw the places of n images of random patients, all images of each but the last."""
    names, patient = np.unique(patients, return_inverse=True)
    return np.argsort(random.permutation(len(names))[patient], kind="stable")[:n]


def measure_halves(
    reals: np.ndarray, patients: np.ndarray, synthetic: np.ndarray, rounds: int
) -> Iterator[tuple[int, float, float, float, float, float]]:
    """Yield n, the three floors, and the synthetic distance beside the first and the last one.

    reals (N, d), patients (N,), synthetic (M, d).
    """
    for number in range(rounds):
        random = np.random.default_rng(number)
        names = np.unique(patients)
        half = random.choice(names, len(names) // 2, replace=False)
        first, second = (np.flatnonzero(np.isin(patients, half) == part) for part in (True, False))
        alone = [part[one_of_each_patient(patients[part], number)] for part in (first, second)]
        n = len(alone[1])
        drawn = second[draw_whole_patients(patients[second], n, random)]
        fakes = synthetic[random.choice(len(synthetic), n, replace=False)]
        yield (
            n,
            frechet_distance(reals[first], reals[drawn]),
            frechet_distance(reals[alone[0]], reals[drawn]),
            frechet_distance(reals[alone[0]], reals[alone[1]]),
            frechet_distance(reals[first], fakes),
            frechet_distance(reals[alone[0]], fakes),
        )


def read_features(
    workspace: Workspace, images: Mapping[str, np.ndarray], weights: str | None
) -> dict[str, dict[str, np.ndarray]]:
    """Compute the features (N, d) of reals and synthetic images, in every space."""
    compute = choose_compute("cpu", "fp32")
    names = ["cnn", *(["vgg16"] if weights else [])]
    extractors = choose_extractors(names, [weights] if weights else [], compute, workspace)
    store = FeatureStore(workspace.features)
    spaces = {"pixels": {name: 255 * thumbnails(part) for name, part in images.items()}}
    return spaces | {
        extractor.name: extractor.features(images, store, compute) for extractor in extractors
    }


@click.command()
@click.argument("study", type=click.Path(exists=True, path_type=Path))
@click.option("--weights", help="VGG16's weights.")
@click.option("--rounds", default=10, help="Splits in halves.")
def main(study: Path, weights: str | None, rounds: int) -> None:
    workspace = Workspace(study)
    synthetic = read_synthetic(workspace.find_run("synthesize").folder)
    rows = [row for row in workspace.rows() if row.split in SPLITS]
    patients, labels = np.array(persons(rows)), np.array([row.label for row in rows])
    of_fakes = np.array([row.label for row in synthetic.rows])
    images = {
        "reals": load_images(workspace, rows, synthetic.image_size),
        "synthetic": synthetic.load_images(),
    }
    click.echo("features  class        n  floor: clustered  one side  both sides   ratio: from, to")
    for space, features in read_features(workspace, images, weights).items():
        for label in list_classes(rows):
            own = labels == label
            found = np.array(
                list(
                    measure_halves(
                        features["reals"][own],
                        patients[own],
                        features["synthetic"][of_fakes == label],
                        rounds,
                    )
                )
            )
            n, clustered, one_side, both_sides, before, after = found.mean(axis=0)
            excess = 100 * (found[:, 2] / found[:, 3] - 1)  # of each round
            click.echo(
                f"{space:8} {label:8} {n:4.0f} {clustered:17.4g} {one_side:9.4g} "
                f"{both_sides:11.4g} {before / clustered:14.2f} {after / both_sides:6.2f}   "
                f"one side too high by {excess.mean():.1f} % "
                f"± {excess.std(ddof=1) / rounds**0.5:.1f}"
            )


if __name__ == "__main__":
    main()
