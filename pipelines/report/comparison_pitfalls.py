"""What a study answers to the pitfalls of comparing: budgets, luck, baselines and power."""

from __future__ import annotations

from pipelines.metrics.paired_tests import FEW_PATIENTS
from pipelines.report.answers import Answer
from pipelines.report.contents import Study
from pipelines.report.formats import p_value, plural, points, points_range
from pipelines.results.arm_result import compared

ENOUGH_SEEDS, ENOUGH_GENERATORS = 3, 2  # of an arm; with fewer its luck stays open
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
    """Count the replicates of the headline's arm."""
    budget, headline = study.summary.budget, study.summary.headline_result()
    is_synthetic = headline.kind == "synthetic"
    replicates, seeds = len(headline.replicates), len(budget.seeds)
    text = (
        f"{plural(replicates, 'replicate')} of {headline.arm}: {plural(seeds, 'classifier seed')}"
    )
    if is_synthetic:
        text += (
            f", {plural(budget.generators, 'generator')}, "
            f"{plural(budget.draws, 'draw')} of images from each"
        )
    if replicates < 2:
        return Answer("bad", f"{text}.", f"cxr compare --seeds {ADVISED_SEEDS}")
    if seeds < ENOUGH_SEEDS:
        return Answer("open", f"{text}.", f"cxr compare --seeds {ADVISED_SEEDS}")
    if is_synthetic and budget.generators < ENOUGH_GENERATORS:
        return Answer(
            "open",
            f"{text}. How much another generator would change it is not in the interval.",
            f"cxr compare --generators {ENOUGH_GENERATORS}",
        )
    return Answer("good", f"{text}.")


def many_comparisons(study: Study) -> Answer:
    """Tell of the adjustment for several arms, and of what it does not cover."""
    side_by_side = compared(study.summary.headline_results())
    everything = compared(study.summary.results)
    lowest, paired = min(side_by_side, key=lambda pair: pair[1].difference.accuracy.p)
    p = paired.difference.accuracy.p
    text = (
        f"{plural(len(side_by_side), 'arm')} compared with real; the smallest p, of {lowest.arm}, "
        f"is {p_value(p)}, and {p_value(paired.p_holm)} after Holm's adjustment"
    )
    if len(everything) > len(side_by_side):
        return Answer(
            "open",
            f"{text}. The adjustment is within a fraction and ratio: the {len(everything)} "
            "comparisons of all of them have no common error rate.",
        )
    return Answer("good", f"{text}.")


def few_test_patients(study: Study) -> Answer:
    """Count the test patients, and tell which difference could be found."""
    test = [row for row in study.own if row.split == "test"]
    patients = {
        label: len({row.patient for row in test if row.label == label})
        for label in study.summary.classes
    }
    counts = ", ".join(f"{count} {label}" for label, count in patients.items())
    detectable = study.summary.headline_difference().difference.accuracy.detectable
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


def classical_baseline(study: Study) -> Answer:
    """Look for an arm with classical augmentation."""
    if study.summary.config.augment:
        return Answer("good", "Every arm, real too, is classically augmented (--augment).")
    for result, paired in compared(study.summary.headline_results()):
        if result.kind == "classical":
            change = paired.difference.accuracy
            return Answer(
                "good",
                f"{result.arm} is one of the arms: {points(change.value)} points against real "
                f"({points_range(change)}).",
            )
    return Answer(
        "bad",
        "No arm has classical augmentation, which costs nothing and may do as much.",
        "cxr compare --arms real,real+classical,real+gan",
    )


def control_arms(study: Study) -> Answer:
    """Look for control arms, and whether they behave."""
    controls = [
        (result.arm, paired)
        for result, paired in compared(study.summary.headline_results())
        if result.kind == "control"
    ]
    if not controls:
        return Answer(
            "open",
            "No control arm: a gain could come from more steps per image, and a study that finds "
            "nothing might be blind.",
            "cxr compare --arms real,real+gan,real+duplicates,real+shuffled",
        )
    text = "; ".join(
        f"{arm}: {paired.verdict}, {points(paired.difference.accuracy.value)} points"
        for arm, paired in controls
    )
    verdicts = {arm: paired.verdict for arm, paired in controls}
    if verdicts.get("real+shuffled") == "helps" or verdicts.get("real+oracle") == "hurts":
        return Answer("bad", f"A control does what it must not: {text}.")
    if verdicts.get("real+oracle") == "cannot tell":
        return Answer("open", f"{text}. Not even fresh true images were found to help.")
    return Answer("good", f"{text}.")
