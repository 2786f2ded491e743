"""How many images the views of lungs leave out, and whose masks the others have."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.study.lung_counts import count_lungs
from pipelines.study.lungs import NETWORK, table_path, write_lungs
from pipelines.study.view_names import LUNG_BOX
from pipelines.study.workspace import Workspace
from tests.conftest import LUNG_STUDY_IMAGES, LUNGS_IN_DOUBT, cxr, ok


def test_what_is_left_out_and_what_is_seen_add_up(lung_box_study: Path) -> None:
    workspace = Workspace(lung_box_study)
    counts = count_lungs(workspace)
    assert counts.left_out == LUNGS_IN_DOUBT
    assert sum(own.left_out["train"] for own in counts.labels) == LUNGS_IN_DOUBT
    assert sum(own.seen for own in counts.labels) == len(workspace.in_view(LUNG_BOX).rows())
    assert sum(sum(own.images.values()) for own in counts.labels) == LUNG_STUDY_IMAGES
    assert counts.drawn == 0


def test_masks_of_one_label_by_people_and_of_another_by_the_network_are_warned_of(
    lung_box_study: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(lung_box_study, tmp_path / "study"))
    before = ok(cxr("data", "check", folder=study))
    assert f"each lose {LUNGS_IN_DOUBT} images" in before
    assert "style of the outline" not in before
    workspace = Workspace(study)
    drawn = [
        replace(row, source=NETWORK) if "/normal/" in row.file_name else row
        for row in workspace.lungs.values()
    ]
    write_lungs(table_path(workspace.data), drawn)
    output = ok(cxr("data", "check", folder=study))
    assert "the style of the outline may tell the label" in output


def test_a_check_goes_on_where_lungs_are_of_other_images(
    lung_box_study: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(lung_box_study, tmp_path / "study"))
    lungs = table_path(study / "data")
    lungs.write_text("".join(lungs.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ValueError, match="is of other images than the study has"):
        count_lungs(Workspace(study))
    assert "is of other images than the study has" in ok(cxr("data", "check", folder=study))
