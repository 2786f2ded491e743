"""Sources of files that nobody decodes, and what is listed of them."""

from __future__ import annotations

from pathlib import Path

from pipelines.data.listing import Listing, parse_labels
from pipelines.data.sources import read_sources


def list_path(path: Path, *labels: str, kind: str | None = None) -> Listing:
    (listing,) = read_sources((str(path),), kind=kind, labels=parse_labels(labels))
    return listing


def touch(folder: Path, *names: str) -> Path:
    """Make files that nobody decodes."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def labels_of(listing: Listing) -> dict[str, str]:
    return {Path(image.origin).name: image.label for image in listing.images}
