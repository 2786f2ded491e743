"""What readers made of a reader study's images, from the files of answers that its page saved."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import median

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from pipelines.evaluation.reader_answers import Reading, read_answers
from pipelines.evaluation.reader_study import read_pixels
from pipelines.figures.image_sheet import draw_image_sheet
from pipelines.results.reader_results import (
    REAL_ANSWER,
    SYNTHETIC_ANSWER,
    Agreement,
    JudgedImage,
    ReaderScore,
)
from pipelines.study.workspace import Workspace
from runtime.estimate import Estimate
from runtime.files import read_json, sha256_of

MISTAKES_COLUMNS = 6
ONE_READER = (
    "one reader is one reader: this says how well {} told these images apart, "
    "not how well radiologists do"
)


def score_readings(
    workspace: Workspace, files: Sequence[Path]
) -> tuple[list[ReaderScore], list[Agreement]]:
    """Score each reader's answers, and how far every two readers of one study agree.

    Shares have exact (Clopper–Pearson) 95 % intervals; p is that of a two-sided exact binomial test
    of accuracy against guessing, 1/2. Of readers who guess, p ≤ 0.05 comes up for at most 5 % from
    n = 50 on, however many they call real, and for up to 7 % at n = 20: exactly half being real,
    their answers are not quite binomial.

    Writes score-FILE.json and, of the images misjudged, sheet-FILE.png into the study's run. Raises
    ValueError or FileNotFoundError for a file that is of no study here, incomplete, damaged or
    given twice.
    """
    readings = [read_answers(workspace, file) for file in files]
    _check_distinct(readings)
    scores = [_score(reading) for reading in readings]
    for reading, score in zip(readings, scores, strict=True):
        path = reading.run.folder / score.file
        if path.exists() and read_json(path)["answers_sha256"] != score.answers_sha256:
            raise ValueError(
                f"{path} is the score of other answers under the name {reading.file.name}; rename "
                "the file, nothing is overwritten"
            )
        if score.sheet:
            _write_sheet(workspace, reading, score, reading.run.folder / score.sheet)
        score.save(reading.run.folder)
    pairs = combinations(readings, 2)
    return scores, [_agreement(first, second) for first, second in pairs if first.run == second.run]


def _check_distinct(readings: Sequence[Reading]) -> None:
    """Raise ValueError when two files hold the same answers, or their scores would share a name."""
    for first, second in combinations(readings, 2):
        if sha256_of(first.file) == sha256_of(second.file):
            raise ValueError(
                f"{second.file} holds the very answers of {first.file}; give each reader's file "
                "once"
            )
        if first.run == second.run and first.file.stem == second.file.stem:
            raise ValueError(
                f"{second.file} has the name of another file of answers, {first.file}; rename one, "
                "their scores would have one name"
            )


def _score(reading: Reading) -> ReaderScore:
    key, n = reading.key, len(reading.answers)
    wrong = [image for image in key.images if reading.answers[image.image] != image.answer]
    fooled_by, called_synthetic = (
        _file_names(wrong, answer) for answer in (SYNTHETIC_ANSWER, REAL_ANSWER)
    )
    synthetic, real = (len(key.file_names(answer)) for answer in (SYNTHETIC_ANSWER, REAL_ANSWER))
    right = n - len(wrong)
    stem, caution = reading.file.stem, reading.run.result.get("caution")
    return ReaderScore(
        study=key.study,
        run=reading.run.name,
        synthetic=key.synthetic,
        reader=reading.reader,
        answers=reading.file.name,
        answers_sha256=sha256_of(reading.file),
        n=n,
        accuracy=_exact_share(right, n),
        p=float(binomtest(right, n).pvalue),
        sensitivity=_exact_share(synthetic - len(fooled_by), synthetic),
        specificity=_exact_share(real - len(called_synthetic), real),
        median_seconds=median(reading.times) / 1000,
        fooled_by=fooled_by,
        called_synthetic=called_synthetic,
        file=f"score-{stem}.json",
        sheet=f"sheet-{stem}.png" if wrong else None,
        limit=ONE_READER.format(reading.reader or "this reader")
        + (f" Beware: {caution}." if caution else ""),
    )


def _file_names(images: Sequence[JudgedImage], answer: str) -> tuple[str, ...]:
    """The files of those images whose right answer this is."""
    return tuple(image.file_name for image in images if image.answer == answer)


def _exact_share(count: int, n: int) -> Estimate:
    interval = binomtest(count, n).proportion_ci(method="exact")
    return Estimate(count / n, float(interval.low), float(interval.high), n)


def _agreement(first: Reading, second: Reading) -> Agreement:
    """How far two readers of one study agree, chance apart."""
    answers = list(first.answers.values()), list(second.answers.values())
    kappa = None
    if len(set(answers[0] + answers[1])) > 1:
        kappa = float(cohen_kappa_score(*answers, labels=[REAL_ANSWER, SYNTHETIC_ANSWER]))
    return Agreement(
        readers=(first.file.name, second.file.name),
        n=len(first.answers),
        agreement=float(np.mean([a == b for a, b in zip(*answers, strict=True)])),
        kappa=kappa,
    )


def _write_sheet(workspace: Workspace, reading: Reading, score: ReaderScore, path: Path) -> None:
    """Draw the misjudged images: synthetic ones taken for real, and reals called synthetic."""
    kinds = (
        ("synthetic, called real", score.fooled_by, SYNTHETIC_ANSWER),
        ("real, called synthetic", score.called_synthetic, REAL_ANSWER),
    )
    groups = [
        (f"{heading} ({len(names)})", read_pixels(workspace, reading.key, names, answer))
        for heading, names, answer in kinds
        if names
    ]
    draw_image_sheet(groups, path, columns=MISTAKES_COLUMNS)
