"""What synthetic images are worth in real ones: the further real images that would have given the same accuracy.

The learning curve of `real` over the fractions, made never to fall (isotonic regression), is read backwards, on a logarithmic scale of images, at the accuracy that
was reached with synthetic images. The interval is a bootstrap over test patients and over replicates, both drawn anew for all arms together. Beyond the
largest and below the smallest fraction there is no curve: there the answer is "at least" or "at most".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.isotonic import isotonic_regression

from classifier.bootstrap import resampled_weights
from pipelines.comparison.design import Trial
from runtime.randomness import numpy_generator

RESAMPLES = 1000


def worth(
    results: Sequence[dict[str, Any]], right: dict[Trial, np.ndarray], patients: Sequence[str]
) -> list[dict[str, Any]]:
    """One entry per fraction and ratio of real+gan, in images; right: (N,) for each classifier, 1 where the label is right."""
    sizes = {one["fraction"]: one["real_images"] for one in results if one["arm"] == "real"}
    weights = np.concatenate(
        [np.ones((1, len(patients))), resampled_weights(patients, RESAMPLES)]
    )  # (1 + R, N), the first the images as they are
    accuracy = {
        trial: weights @ values / weights.sum(axis=1) for trial, values in right.items()
    }  # (1 + R,)
    seeds = sorted({trial.replicate.seed for trial in right})
    drawn = numpy_generator(0, "worth").integers(len(seeds), size=(RESAMPLES, len(seeds)))
    times = np.concatenate(
        [
            np.ones((1, len(seeds))),
            np.stack([(drawn == place).sum(axis=1) for place in range(len(seeds))], axis=1),
        ]
    )  # (1 + R, S), of each seed

    def mean_of(arm: str, fraction: float, ratio: float | None) -> np.ndarray:
        """Accuracy over the seeds as they are drawn, (1 + R,)."""
        by_seed = [
            np.mean(
                [
                    values
                    for trial, values in accuracy.items()
                    if (trial.arm, trial.fraction, trial.ratio, trial.replicate.seed)
                    == (arm, fraction, ratio, seed)
                ],
                axis=0,
            )
            for seed in seeds
        ]
        return (times * np.stack(by_seed, axis=1)).sum(axis=1) / times.sum(axis=1)

    fractions = sorted(sizes)
    curve = np.stack(
        [mean_of("real", fraction, None) for fraction in fractions], axis=1
    )  # (1 + R, F)
    found = []
    for one in results:
        if one["arm"] == "real+gan":
            reached = mean_of("real+gan", one["fraction"], one["ratio"])
            equal = np.array(
                [
                    images_for(level, [sizes[fraction] for fraction in fractions], line)
                    for level, line in zip(reached, curve)
                ]
            )
            found.append(_entry(one, equal, sizes[fractions[0]], sizes[fractions[-1]]))
    return found


def images_for(level: float, sizes: Sequence[int], accuracies: Sequence[float]) -> float:
    """The real images that give an accuracy, by a learning curve over sizes (F,) in ascending order; the fewest where several do.

    −inf where even the fewest give more, inf where not even the most give so much.
    """
    rising = isotonic_regression(accuracies)
    if level < rising[0]:
        return -np.inf
    if level > rising[-1]:
        return np.inf
    after = int(np.searchsorted(rising, level))
    if after == 0:
        return float(sizes[0])
    part = (level - rising[after - 1]) / (rising[after] - rising[after - 1])
    return float(
        np.exp(np.log(sizes[after - 1]) + part * (np.log(sizes[after]) - np.log(sizes[after - 1])))
    )


def _entry(result: dict[str, Any], equal: np.ndarray, fewest: int, most: int) -> dict[str, Any]:
    own = result["real_images"]
    ordered = np.sort(equal[1:])
    low, high = ordered[int(0.025 * len(ordered))], ordered[int(np.ceil(0.975 * len(ordered))) - 1]

    def further(images: float) -> int:
        return round(float(np.clip(images, fewest, most))) - own

    def said(images: float) -> str:
        bound = "at least " if images == np.inf else "at most " if images == -np.inf else ""
        return f"{bound}{further(images):+d}".replace("-", "−")

    return {
        "fraction": result["fraction"],
        "ratio": result["ratio"],
        "synthetic_images": result["synthetic_images"],
        "real_images": own,
        "extra": further(equal[0]),
        "interval": [further(low), further(high)],
        "lower_open": bool(np.isinf(low)),
        "upper_open": bool(np.isinf(high)),
        "sentence": f"Beside {own} real images, {result['synthetic_images']} synthetic ones did what {said(equal[0])} real ones would have done (95 % interval {said(low)} to {said(high)}).",
    }
