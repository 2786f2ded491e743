"""What the report page shows of a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.metrics.fingerprints import Fingerprints
from pipelines.metrics.label_audit import LabelAudit
from pipelines.metrics.memorisation import Memorisation
from pipelines.metrics.names import SCORE_FORMATS
from pipelines.metrics.scores import OVERALL, PIXELS, LeftOut, Score
from pipelines.report.contents import RunResult, Study
from pipelines.report.embedding import Picture, embed_picture
from pipelines.results.score_summary import ScoreSummary
from runtime.estimate import Estimate

SIDE_BY_SIDE = ("frechet", "precision", "recall", "two_sample_accuracy")  # of several sets

Tables = dict[str, dict[str, list["ScoreRow"]]]  # by caption and group


@dataclass(frozen=True)
class ScoreCells:
    """A score's numbers as text; `all_synthetic` is empty where it has none."""

    label: str
    synthetic: str
    synthetic_interval: str
    floor: str
    floor_interval: str
    all_synthetic: str


@dataclass(frozen=True)
class ScoreRow:
    """A score, and its numbers as text."""

    score: Score
    cells: ScoreCells


@dataclass(frozen=True, kw_only=True)
class ScoreSection:
    """A score as the page shows it.

    Attributes:
        run: Its name.
        summary: What it found.
        overall, by_class: Its scores in tables, one for each extractor and one of pixels.
        distances: The overall Fréchet distances that have a floor to be compared with.
        unscored: Why scores were left out.
        memorisation, label_audit: None where they were left out.
        no_memorisation, no_label_audit: Why they were.
        fingerprints: Of simple properties.
        warnings: Of all three.
        pairs, map: Its figures.
    """

    run: str
    summary: ScoreSummary
    overall: Tables
    by_class: Tables
    distances: list[Score]
    unscored: list[str]
    memorisation: Memorisation | None
    no_memorisation: str
    label_audit: LabelAudit | None
    no_label_audit: str
    fingerprints: Fingerprints
    warnings: list[str]
    pairs: Picture | None
    map: Picture | None


@dataclass(frozen=True, kw_only=True)
class SetScores:
    """The scores of one of several sets, of all classes together; empty where it has none.

    Attributes:
        name, run: The set's.
        scored: The name of the score.
        split: Whose images the held-out reals are.
        cells: Its numbers as text, by the names in SIDE_BY_SIDE.
        copies: How many are too near to a training image in pixels.
    """

    name: str
    run: str
    scored: str
    split: str
    cells: dict[str, ScoreCells]
    copies: Estimate | None


def scores_of_sets(study: Study) -> list[SetScores]:
    """Collect the scores of all sets that a comparison was given, for a table side by side.

    They are in the features that the page shows first. Empty where there is but one set, or none
    has a score.
    """
    if study.score is None:
        return []
    features = study.score.result.extractors[0].name
    return [
        _scores_of_set(name, study.shown_sets[name], scored, features)
        for name, scored in study.set_scores.items()
    ]


def _scores_of_set(
    name: str, run: str, scored: RunResult[ScoreSummary] | None, features: str
) -> SetScores:
    if scored is None:
        return SetScores(name=name, run=run, scored="", split="", cells={}, copies=None)
    summary = scored.result
    memory = summary.memorisation
    return SetScores(
        name=name,
        run=run,
        scored=scored.run.name,
        split=summary.held_out_split,
        cells={
            score.name: _write_cells(score)
            for score in summary.scores
            if score.group == OVERALL and score.features == features and score.name in SIDE_BY_SIDE
        },
        copies=None if isinstance(memory, LeftOut) else memory.pixels.copies.share,
    )


def score_section(scored: RunResult[ScoreSummary] | None) -> ScoreSection | None:
    """Collect what the page shows of a score; None where there is none."""
    if scored is None:
        return None
    summary, folder = scored.result, scored.run.folder
    captions = {
        record.name: f"in features of {record.name} ({record.note})"
        for record in summary.extractors
    }
    captions[PIXELS] = "from pixels"
    overall = [score for score in summary.scores if score.group == OVERALL]
    by_class = [score for score in summary.scores if score.group != OVERALL]
    memorisation, labels = summary.memorisation, summary.label_audit
    left_out = {
        f"{unscored.group}, {unscored.features}: {unscored.reason}" for unscored in summary.unscored
    }
    sections = (memorisation, labels, summary.fingerprints)
    return ScoreSection(
        run=scored.run.name,
        summary=summary,
        overall=_make_tables(overall, captions),
        by_class=_make_tables(by_class, captions),
        distances=[score for score in summary.overall_distances if score.floor.value > 0],
        unscored=sorted(left_out),
        memorisation=None if isinstance(memorisation, LeftOut) else memorisation,
        no_memorisation=memorisation.reason if isinstance(memorisation, LeftOut) else "",
        label_audit=None if isinstance(labels, LeftOut) else labels,
        no_label_audit=labels.reason if isinstance(labels, LeftOut) else "",
        fingerprints=summary.fingerprints,
        warnings=[
            warning
            for section in sections
            if not isinstance(section, LeftOut)
            for warning in section.warnings
        ]
        + (summary.held_out.warnings if summary.held_out else []),
        pairs=embed_picture(folder / "nearest_pairs.png"),
        map=embed_picture(folder / "feature_map.png"),
    )


def _make_tables(scores: Sequence[Score], captions: Mapping[str, str]) -> Tables:
    """Sort scores by caption, in the order of the captions, and by group."""
    tables: Tables = {caption: {} for caption in captions.values()}
    for score in scores:
        rows = tables[captions[score.features]].setdefault(score.group, [])
        rows.append(ScoreRow(score, _write_cells(score)))
    return {caption: groups for caption, groups in tables.items() if groups}


def _write_cells(score: Score) -> ScoreCells:
    """Write a score's numbers, each as its format has it, with minus signs for hyphens."""
    form = SCORE_FORMATS[score.name]

    def number(value: float) -> str:
        return form.number(value).replace("-", "−")

    def interval(estimate: Estimate) -> str:
        return f"{number(estimate.low)} to {number(estimate.high)}"

    return ScoreCells(
        label=form.label,
        synthetic=number(score.synthetic.value),
        synthetic_interval=interval(score.synthetic),
        floor=number(score.floor.value),
        floor_interval=interval(score.floor),
        all_synthetic="" if score.all_synthetic is None else number(score.all_synthetic),
    )
