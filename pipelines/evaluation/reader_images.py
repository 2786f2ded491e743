"""Which images a reader study shows, and in which order."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.results.reader_results import REAL_ANSWER, SYNTHETIC_ANSWER, JudgedImage
from pipelines.study.manifest import Row
from pipelines.study.synthetic import SyntheticRow, SyntheticSet
from runtime.options import OptionError


def choose_images(
    root: Path, rows: Sequence[Row], synthetic_set: SyntheticSet, n: int, secret: bytes
) -> list[JudgedImage]:
    """Choose n images, half of them real, in the order of the page.

    The reals are test images, which had no part in the generator, while it may have copied training
    images and its snapshot was chosen by training and validation images; one of each patient as far
    as patients go. Both halves have the same number of each label, spread evenly, so that no label
    tells.

    root: the study's folder. secret: the key of the hashes that choice, names and order come from.
    Raises ValueError when there are not enough images.
    """
    reals = _reals_by_label(rows, secret)
    if not reals:
        raise ValueError(
            f"{root.resolve()} has no test images to set beside the synthetic ones; import more "
            "with: cxr data import PATH..."
        )
    synthetic = _synthetic_by_label(synthetic_set, secret)
    labels = sorted(reals.keys() & synthetic.keys())
    counts = _spread_evenly(
        {label: min(len(reals[label]), len(synthetic[label])) for label in labels}, n // 2
    )
    if sum(counts.values()) < n // 2:
        held = "; ".join(
            f"{label}: {len(reals.get(label, []))} test, {len(synthetic.get(label, []))} synthetic"
            for label in sorted(reals.keys() | synthetic.keys())
        )
        raise OptionError(
            "n",
            n,
            f"there are images for at most {2 * sum(counts.values())}, as many real as synthetic "
            f"of each label ({held})",
        )
    images = []
    for label, count in counts.items():
        images += [_real_image(row, secret) for row in reals[label][:count]]
        images += [
            _synthetic_image(root, synthetic_set.folder, row, secret)
            for row in synthetic[label][:count]
        ]
    return sorted(images, key=lambda image: image.image)


def real_name(row: Row) -> str:
    """Return what a key calls an image of the study."""
    return f"data/{row.file_name}"


def _keyed_hash(secret: bytes, *parts: str) -> str:
    return hmac.new(secret, "/".join(parts).encode(), hashlib.sha256).hexdigest()


def _reals_by_label(rows: Sequence[Row], secret: bytes) -> dict[str, list[Row]]:
    """The test images of each label, a patient's second image after every patient's first."""
    held_out = sorted(
        (row for row in rows if row.split == "test"),
        key=lambda row: _keyed_hash(secret, "choice", row.file_name),
    )
    earlier_images: Counter[str] = Counter()  # by patient
    ranked = defaultdict(list)
    for row in held_out:
        ranked[row.label].append((earlier_images[row.patient], row))
        earlier_images[row.patient] += 1
    return {
        label: [row for _, row in sorted(pairs, key=lambda pair: pair[0])]
        for label, pairs in ranked.items()
    }


def _synthetic_by_label(
    synthetic_set: SyntheticSet, secret: bytes
) -> dict[str, list[SyntheticRow]]:
    by_label = defaultdict(list)
    for row in sorted(
        synthetic_set.rows, key=lambda row: _keyed_hash(secret, "choice", row.file_name)
    ):
        by_label[row.label].append(row)
    return dict(by_label)


def _spread_evenly(most: Mapping[str, int], n: int) -> dict[str, int]:
    """Spread n over labels as evenly as they allow; the sum is less where they do not hold n."""
    counts = dict.fromkeys(most, 0)
    while sum(counts.values()) < n and counts != most:
        open_labels = [label for label in most if counts[label] < most[label]]
        counts[min(open_labels, key=lambda label: counts[label])] += 1
    return counts


def _real_image(row: Row, secret: bytes) -> JudgedImage:
    file_name = real_name(row)
    return JudgedImage(
        image=_image_id(secret, file_name),
        answer=REAL_ANSWER,
        file_name=file_name,
        label=row.label,
        patient=row.patient,
    )


def _synthetic_image(root: Path, folder: Path, row: SyntheticRow, secret: bytes) -> JudgedImage:
    file_name = f"{folder.relative_to(root).as_posix()}/{row.file_name}"
    return JudgedImage(
        image=_image_id(secret, file_name),
        answer=SYNTHETIC_ANSWER,
        file_name=file_name,
        label=row.label,
        patient="",
    )


def _image_id(secret: bytes, file_name: str) -> str:
    return _keyed_hash(secret, "image", file_name)[:16]
