"""All that a report page is made of, read once from the files of a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from pipelines.data.check_report import CheckReport
from pipelines.results.audit_result import AUDIT_FILE, AuditResult
from pipelines.results.classifier_result import METRICS_FILE, ClassifierResult
from pipelines.results.comparison_rows import ClassifierRow, read_rows
from pipelines.results.comparison_summary import SUMMARY_FILE, ComparisonSummary
from pipelines.results.score_summary import SCORE_FILE, ScoreSummary, scores_of_test_images
from pipelines.study.import_log import ImportSummary
from pipelines.study.lung_counts import LungCounts, count_lungs
from pipelines.study.manifest import EXTERNAL, Row
from pipelines.study.view_names import WHOLE
from pipelines.study.views import view_of
from pipelines.study.workspace import Workspace
from runtime.files import Record, read_json
from runtime.records import FormatError
from runtime.run import Run, list_runs

Result = TypeVar("Result")


@dataclass(frozen=True)
class RunResult(Generic[Result]):
    """A run, and what it found."""

    run: Run
    result: Result


@dataclass(frozen=True, kw_only=True)
class Study:
    """A comparison, and what else its study has; None or empty where there is no such thing.

    Attributes:
        run, summary, classifiers: The comparison, what it found, and a row per trained classifier.
        rows: Of the manifest, those that the comparison's view shows.
        lungs: What that view leaves out, and whose masks it has; None of whole images.
        fingerprint: Of the data as they are now.
        imports: What data/import.json tells of each import.
        check: What data/check.json tells.
        score: The newest score of a synthetic set of the comparison.
        other_score: The newest score of all, where none is of those sets.
        set_scores: The newest score of each of several sets that the comparison was given, by the
            set's name; empty where there is but one.
        validation_scores, test_scores: Names of the scores that held out validation images, and of
            those that looked at test images.
        audit: The newest shortcut audit.
        comparisons: Names of all comparisons with these data, this one among them.
        reproduction: The name of the newest reproduction of a paper whose fair protocol this is.
        num_singles: How many single classifiers were trained.
        singles: The newest without synthetic images, and the newest with them.
        left_out: What is not on the page since another version of cxr wrote it, in words.
    """

    workspace: Workspace
    run: Run
    summary: ComparisonSummary
    classifiers: list[ClassifierRow]
    rows: list[Row]
    lungs: LungCounts | None
    fingerprint: str
    imports: list[ImportSummary]
    check: CheckReport | None
    score: RunResult[ScoreSummary] | None
    other_score: RunResult[ScoreSummary] | None
    set_scores: dict[str, RunResult[ScoreSummary] | None]
    validation_scores: list[str]
    test_scores: list[str]
    audit: RunResult[AuditResult] | None
    comparisons: list[str]
    reproduction: str | None
    num_singles: int
    singles: list[RunResult[ClassifierResult]]
    left_out: list[str]

    @property
    def own(self) -> list[Row]:
        """The images outside of an external test set."""
        return [row for row in self.rows if row.split != EXTERNAL]

    @property
    def given_set(self) -> str | None:
        """The first synthetic set that the comparison was given.

        Where it needed more images it made a larger set of the same ones, in replicates/.
        """
        return next(iter(_given_sets(self.run)), self.summary.synthetic)

    @property
    def shown_sets(self) -> dict[str, str]:
        """The runs of the sets that the comparison was given, by their names; see `given_set`."""
        return _shown_sets(self.run, self.summary)

    @property
    def sets(self) -> list[str]:
        """The synthetic set that the comparison was given, and all that it used."""
        return _synthetic_sets(self.run, self.summary)

    @property
    def generators(self) -> list[str]:
        """The generators of the comparison, the first one first."""
        names = [self.summary.generator, *(use.run for use in self.summary.generators)]
        return [name for name in dict.fromkeys(names) if name]

    def config_of(self, name: str) -> Record | None:
        """Read what a run was asked for; None when its folder is gone."""
        path = self.workspace.folder_of(name) / "config.json"
        return read_json(path) if path.exists() else None


def read_study(workspace: Workspace, run: Run) -> Study:
    """Read what there is.

    Raises FileNotFoundError or ValueError that names the file when one it needs is missing or
    damaged.
    """
    summary = ComparisonSummary.load(run)
    workspace = workspace.in_view(summary.view)
    rows = workspace.rows()
    runs = [run for run in list_runs(workspace.runs) if view_of(run.config) == summary.view]
    sets, scores = _synthetic_sets(run, summary), _runs_with(runs, "score", SCORE_FILE)
    score, old_scores = _newest(scores, ScoreSummary.load, lambda score: score.synthetic in sets)
    test_scores = [scored.name for scored in scores_of_test_images(runs)]
    other_score, _ = (None, []) if score else _newest(scores, ScoreSummary.load)
    audit, old_audits = _newest(_runs_with(runs, "audit", AUDIT_FILE), AuditResult.load)
    trainings = [
        training for training in runs if training.command == "classify-train" and training.finished
    ]
    singles, old_singles = _newest_singles(trainings)
    check = workspace.data / "check.json"
    return Study(
        workspace=workspace,
        run=run,
        summary=summary,
        classifiers=read_rows(run),
        rows=rows,
        lungs=None if summary.view == WHOLE else count_lungs(workspace),
        fingerprint=workspace.fingerprint(),
        imports=workspace.imports(),
        check=CheckReport.load(check) if check.exists() else None,
        score=score,
        other_score=other_score,
        set_scores=_scores_of_several(_shown_sets(run, summary), scores),
        validation_scores=[own.name for own in scores if own.name not in test_scores],
        test_scores=test_scores,
        audit=audit,
        comparisons=[
            comparison.name
            for comparison in _runs_with(runs, "compare", SUMMARY_FILE)
            if comparison.config.get("data") == summary.data_fingerprint
        ],
        reproduction=next(
            (
                own.name
                for own in reversed(runs)
                if own.command == "reproduce" and own.finished and own.result["compare"] == run.name
            ),
            None,
        ),
        num_singles=len(trainings),
        singles=singles,
        left_out=[
            *(_left_out(old, SCORE_FILE, "cxr score") for old in old_scores),
            *(_left_out(old, AUDIT_FILE, "cxr audit") for old in old_audits),
            *(_left_out(old, METRICS_FILE, "cxr classify-train") for old in old_singles),
        ],
    )


def _synthetic_sets(run: Run, summary: ComparisonSummary) -> list[str]:
    names = [
        *_given_sets(run),
        summary.synthetic,
        *(use.run for use in summary.synthetic_sets),
    ]
    return [name for name in dict.fromkeys(names) if name]


def _shown_sets(run: Run, summary: ComparisonSummary) -> dict[str, str]:
    if summary.sets:
        return {own.name: own.run for own in summary.sets}
    names = _synthetic_sets(run, summary)
    return {"synthetic": names[0]} if names else {}


def _scores_of_several(
    sets: Mapping[str, str], scores: Sequence[Run]
) -> dict[str, RunResult[ScoreSummary] | None]:
    """Load the newest score of each of several sets; nothing of a single one."""
    if len(sets) < 2:
        return {}
    return {
        name: _newest(scores, ScoreSummary.load, partial(_is_of, own))[0]
        for name, own in sets.items()
    }


def _is_of(synthetic: str, score: ScoreSummary) -> bool:
    return score.synthetic == synthetic


def _given_sets(run: Run) -> list[str]:
    """Return the names of the runs in the [NAME=]RUN,… that a comparison was given."""
    text: str = run.config.get("synthetic") or ""
    return [part.rpartition("=")[2] for part in text.split(",") if part]


def _runs_with(runs: Sequence[Run], command: str, file_name: str) -> list[Run]:
    """Return the runs of a command that left a file of this name, oldest first."""
    return [run for run in runs if run.command == command and (run.folder / file_name).exists()]


def _newest(
    runs: Sequence[Run],
    load: Callable[[Run], Result],
    is_wanted: Callable[[Result], bool] = lambda _: True,
) -> tuple[RunResult[Result] | None, list[Run]]:
    """Load the newest wanted result; also return newer runs whose file is of another format."""
    unreadable = []
    for run in reversed(runs):
        try:
            result = load(run)
        except FormatError:
            unreadable.append(run)
            continue
        if is_wanted(result):
            return RunResult(run, result), unreadable
    return None, unreadable


def _newest_singles(
    trainings: Sequence[Run],
) -> tuple[list[RunResult[ClassifierResult]], list[Run]]:
    """Load the newest classifier without synthetic images, and the newest with them."""
    singles, unreadable = [], []
    for has_synthetic in (False, True):
        runs = [run for run in trainings if (run.config["synthetic"] is not None) == has_synthetic]
        single, old = _newest(runs, ClassifierResult.load)
        singles += [single] if single else []
        unreadable += old
    return singles, unreadable


def _left_out(run: Run, file_name: str, remedy: str) -> str:
    return (
        f"{file_name} of {run.name} was written by another version of cxr; "
        f"make it anew with: {remedy}"
    )
