"""How many images the views of lungs leave out, by label, and whose masks the others have.

White lungs and poor films are the first to be doubted, and people outline lungs otherwise than a
network: where labels differ in either, it is one more thing that may pass for the finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.study.lungs import HUMAN
from pipelines.study.manifest import EXTERNAL, SPLITS, Row
from pipelines.study.workspace import Workspace

MAX_LOSS_DIFFERENCE = 0.01  # between labels, of their images, from which it counts as a selection
MAX_BROUGHT_DIFFERENCE = 0.1  # between labels, of the masks that are seen


@dataclass(frozen=True)
class LabelLungs:
    """The lungs of one label's images.

    Attributes:
        images: How many there are, by split.
        left_out: How many of them have no lungs that can be trusted, by split.
        brought: How many of the others have a mask that was brought, not drawn by the network.
    """

    label: str
    images: dict[str, int]
    left_out: dict[str, int]
    brought: int

    @property
    def loss(self) -> float:
        """The share of the images that is left out."""
        return sum(self.left_out.values()) / sum(self.images.values())

    @property
    def seen(self) -> int:
        """How many images a view of lungs shows."""
        return sum(self.images.values()) - sum(self.left_out.values())

    @property
    def brought_share(self) -> float:
        """The share of the masks that were brought; 0 where no image is seen."""
        return self.brought / self.seen if self.seen else 0.0


@dataclass(frozen=True)
class LungCounts:
    """The lungs of a study's images.

    Attributes:
        splits: Those that the study has.
        labels: In alphabetical order.
        known_training, known_held_out: How many images of the training split, and of the others,
            are seen by a mask whose network was trained on this very image.
    """

    splits: tuple[str, ...]
    labels: tuple[LabelLungs, ...]
    known_training: int
    known_held_out: int

    @property
    def left_out(self) -> int:
        """How many images the views of lungs leave out."""
        return sum(sum(label.left_out.values()) for label in self.labels)

    @property
    def drawn(self) -> int:
        """How many images are seen by a mask that the network drew."""
        return sum(label.seen - label.brought for label in self.labels)

    @property
    def losses(self) -> str:
        """Which share of each label is left out, in words."""
        return ", ".join(f"{100 * label.loss:.1f} % of {label.label}" for label in self.labels)

    @property
    def masks(self) -> str:
        """Whose the masks of each label are, in words."""
        return "; ".join(
            f"{label.label}: {label.seen - label.brought} drawn by the network, {label.brought} "
            "brought"
            for label in self.labels
        )

    @property
    def warnings(self) -> list[str]:
        """What is to be thought of before a view of lungs is believed."""
        warnings = []
        losses = [label.loss for label in self.labels]
        if max(losses) - min(losses) > MAX_LOSS_DIFFERENCE:
            warnings.append(
                f"the views of lungs leave out more of one label than of another ({self.losses}), "
                "since their lungs cannot be trusted: that is a selection; bring masks for them: "
                "cxr data lungs --masks DIR"
            )
        brought = [label.brought_share for label in self.labels if label.seen]
        if brought and max(brought) - min(brought) > MAX_BROUGHT_DIFFERENCE:
            warnings.append(
                f"masks of one label are brought, those of another drawn ({self.masks}): the style "
                "of the outline may tell the label; have all drawn by one network: cxr data lungs"
            )
        if self.known_held_out:
            warnings.append(
                f"the lung network was trained on {self.known_held_out} of the images that the "
                "study holds out: their outlines are better than those of new images"
            )
        return warnings


def count_lungs(workspace: Workspace) -> LungCounts:
    """Count the lungs of all images of a study.

    Raises FileNotFoundError that says how to find them, ValueError when they are of other images.
    """
    rows, found = workspace.all_rows(), workspace.lungs
    shown = {row.file_name for row in rows if found[row.file_name].is_usable}
    known = Counter(
        row.split == "train"
        for row in rows
        if row.file_name in shown and found[row.file_name].trained_on == "yes"
    )
    present = {row.split for row in rows}
    splits = tuple(split for split in (*SPLITS, EXTERNAL) if split in present)

    def count(label: str) -> LabelLungs:
        own = [row for row in rows if row.label == label]
        return LabelLungs(
            label=label,
            images=_by_split(own, splits),
            left_out=_by_split([row for row in own if row.file_name not in shown], splits),
            brought=sum(
                found[row.file_name].source == HUMAN for row in own if row.file_name in shown
            ),
        )

    labels = tuple(count(label) for label in sorted({row.label for row in rows}))
    return LungCounts(splits, labels, known[True], known[False])


def _by_split(rows: Sequence[Row], splits: Sequence[str]) -> dict[str, int]:
    counts = Counter(row.split for row in rows)
    return {split: counts[split] for split in splits}
