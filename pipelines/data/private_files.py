"""Files that their owner alone can read: what links a study to people."""

from __future__ import annotations

import os
from pathlib import Path

from runtime.files import atomic


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, from its first byte on."""
    write_with_mode(path, text.encode("utf-8"), 0o600)


def write_with_mode(path: Path, content: bytes, mode: int) -> None:
    """Write a file, whole or not at all, that has these permissions from its first byte on."""
    with atomic(path) as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
