"""The answer of a comparison in words, with what casts doubt on it and what it cannot say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipelines.comparison.arms import OWN_SET
from pipelines.comparison.design import Design
from pipelines.metrics.names import MEASURE_TITLES
from pipelines.metrics.paired_tests import FEW_PATIENTS, judge, speaks_of
from pipelines.results.arm_result import ArmResult, Condition, PairedDifference, find_result
from pipelines.results.comparison_summary import ExternalSet, SetUse
from pipelines.results.image_count import ImageCount
from pipelines.study.view_names import VIEW_TITLES, WHOLE

RARE_MEASURES = ("sensitivity", "balanced_accuracy", "roc_auc")
FEW_TEST_PATIENTS = 300  # with fewer a gain of two points is mostly missed (docs/method.md)
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
    "foreign": (
        "Images that another program made are those of one training of one generator: how much "
        "another would change the result is not in the intervals. What it was trained on, and with "
        "how much choosing, is the word of whoever brought them; the study can only look for "
        "copies."
    ),
    "generator": (
        "One generator: the answer is about its images. How much another one, of another seed, "
        "would change it is not in the intervals. (--generators 3)"
    ),
    "few generators": (
        "Two generators: their luck is in the intervals, but two say little of how far apart "
        "generators are. (--generators 3)"
    ),
    "seeds": (
        "Two seeds: two say little of how far apart trainings are, and in simulation one null "
        "study in ten was called a help or a harm. (--seeds 5)"
    ),
    "subset": (
        "One subset of the reals at each fraction: how much others would change the result is not "
        "in the intervals. (--subsets 3)"
    ),
    "draw": (
        "One draw of synthetic images from each generator: how much another would change the "
        "result is not in the intervals. (--draws 3)"
    ),
    "test split": (
        "Only the study's own test split is tested: a small one. Every patient is, once, with "
        "--folds 5, which takes a generator for each fold; --plan says how long."
    ),
    "source": (
        "The test images come from the same sources as the training images; nothing is said about "
        "other hospitals."
    ),
    "outside": (
        "The answer is of test images from the sources of the training images. The external set "
        "shows how far every arm falls in one other place; in a third it may be otherwise."
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


def limits(
    design: Design, sets: Sequence[SetUse], test_patients: int, has_external: bool
) -> tuple[str, ...]:
    """Return what a comparison of this design, tested on so many patients, cannot say."""
    has_generator = any(own.statement is None for own in sets)
    applies = {
        "foreign": len(sets) > 0 and any(own.statement is not None for own in sets),
        "generator": has_generator and design.generators == 1 and design.folds == 1,
        "few generators": has_generator and design.generators == 2 and design.folds == 1,
        "seeds": design.seeds == 2,
        "subset": design.thins_reals and design.subsets == 1,
        "draw": has_generator and design.draws == 1,
        "test split": design.folds == 1 and test_patients < FEW_TEST_PATIENTS,
        "source": not has_external,
        "outside": has_external,
        "shortcut": True,
        "validation": design.thins_reals,
        "epochs": design.budget == "epochs",
    }
    return tuple(text for name, text in LIMITS.items() if applies[name])


def patient_warnings(patients_per_label: dict[str, int]) -> list[str]:
    """Warn of labels with too few patients among the test images."""
    return [
        f"only {count} patient(s) with {label} in the test split: too few for an interval to be "
        "trusted"
        for label, count in patients_per_label.items()
        if count < FEW_PATIENTS
    ]


def control_warnings(differences: Iterable[PairedDifference]) -> list[str]:
    """Warn of controls that do not behave, which casts doubt on everything else."""
    behaviours = [
        (_control_name(own.condition.arm), own.verdict)
        for own in differences
        if own.reference.arm == "real"
    ]
    return [MISBEHAVING_CONTROLS[pair] for pair in behaviours if pair in MISBEHAVING_CONTROLS]


def _control_name(arm: str) -> str:
    """Return the name of an arm without that of its set, where it is a control."""
    return "real+shuffled" if arm.endswith("-shuffled") else arm


def answer_sentence(
    primary: PairedDifference,
    results: Sequence[ArmResult],
    differences: Sequence[PairedDifference],
    test: ImageCount,
    design: Design,
    warnings: Sequence[str],
    view: str,
) -> str:
    """Write the answer in words, with its numbers, the other baselines and the warnings.

    view: What of the images was seen; named where it is not the whole of them.
    """
    arm, reference = (
        find_result(results, condition) for condition in (primary.condition, primary.reference)
    )
    measure = design.measure
    difference = primary.differences.of(measure)
    levels = {"generators": design.generators, "subsets": design.subsets, "folds": design.folds}
    several = "".join(f", {count} {name}" for name, count in levels.items() if count > 1)
    seen = "" if view == WHOLE else f"on {VIEW_TITLES[view]} "
    without, with_them = (result.measures.of(measure).value for result in (reference, arm))
    sentence = (
        f"{_lead(arm, reference, primary.verdict, design)}: "
        f"{seen}{MEASURE_TITLES[measure]} is {100 * without:.1f} % without and "
        f"{100 * with_them:.1f} % with them, a difference of {_points(primary, measure)} "
        f"({_interval(primary, measure)}; "
        f"{test.images} test images of {test.patients} patients, {design.seeds} seeds{several}; "
        f"the smallest difference such a study finds is {100 * difference.detectable:.1f} points)."
    )
    sentence += _other_measures_sentence(primary, measure)
    sentence += _other_baselines_sentence(primary, differences, design)
    sentence += _other_sets_sentence(primary, differences, design)
    sentence += "".join(f" Beware: {warning}." for warning in warnings)
    return sentence.replace(" -", " −")


def outside_sentence(
    primary: PairedDifference,
    results: Sequence[ArmResult],
    external: ExternalSet | None,
    measure: str,
) -> str:
    """Say how far both arms of the question fall on the external set; empty where it cannot."""
    if external is None:
        return ""
    falls = []
    for condition in (primary.reference, primary.condition):
        result = find_result(results, condition)
        if measure not in result.outside:
            return ""
        outside = result.outside[measure]
        low, value, high = (
            f"{100 * number:+.1f}"
            for number in (-outside.fall.high, -outside.fall.value, -outside.fall.low)
        )
        falls.append(
            f"{100 * outside.estimate.value:.1f} % with {condition.arm} ({value} points, "
            f"95 % interval {low} to {high})"
        )
    sentence = (
        f" On the external set ({external.all.images} images of {external.all.patients} patients) "
        f"{MEASURE_TITLES[measure]} is {' and '.join(falls)}."
    )
    return sentence.replace(" -", " −").replace("(-", "(−")


def _lead(arm: ArmResult, reference: ArmResult, verdict: str, design: Design) -> str:
    """Write the verdict on the primary question's arm."""
    augmented = "classically augmented " if reference.arm == "real+classical" else ""
    name = design.sets[0]
    if arm.arm not in (f"real+{name}", f"real+{name}+classical"):
        training = f"raining on {arm.about} ({arm.arm})"
        return {
            "helps": f"T{training} beats {augmented}real images alone",
            "hurts": f"T{training} is worse than on {augmented}real images alone",
            "cannot tell": (
                f"Whether t{training} beats {augmented}real images alone cannot be told from this "
                "study"
            ),
        }[verdict]
    of_set = "" if name == OWN_SET else f" of {name}"
    images = f"{arm.synthetic_images} synthetic images{of_set}"
    if speaks_of(arm.replicates, design.folds) == "images":
        generators = len({replicate.generator for replicate in arm.replicates})
        images = f"these {images}, of {'one generator' if generators == 1 else 'two generators'},"
    these = "these " if arm.fraction != 1 and arm.replicates[0].subset is None else ""
    adding = f"dding {images} to {these}{reference.real_images} {augmented}real ones"
    return {
        "helps": f"A{adding} helps",
        "hurts": f"A{adding} hurts",
        "cannot tell": f"Whether a{adding} helps cannot be told from this study",
    }[verdict]


