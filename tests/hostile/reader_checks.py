"""What must hold of every reader: it reads, or says which file is wrong, and nothing else happens.

A check returns "read" or "refused", and raises AssertionError for anything else.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from gan.config import GanConfig
from pipelines.data.sources import read_sources
from pipelines.study.image_io import MAX_SIDE, read_picture
from pipelines.study.manifest import EXTERNAL, LABEL, SPLITS, read_manifest
from pipelines.study.synthetic import read_synthetic
from runtime.files import parse_config, read_json
from tests.hostile.pictures import whole_pictures
from tests.support.side_effects import record_side_effects

MISTAKES = (ValueError, FileNotFoundError)


def check_picture(suffix: str, content: bytes) -> str:
    """Read a file as a picture: there are pixels, or a mistake that names the file."""

    def read(path: Path) -> None:
        gray = read_picture(path).gray
        assert gray.dtype == np.uint8
        assert gray.ndim == 2
        assert 0 < max(gray.shape) <= MAX_SIDE

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"film{suffix}"
        path.write_bytes(content)
        outcome = _read_or_refuse(read, path, named=path)
        assert path.read_bytes() == content
        assert len(os.listdir(folder)) == 1
    return outcome


def check_table(name: str, content: bytes, read_files: Callable[[Path], list[Path]]) -> str:
    """Read a file as a table: all paths are inside its folder, or a mistake names that."""

    def read(path: Path) -> None:
        files = read_files(path)
        inside = f"{path.parent}/"
        assert all(os.path.normpath(file).startswith(inside) for file in files), files

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder).resolve() / name
        path.write_bytes(content)
        (path.parent / "0.png").write_bytes(whole_pictures()["L.png"])
        config = {"image_size": 32, "trained_on": [name]}
        (path.parent / "config.json").write_text(json.dumps(config))
        return _read_or_refuse(read, path, named=path.parent)


def check_configuration(content: bytes) -> str:
    """Read a file as a configuration: it is what the file says, or a mistake that names it."""

    def read(path: Path) -> None:
        assert asdict(parse_config(GanConfig, read_json(path), path)) == json.loads(content)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_bytes(content)
        return _read_or_refuse(read, path, named=path)


def _read_or_refuse(read: Callable[[Path], None], path: Path, *, named: Path) -> str:
    """Call a reader; a mistake has to name what it is about, and there are no side effects."""
    outcome, message = "read", ""
    with record_side_effects(Path(os.devnull)) as effects:
        try:
            read(path)
        except MISTAKES as error:
            outcome, message = "refused", str(error)
    assert not effects
    assert outcome == "read" or str(named) in message, message
    return outcome


def files_of_manifest(path: Path) -> list[Path]:
    """Return the files that a study's manifest names."""
    rows = read_manifest(path)
    for row in rows:
        assert LABEL.fullmatch(row.label)
        assert row.split in (*SPLITS, EXTERNAL)
        assert min(row.width, row.height) > 0
    return [path.parent / row.file_name for row in rows]


def files_of_set(path: Path) -> list[Path]:
    """Return the files that the manifest of a synthetic set names."""
    return read_synthetic(path.parent).paths


def files_of_source(path: Path) -> list[Path]:
    """Return the files that a source's table names."""
    (listing,) = read_sources((str(path if path.name == "table.csv" else path.parent),))
    assert all(LABEL.fullmatch(image.label) for image in listing.images)
    return [Path(image.origin) for image in listing.images]
