"""A preregistered study as the terminal shows it: what it needs, and what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.study.fractions import fraction_text

if TYPE_CHECKING:
    from pipelines.comparison.study_forecast import StudyForecast
    from pipelines.results.study_result import StudyResult


def forecast_table(forecast: StudyForecast) -> str:
    """Write what each comparison still needs, with the hours of all of it."""
    lines = [
        f"{'view':10}{'arch':10}{'reals':14}{'generators':>12}{'classifiers':>13}{'hours':>8}",
    ]
    for own in forecast.parts:
        hours = own.seconds(forecast.generator_seconds, forecast.processes) / 3600
        lines.append(
            f"{own.view:10}{own.arch:10}{fraction_text(own.fraction):14}"
            f"{own.missing_generators:>12}{own.missing_classifiers:>13}{hours:>8.1f}"
        )
    lines.append(forecast.sentence)
    lines.append(forecast.detectable)
    return "\n".join(lines)


def answer_table(result: StudyResult) -> str:
    """Write the contrasts of a study's question."""
    lines = [f"{'the question':60}{'points':>22}{'p (Holm)':>11}  answer"]
    for own in result.asked():
        title = f"{own.arm} − {own.reference} at {fraction_text(own.fraction)}"
        points = own.difference.percent("+.1f")
        lines.append(f"  {title:58}{points:>22}{own.p_holm:>11.3f}  {own.verdict}")
    return "\n".join(lines)
