"""The report of a comparison: one self-contained HTML page, made from the study's files."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines.metrics.names import MEASURE_TITLES, SCORE_FORMATS
from pipelines.report.answers import MARK_NAMES
from pipelines.report.checklist import checklist
from pipelines.report.comparison_section import (
    answer_without_warnings,
    blocks,
    draw_pictures,
    measure_order,
    primary_block,
    why_no_worth,
)
from pipelines.report.contents import Study, read_study
from pipelines.report.formats import FILTERS
from pipelines.report.provenance import configurations, hashes
from pipelines.report.references import REFERENCES
from pipelines.report.score_section import SIDE_BY_SIDE, score_section, scores_of_sets
from pipelines.report.sections import (
    audit_section,
    data_section,
    foreign_set_sections,
    generator_sections,
    image_sheets,
    single_classifiers,
)
from pipelines.report.shell_commands import commands
from pipelines.results.arm_result import arm_kind
from pipelines.study.view_names import VIEW_TITLES
from pipelines.study.workspace import Workspace
from runtime.files import write_text
from runtime.run import Run

TEMPLATES = Path(__file__).parent / "templates"
CONTENTS = {
    "comparison": "Every arm, and how they differ",
    "learning": "What synthetic images are worth in patients",
    "score": "How close the synthetic images are to real ones",
    "images": "Real beside synthetic",
    "checks": "Copies, labels and fingerprints",
    "audit": "What is left without the lungs",
    "classifiers": "Single classifiers, closer up",
    "generator": "The generator",
    "data": "The data",
    "checklist": "Checklist of pitfalls",
    "limits": "What it cannot say",
    "again": "How to make it again",
}


def write_report(workspace: Workspace, run: Run) -> Path:
    """Write report.html and its figures into the folder of a comparison; return the page's path.

    Needs the comparison's summary.json and results.csv and the study's images; what else is absent
    is said to be. Raises FileNotFoundError or ValueError that names the file when one of those it
    needs is missing or damaged.
    """
    study = read_study(workspace, run)
    template = page_environment().get_template("report.html")
    path = run.folder / "report.html"
    write_text(path, template.render(_overview(study) | _sections(study) | _appendix(study)))
    return path


def _overview(study: Study) -> dict[str, object]:
    """Collect what the top of the page shows: the answer, and what must be known beforehand."""
    summary = study.summary
    return {
        "run": study.run.name,
        "contents": CONTENTS,
        "summary": summary,
        "seen": VIEW_TITLES[summary.view],
        "answer": answer_without_warnings(summary),
        "main": summary.primary_result(),
        "primary": summary.primary_difference(),
        "titles": MEASURE_TITLES,
        "measures": measure_order(summary),
        "phantoms": sum(row.source == "phantom" for row in study.rows),
        "images": len(study.own),
        "has_changed": study.fingerprint != summary.data_fingerprint,
        "left_out": study.left_out,
        "reproduction": study.reproduction,
    }


def _sections(study: Study) -> dict[str, object]:
    """Collect what the sections show, and draw their figures."""
    return {
        "primary_differences": study.summary.primary_differences(),
        "primary_block": primary_block(study.summary),
        "blocks": blocks(study.summary),
        "classifiers": study.classifiers,
        "pictures": draw_pictures(study),
        "no_worth": why_no_worth(study.summary),
        "sets": study.sets,
        "shown_sets": list(study.shown_sets.values()),
        "score": score_section(study.score),
        "set_scores": scores_of_sets(study),
        "side_by_side": {name: SCORE_FORMATS[name].label for name in SIDE_BY_SIDE},
        "other_score": study.other_score,
        "sheets": image_sheets(study),
        "audit": audit_section(study),
        "singles": single_classifiers(study),
        "generators": generator_sections(study),
        "foreign_sets": foreign_set_sections(study),
        "data": data_section(study),
    }


def _appendix(study: Study) -> dict[str, object]:
    """Collect the checklist with its sources, and how to make the study again."""
    items = checklist(study)
    tally = Counter(item.answer.mark for item in items)
    sources = {item.source for item in items}
    return {
        "checklist": items,
        "tally": {mark: tally[mark] for mark in MARK_NAMES},
        "marks": MARK_NAMES,
        "references": {name: title for name, title in REFERENCES.items() if name in sources},
        "commands": commands(study),
        "hashes": hashes(study),
        "configurations": configurations(study),
    }


@cache
def page_environment() -> Environment:
    """Return what every page's template is filled with: the filters, and no value left open."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {form.__name__: form for form in (*FILTERS, arm_kind)}
    return environment
