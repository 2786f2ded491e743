"""All that a report page is made of, read once from the files of a study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.results.comparison_summary import read_rows
from pipelines.study.manifest import EXTERNAL, Row, study_fingerprint
from pipelines.study.workspace import Workspace
from runtime.files import read_json
from runtime.run import Run, list_runs


@dataclass(frozen=True)
class Found:
    """What a run left in one JSON file, and the run."""

    run: Run
    says: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Study:
    """A comparison, and what else its study has; None or empty where there is no such thing."""

    workspace: Workspace
    run: Run  # the comparison
    summary: dict[str, Any]  # its summary.json
    classifiers: list[dict[str, Any]]  # its results.csv, one row per trained classifier
    rows: list[Row]  # of the manifest
    fingerprint: str  # of the data as they are now
    imports: list[dict[str, Any]]  # of data/import.json
    check: dict[str, Any] | None  # data/check.json
    score: Found | None  # the newest score of a synthetic set of the comparison
    other_score: Found | None  # the newest score of all, where that is of another set
    audit: Found | None  # the newest shortcut audit
    comparisons: list[str]  # names of all comparisons with these data, this one among them
    singles: list[Run]  # finished runs of classify-train

    @property
    def own(self) -> list[Row]:
        """The images outside of an external test set."""
        return [row for row in self.rows if row.split != EXTERNAL]

    @property
    def given_set(self) -> str | None:
        """The synthetic set that the comparison was given; where it needed more images it made a larger set of the same ones, in replicates/."""
        return self.run.config.get("synthetic") or self.summary["synthetic"]

    @property
    def sets(self) -> list[str]:
        """The synthetic set that the comparison was given, and all that it used."""
        return _sets(self.run, self.summary)

    def config_of(self, name: str) -> dict[str, Any] | None:
        """What a run was asked for; None when its folder is gone."""
        path = self.workspace.folder_of(name) / "config.json"
        return read_json(path) if path.exists() else None


def read_study(workspace: Workspace, run: Run) -> Study:
    """Read what there is. Raises FileNotFoundError or ValueError that names the file when one it needs is missing or damaged."""
    summary = read_json(run.folder / "summary.json")
    if "results" not in summary:
        raise ValueError(
            f"{run.folder / 'summary.json'} is of an earlier version of cxr; make the comparison anew with: cxr compare"
        )
    rows = workspace.rows()
    runs = list_runs(workspace.runs)
    scores = list(_holding(runs, "score", "score.json"))
    of_sets = [found for found in scores if found.says["synthetic"] in _sets(run, summary)]
    audits = list(_holding(runs, "audit", "audit.json"))
    same = [
        found.run.name
        for found in _holding(runs, "compare", "summary.json")
        if found.says["data_fingerprint"] == summary["data_fingerprint"]
    ]
    check = workspace.data / "check.json"
    return Study(
        workspace=workspace,
        run=run,
        summary=summary,
        classifiers=read_rows(run.folder / "results.csv"),
        rows=rows,
        fingerprint=study_fingerprint(rows),
        imports=workspace.imports(),
        check=read_json(check) if check.exists() else None,
        score=of_sets[-1] if of_sets else None,
        other_score=scores[-1] if scores and not of_sets else None,
        audit=audits[-1] if audits else None,
        comparisons=same,
        singles=[one for one in runs if one.command == "classify-train" and one.finished],
    )


def _sets(run: Run, summary: dict[str, Any]) -> list[str]:
    names = [
        run.config.get("synthetic"),
        summary["synthetic"],
        *(one["run"] for one in summary["synthetic_sets"]),
    ]
    return [name for name in dict.fromkeys(names) if name]


def _holding(runs: Sequence[Run], command: str, name: str) -> Iterator[Found]:
    """What runs of a command left under this name, oldest first."""
    for run in runs:
        path: Path = run.folder / name
        if run.command == command and path.exists():
            yield Found(run, read_json(path))
