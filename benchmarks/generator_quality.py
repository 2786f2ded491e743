"""How good generators are, by what the README reports of them.

    python benchmarks/generator_quality.py STUDY GENERATOR.pt [GENERATOR.pt ...] --weights vgg16_features.pth [--rounds 3]

Each generator draws 2000 images, in turn of each class. Per class: the Fréchet distance in VGG16 features from the study's training images,
as a multiple of that of as many held-out reals (validation and test); mean pairwise distance of synthetic images relative to that of the training images,
in pixels and in features; the least and the median pixel distance to the nearest training image, beside that of held-out reals. Then the accuracy
on the real test images of the small CNN that was trained on the synthetic images alone, without and with classical augmentation. One line of JSON a generator.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import click
import numpy as np
from scipy.spatial.distance import cdist, pdist

from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.predict import predict
from classifier.train import train
from gan.sample import BLOCK, load_generator, sample_block
from pipelines.metrics.extractors import choose_extractors
from pipelines.metrics.frechet import frechet_distance
from pipelines.study.synthetic import Split, real_splits
from pipelines.study.workspace import Workspace
from runtime.device import Compute, choose_compute
from runtime.run import create_run

IMAGES = 2000
FEATURES = 600  # of which features are computed
MOST = 150  # images of a class in one Fréchet distance


def equal_sized(features: np.ndarray, n: int, rounds: int) -> list[np.ndarray]:
    """Random parts (n, d) of features (N, d), one a round."""
    return [
        features[np.random.default_rng(number).permutation(len(features))[:n]]
        for number in range(rounds)
    ]


def accuracy(
    training: Split,
    splits: dict[str, Split],
    classes: list[str],
    compute: Compute,
    seeds: int,
    augment: bool,
) -> float:
    """Mean share of right answers on the real test images, in %; real validation images choose the weights."""
    found, test = [], splits["test"]
    for seed in range(seeds):
        config = ClassifierConfig(augment=augment, seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            classifier = train(
                config,
                training.dataset(),
                splits["validation"].dataset(),
                create_run(Path(folder), "classify-train", {}),
                compute,
                classes=classes,
            )
        found.append(
            (
                predict(classifier, test.dataset().tensors[0], compute).argmax(axis=1)
                == test.labels
            ).mean()
        )
    return round(100 * float(np.mean(found)), 1)


@click.command()
@click.argument("study", type=click.Path(exists=True, path_type=Path))
@click.argument("generators", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--weights", required=True, help="VGG16's weights.")
@click.option("--rounds", default=3, help="Random parts of equal size for each distance.")
@click.option(
    "--seeds", default=3, help="Classifiers of each kind, whose accuracies are averaged; 0: none."
)
def main(study: Path, generators: tuple[Path, ...], weights: str, rounds: int, seeds: int) -> None:
    compute, store = choose_compute(), FeatureStore()
    extractor = choose_extractors(["vgg16"], [weights], compute)[0]
    for path in generators:
        trained = load_generator(path, compute.device)
        classes = list(trained.classes)
        splits = real_splits(Workspace(study), trained.config.image_size, classes)
        training, held_out = splits["train"], splits["validation"].joined(splits["test"])
        images = np.concatenate(
            [
                sample_block(trained, range(len(classes)), 0, block)
                for block in range(IMAGES // BLOCK)
            ]
        )
        labels = np.arange(IMAGES) % len(classes)
        features = extractor.features(
            {"train": training.images, "held out": held_out.images, "synthetic": images[:FEATURES]},
            store,
            compute,
        )
        found: dict[str, object] = {"generator": str(path), "step": trained.step}
        for index, name in enumerate(classes):
            mine = {
                "train": training.labels == index,
                "held out": held_out.labels == index,
                "synthetic": labels[:FEATURES] == index,
            }
            reals, others, synthetic = (features[part][of_class] for part, of_class in mine.items())
            n = min(len(others), len(synthetic), MOST)
            floor, distance = (
                np.mean([frechet_distance(reals, part) for part in equal_sized(of, n, rounds)])
                for of in (others, synthetic)
            )
            of_class = (
                training.images[mine["train"]],
                held_out.images[mine["held out"]],
                images[:FEATURES][mine["synthetic"]],
            )
            pixels, held_pixels, drawn = (
                part.reshape(len(part), -1).astype(np.float64) for part in of_class
            )
            nearest, held_nearest = (
                cdist(drawn, pixels).min(axis=1),
                cdist(held_pixels, pixels).min(axis=1),
            )
            found[name] = {
                "frechet_ratio": round(distance / floor, 2),
                "frechet": round(float(distance)),
                "floor": round(float(floor)),
                "n": n,
                "diversity_pixels": round(pdist(drawn).mean() / pdist(pixels).mean(), 2),
                "diversity_features": round(pdist(synthetic).mean() / pdist(reals).mean(), 2),
                "nearest_training_image": [round(nearest.min()), round(float(np.median(nearest)))],
                "of_held_out_reals": [
                    round(held_nearest.min()),
                    round(float(np.median(held_nearest))),
                ],
            }
        if seeds:
            alone = Split(images, labels, [""] * IMAGES, [""] * IMAGES)
            found["accuracy"], found["accuracy_augmented"] = (
                accuracy(alone, splits, classes, compute, seeds, augment)
                for augment in (False, True)
            )
        click.echo(json.dumps(found))


if __name__ == "__main__":
    main()
