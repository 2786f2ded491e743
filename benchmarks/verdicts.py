"""How often the verdict of a comparison is wrong, on phantoms, where the truth is known.

Each simulated study draws its own patients: training phantoms, and some 200 test patients. Under
the null the images added to the reals are the reals themselves, drawn again: they hold nothing new,
so "helps" is an error. The oracle's are phantoms of other patients: there "helps" is right.
Classifiers are the cnn, three seeds in each arm; differences, interval and verdict come from the
functions that `cxr compare` uses.

    python benchmarks/verdicts.py --studies 100
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import TensorDataset

from classifier.config import ClassifierConfig
from classifier.predict import predict
from classifier.train import TrainingData, train
from pipelines.data.phantom import LABELS, draw, list_cases
from pipelines.metrics.paired_tests import Replicate, estimate_difference, judge
from pipelines.study.image_io import to_square
from runtime.device import Compute
from runtime.run import Run

IMAGE_SIZE = 32
NUM_PHANTOMS = 1500
NUM_TRAINING, NUM_VALIDATION, NUM_ADDED = 60, 60, 240
SEEDS = 3
CPU = Compute(torch.device("cpu"), "fp32")


@dataclass(frozen=True)
class Phantoms:
    """All phantoms that studies are drawn from."""

    images: torch.Tensor  # uint8 (N, 1, S, S)
    labels: torch.Tensor  # (N,)
    patients: np.ndarray  # (N,)


@dataclass(frozen=True)
class SimulatedStudy:
    """Places of phantoms: the reals, validation and test images, and those of other patients."""

    reals: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    others: np.ndarray


def draw_phantoms() -> Phantoms:
    """Draw all phantoms at the size of the classifiers."""
    cases = list_cases(NUM_PHANTOMS, 1)
    squares = np.stack([to_square(draw(case, 1, 64), IMAGE_SIZE) for case in cases])
    return Phantoms(
        images=torch.from_numpy(squares).unsqueeze(1),
        labels=torch.tensor([LABELS.index(case.label) for case in cases]),
        patients=np.array([case.patient for case in cases]),
    )


def draw_study(phantoms: Phantoms, rng: np.random.Generator) -> SimulatedStudy:
    """Draw the patients of a study, three in ten of them for its test split."""
    patients = rng.permutation(phantoms.patients.max() + 1)
    pool, test = (
        np.flatnonzero(np.isin(phantoms.patients, part))
        for part in np.split(patients, [len(patients) * 7 // 10])
    )
    pool = rng.permutation(pool)
    reals, validation, others = np.split(pool, [NUM_TRAINING, NUM_TRAINING + NUM_VALIDATION])
    return SimulatedStudy(reals, validation, test, others)


def train_and_test(
    phantoms: Phantoms, study: SimulatedStudy, training: np.ndarray, seeds: Sequence[int]
) -> np.ndarray:
    """Return 1 where a classifier of each seed gets a test image right, (S, N)."""
    images, labels = phantoms.images, phantoms.labels
    data = TrainingData(
        training=TensorDataset(images[training], labels[training]),
        validation=TensorDataset(images[study.validation], labels[study.validation]),
        classes=LABELS,
    )
    is_right = []
    for seed in seeds:
        config = ClassifierConfig(steps=150, evaluate_every=25, seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            classifier = train(config, data, Run(Path(folder)), CPU)
        predicted = predict(classifier, images[study.test], CPU).argmax(axis=1)
        is_right.append(predicted == labels[study.test].numpy())
    return np.array(is_right, float)


def judge_study(
    phantoms: Phantoms, rng: np.random.Generator, seeds: Sequence[int]
) -> dict[str, str]:
    """Compare reals with added images to reals alone; return the verdict on each kind of them."""
    study = draw_study(phantoms, rng)
    added = {
        "null": rng.choice(study.reals, NUM_ADDED),
        "oracle": rng.choice(study.others, NUM_ADDED, replace=False),
    }
    alone = train_and_test(phantoms, study, study.reals, seeds)
    verdicts = {}
    for kind, places in added.items():
        training = np.concatenate([study.reals, places])
        difference = estimate_difference(
            train_and_test(phantoms, study, training, seeds) - alone,
            np.ones(len(study.test), bool),
            [str(patient) for patient in phantoms.patients[study.test]],
            [Replicate(None, 0, 0, seed) for seed in seeds],
        )
        verdicts[kind] = judge(difference.value, difference.p)
    return verdicts


def main() -> None:
    parser = argparse.ArgumentParser(description="How often the verdict of a comparison is wrong.")
    parser.add_argument("--studies", type=int, default=100, help="of each kind")
    num_studies = parser.parse_args().studies
    phantoms, rng, started = draw_phantoms(), np.random.default_rng(0), time.monotonic()
    counts: dict[str, Counter[str]] = {"null": Counter(), "oracle": Counter()}
    for number in range(num_studies):
        seeds = range(SEEDS * number, SEEDS * (number + 1))
        for kind, verdict in judge_study(phantoms, rng, seeds).items():
            counts[kind][verdict] += 1
        tally = "; ".join(
            f"{kind}: " + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
            for kind, verdicts in counts.items()
        )
        print(f"{number + 1} studies, {time.monotonic() - started:.0f} s; {tally}", flush=True)


if __name__ == "__main__":
    main()
