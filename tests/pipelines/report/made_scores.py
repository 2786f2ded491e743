"""A score written by hand, for tests of the report page."""

from __future__ import annotations

from dataclasses import replace

from pipelines.metrics.fingerprints import Fingerprint, Fingerprints
from pipelines.metrics.memorisation import Memorisation
from pipelines.metrics.nearness import Closeness, Copies, Favour, Nearness
from pipelines.metrics.scores import ExtractorRecord, LeftOut, Score, Unscored
from pipelines.results.score_summary import ScoreSummary
from runtime.estimate import Estimate


def make_score() -> ScoreSummary:
    """A score without what no score tells."""
    frechet = Score(
        group="overall",
        features="cnn",
        name="frechet",
        synthetic=Estimate(13.57, 9.87, 16.4, 6),
        synthetic_p=None,
        floor=Estimate(6.21, 4.56, 7.89, 6),
        floor_p=None,
        all_synthetic=12.34,
        n_train=8,
        n_synthetic=6,
        n_held_out=8,
        train_patients=7,
        held_out_patients=6,
        detail="",
    )
    two_samples = replace(
        frechet,
        name="two_sample_accuracy",
        synthetic=replace(frechet.synthetic, value=0.87),
        synthetic_p=0.012,
        floor_p=0.345,
        all_synthetic=None,
    )
    diversity = replace(
        frechet,
        features="pixels",
        name="ms_ssim_diversity",
        synthetic=replace(frechet.synthetic, value=0.76),
        all_synthetic=None,
    )
    return ScoreSummary(
        synthetic="0002-synthesize",
        held_out_split="validation",
        classes=["covid", "normal"],
        extractors=[ExtractorRecord("cnn", "ab" * 32, "of this study")],
        warnings=["few images"],
        scores=[frechet, two_samples, diversity],
        unscored=[Unscored("covid", "cnn", "recall", "3 training images; it needs 12")],
        memorisation=LeftOut("the images are too few"),
        label_audit=LeftOut("the classifier is gone"),
        fingerprints=Fingerprints({}, []),
    )


def make_memorisation(copied: float, warnings: list[str]) -> Memorisation:
    """What memorisation says of a set of which this share is copied, in either space."""
    share = Estimate(copied, 0.0, 1.0, 6)
    nearness = Nearness(
        copies=Copies(threshold=0.1, count=0, share=share, reals_share=share, p=0.5),
        closeness=Closeness(
            to_training=0.5, to_held_out=0.5, reals_to_training=0.5, nearer=share, c_t=0.0, p=0.5
        ),
        favour=Favour(share=0.5, by_lot=0.5, p=0.5),
        membership=share,
    )
    return Memorisation(
        n_synthetic=6,
        n_training=8,
        n_held_out=8,
        extractor="cnn",
        pixels=nearness,
        features=nearness,
        discriminator={},
        discriminator_note="none: it is gone",
        warnings=warnings,
    )


def make_fingerprints(sharpness: float, warnings: list[str]) -> Fingerprints:
    """Fingerprints of which sharpness tells synthetic images of covid with this ROC AUC."""
    found = Fingerprint(
        synthetic_from_real={"covid": Estimate(sharpness, 0.0, 1.0, 14)},
        class_in_reals={},
        class_in_mixture={},
        real_medians={},
        synthetic_medians={},
    )
    return Fingerprints({"sharpness": found}, warnings)
