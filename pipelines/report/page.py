"""The report of a comparison: one self-contained HTML page, made from what lies in the study's folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines.figures.comparison_figures import (
    comparison,
    learning_curve,
    ratio_curve,
    sensitivity_specificity,
)
from pipelines.report.checklist import MARKS, checklist
from pipelines.report.contents import Study, read_study
from pipelines.report.embedding import picture
from pipelines.report.formats import FILTERS, part
from pipelines.report.references import REFERENCES
from pipelines.report.sections import (
    audit_section,
    configurations,
    data_section,
    generators,
    hashes,
    score_section,
    sheets,
    single_classifiers,
)
from pipelines.report.shell_commands import commands
from pipelines.results.comparison_summary import (
    headline_result,
    headline_results,
    headline_worth,
    kind_of,
    results_at,
    settings,
)
from pipelines.study.workspace import Workspace
from runtime.files import write_text
from runtime.run import Run

TEMPLATES = Path(__file__).parent / "templates"
CONTENTS = {
    "comparison": "Accuracy of every arm",
    "learning": "More or fewer images",
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
    """Write report.html and its figures into the folder of a comparison; returns the page's path.

    Needs the comparison's summary.json and results.csv and the study's images; what else is absent is said to be.
    Raises FileNotFoundError or ValueError that names the file when one of those it needs is missing or damaged.
    """
    study = read_study(workspace, run)
    summary, found = study.summary, checklist(study)
    tally = Counter(item.answer.mark for item in found)
    used = {item.source for item in found}
    page = (
        _environment()
        .get_template("report.html")
        .render(
            run=run.name,
            summary=summary,
            answer=_answer(summary),
            headline=headline_result(summary),
            results=headline_results(summary),
            setting=_setting(
                summary, summary["headline"]["fraction"], summary["headline"]["ratio"]
            ),
            blocks=_blocks(summary),
            classifiers=study.classifiers,
            pictures=_figures(study),
            worth_drawn=bool(headline_worth(summary)),
            contents=CONTENTS,
            phantom=sum(row.source == "phantom" for row in study.rows),
            images=len(study.own),
            changed=study.fingerprint != summary["data_fingerprint"],
            sets=study.sets,
            score=score_section(study.score),
            other_score=study.other_score,
            sheets=sheets(study),
            audit=audit_section(study),
            singles=single_classifiers(study),
            generators=generators(study),
            data=data_section(study),
            checklist=found,
            tally={mark: tally[mark] for mark in MARKS},
            marks=MARKS,
            references={name: title for name, title in REFERENCES.items() if name in used},
            commands=commands(study),
            hashes=hashes(study),
            configurations=configurations(study),
        )
    )
    path = run.folder / "report.html"
    write_text(path, page)
    return path


def _answer(summary: dict[str, Any]) -> str:
    """The answer in a sentence, without the warnings that stand below it."""
    text = summary["sentence"]
    for warning in summary["warnings"]:
        text = text.replace(f" Beware: {warning}.", "")
    return text


def _figures(study: Study) -> dict[str, Any]:
    """The comparison's figures, drawn now; None for one that there is nothing to draw of."""
    drawn = {
        comparison: True,
        sensitivity_specificity: True,
        learning_curve: len(study.summary["fractions"]) > 1,
        ratio_curve: len(study.summary["ratios"]) > 1,
    }
    for draw, wanted in drawn.items():
        if wanted:
            draw(study.summary, study.run.folder / f"{draw.__name__}.png")
    return {
        draw.__name__: picture(study.run.folder / f"{draw.__name__}.png") if wanted else None
        for draw, wanted in drawn.items()
    }


def _blocks(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of every fraction and ratio, each block under its title."""
    return [
        {
            "title": _setting(summary, fraction, ratio),
            "results": results_at(summary, fraction, ratio),
        }
        for fraction, ratio in settings(summary)
    ]


def _setting(summary: dict[str, Any], fraction: float, ratio: float | None) -> str:
    real = results_at(summary, fraction, ratio)[0]
    share = "All real images" if fraction == 1 else f"{part(fraction)} of the real images"
    text = f"{share}, {real['real_images']} of {real['real_patients']} patients"
    added = max(one["synthetic_images"] for one in results_at(summary, fraction, ratio))
    return text + (
        f"; {added} synthetic ones{'' if ratio is None else f', {ratio:g} per real one'}"
        if added
        else ""
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {form.__name__: form for form in (*FILTERS, kind_of)}
    return environment
