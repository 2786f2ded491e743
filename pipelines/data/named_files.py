"""The files that a table means by the names it gives."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from pipelines.data.folder_names import is_drawn
from pipelines.study.image_io import IMAGE_SUFFIXES

SEARCHED_LEVELS = 3  # of folders below a table's


class NamedFiles:
    """The image files of a folder, by the names that tables give them.

    A name is that of a file as it stands; or in another case or form of Unicode; or with `\\`
    between folders; or without its suffix; or, where it has no folder, of a file in a subfolder.
    In all these only where one file fits.

    Attributes:
        doubtful: Names that fit several files, of those that were looked for.
    """

    def __init__(self, folder: Path) -> None:
        self.doubtful: list[str] = []
        self._folder = folder
        self._by_folder: dict[Path, _Names] = {}
        self._below: _Names | None = None

    def find(self, name: str) -> Path | None:
        """Return the file that is meant; None where there is none, or where several fit."""
        for text in dict.fromkeys((name, name.replace("\\", "/"))):
            path = self._folder / PurePosixPath(text)
            if os.path.isfile(path):  # which is False for a name that no file can have
                return path
            fitting = self._names_in(path.parent).fitting(path.name)
            if not fitting and len(PurePosixPath(text).parts) == 1:
                fitting = self._names_below().fitting(path.name)
            if len(fitting) == 1:
                return fitting[0]
            if fitting:
                self.doubtful.append(name)
                return None
        return None

    def _names_in(self, folder: Path) -> _Names:
        if folder not in self._by_folder:
            self._by_folder[folder] = _Names(_files_of(folder))
        return self._by_folder[folder]

    def _names_below(self) -> _Names:
        if self._below is None:
            self._below = _Names(_files_below(self._folder))
        return self._below


class _Names:
    """Files by their names, and by these without suffix."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for file in files:
            self._by_name[_fold(file.name)].append(file)
            if file.suffix.lower() in IMAGE_SUFFIXES:
                self._by_stem[_fold(file.stem)].append(file)

    def fitting(self, name: str) -> list[Path]:
        """Return the files that have this name, or else have it but for a suffix."""
        fitting = list(self._by_name.get(_fold(name), ()))
        if not fitting and PurePosixPath(name).suffix.lower() not in IMAGE_SUFFIXES:
            fitting = list(self._by_stem.get(_fold(name), ()))
        if len(fitting) > 1:
            exact = [file for file in fitting if name in (file.name, file.stem)]
            return exact or fitting
        return fitting


def leads_out(name: str) -> bool:
    """Return whether a name in a table is none, or leads out of the table's folder."""
    windows = PureWindowsPath(name)
    return (
        not name.strip()
        or "\0" in name
        or PurePosixPath(name).is_absolute()
        or bool(windows.root or (windows.drive and ("\\" in name or "/" in name)))
        or ".." in (*PurePosixPath(name).parts, *windows.parts)
    )


def note_doubtful(names: list[str]) -> str:
    """Say of which names in a table it cannot be told which file is meant."""
    return f"{len(names)} names fit several files, and count as absent; first {names[0]}"


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _files_of(folder: Path) -> list[Path]:
    try:
        return [
            Path(entry.path)
            for entry in os.scandir(folder)
            if not entry.name.startswith(".") and entry.is_file()
        ]
    except (OSError, ValueError):  # no folder, or a name that none can have
        return []


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files in the folders below one, save masks; links are followed, not in a circle."""
    seen: set[str] = set()
    for name, children, files in os.walk(folder, followlinks=True):
        real, depth = os.path.realpath(name), len(Path(name).relative_to(folder).parts)
        if real in seen:
            children.clear()
            continue
        seen.add(real)
        children[:] = sorted(
            child for child in children if not child.startswith(".") and not is_drawn(child)
        )
        if depth >= SEARCHED_LEVELS:
            children.clear()
        yield from (Path(name, file) for file in sorted(files) if not file.startswith("."))
