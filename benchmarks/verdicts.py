"""How often the verdict of a comparison is wrong, where the truth is known.

First on phantoms. Each study draws its own patients: 60 training phantoms, and some 200 test
patients. Under the null the images added to the reals are the reals themselves, drawn again: they
hold nothing new, so "helps" and "hurts" are errors. The oracle's are phantoms of other patients:
there "helps" is right. The classifier is a logistic regression on principal components, trained by
a short stochastic descent whose luck is its seed's.

Then (`--grid`) in a simulation of patients, generators, subsets, folds and seeds, without images: a
classifier is right about an image where a normal variate is above zero (a probit model), to which
the image's difficulty, half of it its patient's, its chance in one arm, the luck of the generator
and of the seed, and chance add. Test sets have 1.56 images a patient as those of docs/results.md;
there, five trainings of the cnn in each of two arms agreed as the variances here have it.
Measures, differences, intervals and verdicts come from the functions that `cxr compare` uses.

    python benchmarks/verdicts.py --studies 100
    python benchmarks/verdicts.py --grid 300
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm
from sklearn.decomposition import PCA
from sklearn.linear_model import SGDClassifier

from pipelines.data.phantom import LABELS, draw, list_cases
from pipelines.metrics.measures import pseudo_values
from pipelines.metrics.paired_tests import (
    DifferenceEstimate,
    Replicate,
    adjust_holm,
    estimate_difference,
    judge,
    speaks_of,
)
from pipelines.metrics.planned_difference import PLANNED_SPREAD, detectable_difference
from pipelines.study.image_io import to_square

IMAGE_SIZE, COMPONENTS = 16, 40
NUM_PHANTOMS = 1500
NUM_TRAINING, NUM_ADDED, NUM_STEPS = 60, 240, 1500
SEEDS = 5

IMAGES_PER_PATIENT = 1.56
OF_PATIENT = 0.5  # share of the difficulty, whose variance is 1, that a patient's images share
MEASURE_NAMES = ("accuracy", "balanced_accuracy", "roc_auc", "sensitivity")
FRACTIONS, RATIOS, ERROR_RATE = 3, 4, 0.05
OF_ARM, OF_TRAINING = 0.2, 0.35  # deviations of an image's chance in one arm, in one training


# --- phantoms ---


@dataclass(frozen=True)
class Phantoms:
    """All phantoms that studies are drawn from: (N, COMPONENTS), (N,) and (N,)."""

    components: np.ndarray
    labels: np.ndarray
    patients: np.ndarray


def draw_phantoms() -> Phantoms:
    """Draw all phantoms, and take their principal components."""
    cases = list_cases(NUM_PHANTOMS, 1)
    squares = np.stack([to_square(draw(case, 1, 64), IMAGE_SIZE).ravel() for case in cases])
    components = PCA(COMPONENTS, random_state=0).fit_transform(squares / 255)
    return Phantoms(
        components=components / components.std(axis=0),
        labels=np.array([LABELS.index(case.label) for case in cases]),
        patients=np.array([case.patient for case in cases]),
    )


def train_and_test(
    phantoms: Phantoms, training: np.ndarray, test: np.ndarray, seeds: Sequence[int]
) -> np.ndarray:
    """Return the pseudo-values of the accuracy of a classifier of each seed, (S, N)."""
    x, y = phantoms.components, phantoms.labels
    probabilities = [
        SGDClassifier(
            loss="log_loss",
            alpha=0.01,
            max_iter=NUM_STEPS // len(training),
            tol=None,
            random_state=seed,
        )
        .fit(x[training], y[training])
        .predict_proba(x[test])
        for seed in seeds
    ]
    return pseudo_values("accuracy", y[test], np.stack(probabilities), LABELS.index("covid"))


def compare_phantoms(
    phantoms: Phantoms, rng: np.random.Generator, first_seed: int
) -> dict[str, DifferenceEstimate]:
    """Compare reals with added images to reals alone, three in ten patients being tested."""
    patients = rng.permutation(phantoms.patients.max() + 1)
    pool, test = (
        np.flatnonzero(np.isin(phantoms.patients, part))
        for part in np.split(patients, [len(patients) * 7 // 10])
    )
    reals, others = np.split(rng.permutation(pool), [NUM_TRAINING])
    seeds = range(first_seed, first_seed + SEEDS)
    added = {
        "null": np.resize(reals, NUM_ADDED),
        "oracle": rng.choice(others, NUM_ADDED, replace=False),
    }
    alone = train_and_test(phantoms, reals, test, seeds)
    return {
        kind: estimate_difference(
            train_and_test(phantoms, np.concatenate([reals, places]), test, seeds) - alone,
            [str(patient) for patient in phantoms.patients[test]],
            [Replicate(None, None, None, seed) for seed in seeds],
            n=len(test),
        )
        for kind, places in added.items()
    }


def judge_phantoms(num_studies: int) -> None:
    """Print the verdicts on phantoms."""
    phantoms, rng = draw_phantoms(), np.random.default_rng(0)
    counts: dict[str, Counter[str]] = {"null": Counter(), "oracle": Counter()}
    values: dict[str, list[float]] = {"null": [], "oracle": []}
    for number in range(num_studies):
        for kind, estimate in compare_phantoms(phantoms, rng, SEEDS * number).items():
            counts[kind][judge(estimate.value, estimate.p)] += 1
            values[kind].append(estimate.value)
    for kind, verdicts in counts.items():
        told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
        print(f"{kind}: {told}; mean difference {100 * np.mean(values[kind]):+.1f} points")


# --- simulation ---


@dataclass(frozen=True)
class World:
    """What is true of simulated studies; deviations and gains are of accuracy.

    Attributes:
        gain: How much more accurate the arm is, over all generators and seeds.
        threshold_shift: Of the scores of `real`, in units of its latent deviation: it costs
            accuracy, and nothing of the ROC AUC.
        deterministic: Whether every seed makes the same classifier.
    """

    patients: int = 118
    accuracy: float = 0.95
    seeds: int = 5
    generators: int = 1
    subsets: int = 1
    folds: int = 1
    gain: float = 0.0
    threshold_shift: float = 0.0
    generator_deviation: float = 0.0
    subset_deviation: float = 0.0
    seed_deviation: float = 0.005
    deterministic: bool = False

    @property
    def replicates(self) -> list[Replicate]:
        return [
            Replicate(subset if self.subsets > 1 else None, generator, 0, seed)
            for subset in range(self.subsets)
            for generator in range(self.generators)
            for seed in range(self.seeds)
        ]


@dataclass(frozen=True)
class SimulatedStudy:
    """The test images of a study and the scores of all classifiers, above 0 for the positive class.

    Attributes:
        labels, patients: (N,).
        folds: (N,), or None.
        real, arm: (R, N), paired.
        true_difference: Of accuracy, of the method.
        difference_of_these: Of the generators and subsets of this study.
    """

    labels: np.ndarray
    patients: np.ndarray
    folds: np.ndarray | None
    real: np.ndarray
    arm: np.ndarray
    true_difference: float
    difference_of_these: float

    def estimate(self, measure: str, replicates: Sequence[Replicate]) -> DifferenceEstimate:
        real, arm = (
            pseudo_values(measure, self.labels, _probabilities(scores), 1, self.folds)
            for scores in (self.real, self.arm)
        )
        return estimate_difference(
            arm - real,
            [str(patient) for patient in self.patients],
            replicates,
            n=len(self.labels),
            folds=self.folds,
        )


def _probabilities(scores: np.ndarray) -> np.ndarray:
    positive = 1 / (1 + np.exp(-scores))
    return np.stack([1 - positive, positive], axis=-1)


@dataclass(frozen=True)
class Latent:
    """What the latent variates are made of, in their own unit; deviations as in World."""

    of_training: float
    subset: float
    generator: float
    seed: float
    mean_real: float
    mean_arm: float
    of_real: float

    @classmethod
    def of(cls, world: World) -> Latent:
        """Choose means and deviations so that accuracies are what the world says."""
        of_training = 0.0 if world.deterministic else OF_TRAINING
        within = 1 + OF_ARM**2 + of_training**2
        per_accuracy = np.sqrt(within) / norm.pdf(norm.ppf(world.accuracy))
        subset = world.subset_deviation * per_accuracy
        generator = world.generator_deviation * per_accuracy
        seed = 0.0 if world.deterministic else world.seed_deviation * per_accuracy
        of_real = np.sqrt(within + subset**2 + seed**2)
        of_arm = np.sqrt(within + subset**2 + seed**2 + generator**2)
        return cls(
            of_training=of_training,
            subset=subset,
            generator=generator,
            seed=seed,
            mean_real=norm.ppf(world.accuracy) * of_real,
            mean_arm=norm.ppf(world.accuracy + world.gain) * of_arm,
            of_real=of_real,
        )

    def accuracies(self, lucky: np.ndarray) -> np.ndarray:
        """Return the accuracy where the mean and the luck of what was drawn are `lucky`."""
        within = 1 + OF_ARM**2 + self.of_training**2 + self.seed**2
        return norm.cdf(lucky / np.sqrt(within))


@dataclass(frozen=True)
class TestSet:
    """The test images of a study: (N,) each."""

    patients: np.ndarray
    folds: np.ndarray
    labels: np.ndarray

    @classmethod
    def draw(cls, world: World, rng: np.random.Generator) -> TestSet:
        sizes = rng.geometric(1 / IMAGES_PER_PATIENT, world.patients)
        patients = np.repeat(np.arange(world.patients), sizes)
        return cls(patients, patients % world.folds, patients // world.folds % 2)

    def difficulty(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a chance for each image, (N,), of variance 1, that a patient's images share."""
        of_patient = rng.standard_normal(self.patients.max() + 1)[self.patients]
        of_image = rng.standard_normal(len(self.patients))
        return np.sqrt(OF_PATIENT) * of_patient + np.sqrt(1 - OF_PATIENT) * of_image


