"""What `cxr score` leaves: score.json, and score.csv with a row per score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.metrics.fingerprints import Fingerprints
from pipelines.metrics.label_audit import LabelAudit
from pipelines.metrics.memorisation import Memorisation
from pipelines.metrics.scores import OVERALL, ExtractorRecord, LeftOut, Score, Unscored
from pipelines.results.held_out_nearness import HeldOutNearness
from pipelines.study.tables import format_table
from runtime.files import write_text
from runtime.records import read_record, write_record
from runtime.run import Run

SCORE_FILE = "score.json"
SCORE_TABLE = "score.csv"
SCORE_FORMAT = 3
SCORE_COLUMNS = (
    *("group", "features", "score"),
    *("value", "low", "high", "p"),
    *("floor", "floor_low", "floor_high", "floor_p"),
    *("of_all", "n", "n_train", "n_synthetic", "n_held_out"),
    *("train_patients", "held_out_patients", "detail"),
)


@dataclass(frozen=True, kw_only=True)
class ScoreSummary:
    """Every score of a study's synthetic set, and what no score tells.

    Attributes:
        synthetic: The set's name.
        held_out_split: Whose images the held-out reals are, "validation" or "test".
        classes: Of the study.
        extractors: Whose features were scored.
        warnings: What to know before comparing distances.
        scores, unscored: Of every class, overall, and in every space.
        memorisation, label_audit: Or why they were left out.
        fingerprints: Of simple properties.
        held_out: Of a set that another program made, its nearness to the held-out images.
    """

    synthetic: str
    held_out_split: str
    classes: list[str]
    extractors: list[ExtractorRecord]
    warnings: list[str]
    scores: list[Score]
    unscored: list[Unscored]
    memorisation: LeftOut | Memorisation
    label_audit: LeftOut | LabelAudit
    fingerprints: Fingerprints
    held_out: HeldOutNearness | None = None

    @property
    def overall_distances(self) -> list[Score]:
        """The Fréchet distance of all classes together, in the features of each extractor."""
        return overall_distances(self.scores)

    @classmethod
    def load(cls, run: Run) -> ScoreSummary:
        """Read score.json of a run.

        Raises FileNotFoundError when there is none, ValueError that names it when it is damaged or
        of another format.
        """
        return read_record(run.folder / SCORE_FILE, cls, SCORE_FORMAT, remedy="cxr score")

    def save(self, run: Run) -> None:
        """Write score.json and score.csv into a run's folder."""
        write_record(run.folder / SCORE_FILE, self, SCORE_FORMAT)
        _write_table(run.folder, self.scores)


@dataclass(frozen=True, kw_only=True)
class FolderScores:
    """Every score of one folder of images against another.

    Attributes:
        dataset_a, dataset_b: The folder of reals, and the other one.
        classes: The labels that both have.
        extractors, warnings, scores, unscored: See `ScoreSummary`.
        frechet: The Fréchet distance alone, where either is a file of statistics.
    """

    dataset_a: str
    dataset_b: str
    classes: list[str]
    extractors: list[ExtractorRecord]
    warnings: list[str]
    scores: list[Score]
    unscored: list[Unscored]
    frechet: float | None = None

    @property
    def overall_distances(self) -> list[Score]:
        """The Fréchet distance of all classes together, in the features of each extractor."""
        return overall_distances(self.scores)

    @classmethod
    def load(cls, folder: Path) -> FolderScores:
        """Read score.json of a folder; see `ScoreSummary.load`."""
        return read_record(folder / SCORE_FILE, cls, SCORE_FORMAT, remedy="cxr score")

    def save(self, folder: Path) -> None:
        """Write score.json and score.csv into a folder."""
        write_record(folder / SCORE_FILE, self, SCORE_FORMAT)
        _write_table(folder, self.scores)


def scores_of_test_images(runs: Sequence[Run]) -> list[Run]:
    """Choose the scores that looked at test images, as those of earlier versions all did."""
    return [
        run
        for run in runs
        if run.command == "score"
        and (run.folder / SCORE_FILE).exists()
        and run.config.get("held_out_split", "test") == "test"
    ]


def overall_distances(scores: Sequence[Score]) -> list[Score]:
    """Choose the Fréchet distances of all classes together."""
    return [score for score in scores if score.name == "frechet" and score.group == OVERALL]


def _write_table(folder: Path, scores: Sequence[Score]) -> None:
    write_text(folder / SCORE_TABLE, format_table(SCORE_COLUMNS, map(_row, scores)))


def _row(score: Score) -> dict[str, object]:
    values = (
        *(score.group, score.features, score.name),
        *(score.synthetic.value, score.synthetic.low, score.synthetic.high, score.synthetic_p),
        *(score.floor.value, score.floor.low, score.floor.high, score.floor_p),
        *(score.all_synthetic, score.synthetic.n),
        *(score.n_train, score.n_synthetic, score.n_held_out),
        *(score.train_patients, score.held_out_patients, score.detail),
    )
    return dict(zip(SCORE_COLUMNS, values, strict=True))
