"""The page of a reproduction: a paper's table beside ours, and why they differ."""

from __future__ import annotations

from pathlib import Path

from pipelines.figures.reproduction_figure import draw_ladder
from pipelines.metrics.names import MEASURE_TITLES
from pipelines.report.embedding import embed_picture
from pipelines.report.page import page_environment
from pipelines.report.sections import draw_label_sheet
from pipelines.results.reproduction_result import ReproductionResult
from pipelines.study.labels import list_classes
from pipelines.study.workspace import Workspace
from runtime.estimate import Estimate
from runtime.files import write_text
from runtime.run import Run

REPRODUCTION_PAGE = "reproduce.html"
LADDER_PICTURE = "ladder.png"


def write_reproduction_page(workspace: Workspace, run: Run, result: ReproductionResult) -> Path:
    """Write reproduce.html and its figures into the folder of a reproduction; return its path."""
    rows = workspace.rows()
    picture = run.folder / LADDER_PICTURE
    draw_ladder(result, picture)
    sets = {"synthetic": result.synthetic}
    sheets = [
        draw_label_sheet(workspace, rows, label, sets, result.image_size, run.folder)
        for label in list_classes(rows)
    ]
    page = page_environment().get_template(REPRODUCTION_PAGE)
    path = run.folder / REPRODUCTION_PAGE
    text = page.render(
        run=run.name,
        result=result,
        claim=result.rows[0],
        fair=next(rung for rung in reversed(result.ladder) if rung.name == "all-runs"),
        titles=MEASURE_TITLES,
        ladder=embed_picture(picture),
        sheets=[sheet for sheet in sheets if sheet],
        is_estimate=lambda measure: isinstance(measure, Estimate),
        phantoms=sum(row.source == "phantom" for row in rows),
        images=len(rows),
    )
    write_text(path, text)
    return path
