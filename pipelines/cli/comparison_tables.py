"""What `cxr compare` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.metrics.names import MEASURE_TITLES
from pipelines.study.fractions import fraction_text

OUTSIDE_MEASURES = (("accuracy", "roc_auc"), ("sensitivity", "specificity"))  # of each table

if TYPE_CHECKING:
    from pipelines.results.arm_result import ArmResult, Condition, PairedDifference
    from pipelines.results.comparison_summary import ComparisonSummary


def arms_table(summary: ComparisonSummary) -> str:
    """Write every measure of each arm, how far arms differ, and the verdicts, in per cent."""
    lines, width = [_budget_line(summary), *_set_lines(summary)], _name_width(summary)
    for fraction in summary.fractions:
        results = [result for result in summary.results if result.fraction == fraction]
        lines.append(_header_line(results[0].real_images, width))
        lines += [_arm_line(result, width) for result in results]
    lines += _outside_lines(summary)
    lines += ["", _question_line(summary)]
    others = [name for name in MEASURE_TITLES if name != summary.measure]
    lines += [_measure_line(summary, name) for name in (summary.measure, *others)]
    lines += _exploratory_lines(summary)
    lines += [
        _spread_line(result, summary.measure)
        for result in summary.results
        if len(result.spread.measured()) > 1
    ]
    lines += [
        f"{entry.arm} on the learning curve of {entry.reference}: {entry.sentence}"
        for entry in summary.data_efficiency
    ]
    return "\n".join(lines)


def _budget_line(summary: ComparisonSummary) -> str:
    budget, test = summary.budget, summary.test
    steps = (
        f"{budget.steps} steps each"
        if budget.kind == "steps"
        else f"{budget.steps} steps on the reals and more on longer training sets"
    )
    levels = {
        "folds": budget.folds,
        "subsets": budget.subsets,
        "generators": budget.generators,
        "draws": budget.draws,
    }
    nested = "".join(f", {count} {name}" for name, count in levels.items() if count > 1)
    return (
        f"{budget.arch}, {steps}, {len(budget.seeds)} seeds{nested}; "
        f"test: {test.images} images of {test.patients} patients; mean [95 % interval] in %"
    )


def _set_lines(summary: ComparisonSummary) -> list[str]:
    """Say what each set is, where the sets have names, or another program made one."""
    sets = summary.sets or ()
    if not any(own.statement for own in sets) and len(sets) < 2:
        return []
    return [f"{own.name}: {own.run}, {own.trained_on}" for own in sets]


def _name_width(summary: ComparisonSummary) -> int:
    """Return how wide the column of the arms' names is: a recipe has a long one."""
    return max(22, *(len(_name(result.condition)) for result in summary.results)) + 2


def _header_line(real_images: int, width: int) -> str:
    reals = f"{real_images} real images"
    return f"{reals:{width}}{'training':>9}" + "".join(
        f"{title:>21}" for title in MEASURE_TITLES.values()
    )


def _arm_line(result: ArmResult, width: int) -> str:
    line = f"{_name(result.condition):{width}}{result.train_images:>9}"
    return line + "".join(f"{result.measures.of(name).percent():>21}" for name in MEASURE_TITLES)


def _outside_lines(summary: ComparisonSummary) -> list[str]:
    """Write every arm inside and outside side by side, with the fall from one to the other."""
    external = summary.external
    if external is None:
        return []
    labels = ", ".join(f"{count.images} {name}" for name, count in external.labels.items())
    lines = [
        "",
        f"External test set: {external.all.images} images of {external.all.patients} patients "
        f"({labels}); fall = inside − outside, in points",
    ]
    for names in OUTSIDE_MEASURES:
        titles = [title for name in names for title in (MEASURE_TITLES[name], "outside", "fall")]
        width = max(len(_outside_title(result, summary)) for result in summary.results) + 2
        lines.append(" " * width + "".join(f"{title:>21}" for title in titles))
        lines += [
            f"{_outside_title(result, summary):{width}}{_outside_cells(result, names)}"
            for result in summary.results
        ]
    if external.undefined:
        lines.append(f"–: {external.undefined}")
    return lines


def _outside_title(result: ArmResult, summary: ComparisonSummary) -> str:
    title = _name(result.condition)
    if len(summary.fractions) > 1:
        title += f" at {fraction_text(result.fraction)}"
    return title


def _outside_cells(result: ArmResult, names: tuple[str, ...]) -> str:
    line = ""
    for name in names:
        outside = result.outside.get(name)
        cells = [result.measures.of(name).percent(), "–", "–"]
        if outside:
            cells[1:] = [outside.estimate.percent(), outside.fall.percent("+.1f")]
        line += "".join(f"{cell:>21}" for cell in cells)
    return line


def _question_line(summary: ComparisonSummary) -> str:
    title = summary.primary_difference().title
    return f"The question, fixed before training: {title} in {MEASURE_TITLES[summary.measure]}"


def _measure_line(summary: ComparisonSummary, name: str) -> str:
    """Write the primary difference in one measure; the one that is judged has the verdict."""
    own = summary.primary_difference()
    difference = own.differences.of(name)
    line = f"  {MEASURE_TITLES[name]:22}{difference.percent('+.1f'):>22}{difference.p:>9.3f}"
    return f"{line}  {own.verdict}" if name == summary.measure else line


def _exploratory_lines(summary: ComparisonSummary) -> list[str]:
    exploratory = [own for own in summary.differences if not own.is_primary]
    if not exploratory:
        return []
    head = f"Exploratory, {MEASURE_TITLES[summary.measure]} of {len(exploratory)}"
    titles = [f"  {_exploratory_title(own, summary)}" for own in exploratory]
    width = max(map(len, [head, *titles])) + 2
    lines = ["", f"{head:{width}}{'difference':>22}{'p (Holm)':>11}  verdict"]
    for title, own in zip(titles, exploratory, strict=True):
        difference = own.differences.of(summary.measure).percent("+.1f")
        lines.append(f"{title:{width}}{difference:>22}{own.p_adjusted:>11.3f}  {own.verdict}")
    return lines


def _exploratory_title(own: PairedDifference, summary: ComparisonSummary) -> str:
    title = f"{_name(own.condition)} − {_name(own.reference)}"
    if len(summary.fractions) > 1:
        title += f" at {fraction_text(own.condition.fraction)}"
    return title


def _spread_line(result: ArmResult, measure: str) -> str:
    levels = ", ".join(
        f"{name} {100 * deviation:.1f}" for name, deviation in result.spread.measured().items()
    )
    return (
        f"standard deviation of {MEASURE_TITLES[measure]} in points, {_name(result.condition)} "
        f"at {result.real_images} real images: {levels}"
    )


def _name(condition: Condition) -> str:
    """Name an arm, and the number of images added per real one where a ratio says it."""
    return condition.arm + (f" ×{condition.ratio:g}" if condition.ratio else "")
