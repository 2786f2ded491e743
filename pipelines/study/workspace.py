"""One folder per study: where every command finds what the one before it left.

data/manifest.csv  data/images/LABEL/ID.png  data/import.json  data/arrays/  data/features/
runs/0001-gan-train/  runs/0002-synthesize/  …
replicates/           the same, of the further generators and synthetic sets that comparisons make for themselves
.lock                 in any of these folders: held by the process that writes in it
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from pipelines.study.manifest import Row, read_manifest, write_manifest
from runtime.files import Record, configuration, read_json
from runtime.lock import hold
from runtime.run import Run, create_run, list_runs

Config = TypeVar("Config")

SHELVES = ("runs/", "replicates/")

MADE_BY = {
    "gan-train": "cxr gan-train",
    "synthesize": "cxr synthesize --n 2000",
    "classify-train": "cxr classify-train",
    "audit": "cxr audit",
    "score": "cxr score",
    "compare": "cxr compare",
}


@dataclass(frozen=True)
class Workspace:
    """A study's folder and the names of what is in it, as one command sees it; `shelf` is the folder of its runs."""

    root: Path
    shelf: str = "runs"
    locks: dict[Path, FileLock] = field(
        default_factory=dict, compare=False, repr=False
    )  # of the runs that the command is at work on
    seen: list[Row] = field(default_factory=list, compare=False, repr=False)

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
        return self.root / self.shelf

    @property
    def replicates(self) -> Workspace:
        """The same study with another shelf, so that what a comparison makes is not the newest of its kind for other commands."""
        return replace(self, shelf="replicates")

    def name_of(self, run: Run) -> str:
        """How a run is called in this study: its folder's name, or on another shelf the shelf's before it."""
        return (
            run.name if run.folder.parent == self.runs else f"{run.folder.parent.name}/{run.name}"
        )

    def folder_of(self, name: str) -> Path:
        """The folder of a run by what `name_of` says, whether it is there or not."""
        return self.root / name if "/" in name else self.runs / name

    def check_links(self) -> None:
        """Raise ValueError when a place that commands write into is a link that leads out of the study: then nothing outside of it is ever written."""
        shelves = [self.root / shelf.rstrip("/") for shelf in SHELVES]
        places = [self.data, *shelves, self.data / ".incoming" / "journal.jsonl"]
        for folder in (self.data, self.data / "images", *shelves):
            places += folder.iterdir() if folder.is_dir() else []
        self._refuse_links(places)

    def _refuse_links(self, places: Iterable[Path]) -> None:
        root = Path(os.path.realpath(self.root))
        for place in places:
            if place.is_symlink() and not Path(os.path.realpath(place)).is_relative_to(root):
                raise ValueError(
                    f"{place} is a link that leads out of the study, to {os.path.realpath(place)}; copy what is there into its place, or put the whole study there with -C DIR"
                )

    def rows(self) -> list[Row]:
        """The study's images as they were when first asked for, whatever is imported meanwhile. Raises FileNotFoundError that says how to get some."""
        if not self.manifest_path.exists():
            raise FileNotFoundError(
                f"{self.root.resolve()} holds no data yet; import some with: cxr data import PATH... (or draw some: cxr data phantom)"
            )
        if not self.seen:
            self.seen.extend(read_manifest(self.manifest_path))
        return list(self.seen)

    def write_rows(self, rows: Sequence[Row]) -> None:
        """Replace the manifest."""
        write_manifest(self.manifest_path, rows)
        self.seen[:] = rows

    def imports(self) -> list[Record]:
        """What import.json says of each import, none where it is not there. Raises ValueError when it is damaged."""
        path = self.data / "import.json"
        if not path.exists():
            return []
        imports = read_json(path).expect(imports=list)["imports"]
        if not imports or not all(isinstance(one, Record) for one in imports):
            raise ValueError(f"{path} does not list what was imported; it is damaged")
        if (self.data / ".incoming" / "commit.json").exists() and imports[-1].get(
            "images_in_study"
        ) != len(self.rows()):
            imports.pop()  # of an import that was killed right before it replaced the manifest
        return imports

    def create_run(self, command: str, config: dict, *, instead: bool = False) -> Run:
        """A new run, held. instead: of what a killed process left of this command, for commands that cannot be resumed."""
        run = create_run(self.runs, command, config, instead=instead)
        self.locks[run.folder] = run.lock
        return run

    def hold(self, run: Run, *, wait: bool = False) -> None:
        """Keep other processes from a run until `release`, and delete what a killed one left half-written there.

        wait: until no other process has it. Raises ValueError when another process has it.
        """
        if run.folder not in self.locks:
            self.locks[run.folder] = hold(run.folder, wait=wait, deep=True)

    def release(self, *runs: Run) -> None:
        """Let others have these runs, or all that are held."""
        for folder in (
            {run.folder for run in runs} & self.locks.keys() if runs else list(self.locks)
        ):
            self.locks.pop(folder).release()

    def open_run(self, command: str, record: dict[str, Any], resumed: Run | None) -> Run:
        """A new run with this record, or the resumed one if its record is the same, whatever the device.

        Raises ValueError that lists what differs: an option, the study's images, or pretrained weights.
        """
        if resumed is None:
            return self.create_run(command, record)
        saved = resumed.config
        changed = [
            f"{name} {saved.get(name)} → {value}"
            for name, value in record.items()
            if name != "compute" and saved.get(name) != value
        ]
        if changed:
            raise ValueError(
                f"{resumed.name} cannot go on, this has changed since: {', '.join(changed)}; start a new run without --resume"
            )
        self.hold(resumed)
        return resumed

    def find_run(
        self, command: str, name: str | None = None, *, holding: str = "result.json"
    ) -> Run:
        """The run of `command` that is named by its number, folder name or path; without a name the newest that holds a file.

        Raises FileNotFoundError that says which command makes one, ValueError when the name is of another command.
        """
        if name is None:
            usable = [
                run
                for run in list_runs(self.runs)
                if run.command == command and (run.folder / holding).exists()
            ]
            if not usable:
                raise FileNotFoundError(
                    f"{self.root.resolve()} has no finished {command} yet; make one with: {MADE_BY[command]}"
                )
            return usable[-1]
        run = self.named_run(name)
        if run.command != command:
            raise ValueError(f"{run.folder} is a {run.command}, expected a {command}")
        if not (run.folder / holding).exists():
            raise FileNotFoundError(
                f"{run.folder} is not finished (no {holding}); continue it with: cxr {command} --resume {run.name}"
            )
        return run

    def unfinished_run(self, command: str, name: str | None) -> Run:
        """The run that `--resume` means: the one named, or the newest unfinished one of this command."""
        if name is not None:
            run = self.named_run(name)
            if run.command != command:
                raise ValueError(f"{run.folder} is a {run.command}, expected a {command}")
        else:
            unfinished = [
                run for run in list_runs(self.runs) if run.command == command and not run.finished
            ]
            if not unfinished:
                raise FileNotFoundError(
                    f"{self.root.resolve()} has no unfinished {command} to resume; start one with: {MADE_BY[command]}"
                )
            run = unfinished[-1]
        self._refuse_links(run.folder.rglob("*"))
        return run

    def named_run(self, name: str) -> Run:
        """The run, of whatever command, with this number, folder name or path. Raises FileNotFoundError that lists what there is."""
        runs = list_runs(self.runs)
        if name.startswith(SHELVES) and (self.root / name / "config.json").exists():
            return Run(self.root / name)
        for run in runs:
            if name == run.name or Path(name).resolve() == run.folder.resolve():
                return run
        number = re.fullmatch(r"0*(\d+)", name)
        for run in runs:
            if number and int(run.name.split("-")[0]) == int(number.group(1)):
                return run
        raise FileNotFoundError(
            f"no run {name!r} in {self.runs}; there are: {', '.join(run.name for run in runs) or 'none'}"
        )


def resume(
    run: Run, kind: type[Config], given: dict[str, Any], *, may_grow: Collection[str] = ()
) -> Config:
    """The configuration to continue a run with: its own, and of the options given now only a longer duration.

    Raises ValueError that lists every option that differs.
    """
    absent = [field.name for field in fields(kind) if field.name not in run.config]
    if absent:
        raise ValueError(
            f"{run.folder} cannot go on: another version of cxr began it, which knew no {', '.join(absent)}; start a new run without --resume"
        )
    saved = configuration(
        kind,
        {field.name: run.config[field.name] for field in fields(kind)},
        run.folder / "config.json",
    )
    wanted = replace(saved, **given)
    changed = {
        name: (value, asdict(wanted)[name])
        for name, value in asdict(saved).items()
        if asdict(wanted)[name] != value
    }
    refused = [
        f"--{name.replace('_', '-')} {old} → {new}"
        for name, (old, new) in changed.items()
        if name not in may_grow or new < old
    ]
    if refused:
        allowed = f"; only a larger --{' or --'.join(may_grow)} may be given" if may_grow else ""
        raise ValueError(
            f"{run.name} cannot go on with other options ({', '.join(refused)}){allowed}"
        )
    return wanted