def _other_measures_sentence(primary: PairedDifference, measure: str) -> str:
    """Say which other measures, each by itself, would have given another verdict.

    Where one class is thinned, those that a rare class is judged by are all named, whatever they
    say: accuracy is that of the test images, among which it is not rare.
    """
    rare = RARE_MEASURES if isinstance(primary.condition.fraction, str) else ()
    others, same = [], []
    for name, title in MEASURE_TITLES.items():
        difference = primary.differences.of(name)
        verdict = judge(difference.value, difference.p)
        text = f"by {title} {_points(primary, name)} ({_interval(primary, name)}; {verdict})"
        if name != measure and verdict != primary.verdict:
            others.append(text)
        elif name != measure and name in rare:
            same.append(text)
    sentence = f" Of the same predictions {', '.join(same)}." if same else ""
    if others:
        sentence += (
            f" Other measures of the same predictions, each judged by itself, say otherwise: "
            f"{', '.join(others)}."
        )
    return sentence


def _other_baselines_sentence(
    primary: PairedDifference, differences: Sequence[PairedDifference], design: Design
) -> str:
    """Say what comes of other baselines: no augmentation, the best by validation, and classical."""
    measure, first = design.measure, f"real+{design.sets[0]}"
    at_hand = {(own.condition, own.reference): own for own in differences}
    fraction, ratio = primary.condition.fraction, primary.condition.ratio
    real, gan = Condition("real", fraction, None), Condition(first, fraction, ratio)
    classical = Condition("real+classical", fraction, None)
    best = next(
        (
            own
            for own in differences
            if own.condition == primary.condition and "best" in own.roles and not own.is_primary
        ),
        None,
    )
    parts = [
        (f"Against real images as they are, {first} makes", at_hand.get((gan, real))),
        ("Classical augmentation alone makes", at_hand.get((classical, real))),
    ]
    if best:
        parts.append(
            (
                f"Against {best.reference.arm}, the best arm without synthetic images by "
                f"validation, {best.condition.arm} makes",
                best,
            )
        )
    return "".join(
        f" {text} {_points(own, measure)} ({_interval(own, measure)}; {own.verdict}, exploratory)."
        for text, own in parts
        if own and not own.is_primary
    )


def _other_sets_sentence(
    primary: PairedDifference, differences: Sequence[PairedDifference], design: Design
) -> str:
    """Say what the same arm makes with every other set, and how far the first set's is from it."""
    measure, arm = design.measure, design.arm(primary.condition.arm)
    others = [other for other in design.selected_arms() if other.is_rival_of(arm)]
    text = ""
    for other in others:
        condition = replace(primary.condition, arm=other.name)
        for own in differences:
            is_rival = own.condition == primary.condition and own.reference == condition
            if (own.condition, own.reference) == (condition, primary.reference) or is_rival:
                text += (
                    f" {own.condition.arm} against {own.reference.arm}: {_points(own, measure)} "
                    f"({_interval(own, measure)}; {own.verdict}, exploratory)."
                )
    return text


def _points(own: PairedDifference, measure: str) -> str:
    return f"{100 * own.differences.of(measure).value:+.1f} points"


def _interval(own: PairedDifference, measure: str) -> str:
    difference = own.differences.of(measure)
    return f"95 % interval {100 * difference.low:+.1f} to {100 * difference.high:+.1f}"
