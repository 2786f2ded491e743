"""The answer of a comparison in words, with what casts doubt on it and what it cannot say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipelines.comparison.design import Design
from pipelines.metrics.paired_tests import FEW_PATIENTS
from pipelines.results.arm_result import ArmResult, PairedDifference, compared, find_result
from pipelines.results.image_count import ImageCount

MISBEHAVING_CONTROLS = {
    ("real+shuffled", "helps"): (
        "the control real+shuffled helps: whatever works here, it is not what the synthetic images "
        "show"
    ),
    ("real+oracle", "hurts"): (
        "the control real+oracle hurts: not even fresh true images help here, so no generator's "
        "can be expected to"
    ),
}
LIMITS = {
    "generator": (
        "One generator: how much another one, of another seed, would change the result is not in "
        "the intervals. (--generators 3)"
    ),
    "draw": (
        "One draw of synthetic images from each generator: how much another would change the "
        "result is not in the intervals. (--draws 3)"
    ),
    "source": (
        "The test images come from the same sources as the training images; nothing is said about "
        "other hospitals."
    ),
    "shortcut": (
        "Where a label comes from one source only, part of what tells the classes apart may be the "
        "source and not the disease."
    ),
    "validation": (
        "At every fraction the validation images are all of the study's: what is scarce there are "
        "training images only."
    ),
    "epochs": (
        "The budgets are unequal: by epochs a longer training set gets more optimizer steps, and "
        "part of any difference is their number."
    ),
}


def limits(design: Design, has_generator: bool) -> tuple[str, ...]:
    """Return what a comparison of this design cannot say."""
    applies = {
        "generator": has_generator and design.generators == 1,
        "draw": has_generator and design.draws == 1,
        "source": True,
        "shortcut": True,
        "validation": min(design.fractions) < 1,
        "epochs": design.budget == "epochs",
    }
    return tuple(text for name, text in LIMITS.items() if applies[name])


def patient_warnings(patients_per_label: dict[str, int]) -> list[str]:
    """Warn of labels with too few patients in the test split."""
    return [
        f"only {count} patient(s) with {label} in the test split: too few for an interval to be "
        "trusted"
        for label, count in patients_per_label.items()
        if count < FEW_PATIENTS
    ]


def control_warnings(results: Iterable[ArmResult]) -> list[str]:
    """Warn of controls that do not behave, which casts doubt on everything else."""
    behaviours = [(result.arm, paired.verdict) for result, paired in compared(results)]
    return [MISBEHAVING_CONTROLS[pair] for pair in behaviours if pair in MISBEHAVING_CONTROLS]


def answer_sentence(
    headline: ArmResult,
    results: Sequence[ArmResult],
    test: ImageCount,
    seeds: int,
    warnings: Sequence[str],
) -> str:
    """Write the answer in words, with its numbers, the classical baseline and the warnings."""
    paired = headline.against_real
    assert paired is not None, "the headline is of an arm that is compared with `real`"
    real = find_result(results, "real", headline.fraction, None)
    difference = paired.difference.accuracy
    low, high = 100 * difference.low, 100 * difference.high
    generators = {replicate.generator for replicate in headline.replicates} - {None}
    several = f", {len(generators)} generators" if len(generators) > 1 else ""
    sentence = (
        f"{_lead(headline, paired.verdict)}: "
        f"test accuracy {100 * real.measures.accuracy.value:.1f} % without "
        f"and {100 * headline.measures.accuracy.value:.1f} % with them, "
        f"a difference of {100 * difference.value:+.1f} points "
        f"(95 % interval {low:+.1f} to {high:+.1f}; {test.images} test images of {test.patients} "
        f"patients, {seeds} seeds{several}; the smallest difference such a study finds is "
        f"{100 * difference.detectable:.1f} points)."
    )
    if paired.verdict == "cannot tell" and low * high > 0:
        sentence += (
            " The interval lies on one side of zero, but not once it is allowed for that several "
            "arms were tried."
        )
    sentence += _classical_sentence(headline, results)
    sentence += "".join(f" Beware: {warning}." for warning in warnings)
    return sentence.replace(" -", " −")


def _lead(headline: ArmResult, verdict: str) -> str:
    """Write the verdict of the headline's arm."""
    if headline.arm == "real+gan":
        images = f"{headline.synthetic_images} synthetic images"
        if headline.fraction != 1:
            images += f", beside {headline.real_images} real ones,"
        return {
            "helps": f"Adding {images} helps",
            "hurts": f"Adding {images} hurts",
            "cannot tell": f"Whether {images} help cannot be told from this study",
        }[verdict]
    training = f"raining on {headline.about} ({headline.arm})"
    return {
        "helps": f"T{training} beats real images alone",
        "hurts": f"T{training} is worse than on real images alone",
        "cannot tell": (
            f"Whether t{training} beats real images alone cannot be told from this study"
        ),
    }[verdict]


def _classical_sentence(headline: ArmResult, results: Sequence[ArmResult]) -> str:
    """Say beside it what classical augmentation does, where that is an arm of its own."""
    for result, paired in compared(results):
        if (result.arm, result.fraction) == ("real+classical", headline.fraction):
            return "" if headline.arm == result.arm else _classical_change(paired)
    return ""


def _classical_change(paired: PairedDifference) -> str:
    change = 100 * paired.difference.accuracy.value
    return f" Classical augmentation makes {change:+.1f} points ({paired.verdict})."
