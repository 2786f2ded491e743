"""What `cxr compare` and `cxr reproduce` print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.metrics.names import MEASURES

if TYPE_CHECKING:
    from pipelines.results.arm_result import ArmResult
    from pipelines.results.comparison_summary import ComparisonSummary
    from pipelines.results.reproduction_result import ReproductionResult
    from runtime.estimate import Estimate


def arms_table(summary: ComparisonSummary) -> str:
    """Write every measure of each arm, its difference from `real`, and the verdict, in per cent."""
    lines = [_budget_line(summary)]
    for fraction in summary.fractions:
        results = [result for result in summary.results if result.fraction == fraction]
        lines.append(_header_line(results[0].real_images))
        lines += [_arm_line(result) for result in results]
    lines += [
        _spread_line(result) for result in summary.results if len(result.spread.measured()) > 1
    ]
    lines += [entry.sentence for entry in summary.data_efficiency]
    return "\n".join(lines)


def _budget_line(summary: ComparisonSummary) -> str:
    budget, test = summary.budget, summary.test
    steps = (
        f"{budget.steps} steps each"
        if budget.kind == "steps"
        else f"{budget.steps} steps on the reals and more on longer training sets"
    )
    levels = {"generators": budget.generators, "draws": budget.draws}
    nested = "".join(f", {count} {name}" for name, count in levels.items() if count > 1)
    return (
        f"{budget.arch}, {steps}, {len(budget.seeds)} seeds{nested}; "
        f"test: {test.images} images of {test.patients} patients; mean [95 % interval] in %"
    )


def _header_line(real_images: int) -> str:
    reals = f"{real_images} real images"
    measures = "".join(f"{name:>21}" for name in MEASURES)
    difference = f"{'difference':>22}{'p (Holm)':>11}  verdict"
    return f"{reals:24}{'training images':>17}{measures}{difference}"


def _arm_line(result: ArmResult) -> str:
    measures = (
        result.measures.accuracy,
        result.measures.sensitivity,
        result.measures.specificity,
    )
    line = f"{_condition(result):24}{result.train_images:>17}"
    line += "".join(f"{estimate.percent():>21}" for estimate in measures)
    paired = result.against_real
    if paired is None:
        return line
    difference = paired.difference.accuracy.percent("+.1f")
    return f"{line}{difference:>22}{paired.p_holm:>11.3f}  {paired.verdict}"


def _spread_line(result: ArmResult) -> str:
    levels = ", ".join(
        f"{name} {100 * deviation:.1f}" for name, deviation in result.spread.measured().items()
    )
    return (
        f"standard deviation of accuracy in points, {_condition(result)} "
        f"at {result.real_images} real images: {levels}"
    )


def _condition(result: ArmResult) -> str:
    """Name an arm, and the number of images added per real one where a ratio says it."""
    return result.arm + (f" ×{result.ratio:g}" if result.ratio else "")


def reproduction_table(result: ReproductionResult) -> str:
    """Write a paper's figures, those of its protocol here, and the fair one's, in per cent."""
    columns = "".join(f"{name:>18}" for name in MEASURES)
    lines = [f"{'in %, [95 % interval]':42}{'test images':>12}  {'images':10}{columns}"]
    for row in result.rows:
        for arm, about, count in (
            ("real", row.protocol, str(row.test_images)),
            ("real+gan", f"  {row.budget}", ""),
        ):
            cells = "".join(f"{_whole_percent(measure):>18}" for measure in row.arms[arm].values())
            lines.append(f"{about:42}{count:>12}  {arm:10}{cells}")
    return "\n".join(lines)


def _whole_percent(measure: Estimate | float) -> str:
    """Write a share in per cent, with its interval, where it has one, in whole per cent."""
    if isinstance(measure, float):
        return f"{100 * measure:.1f}"
    return f"{100 * measure.value:.1f} [{100 * measure.low:.0f}, {100 * measure.high:.0f}]"
