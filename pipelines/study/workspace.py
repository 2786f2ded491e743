"""One folder per study: where every command finds what the one before it left.

data/manifest.csv  data/images/LABEL/ID.png  data/import.json  data/arrays/  data/features/
runs/0001-gan-train/  runs/0002-synthesize/  …
replicates/   the same, of the further generators and synthetic sets that comparisons make
.lock         in any of these folders: held by the process that writes in it
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from pipelines.study.import_log import ImportSummary, read_imports
from pipelines.study.lungs import LungRow, read_lungs, table_path
from pipelines.study.manifest import (
    Row,
    fingerprint,
    read_manifest,
    study_fingerprint,
    write_manifest,
)
from pipelines.study.view_names import VIEWS, WHOLE
from runtime.lock import hold
from runtime.run import Run, create_run, list_runs

RUN_FOLDERS = ("runs", "replicates")

MADE_BY = {
    "gan-train": "cxr gan-train",
    "synthesize": "cxr synthesize --n 2000",
    "classify-train": "cxr classify-train",
    "lungs-train": "cxr lungs-train --masks DIR",
    "audit": "cxr audit",
    "score": "cxr score",
    "compare": "cxr compare",
}


@dataclass(frozen=True)
class Workspace:
    """A study's folder and the names of what is in it, as one command sees it.

    Attributes:
        root: The study's folder.
        runs_folder: The folder in it that this command's runs are in.
        view: What of each image is read, one of VIEWS.
        locks: Those of the runs that the command is at work on, by folder.
        seen: The manifest's rows, once they were asked for.
        found: The rows of `lungs`, once they were asked for.
    """

    root: Path
    runs_folder: str = "runs"
    view: str = WHOLE
    locks: dict[Path, FileLock] = field(default_factory=dict, compare=False, repr=False)
    seen: list[Row] = field(default_factory=list, compare=False, repr=False)
    found: dict[str, LungRow] = field(default_factory=dict, compare=False, repr=False)

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def manifest_path(self) -> Path:
        return self.data / "manifest.csv"

    @property
    def features(self) -> Path:
        return self.data / "features"

    @property
    def runs(self) -> Path:
        return self.root / self.runs_folder

    @property
    def replicates(self) -> Workspace:
        """The same study with its runs in replicates/.

        What a comparison makes there is not the newest of its kind for other commands.
        """
        return replace(self, runs_folder="replicates")

    def name_of(self, run: Run) -> str:
        """Return a run's folder name, with the folder above it where that is another than ours."""
        above = run.folder.parent
        return run.name if above == self.runs else f"{above.name}/{run.name}"

    def folder_of(self, name: str) -> Path:
        """Return the folder of a run by what `name_of` says, whether it is there or not."""
        return self.root / name if "/" in name else self.runs / name

    def check_links(self) -> None:
        """Raise ValueError when a place that commands write into leads out of the study by a link.

        So nothing outside of the study is ever written.
        """
        run_folders = [self.root / name for name in RUN_FOLDERS]
        places = [self.data, *run_folders, self.data / ".incoming" / "journal.jsonl"]
        for folder in (self.data, self.data / "images", *run_folders):
            places += folder.iterdir() if folder.is_dir() else []
        self._refuse_links(places)

    def _refuse_links(self, places: Iterable[Path]) -> None:
        root = Path(os.path.realpath(self.root))
        for place in places:
            if place.is_symlink() and not Path(os.path.realpath(place)).is_relative_to(root):
                raise ValueError(
                    f"{place} is a link that leads out of the study, to "
                    f"{os.path.realpath(place)}; copy what is there into its place, or put the "
                    "whole study there with -C DIR"
                )

    def in_view(self, view: str) -> Workspace:
        """Return the same study as it is read in another view. Raises ValueError on none such."""
        if view not in VIEWS:
            raise ValueError(f"view {view!r}: expected one of {', '.join(VIEWS)}")
        return replace(self, view=view)

    @property
    def lungs(self) -> Mapping[str, LungRow]:
        """Where the lungs of every image are, by file name, as they were when first asked for.

        Raises as `read_lungs` does.
        """
        if not self.found:
            self.found.update(read_lungs(self.data, self.all_rows()))
        return self.found

    @property
    def has_lungs(self) -> bool:
        """Whether the lungs were looked for."""
        return table_path(self.data).exists()

    def rows(self) -> list[Row]:
        """Return the images that the view shows: those whose lungs can be trusted, or all.

        Raises as `all_rows` does, and in a view of the lungs as `lungs` does.
        """
        return self.seen_in_view(self.all_rows())

    def seen_in_view(self, rows: Sequence[Row]) -> list[Row]:
        """Return those of these rows of the study that its view shows."""
        if self.view == WHOLE:
            return list(rows)
        return [row for row in rows if self.lungs[row.file_name].is_usable]

    def all_rows(self) -> list[Row]:
        """Return the study's images as they were when first asked for, whatever comes meanwhile.

        Raises FileNotFoundError that says how to get some.
        """
        if not self.manifest_path.exists():
            raise FileNotFoundError(
                f"{self.root.resolve()} holds no data yet; import some with: cxr data import "
                "PATH... (or draw some: cxr data phantom)"
            )
        if not self.seen:
            self.seen.extend(read_manifest(self.manifest_path))
        return list(self.seen)

    def write_rows(self, rows: Sequence[Row]) -> None:
        """Replace the manifest."""
        write_manifest(self.manifest_path, rows)
        self.seen[:] = rows
        self.found.clear()  # they are of the images before

    def fingerprint(self) -> str:
        """Return one SHA-256 for the images, labels, patients and splits that the view shows.

        In a view of the lungs, for their masks too.
        """
        rows = self.rows()
        if self.view == WHOLE:
            return study_fingerprint(rows)
        return fingerprint([self.view, study_fingerprint(rows), self.fingerprint_of(rows)])

    def fingerprint_of(self, rows: Iterable[Row]) -> str:
        """Return one SHA-256 for the pictures of these rows as the view shows them."""
        return fingerprint(self.identity(row) for row in rows)

    def identity(self, row: Row) -> str:
        """Say which picture a row is in the view: its hash and, where it counts, its mask's."""
        if self.view == WHOLE:
            return row.sha256
        return f"{row.sha256} {self.lungs[row.file_name].mask_sha256}"

    def imports(self) -> list[ImportSummary]:
        """Return what import.json says of each import, none where it is not there.

        Raises ValueError when it is damaged.
        """
        imports = read_imports(self.data / "import.json")
        unfinished = (self.data / ".incoming" / "commit.json").exists()
        if unfinished and imports and imports[-1].images_in_study != len(self.all_rows()):
            imports.pop()  # of an import that was killed right before it replaced the manifest
        return imports

    def tied_patients(self) -> tuple[frozenset[str], ...]:
        """Return the patients that imports found to be one person, by pictures or further numbers.

        The manifest does not show it where the picture that two share came in only once. Raises
        ValueError when import.json is damaged.
        """
        return tuple(
            frozenset(patients) for summary in self.imports() for patients in summary.tied_patients
        )

    def create_run(self, command: str, config: dict[str, Any], *, instead: bool = False) -> Run:
        """Make a new run, held.

        instead: of what a killed process left of this command, when that cannot be resumed.
        """
        run = create_run(self.runs, command, config, instead=instead)
        if run.lock is not None:
            self.locks[run.folder] = run.lock
        return run

    def hold(self, run: Run, *, wait: bool = False) -> None:
        """Keep other processes from a run until `release`; delete what a killed one half wrote.

        wait: until no other process has it. Raises ValueError when another process has it.
        """
        if run.folder not in self.locks:
            self.locks[run.folder] = hold(run.folder, wait=wait, deep=True)

    def release(self, *runs: Run) -> None:
        """Let others have these runs, or all that are held."""
        folders = {run.folder for run in runs} & self.locks.keys() if runs else set(self.locks)
        for folder in folders:
            self.locks.pop(folder).release()

    def find_run(
        self, command: str, name: str | None = None, *, holding: str = "result.json"
    ) -> Run:
        """Find a run of `command` by number, folder name or path, or the newest that holds a file.

        Raises FileNotFoundError that says which command makes one, and ValueError when the name
        is of another command.
        """
        if name is None:
            runs = self._runs_of(command)
            usable = [run for run in runs if (run.folder / holding).exists()]
            if not usable:
                raise FileNotFoundError(
                    f"{self.root.resolve()} has no finished {command} yet; make one with: "
                    f"{MADE_BY[command]}"
                )
            return usable[-1]
        run = self._named_run_of(command, name)
        if not (run.folder / holding).exists():
            raise FileNotFoundError(
                f"{run.folder} is not finished (no {holding}); continue it with: cxr {command} "
                f"--resume {run.name}"
            )
        return run

    def unfinished_run(self, command: str, name: str | None) -> Run:
        """Find the run that `--resume` means: the one named, or the newest unfinished one.

        Raises FileNotFoundError when there is none, and ValueError when the name is of another
        command or something in the run leads out of the study.
        """
        if name is not None:
            run = self._named_run_of(command, name)
        else:
            unfinished = [run for run in self._runs_of(command) if not run.finished]
            if not unfinished:
                raise FileNotFoundError(
                    f"{self.root.resolve()} has no unfinished {command} to resume; start one "
                    f"with: {MADE_BY[command]}"
                )
            run = unfinished[-1]
        self._refuse_links(run.folder.rglob("*"))
        return run

    def named_run(self, name: str) -> Run:
        """Find the run, of whatever command, with this number, folder name or path.

        Raises FileNotFoundError that lists what there is.
        """
        runs = list_runs(self.runs)
        above, _, rest = name.partition("/")
        if rest and above in RUN_FOLDERS and (self.root / name / "config.json").exists():
            return Run(self.root / name)
        for run in runs:
            if name == run.name or Path(name).resolve() == run.folder.resolve():
                return run
        number = re.fullmatch(r"0*(\d+)", name)
        for run in runs:
            if number and int(run.name.split("-")[0]) == int(number.group(1)):
                return run
        raise FileNotFoundError(
            f"no run {name!r} in {self.runs}; there are: "
            f"{', '.join(run.name for run in runs) or 'none'}"
        )

    def _runs_of(self, command: str) -> list[Run]:
        return [run for run in list_runs(self.runs) if run.command == command]

    def _named_run_of(self, command: str, name: str) -> Run:
        run = self.named_run(name)
        if run.command != command:
            raise ValueError(f"{run.folder} is a {run.command}, expected a {command}")
        return run
