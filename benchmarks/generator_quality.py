"""How good generators are, each figure with its spread.

    python benchmarks/generator_quality.py STUDY GENERATOR.pt [GENERATOR.pt ...] \
        --weights vgg16_features.pth [--rounds 10] [--seeds 3] [--final]

Generators are developed on the training and validation images of the splits 1 and 2 (`cxr data
import --seed 1`, `--seed 2`); no test image is looked at. With --final they are read, once, on the
test images of other splits. The one refuses the splits of the other.

In each round and class n reals are compared with n others, which gives the floor, and with n
synthetic images; of reals there is one image a patient. Developing, the two are random halves of
the patients. In the final reading the first are the test patients, the others training and
validation patients. In VGG16 features at 112 px:

- frechet_ratio: the distance from the reals over the mean floor;
- recall: the share of reals that synthetic images cover (Kynkäänniemi et al. 2019, eq. 2);
- told_apart: ROC AUC of a logistic regression, on held-out fifths, that tells the two sets apart;
- diversity: mean pairwise distance over that of the reals, also in pixels.

Beside them the doctor's distance (of parts of 256 samples from training and validation images) and
the pixel distance to the nearest training image, least and median. Each is [mean, standard
deviation] over the rounds, which share reals: a measure of luck in the drawing, not of another
patient sample or another training. With --seeds, the accuracy, in %, on held-out reals of the small
CNN that was taught by 2000 synthetic images alone, without and with classical augmentation. With
--cut, features are of what is left when so many pixels are cut off at each side, which tells how
much of a distance is at the borders, and with --sampling-scale latents are so many times as wide as
in training. One line of JSON a generator.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np
import torch
from scipy.spatial.distance import cdist, pdist
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.predict import predict
from classifier.train import TrainingData, train
from gan.doctor import Reference
from gan.monitor import SNAPSHOT_SAMPLES
from gan.sample import BLOCK, TrainedGenerator, load_generator, sample_block, to_float
from pipelines.metrics.classifier_tests import FOLDS, INVERSE_PENALTY
from pipelines.metrics.extractors import choose_extractors
from pipelines.metrics.frechet import frechet_distance
from pipelines.metrics.image_selection import one_of_each_patient
from pipelines.metrics.nearest import persons
from pipelines.metrics.precision_recall import manifold
from pipelines.study.manifest import SPLITS
from pipelines.study.split import Split, load_splits
from pipelines.study.workspace import Workspace
from runtime.device import Compute, choose_compute
from runtime.files import read_json
from runtime.run import create_run

DEVELOPMENT_SEEDS = (1, 2)  # of the splits that generators are developed on
DRAWN = 2000  # synthetic images
SCORED = 400  # of them, of which features are computed


@dataclass(frozen=True)
class Images:
    """Images of one class, beside their features."""

    pixels: np.ndarray  # (N, S · S), gray levels
    features: np.ndarray  # (N, d)

    def take(self, places: np.ndarray) -> Images:
        """Return those at these places."""
        return Images(self.pixels[places], self.features[places])


@dataclass(frozen=True)
class Reals:
    """The real images of one class, and whose they are."""

    images: Images
    persons: np.ndarray  # (N,)
    splits: np.ndarray  # (N,), "train", "validation" or "test"

    def draw(self, final: bool, round_number: int) -> tuple[Images, Images]:
        """Draw the reals of a round, n that are compared with and n others, one image a person."""
        alone = one_of_each_patient(self.persons, round_number)
        alone = np.random.default_rng(round_number).permutation(alone)
        if final:
            is_first = self.splits[alone] == "test"
        else:
            is_first = np.arange(len(alone)) < len(alone) // 2
        first, others = alone[is_first], alone[~is_first]
        n = min(len(first), len(others))
        return self.images.take(first[:n]), self.images.take(others[:n])


@dataclass(frozen=True)
class Reading:
    """How generators are read.

    Attributes:
        rounds: Drawings of reals and synthetic images.
        seeds: Classifiers taught by synthetic images alone, of each kind.
        final: On the test images.
        cut: Pixels cut off at each side before features.
        sampling_scale: Of the latents; None for each generator's own.
    """

    rounds: int
    seeds: int
    final: bool
    cut: int
    sampling_scale: float | None


def check_split(workspace: Workspace, final: bool) -> None:
    """Refuse a study whose split is kept for the other purpose."""
    seed = workspace.imports()[-1].split_seed
    if final == (seed in DEVELOPMENT_SEEDS):
        purpose = "development" if seed in DEVELOPMENT_SEEDS else "the final reading"
        raise click.UsageError(f"{workspace.root} has split {seed}, which is for {purpose}")


def draw_images(trained: TrainedGenerator, count: int) -> Split:
    """Draw the images of a generator, in turn of each class."""
    classes = range(len(trained.classes))
    blocks = [sample_block(trained, classes, 0, block) for block in range(count // BLOCK)]
    return Split(np.concatenate(blocks), np.arange(count) % len(classes), *2 * [[""] * count])


def tell_apart(first: np.ndarray, second: np.ndarray) -> float:
    """Return the ROC AUC with which features (n, d) and (n, d) are told apart, each held out."""
    rows, labels = np.concatenate([first, second]), np.repeat([0, 1], len(first))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=INVERSE_PENALTY, max_iter=1000))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    scores = cross_val_predict(model, rows, labels, cv=folds, method="decision_function")
    return float(roc_auc_score(labels, scores))


def compare(reals: Images, candidates: Images) -> dict[str, float]:
    """Compare n candidates with n reals."""
    return {
        "frechet": frechet_distance(reals.features, candidates.features),
        "recall": manifold(reals.features, candidates.features).recall,
        "told_apart": tell_apart(reals.features, candidates.features),
        "diversity_pixels": pdist(candidates.pixels).mean() / pdist(reals.pixels).mean(),
        "diversity_features": pdist(candidates.features).mean() / pdist(reals.features).mean(),
    }


def measure_class(
    reals: Reals, synthetic: Images, *, final: bool, rounds: int
) -> dict[str, object]:
    """Measure the images of one class, over the rounds."""
    found: dict[str, list[dict[str, float]]] = {"synthetic": [], "reals": []}
    for number in range(rounds):
        first, others = reals.draw(final, number)
        n = len(first.pixels)
        drawn = np.random.default_rng(number).choice(len(synthetic.pixels), n, replace=False)
        found["reals"].append(compare(first, others))
        found["synthetic"].append(compare(first, synthetic.take(drawn)))
    floor = float(np.mean([round_["frechet"] for round_ in found["reals"]]))
    for round_ in [*found["synthetic"], *found["reals"]]:
        round_["frechet_ratio"] = round_.pop("frechet") / floor
    return {"n": n, "floor": round(floor)} | {
        name: {measure: spread([round_[measure] for round_ in of]) for measure in of[0]}
        for name, of in found.items()
    }


def spread(values: Sequence[float]) -> list[float]:
    """Return the mean of at least two values and their standard deviation."""
    return [round(float(np.mean(values)), 3), round(float(np.std(values, ddof=1)), 3)]


def measure_nearest(reals: Reals, synthetic: Images) -> dict[str, list[int]]:
    """Measure how near synthetic images, and reals of other splits, come to a training image."""
    is_training = reals.splits == "train"
    training = reals.images.pixels[is_training]
    return {
        name: [round(nearest.min()), round(float(np.median(nearest)))]
        for name, nearest in (
            ("nearest_training_image", cdist(synthetic.pixels, training).min(axis=1)),
            (
                "of_held_out_reals",
                cdist(reals.images.pixels[~is_training], training).min(axis=1),
            ),
        )
    }


def ask_doctor(reals: Reals, drawn: np.ndarray) -> list[float]:
    """Return the doctor's distance of parts of the drawn images (N, S, S)."""
    side = drawn.shape[1]
    known = reals.images.pixels[reals.splits != "test"].reshape(-1, 1, side, side)
    reference = Reference(to_float(torch.from_numpy(known)))
    samples = to_float(torch.from_numpy(drawn)).unsqueeze(1)
    parts = samples.split(SNAPSHOT_SAMPLES)[: len(samples) // SNAPSHOT_SAMPLES]
    return spread([reference.distance(part) for part in parts])


def accuracy_alone(
    synthetic: Split,
    splits: Mapping[str, Split],
    held_out: Split,
    classes: list[str],
    compute: Compute,
    seeds: int,
    augment: bool,
) -> list[float]:
    """Train on synthetic images alone; return the accuracies on the held-out reals, in %.

    Real validation images choose the weights.
    """
    accuracies = []
    data = TrainingData(synthetic.to_dataset(), splits["validation"].to_dataset(), classes)
    for seed in range(seeds):
        config = ClassifierConfig(augment=augment, seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            run = create_run(Path(folder), "classify-train", {})
            classifier = train(config, data, run, compute)
        called = predict(classifier, held_out.to_dataset().tensors[0], compute).argmax(axis=1)
        accuracies.append(100 * float((called == held_out.labels).mean()))
    return accuracies


Featurise = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def list_reals(
    workspace: Workspace, splits: Mapping[str, Split], features: Mapping[str, np.ndarray]
) -> Iterator[Reals]:
    """Yield the reals of each class."""
    rows = workspace.rows()
    person_of = dict(
        zip(
            [row.file_name for row in rows],
            persons(rows, workspace.tied_patients()),
            strict=True,
        )
    )
    pixels, labels = (
        np.concatenate([getattr(split, name) for split in splits.values()])
        for name in ("images", "labels")
    )
    names = [name for split in splits.values() for name in split.file_names]
    people = np.array([person_of[name] for name in names])
    of_split = np.repeat([*splits], [len(split.labels) for split in splits.values()])
    all_features = np.concatenate([features[name] for name in splits])
    for index in range(labels.max() + 1):
        own = labels == index
        images = Images(pixels[own].reshape(own.sum(), -1).astype(float), all_features[own])
        yield Reals(images, people[own], of_split[own])


def measure(
    path: Path,
    workspace: Workspace,
    featurise: Featurise,
    compute: Compute,
    reading: Reading,
) -> dict[str, object]:
    """Measure one generator."""
    final, cut = reading.final, reading.cut
    trained = load_generator(path, compute.device)
    if reading.sampling_scale is not None:
        trained = trained.with_sampling_scale(reading.sampling_scale)
    if 2 * cut >= trained.config.image_size:
        raise click.UsageError(f"--cut {cut} leaves nothing of {trained.config.image_size} pixels")
    classes = list(trained.classes)
    names = SPLITS if final else ("train", "validation")
    splits = load_splits(workspace, trained.config.image_size, classes)
    splits = {name: splits[name] for name in names}
    drawn = draw_images(trained, DRAWN)
    scored = drawn.take(range(SCORED))
    images = {name: split.images for name, split in splits.items()} | {"synthetic": scored.images}
    inner = slice(cut, trained.config.image_size - cut)
    features = featurise({name: whole[:, inner, inner] for name, whole in images.items()})
    line: dict[str, object] = {
        "generator": str(path),
        "step": trained.step,
        "sampling_scale": trained.config.sampling_scale,
        "cut": cut,
    }
    if (path.parent / "result.json").exists():
        line["minutes"] = round(read_json(path.parent / "result.json")["seconds"] / 60, 1)
    for index, reals in enumerate(list_reals(workspace, splits, features)):
        own = scored.labels == index
        pixels = scored.images[own].reshape(own.sum(), -1).astype(float)
        synthetic = Images(pixels, features["synthetic"][own])
        line[classes[index]] = {
            **measure_class(reals, synthetic, final=final, rounds=reading.rounds),
            "doctor": ask_doctor(reals, drawn.images[drawn.labels == index]),
            **measure_nearest(reals, synthetic),
        }
    for name, augment in (("taught_alone", False), ("taught_alone_augmented", True)):
        if reading.seeds:
            held_out = splits["test" if final else "validation"]
            accuracies = accuracy_alone(
                drawn, splits, held_out, classes, compute, reading.seeds, augment
            )
            line[name] = spread(accuracies)
    return line


@click.command()
@click.argument("study", type=click.Path(exists=True, path_type=Path))
@click.argument("generators", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--weights", required=True, help="VGG16's weights.")
@click.option(
    "--rounds", default=10, type=click.IntRange(2), help="Drawings of reals and synthetic images."
)
@click.option(
    "--seeds", default=0, help="Classifiers of each kind taught by synthetic alone, 2 or more."
)
@click.option("--final", is_flag=True, help="Read on the test images of splits kept for that.")
@click.option("--cut", default=0, type=click.IntRange(0), help="Pixels cut off before features.")
@click.option("--sampling-scale", type=float, help="Of the latents, not the generator's own.")
def main(study: Path, generators: tuple[Path, ...], weights: str, **options: Any) -> None:
    reading = Reading(**options)
    if reading.seeds == 1:
        raise click.UsageError("--seeds 1: one classifier has no spread; expected 2 or more, or 0")
    workspace, compute, store = (
        Workspace(study),
        choose_compute(),
        FeatureStore(Workspace(study).features),
    )
    check_split(workspace, reading.final)
    extractor = choose_extractors(["vgg16"], [weights], compute)[0]

    def featurise(images: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return extractor.features(images, store, compute)

    for path in generators:
        line = measure(path, workspace, featurise, compute, reading)
        click.echo(json.dumps(line))


if __name__ == "__main__":
    main()
