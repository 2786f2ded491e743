"""PNG files as they stand inside of a page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from PIL import Image


@dataclass(frozen=True)
class Picture:
    """An image as a data: URI, with its size in pixels."""

    uri: str
    width: int
    height: int


def embed_picture(path: Path) -> Picture | None:
    """Read a PNG file; None when it is absent. Raises ValueError when it is damaged."""
    if not path.exists():
        return None
    try:
        with Image.open(path, formats=("PNG",)) as image:
            width, height = image.size
    except OSError as error:
        raise ValueError(f"{path} is damaged ({error}); delete it, or make it anew") from error
    encoded = base64.b64encode(path.read_bytes()).decode("ascii")
    return Picture(f"data:image/png;base64,{encoded}", width, height)
