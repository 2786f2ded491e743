"""The labels of a study, and the size at which its images are read."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.study.manifest import SPLITS
from pipelines.study.synthetic import Split, SyntheticSet
from pipelines.study.workspace import Workspace

DEFAULT_SIZE = 64
NEGATIVE_NAMES = ("normal", "negative", "healthy", "no_findings", "control")


def study_classes(workspace: Workspace) -> list[str]:
    """The study's labels, sorted. Raises ValueError when there is only one."""
    classes = sorted({row.label for row in workspace.rows()})
    if len(classes) < 2:
        raise ValueError(
            f"the study has one class, {classes[0]}; a classifier needs two: import another with cxr data import PATH=LABEL"
        )
    return classes


def positive_class(classes: Sequence[str], asked: str | None = None) -> str:
    """The class that sensitivity is about: the one asked for, covid, or the last that does not sound healthy."""
    if asked is not None and asked not in classes:
        raise ValueError(
            f"--positive {asked}: no such label in this study; expected one of {', '.join(classes)}"
        )
    if asked is not None or "covid" in classes:
        return asked or "covid"
    return next((name for name in reversed(classes) if name not in NEGATIVE_NAMES), classes[-1])


def study_size(workspace: Workspace, synthetic: SyntheticSet | None, asked: int | None) -> int:
    """Side in pixels at which images are read: the synthetic set's; else the one asked for, the newest generator's, or 64."""
    if synthetic:
        if asked not in (None, synthetic.image_size):
            raise ValueError(
                f"--image-size {asked}: {synthetic.folder.name} has images of {synthetic.image_size} px, and reals and synthetic images share one size"
            )
        return synthetic.image_size
    if asked is not None:
        if not 16 <= asked <= 512:
            raise ValueError(f"--image-size {asked}: expected 16 to 512 pixels")
        return asked
    try:
        return workspace.find_run("gan-train", holding="generator.pt").config["image_size"]
    except FileNotFoundError:
        return DEFAULT_SIZE


def check_every_class(splits: dict[str, Split], classes: Sequence[str]) -> None:
    for name in SPLITS:
        absent = [
            label for index, label in enumerate(classes) if not (splits[name].labels == index).any()
        ]
        if absent:
            raise ValueError(
                f"no image of {', '.join(absent)} in the {name} split; import images of more patients"
            )
