"""The page of a preregistered study: its answer first, then every comparison behind it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.figures.study_figure import draw_study
from pipelines.metrics.names import MEASURE_TITLES
from pipelines.report.embedding import Picture, embed_picture
from pipelines.report.page import page_environment
from pipelines.results.study_result import (
    StudyComparison,
    StudyContrast,
    StudyResult,
    flatten_plan,
)
from pipelines.study.view_names import VIEW_TITLES
from pipelines.study.workspace import Workspace
from runtime.files import write_text
from runtime.run import Run

STUDY_PAGE = "study.html"


@dataclass(frozen=True)
class Section:
    """What the page shows of one view and architecture.

    Attributes:
        main: The question's arm against its reference, a contrast for each fraction.
        others: All other contrasts.
    """

    view: str
    arch: str
    main: list[StudyContrast]
    others: list[StudyContrast]
    comparisons: list[StudyComparison]
    picture: Picture | None


def write_study_page(workspace: Workspace, run: Run, result: StudyResult) -> Path:
    """Write study.html and its figures into a study's folder; return the page's path."""
    rows = workspace.all_rows()
    page = page_environment().get_template("study.html")
    path = run.folder / STUDY_PAGE
    text = page.render(
        run=run.name,
        result=result,
        question=result.question,
        title=MEASURE_TITLES[result.measure],
        views=VIEW_TITLES,
        asked=result.asked(),
        classifiers=sum(own.classifiers for own in result.comparisons),
        sections=_sections(run, result),
        phantoms=sum(row.source == "phantom" for row in rows),
        images=len(rows),
        plan=list(flatten_plan(run.config["plan"])),
    )
    write_text(path, text)
    return path


def _sections(run: Run, result: StudyResult) -> list[Section]:
    conditions = dict.fromkeys((own.view, own.arch) for own in result.comparisons)
    return [_section(run, result, view, arch) for view, arch in conditions]


def _section(run: Run, result: StudyResult, view: str, arch: str) -> Section:
    question = result.question
    contrasts = [own for own in result.contrasts if (own.view, own.arch) == (view, arch)]
    main = [
        own
        for own in contrasts
        if own.arm == question.arm and question.reference in (own.reference, *own.roles)
    ]
    path = run.folder / f"{view}-{arch}.png"
    draw_study(main, question.points, f"{question.arm}, {arch}", path)
    return Section(
        view=view,
        arch=arch,
        main=main,
        others=[own for own in contrasts if own not in main],
        comparisons=[own for own in result.comparisons if (own.view, own.arch) == (view, arch)],
        picture=embed_picture(path),
    )
