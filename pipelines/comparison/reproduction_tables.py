"""reproduce.csv and ladder.csv: what a reproduction found, a row for each protocol and rung."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.comparison.paper_protocol import REPORTED_ARMS, REPORTED_MEASURES
from pipelines.results.reproduction_result import Found, ReproductionResult, Rung
from pipelines.study.tables import format_table
from runtime.estimate import Estimate

MEASURED = tuple((arm, name) for arm in REPORTED_ARMS for name in REPORTED_MEASURES)
ENDS = ("value", "low", "high")

Cell = str | int | float


def protocols_table(result: ReproductionResult) -> str:
    """Write the paper's figures, those of its protocol here, and the fair one's as CSV."""
    columns = ["protocol", "budget", "test_images", *(f"{arm}_{name}" for arm, name in MEASURED)]
    rows: list[dict[str, Cell]] = []
    for own in result.rows:
        row: dict[str, Cell] = {
            "protocol": own.protocol,
            "budget": own.budget,
            "test_images": own.test_images,
        }
        for arm, name in MEASURED:
            measure = own.arms[arm][name]
            row[f"{arm}_{name}"] = measure.value if isinstance(measure, Estimate) else measure
        rows.append(row)
    return format_table(columns, rows)


def ladder_table(result: ReproductionResult) -> str:
    """Write every rung as CSV: what one run found, and what all did on average."""
    rows = [_rung_row(rung) for rung in result.ladder]
    return format_table(list(rows[0]), rows)


def _rung_row(rung: Rung) -> dict[str, Cell]:
    facts: dict[str, Cell] = {
        "rung": rung.name,
        "change": rung.change,
        "leaky_on_purpose": "yes" if rung.leaky else "no",
        "reported": "mean" if rung.averaged else "first",
        "runs": len(rung.runs["real"]),
    }
    for arm in REPORTED_ARMS:
        facts[f"{arm}_steps"] = rung.steps[arm]
        facts[f"{arm}_lowest"], facts[f"{arm}_highest"] = min(rung.runs[arm]), max(rung.runs[arm])
    return facts | _columns("first", rung.first) | _columns("mean", rung.mean)


def _columns(which: str, found: Found) -> dict[str, Cell]:
    estimates: Mapping[str, Estimate] = {
        **{f"{arm}_{name}": found.arms[arm][name] for arm, name in MEASURED},
        "difference": found.difference,
    }
    return {
        f"{which}_{name}_{end}": getattr(estimate, end)
        for name, estimate in estimates.items()
        for end in ENDS
    }
