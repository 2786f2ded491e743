"""How far a synthetic set is from the training reals, beside how far other reals are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pipelines.classify import study_classes
from pipelines.data.manifest import table
from pipelines.merge import check_leak, read_synthetic, real_splits
from pipelines.scoring.features import choose_extractor
from pipelines.scoring.frechet import frechet_distance
from pipelines.workspace import Workspace
from runtime.device import Compute
from runtime.files import write_json, write_text
from runtime.randomness import numpy_generator
from runtime.run import Run

DRAWS = 10
FEWEST = 8  # images; below, a distance says nothing


@dataclass(frozen=True)
class Score:
    """Fréchet distances of one group of images, a class or all of them.

    The distance falls with the number of images, so the synthetic set is compared at the size of the held-out
    reals: `frechet_matched` is the mean over draws of as many synthetic images, `frechet_floor` the distance of
    the held-out reals themselves, and `ratio` the one by the other; 1 is as good as real. `frechet` uses all images.
    """

    group: str
    n_train: int
    n_synthetic: int
    n_held_out: int
    frechet: float
    frechet_matched: float
    frechet_floor: float
    ratio: float


def score_synthetic(
    workspace: Workspace, compute: Compute, *, synthetic: str | None, features: str, weights: Path | None
) -> tuple[Run, list[Score], dict]:
    """Score a synthetic set (the newest, or the one named) per class and overall.

    Returns the finished run, the scores, and {class: reason} of what could not be scored.
    """
    added = read_synthetic(workspace.find_run("synthesize", synthetic).folder)
    check_leak(added.trained_on, workspace.rows(), added.folder.name)
    extractor = choose_extractor(workspace, features, weights, compute)
    classes = study_classes(workspace)
    splits = real_splits(workspace, added.image_size, classes)
    held_out_images = np.concatenate([splits["validation"].images, splits["test"].images])
    held_out_labels = np.concatenate([splits["validation"].labels, splits["test"].labels])
    train = extractor.features(splits["train"].images, compute, "features of training reals")
    held_out = extractor.features(held_out_images, compute, "features of held-out reals")
    fake = extractor.features(added.images(), compute, "features of synthetic images")
    fake_labels = np.array([classes.index(row.label) for row in added.rows])

    scores, unscored = [], {}
    for group in [*classes, "overall"]:
        def of(labels: np.ndarray) -> np.ndarray:
            return np.ones(len(labels), bool) if group == "overall" else labels == classes.index(group)

        sets = train[of(splits["train"].labels)], fake[of(fake_labels)], held_out[of(held_out_labels)]
        if min(map(len, sets)) < FEWEST:
            unscored[group] = "{} training, {} synthetic, {} held-out images; a distance needs {}".format(*map(len, sets), FEWEST)
        else:
            scores.append(_score(group, *sets))
    summary = {
        "synthetic": added.folder.name,
        "extractor": {"name": extractor.name, "sha256": extractor.sha256, "note": extractor.note},
        "scores": [asdict(score) for score in scores],
        "unscored": unscored,
    }
    run = workspace.create_run("score", {"synthetic": added.folder.name, "features": extractor.name, "compute": str(compute)})
    write_json(run.folder / "score.json", summary)
    write_text(run.folder / "score.csv", table(list(Score.__annotations__), (asdict(score) for score in scores)))
    run.finish({"extractor": extractor.name})
    return run, scores, summary


def _score(group: str, train: np.ndarray, fake: np.ndarray, held_out: np.ndarray) -> Score:
    count = min(len(held_out), len(fake))

    def matched(features: np.ndarray, what: str) -> float:
        """Mean distance of `count` rows from the training reals; one draw where that is all of them."""
        draws = 1 if len(features) == count else DRAWS
        chosen = [numpy_generator(0, "score", group, what, draw).choice(len(features), count, replace=False) for draw in range(draws)]
        return float(np.mean([frechet_distance(train, features[rows]) for rows in chosen]))

    of_fakes, floor = matched(fake, "synthetic"), matched(held_out, "held out")
    return Score(group, len(train), len(fake), len(held_out), frechet_distance(train, fake), of_fakes, floor, of_fakes / floor)
