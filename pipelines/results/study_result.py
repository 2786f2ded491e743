"""What a preregistered study found, as its study.json holds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipelines.results.image_count import ImageCount
from pipelines.study.fractions import RealFraction
from runtime.estimate import Estimate
from runtime.records import read_record, write_record
from runtime.run import Run

STUDY_FILE = "study.json"
STUDY_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class StudyQuestion:
    """The question of a study, as it was written down before the run: its table [question].

    Attributes:
        arm: With synthetic images.
        reference: What it is held against: "best", the best arm without synthetic images by
            validation, or an arm's name.
        fractions: Of the reals. At each the question is asked once; together they share one error
            rate (Holm 1979).
        arch, view: Of the classifiers, and what they see of the images.
        points: A yes is a difference of so many percentage points or more.
    """

    arm: str
    reference: str
    fractions: tuple[RealFraction, ...]
    arch: str
    view: str
    points: float


@dataclass(frozen=True, kw_only=True)
class StudyComparison:
    """One comparison of a study: the run, its condition, and what it was tested on."""

    run: str
    view: str
    arch: str
    fraction: RealFraction
    classifiers: int
    test: ImageCount


@dataclass(frozen=True, kw_only=True)
class StudyContrast:
    """How far an arm lies above a reference in one comparison of a study.

    Attributes:
        view, arch, fraction: Of the comparison.
        roles: What the reference is to the arm, see PairedDifference.
        difference: In the study's measure, a share.
        detectable: The smallest true difference found in 80 % of such studies.
        p: Two-sided, by itself.
        replicates: Pairs of classifiers in each fold.
        asked: Whether it is one of the question's.
        p_holm: Adjusted for all that the question asks; None where it is none of them.
        verdict: Of the question: "yes", "no" or "cannot tell"; None where it is none of them.
    """

    view: str
    arch: str
    fraction: RealFraction
    arm: str
    reference: str
    roles: tuple[str, ...]
    difference: Estimate
    detectable: float
    p: float
    replicates: int
    asked: bool = False
    p_holm: float | None = None
    verdict: str | None = None


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """The answer to a study's question, and all that it rests on.

    Attributes:
        preregistration, sha256: The file's name and hash.
        question, measure: What was asked, in one field of ArmMeasures.
        verdict: "yes", "no" or "cannot tell"; `sentence` is the same in words.
        departures: What differs from the preregistration, in words; empty where nothing does.
        warnings: Of its comparisons.
        comparisons, contrasts: In the order in which they were made, the question's first.
    """

    preregistration: str
    sha256: str
    question: StudyQuestion
    measure: str
    verdict: str
    sentence: str
    departures: tuple[str, ...]
    warnings: tuple[str, ...]
    comparisons: tuple[StudyComparison, ...]
    contrasts: tuple[StudyContrast, ...]

    @classmethod
    def load(cls, run: Run) -> StudyResult:
        """Read study.json of a run. Raises ValueError when it is damaged or of another format."""
        return read_record(run.folder / STUDY_FILE, cls, STUDY_FORMAT, remedy="cxr study FILE")

    def save(self, run: Run) -> None:
        """Write study.json into a run's folder."""
        write_record(run.folder / STUDY_FILE, self, STUDY_FORMAT)

    def asked(self) -> list[StudyContrast]:
        """Return the contrasts of the question."""
        return [contrast for contrast in self.contrasts if contrast.asked]


def flatten_plan(tables: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    """Yield every value of a plan's tables, each under the names that lead there."""
    for name, value in tables.items():
        where = f"{above} {name}".strip()
        if isinstance(value, Mapping):
            yield from flatten_plan(value, where)
        else:
            yield where, value