def simulate(
    world: World,
    rng: np.random.Generator,
    test: TestSet | None = None,
    common: np.ndarray | None = None,
) -> SimulatedStudy:
    """Draw a study, of these test images and their difficulty if they are given.

    Variates are towards the right answer, of subsets, generators, seeds and images or folds.
    """
    latent = Latent.of(world)
    test = TestSet.draw(world, rng) if test is None else test
    common = test.difficulty(rng) if common is None else common
    subsets, generators, seeds = world.subsets, world.generators, world.seeds
    shape, num_images = (subsets, generators, seeds), len(test.patients)

    def luck(deviation: float, *members: int) -> np.ndarray:
        return deviation * rng.standard_normal((*members, world.folds))

    def chance(*members: int) -> np.ndarray:
        return latent.of_training * rng.standard_normal((*members, num_images))

    lucky_real = latent.mean_real + luck(latent.subset, subsets, 1, 1)
    lucky_arm = (
        latent.mean_arm
        + luck(latent.subset, subsets, 1, 1)
        + luck(latent.generator, subsets, generators, 1)
    )
    real = (
        (lucky_real + luck(latent.seed, subsets, 1, seeds))[..., test.folds]
        + (common + OF_ARM * test.difficulty(rng))
        + chance(subsets, 1, seeds)
    )
    arm = (
        (lucky_arm + luck(latent.seed, *shape))[..., test.folds]
        + (common + OF_ARM * test.difficulty(rng))
        + np.sqrt(0.5) * (chance(subsets, generators, 1) + chance(*shape))
    )
    weights = np.bincount(test.folds) / num_images
    these = [
        float((latent.accuracies(lucky) * weights).sum(axis=-1).mean())
        for lucky in (lucky_real, lucky_arm)
    ]
    sign, count = 2 * test.labels - 1, int(np.prod(shape))
    shifted = sign * real + world.threshold_shift * latent.of_real
    return SimulatedStudy(
        labels=test.labels,
        patients=test.patients,
        folds=test.folds if world.folds > 1 else None,
        real=np.broadcast_to(shifted, (*shape, num_images)).reshape(count, num_images),
        arm=np.broadcast_to(sign * arm, (*shape, num_images)).reshape(count, num_images),
        true_difference=world.gain,
        difference_of_these=these[1] - these[0],
    )


