"""What a study answers to the pitfalls of comparing: budgets, luck, baselines and power."""

from __future__ import annotations

from pipelines.metrics.paired_tests import (
    FEW_PATIENTS,
    MANY_GENERATORS,
    DifferenceEstimate,
    speaks_of,
)
from pipelines.report.answers import Answer
from pipelines.report.contents import Study
from pipelines.report.formats import p_value, plural, points, points_range
from pipelines.results.arm_result import arm_kind

ENOUGH_SEEDS = 3  # of an arm; with fewer its luck stays open
ADVISED_SEEDS = 5
FINE_DETECTABLE = 0.05  # difference up to which a study is good
COARSE_DETECTABLE = 0.10  # above which it could miss what was once claimed for GANs


def tuning_on_test(study: Study) -> Answer:
    """Count the comparisons and classifiers that read the test split."""
    looks = (
        "The kept weights are those of lowest validation loss; each of the "
        f"{len(study.classifiers)} classifiers read the test split once"
    )
    if any(name != study.run.name for name in study.comparisons):
        return Answer(
            "open",
            f"{looks}. But {plural(len(study.comparisons), 'comparison')} of these data are in the "
            f"study ({', '.join(study.comparisons)}); choosing among them is tuning on the test "
            "split.",
        )
    singles = f", beside {plural(study.num_singles, 'single classifier')}"
    return Answer(
        "good",
        f"{looks}. It is the only comparison of these data in the study"
        f"{singles if study.num_singles else ''}.",
    )


def unequal_budgets(study: Study) -> Answer:
    """Compare the optimizer steps of all classifiers."""
    steps = [row.steps for row in study.classifiers]
    fewest, most = min(steps), max(steps)
    if fewest == most:
        return Answer(
            "good",
            f"All {len(study.classifiers)} classifiers got {fewest} optimizer steps of "
            f"{study.summary.budget.batch_size} images.",
        )
    return Answer(
        "bad",
        f"Classifiers got from {fewest} to {most} optimizer steps: an arm with more images was "
        "trained for longer.",
        "cxr compare --budget steps",
    )


def single_run(study: Study) -> Answer:
    """Count the replicates of the primary question's arm."""
    budget, main = study.summary.budget, study.summary.primary_result()
    is_synthetic = main.kind == "synthetic"
    replicates, seeds = len(main.replicates), len(budget.seeds)
    text = f"{plural(replicates, 'replicate')} of {main.arm}: {plural(seeds, 'classifier seed')}"
    if is_synthetic:
        text += (
            f", {plural(budget.generators, 'generator')}, "
            f"{plural(budget.draws, 'draw')} of images from each"
        )
    if budget.folds > 1:
        text += f", in each of {budget.folds} folds"
    if replicates < 2:
        return Answer("bad", f"{text}.", f"cxr compare --seeds {ADVISED_SEEDS}")
    if seeds < ENOUGH_SEEDS:
        return Answer("open", f"{text}.", f"cxr compare --seeds {ADVISED_SEEDS}")
    if speaks_of(main.replicates, budget.folds) == "images":
        return Answer(
            "open",
            f"{text}. The answer is about the images of so few generators; it takes "
            f"{MANY_GENERATORS} to speak of the method.",
            f"cxr compare --generators {MANY_GENERATORS}",
        )
    return Answer("good", f"{text}.")


def many_comparisons(study: Study) -> Answer:
    """Tell of the one question that was fixed, and of the adjustment of all others."""
    summary = study.summary
    primary = summary.primary_difference()
    exploratory = [own for own in summary.differences if not own.is_primary]
    text = f"One question was fixed before training: {primary.title}, in {summary.measure}"
    if not exploratory:
        return Answer("good", f"{text}. Nothing else was compared.")
    lowest = min(exploratory, key=lambda own: own.p_adjusted)
    return Answer(
        "good",
        f"{text}. The other {plural(len(exploratory), 'difference')}, at every fraction and "
        "ratio, are marked exploratory and share one error rate: the smallest p, of "
        f"{lowest.title}, is {p_value(lowest.differences.of(summary.measure).p)}, and "
        f"{p_value(lowest.p_adjusted)} after Holm's adjustment.",
    )


def few_test_patients(study: Study) -> Answer:
    """Count the test patients, and tell which difference could be found."""
    test = [row for row in study.own if row.split == "test"]
    patients = {
        label: len({row.patient for row in test if row.label == label})
        for label in study.summary.classes
    }
    counts = ", ".join(f"{count} {label}" for label, count in patients.items())
    detectable = _judged(study).detectable
    text = (
        f"Test patients: {counts}. The smallest difference found in 80\u00a0% of such studies is "
        f"{100 * detectable:.1f} points"
    )
    if detectable > COARSE_DETECTABLE:
        return Answer(
            "bad", f"{text}: even the gain of 10 points once claimed for GANs could be missed."
        )
    if min(patients.values()) < FEW_PATIENTS:
        return Answer("bad", f"{text}.")
    if detectable > FINE_DETECTABLE:
        return Answer("open", f"{text}: whether smaller ones exist stays open.")
    return Answer("good", f"{text}.")


def _judged(study: Study) -> DifferenceEstimate:
    """The difference that the answer is of, in the measure that it is judged by."""
    return study.summary.primary_difference().differences.of(study.summary.measure)


def classical_baseline(study: Study) -> Answer:
    """Look for classical augmentation, and for synthetic images tested against it."""
    summary = study.summary
    if summary.config.augment:
        return Answer("good", "Every arm, real too, is classically augmented (--augment).")
    against = [
        own
        for own in summary.primary_differences()
        if own.reference.arm == "real+classical" and arm_kind(own.condition.arm) == "synthetic"
    ]
    if against:
        own = against[0]
        change = own.differences.of(summary.measure)
        return Answer(
            "good",
            f"{own.condition.arm} is held against {own.reference.arm}: "
            f"{points(change.value)} points ({points_range(change)}).",
        )
    if any(result.kind == "classical" for result in summary.primary_results()):
        return Answer("good", "Classical augmentation is an arm; no synthetic images are.")
    return Answer(
        "bad",
        "No arm has classical augmentation, which costs nothing and may do as much.",
        "cxr compare --arms real,real+classical,real+gan,real+gan+classical",
    )


def control_arms(study: Study) -> Answer:
    """Look for control arms, and whether they behave."""
    controls = [
        own
        for own in study.summary.primary_differences()
        if arm_kind(own.condition.arm) == "control" and "real" in own.roles
    ]
    if not controls:
        return Answer(
            "open",
            "No control arm: a gain could come from more steps per image, and a study that finds "
            "nothing might be blind.",
            "cxr compare --arms real,real+gan,real+duplicates,real+shuffled",
        )
    measure = study.summary.measure
    text = "; ".join(
        f"{own.condition.arm}: {own.verdict}, {points(own.differences.of(measure).value)} points"
        for own in controls
    )
    verdicts = {own.condition.arm: own.verdict for own in controls}
    if verdicts.get("real+shuffled") == "helps" or verdicts.get("real+oracle") == "hurts":
        return Answer("bad", f"A control does what it must not: {text}.")
    if verdicts.get("real+oracle") == "cannot tell":
        return Answer("open", f"{text}. Not even fresh true images were found to help.")
    return Answer("good", f"{text}.")
