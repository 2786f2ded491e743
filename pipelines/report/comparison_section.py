"""What the page shows of the comparison itself: the answer, its figures, and blocks of arms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.figures.comparison_figures import (
    draw_comparison,
    draw_external,
    draw_sensitivity_specificity,
)
from pipelines.figures.learning_curve import draw_learning_curve
from pipelines.figures.ratio_curve import draw_ratio_curve
from pipelines.metrics.names import MEASURE_TITLES
from pipelines.report.contents import Study
from pipelines.report.embedding import Picture, embed_picture
from pipelines.report.formats import part
from pipelines.results.arm_result import ArmResult
from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.study.fractions import RealFraction, of_all_classes, split_fraction


@dataclass(frozen=True)
class Block:
    """The results of one fraction and ratio, under its title."""

    title: str
    results: list[ArmResult]


@dataclass(frozen=True)
class ComparisonPictures:
    """The figures of the comparison; None for one that there is nothing to draw of."""

    comparison: Picture | None
    sensitivity_specificity: Picture | None
    external: Picture | None
    learning_curve: Picture | None
    ratio_curve: Picture | None


def answer_without_warnings(summary: ComparisonSummary) -> str:
    """Return the answer in a sentence, without the warnings that stand below it."""
    text = summary.sentence
    for warning in summary.warnings:
        text = text.replace(f" Beware: {warning}.", "")
    return text


def draw_pictures(study: Study) -> ComparisonPictures:
    """Draw the figures of a comparison into its folder."""

    def draw(write: Callable[[ComparisonSummary, Path], None], name: str) -> Picture | None:
        path = study.run.folder / name
        write(study.summary, path)
        return embed_picture(path)

    has_fractions = len(of_all_classes(study.summary.fractions)) > 1
    has_ratios = len(study.summary.ratios) > 1
    is_outside = study.summary.measure in study.summary.primary_result().outside
    return ComparisonPictures(
        comparison=draw(draw_comparison, "comparison.png"),
        sensitivity_specificity=draw(draw_sensitivity_specificity, "sensitivity_specificity.png"),
        external=draw(draw_external, "external.png") if is_outside else None,
        learning_curve=draw(draw_learning_curve, "learning_curve.png") if has_fractions else None,
        ratio_curve=draw(draw_ratio_curve, "ratio_curve.png") if has_ratios else None,
    )


def blocks(summary: ComparisonSummary) -> list[Block]:
    """Return the results of every fraction and ratio."""
    return [_block(summary, fraction, ratio) for fraction, ratio in summary.settings()]


def primary_block(summary: ComparisonSummary) -> Block:
    """Return the results that belong side by side with the primary question's."""
    return _block(summary, summary.question.fraction, summary.question.ratio)


def measure_order(summary: ComparisonSummary) -> list[str]:
    """Return the names of all measures, the one that is judged first."""
    return sorted(MEASURE_TITLES, key=lambda name: name != summary.measure)


def why_no_worth(summary: ComparisonSummary) -> str:
    """Say why it is not told what the question's synthetic images are worth; "" where it is."""
    if summary.primary_data_efficiency():
        return ""
    if len(of_all_classes(summary.fractions)) < 2:
        return "there is no learning curve, since all classifiers had the same share of the reals"
    return f"{summary.question.arm} does not mix synthetic images with the reals of each fraction"


def _block(summary: ComparisonSummary, fraction: RealFraction, ratio: float | None) -> Block:
    results = summary.results_at(fraction, ratio)
    real = results[0]
    label, number = split_fraction(fraction)
    share = "All real images" if number == 1 else f"{part(number)} of the real images"
    if label:
        share += f" of {label}, all others"
    title = f"{share}, {real.real_images} of {real.real_patients} patients"
    added = max(result.synthetic_images for result in results)
    if added:
        per_real = "" if ratio is None else f", {ratio:g} per real one"
        title += f"; {added} synthetic ones{per_real}"
    return Block(title, results)
