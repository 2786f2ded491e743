"""The commands of a study, run one after the other, with the study before and after each."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.command_server import CommandResult, CommandServer

IN_FP32 = ("--device", "cpu", "--precision", "fp32")  # the same numbers on every machine
TINY_GAN = [
    *("--image-size", "32", "--width", "4", "--batch-size", "8", "--sample-every", "4"),
    *IN_FP32,
]
TINY_CLASSIFIER = ["--steps", "6", "--batch-size", "8", "--evaluate-every", "3", *IN_FP32]
NUM_FILMS = 12
STUDY_COMMANDS: dict[str, tuple[str, ...]] = {
    "data import": ("data", "import", "{films}"),
    "gan-train": ("gan-train", "--steps", "8", *TINY_GAN),
    "synthesize": ("synthesize", "--n", "70", "--reject-copies"),
    "classify-train": (
        *("classify-train", "--with-synthetic", "--augment", "yes"),
        *TINY_CLASSIFIER,
    ),
    "score": ("score",),
    "compare": ("compare", "--seeds", "2", "--arms", "real,real+gan", *TINY_CLASSIFIER),
    "export": ("export",),
    "reader-study": ("reader-study", "--n", "8"),
    "audit": ("audit", "--steps", "3", *IN_FP32),
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


@dataclass(frozen=True)
class CommandStep:
    """One command of a study, copies of the study before and after it, and how it ran."""

    words: tuple[str, ...]  # {study} and {films} stand for folders
    before: Path
    after: Path
    films: Path  # images to import, mirrored ones of the study
    undisturbed: CommandResult

    def arguments(self, study: Path) -> list[str]:
        """Return the command as it is given for a study at this place."""
        return fill_in(self.words, study=study, films=self.films)


def fill_in(words: tuple[str, ...], **folders: Path) -> list[str]:
    """Put folders into the words of a command."""
    return [word.format(**folders) for word in words]


def run_steps(
    command_server: CommandServer,
    study: Path,
    folder: Path,
    commands: Mapping[str, tuple[str, ...]] = STUDY_COMMANDS,
) -> dict[str, CommandStep]:
    """Run the commands one after the other on a copy of a study with images, undisturbed."""
    films = folder / "films"
    _write_mirrored_films(study, films)
    working_copy = Path(shutil.copytree(study, folder / "study"))
    before = Path(shutil.copytree(study, folder / "before"))
    steps = {}
    for number, (name, words) in enumerate(commands.items()):
        arguments = fill_in(words, study=working_copy, films=films)
        result = command_server.run(*arguments, folder=working_copy)
        assert result.returncode == 0, f"{name}: {result.stderr}"
        after = Path(shutil.copytree(working_copy, folder / f"{number:02d} after {name}"))
        steps[name] = CommandStep(words, before, after, films, result)
        before = after
    return steps


def _write_mirrored_films(study: Path, films: Path) -> None:
    images = sorted((study / "data" / "images").rglob("*.png"))
    for path in images[:: len(images) // NUM_FILMS][:NUM_FILMS]:
        film = films / path.parent.name / path.name
        film.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.fliplr(np.asarray(Image.open(path))).copy()).save(film)
