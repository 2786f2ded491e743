"""How good generators are.

    python benchmarks/generator_quality.py STUDY GENERATOR.pt [GENERATOR.pt ...] \
        --weights vgg16_features.pth [--rounds 3]

Each generator draws 2000 images, in turn of each class. Per class: the Fréchet distance in VGG16
features from the study's training images, as a multiple of that of as many held-out reals; mean
pairwise distance of synthetic images relative to that of the training images, in pixels and in
features; the least and the median pixel distance to the nearest training image, beside that of
held-out reals. Then the accuracy on the held-out reals of the small CNN that was trained on the
synthetic images alone, without and with classical augmentation. Held-out reals are the validation
images, so that one may choose by them; with --final they are the test images. One line of JSON a
generator.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np
from scipy.spatial.distance import cdist, pdist

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.predict import predict
from classifier.train import TrainingData, train
from gan.sample import BLOCK, TrainedGenerator, load_generator, sample_block
from pipelines.metrics.extractors import choose_extractors
from pipelines.metrics.frechet import frechet_distance
from pipelines.study.split import Split, load_splits
from pipelines.study.workspace import Workspace
from runtime.device import Compute, choose_compute
from runtime.run import create_run

IMAGES = 2000
FEATURE_IMAGES = 600  # of which features are computed
MAX_DISTANCE_IMAGES = 150  # of a class in one Fréchet distance


def draw_images(trained: TrainedGenerator) -> Split:
    """Draw the images of a generator, in turn of each class."""
    classes = range(len(trained.classes))
    blocks = [sample_block(trained, classes, 0, block) for block in range(IMAGES // BLOCK)]
    labels = np.arange(IMAGES) % len(classes)
    return Split(np.concatenate(blocks), labels, [""] * IMAGES, [""] * IMAGES)


def mean_distance(reals: np.ndarray, candidates: np.ndarray, n: int, rounds: int) -> np.floating:
    """Return the mean Fréchet distance of random parts of n candidates, one a round."""
    distances = []
    for number in range(rounds):
        chosen = np.random.default_rng(number).permutation(len(candidates))[:n]
        distances.append(frechet_distance(reals, candidates[chosen]))
    return np.mean(distances)


def measure_class(
    images: Mapping[str, np.ndarray], features: Mapping[str, np.ndarray], rounds: int
) -> dict[str, object]:
    """Measure the images (N, S, S) and features (N, d) of one class, of every set."""
    reals, held_out, synthetic = (features[name] for name in ("train", "held_out", "synthetic"))
    n = min(len(held_out), len(synthetic), MAX_DISTANCE_IMAGES)
    floor = mean_distance(reals, held_out, n, rounds)
    distance = mean_distance(reals, synthetic, n, rounds)
    pixels = {name: part.reshape(len(part), -1).astype(np.float64) for name, part in images.items()}
    nearest = cdist(pixels["synthetic"], pixels["train"]).min(axis=1)
    held_out_nearest = cdist(pixels["held_out"], pixels["train"]).min(axis=1)
    pixel_diversity = pdist(pixels["synthetic"]).mean() / pdist(pixels["train"]).mean()
    return {
        "frechet_ratio": round(distance / floor, 2),
        "frechet": round(float(distance)),
        "floor": round(float(floor)),
        "n": n,
        "diversity_pixels": round(pixel_diversity, 2),
        "diversity_features": round(pdist(synthetic).mean() / pdist(reals).mean(), 2),
        "nearest_training_image": [round(nearest.min()), round(float(np.median(nearest)))],
        "of_held_out_reals": [
            round(held_out_nearest.min()),
            round(float(np.median(held_out_nearest))),
        ],
    }


def accuracy_alone(
    synthetic: Split,
    splits: Mapping[str, Split],
    held_out: Split,
    classes: list[str],
    compute: Compute,
    seeds: int,
    augment: bool,
) -> float:
    """Train on synthetic images alone; return the mean accuracy on the held-out reals, in %.

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
        accuracies.append((called == held_out.labels).mean())
    return round(100 * float(np.mean(accuracies)), 1)


@click.command()
@click.argument("study", type=click.Path(exists=True, path_type=Path))
@click.argument("generators", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--weights", required=True, help="VGG16's weights.")
@click.option("--rounds", default=3, help="Random parts of equal size for each distance.")
@click.option(
    "--seeds", default=3, help="Classifiers of each kind, whose accuracies are averaged; 0: none."
)
@click.option("--final", is_flag=True, help="Hold out test images, not validation images.")
def main(
    study: Path, generators: tuple[Path, ...], weights: str, rounds: int, seeds: int, final: bool
) -> None:
    compute, store = choose_compute(), FeatureStore()
    extractor = choose_extractors(["vgg16"], [weights], compute)[0]
    for path in generators:
        trained = load_generator(path, compute.device)
        classes = list(trained.classes)
        splits = load_splits(Workspace(study), trained.config.image_size, classes)
        drawn = draw_images(trained)
        sets = {
            "train": splits["train"],
            "held_out": splits["test" if final else "validation"],
            "synthetic": drawn.take(range(FEATURE_IMAGES)),
        }
        images = {name: split.images for name, split in sets.items()}
        features = extractor.features(images, store, compute)
        line: dict[str, object] = {"generator": str(path), "step": trained.step}
        for index, label in enumerate(classes):
            of_class = {name: split.labels == index for name, split in sets.items()}
            line[label] = measure_class(
                {name: images[name][mask] for name, mask in of_class.items()},
                {name: features[name][mask] for name, mask in of_class.items()},
                rounds,
            )
        if seeds:
            for name, augment in (("accuracy", False), ("accuracy_augmented", True)):
                line[name] = accuracy_alone(
                    drawn, splits, sets["held_out"], classes, compute, seeds, augment
                )
        click.echo(json.dumps(line))


if __name__ == "__main__":
    main()
