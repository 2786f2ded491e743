"""What `cxr score` prints: every score, and what no score tells."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.metrics.names import SCORE_FORMATS
from pipelines.metrics.scores import PIXELS, LeftOut
from runtime.estimate import significant

if TYPE_CHECKING:
    from pipelines.metrics.fingerprints import Fingerprint, Fingerprints
    from pipelines.metrics.label_audit import Agreement, LabelAudit
    from pipelines.metrics.memorisation import Memorisation
    from pipelines.metrics.nearness import Nearness
    from pipelines.metrics.privacy import Privacy
    from pipelines.metrics.scores import ExtractorRecord, Score
    from pipelines.results.score_summary import FolderScores, ScoreSummary
    from runtime.run import Run


def scores_table(summary: ScoreSummary | FolderScores) -> str:
    """Write every score per network and group, with 95 % intervals.

    Of synthetic images, of as many held-out reals (one of each patient), and of all synthetic
    images.
    """
    spaces = {record.name: _describe(record) for record in summary.extractors}
    spaces[PIXELS] = PIXELS
    order = list(spaces)
    scores = sorted(summary.scores, key=lambda score: order.index(score.features))
    lines = ["n: images of each kind; of reals one of each patient"]
    for space, of_space in itertools.groupby(scores, key=lambda score: score.features):
        lines.append(spaces[space])
        lines.append(f"{'':38}{'synthetic':>26}{'held-out reals':>26}{'n':>6}{'all synthetic':>15}")
        for group, of_group in itertools.groupby(of_space, key=lambda score: score.group):
            first, *others = of_group
            lines.append(
                f"{group}: {first.n_train} training reals of {first.train_patients} patients, "
                f"{first.n_held_out} held-out of {first.held_out_patients}, "
                f"{first.n_synthetic} synthetic"
            )
            lines += [line for score in (first, *others) for line in _score_lines(score)]
    lines += [
        f"{unscored.group}, {unscored.features}: no {SCORE_FORMATS[unscored.name].title}, "
        f"{unscored.reason}"
        for unscored in summary.unscored
    ]
    return "\n".join(lines)


def held_out_line(summary: ScoreSummary, runs: Sequence[Run]) -> str:
    """Say whose images the held-out reals are, and how often scores have looked at the test's.

    runs: of the study, this score's among them.
    """
    from pipelines.results.score_summary import scores_of_test_images

    if summary.held_out_split != "test":
        return f"the {summary.held_out_split} images; the test images are for cxr score --final"
    looks = [run.name for run in scores_of_test_images(runs)]
    times = "the first score" if len(looks) == 1 else f"one of {len(looks)} scores"
    return (
        f"the test images; {times} of this study to look at them ({', '.join(looks)}). "
        "What is chosen by it is chosen on the test split"
    )


def checks_table(summary: ScoreSummary) -> str:
    """Write what memorisation, labels and fingerprints say in a few lines each, and warnings."""
    warnings = [
        warning
        for section in (summary.memorisation, summary.label_audit, summary.fingerprints)
        if not isinstance(section, LeftOut)
        for warning in section.warnings
    ]
    warnings += summary.held_out.warnings if summary.held_out else []
    return "\n".join(
        [
            *_memorisation_lines(summary.memorisation),
            *_label_lines(summary.label_audit),
            *_fingerprint_lines(summary.fingerprints),
            *([summary.held_out.sentence] if summary.held_out else []),
            *(f"warning: {warning}" for warning in warnings),
        ]
    )


def _describe(record: ExtractorRecord) -> str:
    return f"features of {record.name} ({record.note}; weights {record.sha256[:12]})"


def _score_lines(score: Score) -> list[str]:
    form = SCORE_FORMATS[score.name]
    synthetic, floor = score.synthetic.written(form.number), score.floor.written(form.number)
    of_all = "" if score.all_synthetic is None else form.number(score.all_synthetic)
    counts = f"{score.synthetic.n:6d}{of_all:>15}".rstrip()
    lines = [f"  {form.label:36} {synthetic:>25} {floor:>25}{counts}"]
    if score.detail:
        lines.append(f"      {score.detail}")
    if score.synthetic_p is not None:
        lines.append(f"      p = {score.synthetic_p:.3f}, of held-out reals {score.floor_p:.3f}")
    return lines


def _memorisation_lines(memorisation: Memorisation | LeftOut) -> list[str]:
    if isinstance(memorisation, LeftOut):
        return [f"memorisation: left out, {memorisation.reason}"]
    by_class = ", ".join(
        f"{label} {auc.percent()}" for label, auc in memorisation.discriminator.items()
    )
    unseen = ""
    if memorisation.n_unseen:
        unseen = f" ({memorisation.n_unseen} of the training split, which the generator never saw)"
    return [
        f"memorisation: {memorisation.n_synthetic} synthetic images, {memorisation.n_training} "
        f"training, {memorisation.n_held_out} held-out{unseen}; shares and AUC in %, "
        "[95 % interval]",
        f"{'':20}{'too near a training image':>27}{'of reals':>10}{'nearest is training':>21}"
        f"{'by lot':>8}{'p':>8}{'C_T':>8}{'membership AUC':>22}",
        _nearness_line("pixels", memorisation.pixels),
        _nearness_line(memorisation.extractor, memorisation.features),
        *_privacy_lines("pixels", memorisation.pixels.privacy),
        *_privacy_lines(memorisation.extractor, memorisation.features.privacy),
        f"  membership AUC of the discriminator ({memorisation.discriminator_note})"
        + (f": {by_class}" if by_class else ""),
    ]


def _nearness_line(space: str, nearness: Nearness) -> str:
    copies, favour = nearness.copies, nearness.favour
    return (
        f"  {space:18}{copies.share.percent():>27}{100 * copies.reals_share.value:10.1f}"
        f"{100 * favour.share:21.1f}{100 * favour.by_lot:8.1f}{favour.p:8.4f}"
        f"{nearness.closeness.c_t:8.1f}{nearness.membership.percent():>22}"
    )


def _privacy_lines(space: str, privacy: Privacy | None) -> list[str]:
    if privacy is None:
        return []
    identified, strangers = privacy.identified, privacy.reals_identified
    known_again = "too few held-out patients to say who is known again"
    if identified and strangers:
        known_again = (
            f"{identified.percent()} of {identified.n} training patients known again, of "
            f"{strangers.n} held-out ones {strangers.percent()}"
        )
    return [
        f"  privacy in {space}: authentic {privacy.authentic.percent()}, reals "
        f"{privacy.reals_authentic.percent()}; {known_again}",
        f"      mean distance to the nearest training image "
        f"{privacy.distance.written(significant)}, of held-out reals "
        f"{privacy.reals_distance.written(significant)}",
    ]


def _label_lines(audit: LabelAudit | LeftOut) -> list[str]:
    if isinstance(audit, LeftOut):
        return [f"label audit: left out, {audit.reason}"]
    return [
        f"label audit by {audit.classifier} ({audit.arch}), in %: {audit.verdict}",
        *(_agreement_line(label, agreement) for label, agreement in audit.classes.items()),
    ]


def _agreement_line(label: str, agreement: Agreement) -> str:
    agreed = "none asked for"
    if agreement.agreement is not None:
        share = agreement.agreement
        agreed = f"{share.percent()} of {share.n} synthetic images called as asked"
    return f"  {label:18}{agreed}; held-out reals {agreement.recall.percent()}"


def _fingerprint_lines(fingerprints: Fingerprints) -> list[str]:
    return [
        "fingerprints, AUC in %: synthetic against real by class (50: alike); a class against the "
        "others in training reals, and with the synthetic images added",
        *(
            _fingerprint_line(name, fingerprint)
            for name, fingerprint in fingerprints.by_name.items()
        ),
    ]


def _fingerprint_line(name: str, fingerprint: Fingerprint) -> str:
    by_class = ", ".join(
        f"{label} {100 * auc.value:.0f}" for label, auc in fingerprint.synthetic_from_real.items()
    )
    classes = ", ".join(
        f"{label} {100 * auc:.0f} → {100 * fingerprint.class_in_mixture[label]:.0f}"
        for label, auc in fingerprint.class_in_reals.items()
    )
    return f"  {name:18}{by_class}; {classes}"
