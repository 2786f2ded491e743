"""What a study answers to the pitfalls of synthetic images: leaks, collapse, copies and more."""

from __future__ import annotations

from gan.doctor import MAX_DIVERSITY, MIN_DIVERSITY
from pipelines.metrics.memorisation import Memorisation
from pipelines.report.answers import Answer
from pipelines.report.contents import Study
from pipelines.report.formats import percent, plural
from pipelines.study.synthetic import NOTHING, UNKNOWN


def generator_leak(study: Study) -> Answer | None:
    """Look for held-out images among those behind the synthetic sets."""
    if not study.sets:
        return None
    if answer := _foreign_origin(study):
        return answer
    held_out = {row.sha256 for row in study.rows if row.split != "train"}
    trained_on: dict[str, set[str]] = {}
    for name in study.sets:
        config = study.config_of(name)
        trained_on[name] = set(config.get("trained_on") or []) if config else set()
    unknown = [name for name, images in trained_on.items() if not images]
    seen = {name: len(held_out & images) for name, images in trained_on.items()}
    if any(seen.values()):
        counts = ", ".join(f"{count} behind {name}" for name, count in seen.items() if count)
        return Answer("bad", f"A generator saw held-out images: {counts}.", "cxr gan-train")
    if unknown:
        return Answer(
            "open",
            f"What the generator of {', '.join(unknown)} was trained on is not on record any more.",
        )
    everything = set().union(*trained_on.values())
    return Answer(
        "good",
        f"None of the {len(everything)} images behind {plural(len(seen), 'synthetic set')} is "
        f"among the {len(held_out)} held out, by hashes of their pixels.",
    )


def _foreign_origin(study: Study) -> Answer | None:
    """Say what is known of sets that another program made; None where it is no less than of ours.

    A set whose generator is said to have seen a list of training images is looked up as ours are.
    """
    foreign = [own for own in study.summary.sets or () if own.statement in (NOTHING, UNKNOWN)]
    if not foreign:
        return None
    texts = [f"{own.name}: {own.trained_on}" for own in foreign]
    cautions = any(own.caution for own in foreign)
    return Answer(
        "bad" if cautions else "open",
        f"{'; '.join(texts)}. None of its images is a real one of the study, by pixels, "
        "perceptual hashes and thumbnails.",
        "cxr data export, then train on it" if cautions else "",
    )


def memorised_images(study: Study) -> Answer | None:
    """Ask the newest score how many synthetic images are too near to a training image."""
    if not study.sets:
        return None
    memory = study.score.result.memorisation if study.score else None
    if not isinstance(memory, Memorisation):
        return Answer(
            "open",
            "Whether synthetic images are copies of training images has not been measured.",
            "cxr score",
        )
    in_pixels, in_features = memory.pixels.copies.share, memory.features.copies.share
    return Answer(
        "bad" if memory.warnings else "good",
        f"{percent(in_pixels.value)} of {memory.n_synthetic} synthetic images are too near to a "
        f"training image in pixels, {percent(in_features.value)} in features; "
        "without copying about 1\u00a0% would be.",
    )


def collapsed_generators(study: Study) -> Answer | None:
    """Look for classes that had collapsed, or were noise, when the synthetic images were drawn."""
    if not study.sets:
        return None
    configs = {name: study.config_of(name) for name in study.sets}
    own = {name: config for name, config in configs.items() if config and not config.get("foreign")}
    healthy = f"{MIN_DIVERSITY:g} to {MAX_DIVERSITY:g} times as diverse as the reals"
    failed = [
        f"{' and '.join(config['unhealthy'])} of {config['generator']}"
        for config in own.values()
        if config["unhealthy"]
    ]
    if failed:
        return Answer(
            "bad",
            f"Samples of {', '.join(dict.fromkeys(failed))} were not {healthy}: the generator had "
            "collapsed there, or drew noise, and the answer is of a training that failed.",
            "cxr gan-train",
        )
    if len(own) < len(configs):
        return Answer(
            "open",
            f"How diverse the images of {', '.join(sorted(set(configs) - set(own)))} are was not "
            "measured in training.",
            "cxr score",
        )
    return Answer(
        "good",
        f"Samples of every class were {healthy} when the images of "
        f"{plural(len(own), 'synthetic set')} were drawn.",
    )


def scores_on_test(study: Study) -> Answer | None:
    """Count the scores of synthetic images that looked at the test images."""
    if not study.sets:
        return None
    chosen = f"{plural(len(study.validation_scores), 'score')} of synthetic images on validation"
    looks = study.test_scores
    if not looks:
        return Answer("good", f"{chosen} images, none on test images.")
    text = f"{chosen} images, {len(looks)} on test images ({', '.join(looks)})"
    if len(looks) == 1:
        return Answer("good", f"{text}.")
    return Answer(
        "bad",
        f"{text}. Choosing a generator, a set or a setting among them is choosing on the test "
        "split.",
        "cxr score",
    )


def telling_fingerprints(study: Study) -> Answer | None:
    """Ask the newest score how well one simple property gives synthetic images away."""
    if not study.sets:
        return None
    fingerprints = study.score.result.fingerprints if study.score else None
    if not fingerprints or not fingerprints.by_name:
        return Answer(
            "open",
            "Whether brightness, sharpness or borders give synthetic images away has not been "
            "measured.",
            "cxr score",
        )
    farthest = [
        (max(abs(auc.value - 0.5) for auc in fingerprint.synthetic_from_real.values()), name)
        for name, fingerprint in fingerprints.by_name.items()
        if fingerprint.synthetic_from_real
    ]
    distance, name = max(farthest, default=(0.0, "none"))
    return Answer(
        "bad" if fingerprints.warnings else "good",
        f"Told apart best by {name}, with a ROC AUC of {percent(0.5 + distance)} "
        f"(50\u00a0%: not at all); {plural(len(fingerprints.warnings), 'warning')}.",
    )
