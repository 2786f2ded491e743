"""What `cxr reproduce` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.results.reproduction_result import ReproductionResult
    from runtime.estimate import Estimate


def reproduction_table(result: ReproductionResult) -> str:
    """Write a paper's figures, those of its protocol here, and the fair one's, in per cent."""
    columns = "".join(f"{name:>18}" for name in result.rows[0].arms["real"])
    lines = [f"{'in %, [95 % interval]':42}{'test images':>12}  {'images':10}{columns}"]
    for row in result.rows:
        for arm, about, count in (
            ("real", row.protocol, str(row.test_images)),
            ("real+gan", f"  {row.budget}", ""),
        ):
            cells = "".join(f"{_whole_percent(measure):>18}" for measure in row.arms[arm].values())
            lines.append(f"{about:42}{count:>12}  {arm:10}{cells}")
    return "\n".join(lines)


def ladder_table(result: ReproductionResult) -> str:
    """Write what every rung of the ladder reports, and what it changed, in words."""
    lines = ["", f"{'one change at a time, in %':28}{'real':>18}{'real+gan':>18}{'points':>22}"]
    for rung in result.ladder:
        found = rung.reported
        cells = "".join(
            f"{_whole_percent(found.arms[arm]['accuracy']):>18}" for arm in ("real", "real+gan")
        )
        title = rung.title + (" (leaky)" if rung.leaky else "")
        lines.append(f"{title:28}{cells}{found.difference.percent('+.1f'):>22}")
    return "\n".join([*lines, "", *(f"{own.title}: {own.sentence}" for own in result.ladder)])


def _whole_percent(measure: Estimate | float) -> str:
    """Write a share in per cent, with its interval, where it has one, in whole per cent."""
    if isinstance(measure, float):
        return f"{100 * measure:.1f}"
    return f"{100 * measure.value:.1f} [{100 * measure.low:.0f}, {100 * measure.high:.0f}]"
