"""What a reader made of a reader study's images, from the file of answers that its page saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from pipelines.evaluation.reader_study import COMMAND, REAL, SYNTHETIC, commitment, pixels
from pipelines.figures.style import image_sheet
from pipelines.study.workspace import Workspace
from runtime.files import Record, read_json, sha256_of, write_json
from runtime.run import Run, list_runs

LONGEST = 24 * 60 * 60 * 1000  # ms that one image may have taken
ONE_READER = "one reader is one reader: this says how well {} told these images apart, not how well radiologists do"


@dataclass(frozen=True)
class Reading:
    """One reader's answers to all images of a study."""

    file: Path
    run: Run
    key: Record  # what key.json says
    reader: str
    answers: dict[str, str]  # real or synthetic, by image id, in the order of the page
    times: list[int]  # ms


def score_readings(
    workspace: Workspace, files: Sequence[Path]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Score files of answers: what each reader made of the images, and how far every two readers of one study agree.

    Accuracy, sensitivity (the share of synthetic images called synthetic) and specificity (of reals called real) with exact (Clopper–Pearson)
    95 % intervals; p: two-sided exact binomial test of accuracy against guessing, 1/2. Of readers who guess, p ≤ 0.05 comes up for at most 5 % from
    n = 50 on, however many they call real, and for up to 7 % at n = 20: exactly half being real, their answers are not quite binomial. Agreement:
    Cohen's kappa, None where both gave one and the same answer throughout. Writes score-FILE.json and, of the images misjudged, sheet-FILE.png
    into the study's run. Raises ValueError or FileNotFoundError for a file that is of no study here, incomplete, damaged or given twice.
    """
    readings = [read_answers(workspace, file) for file in files]
    for one, other in combinations(readings, 2):
        if sha256_of(one.file) == sha256_of(other.file):
            raise ValueError(
                f"{other.file} holds the very answers of {one.file}; give each reader's file once"
            )
        if one.run == other.run and one.file.stem == other.file.stem:
            raise ValueError(
                f"{other.file} has the name of another file of answers, {one.file}; rename one, their scores would have one name"
            )
    scores = [_score(reading) for reading in readings]
    for reading, score in zip(readings, scores):
        path = reading.run.folder / score["file"]
        if path.exists() and read_json(path)["answers_sha256"] != score["answers_sha256"]:
            raise ValueError(
                f"{path} is the score of other answers under the name {reading.file.name}; rename the file, nothing is overwritten"
            )
        if score["sheet"]:
            _write_sheet(workspace, reading, score)
        write_json(path, score)
    return scores, [
        _agreement(one, other) for one, other in combinations(readings, 2) if one.run == other.run
    ]


def read_answers(workspace: Workspace, file: Path) -> Reading:
    """A file of answers with the study it belongs to.

    Raises ValueError that says what is wrong: an unknown study, an altered key, images judged twice, not at all or not of the study,
    answers other than real and synthetic, times that cannot be.
    """
    if not file.name.isprintable():
        raise ValueError(
            f"{file} has a name that cannot be printed; rename it, its score takes its name"
        )
    values = read_json(file).expect(study=str, reader=str, answers=list)
    run, key = _study(workspace, values["study"], file)
    if not values["reader"].isprintable() or len(values["reader"]) > 80:
        raise ValueError(
            f"{file}: reader is {values['reader']!r:.80}, expected a name or a code of at most 80 characters"
        )
    given: dict[str, Record] = {}
    for number, one in enumerate(values["answers"], start=1):
        if not isinstance(one, Record):
            raise ValueError(
                f"{file}: answer {number} is {one!r:.80}, expected image, answer and ms; the file is damaged"
            )
        image = one.expect(image=str, answer=str, ms=int)["image"]
        if image in given:
            raise ValueError(f"{file}: image {image:.40} is judged twice; the file was altered")
        if one["answer"] not in (REAL, SYNTHETIC) or not 0 <= one["ms"] <= LONGEST:
            raise ValueError(
                f"{file}: image {image:.40} has answer {one['answer']!r:.40} after {one['ms']!r:.20} ms, expected {REAL} or {SYNTHETIC}, and 0 to {LONGEST} ms"
            )
        given[image] = one
    expected = [one["image"] for one in key["images"]]
    foreign = sorted(set(given) - set(expected))
    if foreign:
        raise ValueError(
            f"{file}: image {foreign[0]:.40} is not one of {run.name}; the file was altered"
        )
    if len(given) < len(expected):
        raise ValueError(
            f"{file} is incomplete: {len(given)} of {len(expected)} images judged; open the page again where it was read, it goes on where it was left"
        )
    return Reading(
        file,
        run,
        key,
        values["reader"],
        {image: given[image]["answer"] for image in expected},
        [given[image]["ms"] for image in expected],
    )


def _study(workspace: Workspace, study: str, file: Path) -> tuple[Run, Record]:
    """The newest run that made a study, with its key."""
    runs = [
        run
        for run in list_runs(workspace.runs)
        if run.command == COMMAND and (run.folder / "key.json").exists()
    ]
    for run in reversed(runs):
        key = read_json(run.folder / "key.json").expect(study=str, images=list)
        if key["study"] == study:
            if commitment(key) != study:
                raise ValueError(
                    f"{run.folder / 'key.json'} is not the key that {run.name} was made with; it was altered, and scores nothing"
                )
            return run, key
    where = f"none of the {len(runs)} reader studies in {workspace.root.resolve()} is that"
    raise ValueError(
        f"{file} is of study {study[:8]!r}, and {where}; give the folder it was made in with -C DIR"
    )


def _score(reading: Reading) -> dict[str, Any]:
    """What score-FILE.json holds."""
    kinds = {REAL: [], SYNTHETIC: []}
    for one in reading.key["images"]:
        kinds[one["answer"]].append(
            (one["file_name"], reading.answers[one["image"]] == one["answer"])
        )
    right = {kind: sum(correct for _, correct in judged) for kind, judged in kinds.items()}
    n = len(reading.answers)
    fooled_by, called_synthetic = (
        [name for name, correct in kinds[kind] if not correct] for kind in (SYNTHETIC, REAL)
    )
    return {
        "study": reading.key["study"],
        "run": reading.run.name,
        "synthetic": reading.key["synthetic"],
        "reader": reading.reader,
        "answers": reading.file.name,
        "answers_sha256": sha256_of(reading.file),
        "n": n,
        "accuracy": _share(sum(right.values()), n),
        "p": float(binomtest(sum(right.values()), n).pvalue),
        "sensitivity": _share(right[SYNTHETIC], len(kinds[SYNTHETIC])),
        "specificity": _share(right[REAL], len(kinds[REAL])),
        "median_seconds": median(reading.times) / 1000,
        "fooled_by": fooled_by,
        "called_synthetic": called_synthetic,
        "file": f"score-{reading.file.stem}.json",
        "sheet": f"sheet-{reading.file.stem}.png" if fooled_by or called_synthetic else None,
        "limit": ONE_READER.format(reading.reader or "this reader"),
    }


def _share(count: int, n: int) -> dict[str, Any]:
    interval = binomtest(count, n).proportion_ci(method="exact")
    return {"value": count / n, "interval": [float(interval.low), float(interval.high)], "n": n}


def _agreement(one: Reading, other: Reading) -> dict[str, Any]:
    """How far two readers of one study agree, chance apart."""
    answers = list(one.answers.values()), list(other.answers.values())
    kappa = (
        float(cohen_kappa_score(*answers, labels=[REAL, SYNTHETIC]))
        if len(set(answers[0] + answers[1])) > 1
        else None
    )
    return {
        "readers": [one.file.name, other.file.name],
        "n": len(one.answers),
        "agreement": float(np.mean([a == b for a, b in zip(*answers)])),
        "kappa": kappa,
    }


def _write_sheet(workspace: Workspace, reading: Reading, score: dict[str, Any]) -> None:
    """The misjudged images: synthetic ones taken for real, and reals called synthetic."""
    kinds = (
        ("synthetic, called real", score["fooled_by"]),
        ("real, called synthetic", score["called_synthetic"]),
    )
    groups = [
        (f"{heading} ({len(names)})", pixels(workspace, names, reading.key["image_size"]))
        for heading, names in kinds
        if names
    ]
    image_sheet(groups, reading.run.folder / score["sheet"], columns=6)
