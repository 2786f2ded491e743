"""How often the verdict of a comparison is wrong, on phantoms, where the truth is known.

Each simulated study draws its own patients: training phantoms, and some 200 test patients. Under the null the images beside the reals are the
reals themselves, drawn again: they hold nothing new, so "helps" is an error. The oracle's are phantoms of other patients: there "helps" is right. Classifiers are the
cnn, three seeds in each arm; differences, interval and verdict come from the functions that `cxr compare` uses.

    python benchmarks/verdicts.py --studies 100
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import TensorDataset

from classifier.config import ClassifierConfig
from classifier.predict import predict
from classifier.train import train
from pipelines.data.phantom import LABELS, cases, draw
from pipelines.metrics.paired_tests import Replicate, estimate, verdict
from pipelines.study.image_io import to_square
from runtime.device import Compute
from runtime.run import Run

SIZE, POOL, TRAINING, VALIDATION, BESIDE, SEEDS = 32, 1500, 60, 60, 240, 3
CONFIG = ClassifierConfig(steps=150, evaluate_every=25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=100, help="of each kind")
    studies = parser.parse_args().studies
    drawn = cases(POOL, 1)
    images = torch.from_numpy(
        np.stack([to_square(draw(case, 1, 64), SIZE) for case in drawn])
    ).unsqueeze(1)
    labels = torch.tensor([LABELS.index(case.label) for case in drawn])
    patients = np.array([case.patient for case in drawn])
    compute, rng, started = (
        Compute(torch.device("cpu"), "fp32"),
        np.random.default_rng(0),
        time.monotonic(),
    )
    verdicts: dict[str, Counter[str]] = {"null": Counter(), "oracle": Counter()}
    for number in range(studies):
        order = rng.permutation(patients.max() + 1)
        pool, test = (
            np.flatnonzero(np.isin(patients, part))
            for part in np.split(order, [len(order) * 7 // 10])
        )
        pool = rng.permutation(pool)
        reals, validation, others = (
            pool[:TRAINING],
            pool[TRAINING : TRAINING + VALIDATION],
            pool[TRAINING + VALIDATION :],
        )

        def right(training: np.ndarray, seed: int) -> np.ndarray:
            """Which test images a classifier gets right, (N,)."""
            config = ClassifierConfig(
                steps=CONFIG.steps, evaluate_every=CONFIG.evaluate_every, seed=seed
            )
            sets = [
                TensorDataset(images[chosen], labels[chosen]) for chosen in (training, validation)
            ]
            with tempfile.TemporaryDirectory() as folder:
                trained = train(config, *sets, Run(Path(folder)), compute, classes=LABELS)
            return (
                predict(trained, images[test], compute).argmax(axis=1) == labels[test].numpy()
            ).astype(float)

        seeds = range(SEEDS * number, SEEDS * (number + 1))
        alone = np.stack([right(reals, seed) for seed in seeds])
        for name, beside in (
            ("null", rng.choice(reals, BESIDE)),
            ("oracle", rng.choice(others, BESIDE, replace=False)),
        ):
            more = np.stack([right(np.concatenate([reals, beside]), seed) for seed in seeds])
            replicates = [Replicate(0, 0, seed) for seed in seeds]
            difference = estimate(
                more - alone,
                np.ones(len(test), bool),
                [str(one) for one in patients[test]],
                replicates,
                -1.0,
            )
            verdicts[name][verdict(difference.mean, difference.p)] += 1
        told = "; ".join(
            f"{name}: " + ", ".join(f"{count} {what}" for what, count in found.items())
            for name, found in verdicts.items()
        )
        print(f"{number + 1} studies, {time.monotonic() - started:.0f} s; {told}", flush=True)


if __name__ == "__main__":
    main()
