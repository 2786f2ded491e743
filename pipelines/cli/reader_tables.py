"""What `cxr reader-study --score` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.results.reader_results import Agreement, ReaderScore


def readings_table(scores: Sequence[ReaderScore], agreements: Sequence[Agreement]) -> str:
    """Write what each reader made of the images, and how far readers agree."""
    lines = [line for score in scores for line in _score_lines(score)]
    return "\n".join([*lines, *(_agreement_line(agreement) for agreement in agreements)])


def _score_lines(score: ReaderScore) -> list[str]:
    """One reader's shares of right answers, and the files misjudged."""
    p_value = "p < 0.001" if score.p < 0.001 else f"p = {score.p:.3f}"
    lines = [
        f"{score.reader or 'a reader'} ({score.answers}): {score.n} images of {score.run}, "
        f"half of them of {score.synthetic}; in %, [95 % interval, exact]"
    ]
    for name, share, images in (
        ("accuracy", score.accuracy, f"images; {p_value} against guessing"),
        ("sensitivity", score.sensitivity, "synthetic images, called synthetic"),
        ("specificity", score.specificity, "real images, called real"),
    ):
        lines.append(f"  {name:12}{share.percent():>22}  of {share.n} {images}")
    lines.append(f"  median time per image: {score.median_seconds:.1f} s")
    for mistake, file_names in (
        ("synthetic images called real, which fooled the reader", score.fooled_by),
        ("reals called synthetic", score.called_synthetic),
    ):
        lines.append(f"  {mistake}: {len(file_names) or 'none'}")
        lines += [f"    {file_name}" for file_name in file_names]
    return [*lines, score.limit]


def _agreement_line(agreement: Agreement) -> str:
    first, second = agreement.readers
    kappa = (
        "no kappa, both gave one answer throughout"
        if agreement.kappa is None
        else f"Cohen's kappa {agreement.kappa:.2f}"
    )
    share = f"{100 * agreement.agreement:.1f} %"
    return f"{first} and {second} agree on {share} of {agreement.n} images; {kappa}"
