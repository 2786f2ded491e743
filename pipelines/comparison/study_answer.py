"""The answer to a preregistered question, of the comparisons that were made for it.

At each of the question's fractions the arm's difference from its reference, as the comparison there
estimated it, is judged: "yes" where it is as large as asked for and its p-value, adjusted for all
fractions that were registered (Holm 1979), says that it is above zero; "no" where the interval ends
below what was asked for; else "cannot tell". The study's answer is yes where one of them is, no
where all of them are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import asdict, replace

from pipelines.comparison.preregistration import Preregistration
from pipelines.comparison.study_parts import StudyPart
from pipelines.metrics.names import MEASURE_TITLES
from pipelines.metrics.paired_tests import CONFIDENCE, adjust_holm
from pipelines.results.arm_result import PairedDifference
from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.results.study_result import (
    StudyComparison,
    StudyContrast,
    StudyQuestion,
    StudyResult,
)
from pipelines.study.fractions import fraction_text, split_fraction
from pipelines.study.tables import format_table
from runtime.estimate import Estimate
from runtime.files import write_text
from runtime.run import Run

STUDY_TABLE = "study.csv"

Made = tuple[StudyPart, Run, ComparisonSummary]


def answer_study(
    plan: Preregistration,
    made: Sequence[Made],
    *,
    preregistration: str,
    sha256: str,
    departures: Sequence[str],
) -> StudyResult:
    """Answer a study's question of its finished comparisons.

    preregistration, sha256: The file's name and hash. departures: What differs from it.
    """
    question, measure = plan.question, made[0][2].measure
    contrasts = judge_question(
        [
            _contrast(part, own, summary.measure, question)
            for part, _, summary in made
            for own in summary.differences
        ],
        question,
    )
    verdict = judge_study(contrasts, question)
    return StudyResult(
        preregistration=preregistration,
        sha256=sha256,
        question=question,
        measure=measure,
        verdict=verdict,
        sentence=write_sentence(verdict, contrasts, question, measure),
        departures=tuple(departures),
        warnings=tuple(dict.fromkeys(text for *_, summary in made for text in summary.warnings)),
        comparisons=tuple(
            StudyComparison(
                run=run.name,
                view=part.view,
                arch=part.arch,
                fraction=part.fraction,
                classifiers=summary.plan.classifiers,
                test=summary.test,
            )
            for part, run, summary in made
        ),
        contrasts=tuple(contrasts),
    )


def _contrast(
    part: StudyPart, own: PairedDifference, measure: str, question: StudyQuestion
) -> StudyContrast:
    difference = own.differences.of(measure)
    is_reference = question.reference in (own.reference.arm, *own.roles)
    return StudyContrast(
        view=part.view,
        arch=part.arch,
        fraction=part.fraction,
        arm=own.condition.arm,
        reference=own.reference.arm,
        roles=own.roles,
        difference=Estimate(difference.value, difference.low, difference.high, difference.n),
        detectable=difference.detectable,
        p=difference.p,
        replicates=len(difference.per_replicate),
        asked=(part.view, part.arch, own.condition.arm)
        == (question.view, question.arch, question.arm)
        and part.fraction in question.fractions
        and is_reference,
    )


def judge_question(
    contrasts: Sequence[StudyContrast], question: StudyQuestion
) -> list[StudyContrast]:
    """Judge the contrasts of the question, which share one error rate with those not made."""
    asked = [own for own in contrasts if own.asked]
    not_made = len(question.fractions) - len(asked)
    adjusted = iter(adjust_holm([*(own.p for own in asked), *[1.0] * not_made]))
    return [
        _judge(own, next(adjusted), question.points / 100) if own.asked else own
        for own in contrasts
    ]


def _judge(own: StudyContrast, p_holm: float, least: float) -> StudyContrast:
    """Judge a contrast of the question. least: The difference that is a yes, a share."""
    difference, verdict = own.difference, "cannot tell"
    if difference.value >= least and difference.value > 0 and p_holm <= 1 - CONFIDENCE:
        verdict = "yes"
    elif difference.high < least:
        verdict = "no"
    return replace(own, p_holm=p_holm, verdict=verdict)


def judge_study(contrasts: Sequence[StudyContrast], question: StudyQuestion) -> str:
    """Return the answer to the whole question; contrasts that were not made leave a no open."""
    verdicts = [own.verdict for own in contrasts if own.asked]
    if "yes" in verdicts:
        return "yes"
    all_no = len(verdicts) == len(question.fractions) and set(verdicts) == {"no"}
    return "no" if all_no else "cannot tell"


def write_sentence(
    verdict: str, contrasts: Sequence[StudyContrast], question: StudyQuestion, measure: str
) -> str:
    """Write the answer in words, with the numbers of each of its contrasts."""
    asked = [own for own in contrasts if own.asked]
    smallest = min(100 * own.detectable for own in asked)
    lead = {
        "yes": f"Yes: {question.arm} gains {question.points:g} points or more",
        "no": f"No: an effect of {question.points:g} points is excluded",
        "cannot tell": (
            f"Cannot tell whether {question.arm} gains {question.points:g} points; the smallest "
            f"difference such a study finds is {smallest:.1f} points"
        ),
    }[verdict]
    parts = [_part_of_sentence(own, question, len(question.fractions)) for own in asked]
    not_made = [
        fraction_text(fraction)
        for fraction in question.fractions
        if fraction not in {own.fraction for own in asked}
    ]
    text = f"{lead}. In {MEASURE_TITLES[measure]}, {'; '.join(parts)}."
    if not_made:
        text += f" Not made: {', '.join(not_made)}."
    return text.replace(" -", " −")


def _part_of_sentence(own: StudyContrast, question: StudyQuestion, in_family: int) -> str:
    label, share = split_fraction(own.fraction)
    reals = f"{100 * share:g} % of the reals" + (f" of {label}" if label else "")
    best = ", the best arm without synthetic images" if question.reference == "best" else ""
    adjusted = f" after Holm for {in_family}" if in_family > 1 else ""
    low, high = 100 * own.difference.low, 100 * own.difference.high
    return (
        f"at {reals} {own.arm} against {own.reference}{best}: {100 * own.difference.value:+.1f} "
        f"points (95 % interval {low:+.1f} to {high:+.1f}, p {own.p_holm:.3f}{adjusted}: "
        f"{own.verdict})"
    )


def write_study_rows(run: Run, contrasts: Sequence[StudyContrast]) -> None:
    """Write study.csv into a study's folder: a row for each contrast, differences in points."""
    rows = []
    for own in contrasts:
        row = asdict(own) | {"roles": " ".join(own.roles), "detectable": 100 * own.detectable}
        estimate = row.pop("difference")
        points = {name: 100 * estimate[name] for name in ("value", "low", "high")}
        rows.append(row | {"difference": points.pop("value"), **points, "n": estimate["n"]})
    names = [field.name for field in dataclasses.fields(StudyContrast)]
    place = names.index("difference")
    columns = [*names[: place + 1], "low", "high", "n", *names[place + 1 :]]
    write_text(run.folder / STUDY_TABLE, format_table(columns, rows))
