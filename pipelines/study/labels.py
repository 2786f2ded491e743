"""The labels of a study, and the size at which its images are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pipelines.study.manifest import SPLITS, Row
from pipelines.study.split import Split
from pipelines.study.synthetic import SyntheticSet
from pipelines.study.workspace import Workspace
from runtime.options import OptionError

DEFAULT_IMAGE_SIZE = 64
NEGATIVE_NAMES = ("normal", "negative", "healthy", "no_findings", "control")


def list_classes(rows: Sequence[Row]) -> list[str]:
    """Return the study's labels, sorted. Raises ValueError when there is only one."""
    classes = sorted({row.label for row in rows})
    if len(classes) < 2:
        raise ValueError(
            f"the study has one class, {classes[0]}; a classifier needs two: "
            "import another with cxr data import PATH=LABEL"
        )
    return classes


def choose_positive_class(classes: Sequence[str], asked: str | None = None) -> str:
    """Return the class that sensitivity is about.

    It is the one asked for, covid, or the last that does not sound healthy.
    """
    if asked is not None and asked not in classes:
        raise OptionError(
            "positive", asked, f"no such label in this study; expected one of {', '.join(classes)}"
        )
    if asked is not None or "covid" in classes:
        return asked or "covid"
    return next((name for name in reversed(classes) if name not in NEGATIVE_NAMES), classes[-1])


def choose_image_size(
    workspace: Workspace, synthetic: SyntheticSet | None, asked: int | None
) -> int:
    """Return the side in pixels at which images are read.

    It is the synthetic set's; else the one asked for, the newest generator's, or 64.
    """
    if synthetic:
        if asked not in (None, synthetic.image_size):
            raise OptionError(
                "image_size",
                asked,
                f"{synthetic.folder.name} has images of {synthetic.image_size} px, "
                "and reals and synthetic images share one size",
            )
        return synthetic.image_size
    if asked is not None:
        if not 16 <= asked <= 512:
            raise OptionError("image_size", asked, "expected 16 to 512 pixels")
        return asked
    try:
        return workspace.find_run("gan-train", holding="generator.pt").config["image_size"]
    except FileNotFoundError:
        return DEFAULT_IMAGE_SIZE


def order_in_turn(labels: Sequence[str]) -> list[int]:
    """Return the places of labels in an order of which every beginning has the shares of all.

    Labels that are as frequent come in turn, in alphabetical order.
    """
    counts = Counter(labels)
    seen: Counter[str] = Counter()
    keys = []
    for label in labels:
        keys.append(((seen[label] + 0.5) / counts[label], label))
        seen[label] += 1
    return sorted(range(len(labels)), key=keys.__getitem__)


def check_every_class(splits: Mapping[str, Split], classes: Sequence[str]) -> None:
    """Raise ValueError when train, validation or test has no image of one of the classes."""
    for name in SPLITS:
        absent = [
            label for index, label in enumerate(classes) if not (splits[name].labels == index).any()
        ]
        if absent:
            raise ValueError(
                f"no image of {', '.join(absent)} in the {name} split; "
                "import images of more patients"
            )
