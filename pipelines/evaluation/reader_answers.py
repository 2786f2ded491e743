"""A reader's answers, from the file that the page of a reader study saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.evaluation.reader_study import READER_STUDY
from pipelines.results.reader_results import (
    READER_KEY_FILE,
    REAL_ANSWER,
    SYNTHETIC_ANSWER,
    ReaderKey,
    find_key,
)
from pipelines.study.workspace import Workspace
from runtime.files import Record, read_json
from runtime.run import Run, list_runs

MAX_ANSWER_MS = 24 * 60 * 60 * 1000  # that one image may have taken
MAX_READER_NAME = 80  # characters


@dataclass(frozen=True)
class Reading:
    """One reader's answers to all images of a study.

    Attributes:
        file: Of the answers.
        run: That made the study.
        key: What the right answers are.
        reader: The name or code that the reader gave, perhaps none.
        answers: By image id, in the order of the page.
        times: In ms, in the same order.
    """

    file: Path
    run: Run
    key: ReaderKey
    reader: str
    answers: dict[str, str]
    times: list[int]


def read_answers(workspace: Workspace, file: Path) -> Reading:
    """Read a file of answers, and find the study it belongs to.

    Raises ValueError that says what is wrong: an unknown study, an altered key, images judged
    twice, not at all or not of the study, answers other than real and synthetic, times that cannot
    be.
    """
    if not file.name.isprintable():
        raise ValueError(
            f"{file} has a name that cannot be printed; rename it, its score takes its name"
        )
    values = read_json(file).expect(study=str, reader=str, answers=list)
    run, key = _find_study(workspace, values["study"], file)
    reader = values["reader"]
    if not reader.isprintable() or len(reader) > MAX_READER_NAME:
        raise ValueError(
            f"{file}: reader is {reader!r:.80}, expected a name or a code of at most "
            f"{MAX_READER_NAME} characters"
        )
    given = _check_answers(file, values["answers"])
    _check_complete(file, given, run, key)
    ids = [image.image for image in key.images]
    return Reading(
        file=file,
        run=run,
        key=key,
        reader=reader,
        answers={image: given[image]["answer"] for image in ids},
        times=[given[image]["ms"] for image in ids],
    )


def _find_study(workspace: Workspace, study: str, file: Path) -> tuple[Run, ReaderKey]:
    """Find the newest run that made a study, and read its key."""
    runs = [
        run
        for run in list_runs(workspace.runs)
        if run.command == READER_STUDY and (run.folder / READER_KEY_FILE).exists()
    ]
    for run in reversed(runs):
        if key := find_key(run.folder, study):
            return run, key
    raise ValueError(
        f"{file} is of study {study[:8]!r}, and none of the {len(runs)} reader studies in "
        f"{workspace.root.resolve()} is that; give the folder it was made in with -C DIR"
    )


def _check_answers(file: Path, answers: list[Any]) -> dict[str, Record]:
    """Return the answers by image, each of them one that can be."""
    given: dict[str, Record] = {}
    for number, answer in enumerate(answers, start=1):
        if not isinstance(answer, Record):
            raise ValueError(
                f"{file}: answer {number} is {answer!r:.80}, expected image, answer and ms; the "
                "file is damaged"
            )
        image = answer.expect(image=str, answer=str, ms=int)["image"]
        if image in given:
            raise ValueError(f"{file}: image {image:.40} is judged twice; the file was altered")
        if (
            answer["answer"] not in (REAL_ANSWER, SYNTHETIC_ANSWER)
            or not 0 <= answer["ms"] <= MAX_ANSWER_MS
        ):
            raise ValueError(
                f"{file}: image {image:.40} has answer {answer['answer']!r:.40} after "
                f"{answer['ms']!r:.20} ms, expected {REAL_ANSWER} or {SYNTHETIC_ANSWER}, and 0 to "
                f"{MAX_ANSWER_MS} ms"
            )
        given[image] = answer
    return given


def _check_complete(file: Path, given: Mapping[str, Record], run: Run, key: ReaderKey) -> None:
    """Raise ValueError unless every image of the study, and no other, has an answer."""
    foreign = sorted(set(given) - {image.image for image in key.images})
    if foreign:
        raise ValueError(
            f"{file}: image {foreign[0]:.40} is not one of {run.name}; the file was altered"
        )
    if len(given) < len(key.images):
        raise ValueError(
            f"{file} is incomplete: {len(given)} of {len(key.images)} images judged; open the page "
            "again where it was read, it goes on where it was left"
        )
