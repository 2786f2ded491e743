"""The commands of a study in a row, what stood before each and what it left; and the same on a disk that fills up."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import TINY_CLASSIFIER, TINY_GAN
from tests.desk import Answer, Desk, going_on
from tests.undisturbed import differences, files, leftovers

COMMANDS: dict[str, tuple[str, ...]] = {
    "data import": ("data", "import", "{films}"),
    "gan-train": ("gan-train", "--steps", "8", *TINY_GAN),
    "synthesize": ("synthesize", "--n", "24"),
    "classify-train": ("classify-train", *TINY_CLASSIFIER),
    "score": ("score",),
    "compare": ("compare", "--seeds", "2", "--arms", "real,real+gan", *TINY_CLASSIFIER),
    "export": ("export",),
    "reader-study": ("reader-study", "--n", "8"),
    "audit": ("audit", "--steps", "3"),
    "report": ("report",),
    "data check": ("data", "check"),
    "data show": ("data", "show"),
    "classify": (
        "classify",
        "{films}/covid",
        "--csv",
        "{study}/answers.csv",
        "--explain",
        "{study}/explained",
    ),
}
FILMS = 12  # brought by the import, mirrored images of the study
ROOM, PAGE = (
    64 * 2**20,
    4096,
)  # bytes of a disk that is large enough, and of what it gives out at a time


@dataclass(frozen=True)
class Leg:
    """One command of the course: how it is given, and a copy of the study before it and after it."""

    name: str
    before: Path
    after: Path
    films: Path

    def arguments(self, study: Path) -> list[str]:
        return [word.format(films=self.films, study=study) for word in COMMANDS[self.name]]

    @property
    def needs(self) -> int:
        """Bytes that the command adds to a disk."""
        return occupied(self.after) - occupied(self.before)


def run_course(
    desk: Desk, study: Path, folder: Path, commands: tuple[str, ...] = tuple(COMMANDS)
) -> dict[str, Leg]:
    """Run the commands one after the other on a copy of a study of phantoms, with all the room in the world."""
    films, course = folder / "films", folder / "course"
    for row in sorted((study / "data" / "images").rglob("*.png"))[:: 64 // FILMS][:FILMS]:
        (films / row.parent.name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.fliplr(np.asarray(Image.open(row))).copy()).save(
            films / row.parent.name / row.name
        )
    legs, before = {}, Path(shutil.copytree(study, course))
    before = Path(shutil.copytree(course, folder / "before"))
    for number, name in enumerate(commands):
        after = folder / f"{number:02d} after {name}"
        leg = Leg(name, before, after, films)
        answer = desk.cxr(*leg.arguments(course), folder=course)
        assert answer.code == 0, f"{name}: {answer.errors}"
        shutil.copytree(course, after, copy_function=os.link)
        legs[name], before = leg, after
    return legs


def fill_up(desk: Desk, leg: Leg, place: Path, share: float) -> Answer:
    """Run a command where there is room for `share` of what it needs, or where nothing can be mounted, with a limit on the size of files.

    When it fails, it must say so in one line, and have left what was there as it was, or as it would be in the end. Raises AssertionError otherwise.
    """
    place.mkdir()
    if desk.has_disks:
        desk.mount(place, f"size={ROOM}")
    study, seen = place / "study", desk.seen(place) / "study"
    shutil.copytree(leg.before, seen)
    before, after, largest = raw(leg.before), raw(leg.after), None
    if desk.has_disks:
        desk.mount(place, f"size={ROOM - desk.room(place) + int(share * leg.needs) // PAGE * PAGE}")
    else:
        largest = int(
            share
            * max(len(content) for name, content in after.items() if before.get(name) != content)
        )
    answer = desk.cxr(*leg.arguments(study), folder=study, largest=largest)
    if answer.code:
        why = "the disk is full" if desk.has_disks else "no file may be so large here"
        assert answer.line.startswith(f"cxr: {why} ({study}/"), answer.line
        left = raw(seen)
        lost = [
            name
            for name, content in before.items()
            if left.get(name) not in (content, after.get(name))
        ]
        assert not lost, f"changed by a failure: {lost}"
        assert not leftovers(seen), f"left half-written: {leftovers(seen)}"
    return answer


def go_on(desk: Desk, leg: Leg, place: Path, answer: Answer) -> None:
    """Give a command room and go on with it where it has failed; the study must be that of an undisturbed one then. Raises AssertionError otherwise."""
    study, seen = place / "study", desk.seen(place) / "study"
    if answer.code:
        if desk.has_disks:
            desk.mount(place, f"size={ROOM}")
        again = desk.cxr(*(going_on(seen, leg.arguments(study)) or ()), folder=study)
        assert again.code == 0, f"cannot go on: {again.errors}"
    assert not differences(seen, leg.after), f"not as undisturbed: {differences(seen, leg.after)}"
    assert not leftovers(seen), f"left: {leftovers(seen)}"


def occupied(folder: Path) -> int:
    """Bytes that a study takes on a disk."""
    return sum(-(-len(content) // PAGE) * PAGE for content in raw(folder).values())


def raw(folder: Path) -> dict[str, bytes]:
    """The bytes of every file of a study, but for the empty ones that are locked."""
    return {name: path.read_bytes() for name, path in files(folder).items() if path.is_file()}