@dataclass(frozen=True)
class Rates:
    """What became of many studies of one world; lengths and deviations in points.

    Attributes:
        covered, covered_these: How often the interval held the true difference, of the method and
            of these generators and subsets.
        length: Of the interval, on average.
        detectable: The median.
    """

    covered: float
    covered_these: float
    helps: float
    hurts: float
    length: float
    detectable: float

    @property
    def verdicts(self) -> float:
        """How often there was one; all false where nothing is true."""
        return self.helps + self.hurts


def repeat(world: World, num_studies: int, measure: str = "accuracy") -> Rates:
    """Simulate studies of a world and judge them, one contrast alone."""
    rng, replicates = np.random.default_rng(0), world.replicates
    told = []
    for _ in range(num_studies):
        study = simulate(world, rng)
        difference = study.estimate(measure, replicates)
        verdict = judge(difference.value, difference.p)
        told.append(
            (
                difference.low <= study.true_difference <= difference.high,
                difference.low <= study.difference_of_these <= difference.high,
                verdict == "helps",
                verdict == "hurts",
                100 * (difference.high - difference.low),
                100 * difference.detectable,
            )
        )
    values = np.array(told, float)
    covered, covered_these, helps, hurts, length, _ = values.mean(axis=0).tolist()
    return Rates(covered, covered_these, helps, hurts, length, float(np.median(values[:, -1])))


