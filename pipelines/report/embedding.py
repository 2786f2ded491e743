"""PNG files as they stand inside of a page."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from PIL import Image


def picture(path: Path) -> dict[str, Any] | None:
    """A PNG as a data: URI with its size in pixels; None when the file is absent, ValueError when it is damaged."""
    if not path.exists():
        return None
    try:
        with Image.open(path, formats=("PNG",)) as image:
            width, height = image.size
    except OSError as error:
        raise ValueError(f"{path} is damaged ({error}); delete it, or make it anew") from error
    return {
        "uri": "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii"),
        "width": width,
        "height": height,
    }
