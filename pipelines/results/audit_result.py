"""What a shortcut audit found, as its audit.json holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from classifier.config import ClassifierConfig
from pipelines.results.image_count import ImageCount
from runtime.estimate import Estimate
from runtime.records import read_record, write_record
from runtime.run import Run

AUDIT_FILE = "audit.json"
AUDIT_FORMAT = 3


@dataclass(frozen=True)
class Skill:
    """How well a classifier tells the classes of the test images apart."""

    accuracy: Estimate
    roc_auc: Estimate

    @classmethod
    def of(cls, measures: Mapping[str, Estimate]) -> Skill:
        """Take the two from all measures of a classifier."""
        return cls(measures["accuracy"], measures["roc_auc"])


@dataclass(frozen=True)
class AlterationResult:
    """What is left of a classifier's skill when images are altered in one way.

    Attributes:
        name, title: Of the alteration, as a folder and as it is read.
        as_it_is: The audited classifier's, shown altered test images.
        retrained: That of a classifier trained and tested on images altered alike; None where none
            was trained.
        retained_auc: The share of the ROC AUC above chance that `retrained` has of that on whole
            images; None where there is none, or where the latter may be chance.
    """

    name: str
    title: str
    as_it_is: Skill
    retrained: Skill | None
    retained_auc: float | None


@dataclass(frozen=True)
class SourceTest:
    """How well a classifier tells the sources of one label's images apart.

    The label being the same, nothing of it can help.
    """

    label: str
    sources: tuple[str, ...]
    test_images: int
    chance: float
    balanced_accuracy: Estimate
    roc_auc: Estimate


@dataclass(frozen=True)
class SameSourceTest:
    """How well the audited classifier tells images of one source apart, which its source cannot.

    Attributes:
        source: Of all these images.
        positives: Test images of the positive class.
        negatives: Test and external images of other classes.
        roc_auc: Of the positive class.
        called_positive: Share of the negatives.
        elsewhere: Share of the negatives of other sources that are called positive; None where
            there are none.
    """

    source: str
    positives: ImageCount
    negatives: ImageCount
    roc_auc: Estimate
    called_positive: Estimate
    elsewhere: Estimate | None


@dataclass(frozen=True)
class SourceAudit:
    """Whether the source of an image gives its label away.

    Attributes:
        images: How many there are, by label and source.
        predicted: A test for each label that has several sources with images enough.
        within: A test for each source that has images of the positive class and of others.
        sentence: All that in words.
    """

    images: dict[str, dict[str, int]]
    predicted: tuple[SourceTest, ...]
    within: tuple[SameSourceTest, ...]
    sentence: str


@dataclass(frozen=True)
class LungHeat:
    """How much of where the audited classifier looked lies in the lungs, by Grad-CAM.

    Attributes:
        share: Of the heat for the label that it gave, a mean over test images.
        area: Share of the same pictures that is lung, which is what chance would give.
        patients: How many these images are of.
        left_out: Test images without lungs that can be trusted, or without heat.
    """

    share: Estimate
    area: float
    patients: int
    left_out: int

    @property
    def sentence(self) -> str:
        """All that in words."""
        text = (
            f"{self.share.percent('.0f')} % of the heat lies in the lungs, which are "
            f"{100 * self.area:.0f} % of the picture ({self.share.n} test images of "
            f"{self.patients} patients"
        )
        left_out = f"; {self.left_out} without trusted lungs or without heat are left out"
        return text + (left_out if self.left_out else "") + ")"


@dataclass(frozen=True, kw_only=True)
class AuditResult:
    """What a shortcut audit of one classifier found.

    Attributes:
        classifier: The classify-train run.
        config: Of the classifiers that the audit trained.
        view: What of the images they see.
        positive: The class that the ROC AUC is of, one of `classes`.
        synthetic_in_training: The synthetic set that the audited classifier was trained with.
        alterations: A result for each, that of whole images first.
        lung_heat: None for an svm, and where no lungs are known.
        rule: Which ROC AUC without lungs counts as close to that of whole images.
        close_from: Where that begins; None where the ROC AUC of whole images may be chance.
    """

    classifier: str
    config: ClassifierConfig
    image_size: int
    view: str
    classes: tuple[str, ...]
    positive: str
    synthetic_in_training: str | None
    test: ImageCount
    alterations: tuple[AlterationResult, ...]
    sources: SourceAudit
    lung_heat: LungHeat | None
    rule: str
    close_from: float | None
    warnings: tuple[str, ...]
    intended_use: str

    @property
    def intact(self) -> Skill:
        """The skill on whole images, of a classifier trained like those on altered ones."""
        return self.alterations[0].retrained or self.alterations[0].as_it_is

    @classmethod
    def load(cls, run: Run) -> AuditResult:
        """Read audit.json of a run.

        Raises FileNotFoundError when there is none, ValueError that names it when it is damaged or
        of another format.
        """
        return read_record(run.folder / AUDIT_FILE, cls, AUDIT_FORMAT, remedy="cxr audit")

    def save(self, run: Run) -> None:
        """Write audit.json into a run's folder."""
        write_record(run.folder / AUDIT_FILE, self, AUDIT_FORMAT)