def print_row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def print_head(title: str, *columns: str) -> None:
    print(f"\n{title}\n")
    print_row(*columns)
    print_row(*("---" for _ in columns))


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def print_crossed(num_studies: int) -> None:
    """Patients, seeds and accuracies: coverage, false verdicts, and power for 2 points."""
    print_head(
        "Patients x seeds (one generator, which is like all others; power for a gain of 2 points)",
        *("accuracy", "patients", "seeds", "coverage %", "false verdicts %", "power %", "length"),
    )
    grid = itertools.product((0.75, 0.95, 0.98), (20, 40, 118, 600), (2, 5, 20), (False,))
    deterministic = itertools.product((0.95, 0.98), (40, 118, 600), (1,), (True,))
    for accuracy, patients, seeds, certain in itertools.chain(grid, deterministic):
        world = World(patients=patients, accuracy=accuracy, seeds=seeds, deterministic=certain)
        null = repeat(world, num_studies)
        gain = repeat(replace(world, gain=0.02 if accuracy < 0.98 else 0.015), num_studies)
        print_row(
            *(accuracy, patients, "any, equal" if certain else seeds, percent(null.covered)),
            *(percent(null.verdicts), percent(gain.helps), f"{null.length:.2f}"),
        )


def print_levels(num_studies: int) -> None:
    """Generators, subsets and folds: false verdicts about the method, and power for 2 points."""
    print_head(
        "Generators, subsets, folds (accuracy 0.95, 5 seeds; power for a gain of 2 points)",
        *("patients", "folds", "subsets", "generators in each", "deviation of generators"),
        *("of subsets", "speaks of", "coverage %", "of these images %", "false verdicts %"),
        *("power %", "length"),
    )
    worlds = [
        World(patients=patients, generators=generators, generator_deviation=deviation)
        for patients in (118, 600)
        for generators in (1, 2, 3, 5)
        for deviation in (0.0, 0.01, 0.015, 0.02)
    ]
    worlds += [
        World(subsets=subsets, subset_deviation=0.02, generator_deviation=0.01, accuracy=0.9)
        for subsets in (1, 2, 3, 5)
    ]
    worlds += [
        World(patients=588, folds=5, generators=generators, generator_deviation=deviation)
        for generators in (1, 3)
        for deviation in (0.0, 0.01, 0.02)
    ]
    for world in worlds:
        null, gain = repeat(world, num_studies), repeat(replace(world, gain=0.02), num_studies)
        print_row(
            *(world.patients, world.folds, world.subsets, world.generators),
            *(percent(world.generator_deviation), percent(world.subset_deviation)),
            *(speaks_of(world.replicates, world.folds), percent(null.covered)),
            *(percent(null.covered_these), percent(null.verdicts), percent(gain.helps)),
            f"{null.length:.2f}",
        )


