"""Images as arrays: in the order asked for, kept, and made anew when the manifest changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.data.importing import import_listings
from pipelines.data.phantom_source import list_phantoms
from pipelines.study.image_cache import load_images
from pipelines.study.workspace import Workspace

SIZE = 32


def add_phantoms(workspace: Workspace, count: int) -> None:
    import_listings(workspace, [list_phantoms(count, 0)], ratios=(0.7, 0.1, 0.2), seed=0)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A study of six phantoms."""
    workspace = Workspace(tmp_path / "study")
    add_phantoms(workspace, 6)
    return workspace


def test_images_come_in_the_order_of_the_rows(workspace: Workspace) -> None:
    images = load_images(workspace, workspace.rows(), SIZE)
    assert images.shape == (6, SIZE, SIZE)
    assert np.array_equal(load_images(workspace, workspace.rows()[::-1], SIZE), images[::-1])


def test_arrays_are_made_anew_when_the_manifest_changes(workspace: Workspace) -> None:
    load_images(workspace, workspace.rows(), SIZE)
    (kept,) = (workspace.data / "arrays").glob("*.npy")
    add_phantoms(workspace, 8)
    assert load_images(workspace, workspace.rows(), SIZE).shape == (8, SIZE, SIZE)
    assert not kept.exists()


def test_damaged_arrays_are_named(workspace: Workspace) -> None:
    load_images(workspace, workspace.rows(), SIZE)
    next((workspace.data / "arrays").glob("*.npy")).write_bytes(b"damaged")
    with pytest.raises(ValueError, match="delete it"):
        load_images(workspace, workspace.rows(), SIZE)