def print_plans(num_studies: int) -> None:
    """What the plan says, what studies say, and how often a difference of the plan's is found."""
    print_head(
        "The smallest difference to be found, in points (accuracy 0.95, deviations as planned)",
        *("patients", "seeds", "generators", "folds", "plan", "studies", "found %"),
    )
    designs = itertools.product((118, 600), (2, 5, 20), (1, 3), (1, 5))
    for patients, seeds, generators, folds in designs:
        world = World(
            patients=patients,
            seeds=seeds,
            generators=generators,
            folds=folds,
            generator_deviation=math.hypot(
                PLANNED_SPREAD.generators or 0.0, PLANNED_SPREAD.draws or 0.0
            ),
        )
        if (generators, folds) == (1, 1):
            world = replace(world, generator_deviation=0.0)  # it speaks of these images
        planned = detectable_difference(
            measure_discordance(world),
            round(IMAGES_PER_PATIENT * patients),
            patients,
            world.replicates,
            folds=folds,
        )
        studies = repeat(world, num_studies)
        found = repeat(replace(world, gain=min(planned, 0.049)), num_studies)
        print_row(
            *(patients, seeds, generators, folds, f"{100 * planned:.2f}"),
            *(f"{studies.detectable:.2f}", percent(found.helps) if planned < 0.049 else "–"),
        )


def measure_discordance(world: World) -> float:
    """Take the share of images that one classifier gets right and its partner does not."""
    rng = np.random.default_rng(1)
    studies = [simulate(world, rng) for _ in range(20)]
    return float(np.mean([((study.real > 0) != (study.arm > 0)).mean() for study in studies]))


def print_measures(num_studies: int) -> None:
    """Which measure sees a gain in discrimination, and which is misled by a threshold."""
    print_head(
        "Measures (118 patients, 5 seeds): helps / hurts in % of studies",
        *("accuracy", "what is true", *MEASURE_NAMES),
    )
    for accuracy, gain in ((0.75, 0.04), (0.85, 0.03), (0.95, 0.02)):
        world = World(accuracy=accuracy)
        truths = {
            "nothing": world,
            f"discrimination, {100 * gain:.0f} points of accuracy": replace(world, gain=gain),
            "a better threshold only": replace(world, threshold_shift=0.5),
        }
        for truth, changed in truths.items():
            rates = [repeat(changed, num_studies, measure) for measure in MEASURE_NAMES]
            told = (f"{percent(rate.helps)} / {percent(rate.hurts)}" for rate in rates)
            print_row(accuracy, truth, *told)


def print_families(num_studies: int) -> None:
    """Three fractions and four ratios, none of which helps: is anything said to?"""
    rng, alone, others, within = np.random.default_rng(0), 0, 0, 0
    world = World()
    for _ in range(num_studies):
        test = TestSet.draw(world, rng)
        common = test.difficulty(rng)
        p = np.array(
            [
                [simulate(world, rng, test, common).estimate("accuracy", world.replicates).p]
                for _ in range(FRACTIONS * RATIOS)
            ]
        ).reshape(FRACTIONS, RATIOS)
        first, rest = p[0, 0], np.delete(p.ravel(), 0)
        alone += first <= ERROR_RATE
        others += min(adjust_holm(rest.tolist())) <= ERROR_RATE
        within += p.min() <= ERROR_RATE
    print_head(
        f"{FRACTIONS} fractions x {RATIOS} ratios, nothing helps: verdicts in % of studies",
        *("primary question, alone", "any of the others, by Holm", "any, each question alone"),
    )
    print_row(*(percent(count / num_studies) for count in (alone, others, within)))


def main() -> None:
    parser = argparse.ArgumentParser(description="How often the verdict of a comparison is wrong.")
    parser.add_argument("--studies", type=int, default=0, help="phantom studies of each kind")
    parser.add_argument("--grid", type=int, default=0, help="simulated studies of each world")
    arguments, started = parser.parse_args(), time.monotonic()
    if arguments.studies:
        judge_phantoms(arguments.studies)
    if arguments.grid:
        for print_table in TABLES:
            print_table(arguments.grid)
    print(f"\n{time.monotonic() - started:.0f} s")


TABLES = (print_crossed, print_levels, print_plans, print_measures, print_families)

if __name__ == "__main__":
    main()
