"""Views of the lungs: one frame and one scale of grays for all films, and no mixing of views."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipelines.data.phantom import draw, draw_lung_mask, list_cases
from pipelines.study.image_cache import load_images
from pipelines.study.lung_shape import box_of
from pipelines.study.lungs import Lungs
from pipelines.study.shares import RealShare
from pipelines.study.view_names import LUNG_BOX, LUNGS, VIEWS
from pipelines.study.views import OUTSIDE_GRAY, harmonise, read_lung_shares, show_lungs
from pipelines.study.workspace import Workspace
from tests.conftest import LUNG_STUDY_IMAGES, LUNGS_IN_DOUBT, TINY_CLASSIFIER, cxr, ok
from tests.support.study_files import file_contents

CASE = list_cases(2, seed=0)[0]
FILM, MASK = draw(CASE, seed=0), draw_lung_mask(CASE, seed=0) > 0


@pytest.fixture
def study(lung_box_study: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lung_box_study, tmp_path / "study"))


def config_of(study: Path, run: str) -> dict[str, object]:
    config: dict[str, object] = json.loads((study / "runs" / run / "config.json").read_text())
    return config


# --- one frame, one scale of grays ---


@given(
    around=st.tuples(*[st.integers(0, 60)] * 4),
    shade=st.integers(0, 255),
    view=st.sampled_from([LUNG_BOX, LUNGS]),
)
def test_what_is_around_a_film_is_not_seen(
    around: tuple[int, int, int, int], shade: int, view: str
) -> None:
    top, bottom, left, right = around
    sides = ((top, bottom), (left, right))
    film, mask = np.pad(FILM, sides, constant_values=shade), np.pad(MASK, sides)
    before = show_lungs(FILM, Lungs(MASK, box_of(MASK)), view, 64)
    after = show_lungs(film, Lungs(mask, box_of(mask)), view, 64)
    assert (before == after).all()


@given(low=st.integers(0, 60), high=st.integers(190, 255))
def test_exposure_and_contrast_are_not_seen(low: int, high: int) -> None:
    lungs = Lungs(MASK, box_of(MASK))
    other = np.round(low + FILM.astype(float) * (high - low) / 255).astype(np.uint8)
    gap = np.abs(
        show_lungs(FILM, lungs, LUNG_BOX, 64).astype(int)
        - show_lungs(other, lungs, LUNG_BOX, 64).astype(int)
    )
    assert gap.mean() < 2  # of rounding to whole levels


@given(st.lists(st.integers(0, 255), min_size=1, max_size=300))
def test_a_darker_level_stays_darker(inside: list[int]) -> None:
    levels = harmonise(np.array(inside, np.uint8)).astype(int)
    assert levels.shape == (256,)
    assert (np.diff(levels) >= 0).all()


def test_around_the_lungs_alone_there_is_one_gray() -> None:
    picture = show_lungs(FILM, Lungs(MASK, box_of(MASK)), LUNGS, 64)
    share = read_share_of(MASK)
    assert (picture[share == 0] == OUTSIDE_GRAY).mean() > 0.8  # the filter rings at the outline
    assert picture[share == 1].std() > 30


def read_share_of(mask: np.ndarray) -> np.ndarray:
    box = box_of(mask)
    assert box is not None
    cut = mask[box.top : box.bottom, box.left : box.right]
    grown = Image.fromarray(cut.astype(np.uint8) * 255).resize((60, 60), Image.Resampling.BOX)
    return np.pad(np.asarray(grown), 2) / 255


# --- a study in a view ---


def test_doubtful_lungs_are_left_out_of_the_views_of_lungs(lung_box_study: Path) -> None:
    workspace = Workspace(lung_box_study)
    counts = {view: len(workspace.in_view(view).rows()) for view in VIEWS}
    assert counts == {
        "whole": LUNG_STUDY_IMAGES,
        "lung-box": LUNG_STUDY_IMAGES - LUNGS_IN_DOUBT,
        "lungs": LUNG_STUDY_IMAGES - LUNGS_IN_DOUBT,
    }


def test_a_share_of_the_reals_is_of_the_same_patients_in_every_view(lung_box_study: Path) -> None:
    workspace = Workspace(lung_box_study).in_view("lung-box")
    seen = {row.file_name for row in workspace.rows()}
    for share in (RealShare(0.5), RealShare(0.5, fold=1, folds=3)):
        whole = share.rows(Workspace(lung_box_study))
        assert share.rows(workspace) == [row for row in whole if row.file_name in seen]


def test_arrays_are_made_anew_when_the_lungs_change(study: Path) -> None:
    workspace = Workspace(study).in_view("lungs")
    row = workspace.rows()[0]
    before = load_images(workspace, [row], 32)
    ok(cxr("data", "lungs", "--device", "cpu", folder=study))  # by the network
    changed = Workspace(study).in_view("lungs")
    assert (load_images(changed, [row], 32) != before).any()
    assert changed.fingerprint() != workspace.fingerprint()


@pytest.mark.parametrize("view", VIEWS)
def test_lungs_lie_where_the_view_shows_them(lung_box_study: Path, view: str) -> None:
    workspace = Workspace(lung_box_study).in_view(view)
    rows = workspace.rows()[:8]
    shares = read_lung_shares(workspace, rows, 64)
    images = load_images(workspace, rows, 64)
    for image, share in zip(images, shares, strict=True):
        assert 0.1 < share.mean() < 0.8
        if view == "lungs":
            assert (image[share == 0] == OUTSIDE_GRAY).mean() > 0.8
        else:
            assert image[share > 0.5].mean() < image[share == 0].mean()  # air is dark


# --- the commands ---


def test_what_is_made_of_a_view_follows_it(lung_box_study: Path) -> None:
    for run in ("0001-gan-train", "0002-synthesize", "0003-classify-train"):
        assert config_of(lung_box_study, run)["view"] == "lung-box"


def test_a_classifier_of_lungs_finds_them_in_other_images(study: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.png"
    Image.fromarray(np.pad(FILM, 20)).save(film)
    blank = tmp_path / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8)
    Image.fromarray(noise).save(blank)
    output = ok(cxr("classify", film, blank, "--device", "cpu", folder=study))
    assert re.search(r"film.png +(covid|normal) ", output)
    assert re.search(r"noise.png +not classified: lungs that cannot be trusted", output)


def test_views_are_not_mixed(study: Path) -> None:
    before = file_contents(study)
    for arguments, message in (
        (("classify-train", "--with-synthetic", "--view", "whole"), "0002-synthesize has images"),
        (("compare", "--view", "lungs", "--arms", "real,real+gan"), "reals and synthetic images"),
        (("gan-train", "--view", "ribs"), "'ribs' is not one of"),
    ):
        result = cxr(*arguments, folder=study)
        assert result.exit_code == 2
        assert message in result.output
    assert file_contents(study) == before


def test_a_set_made_with_other_lungs_is_refused(study: Path) -> None:
    lungs = study / "data" / "lungs.json"
    values = json.loads(lungs.read_text())
    lungs.write_text(json.dumps(values | {"network_sha256": "0" * 64}))
    result = cxr("classify-train", "--with-synthetic", *TINY_CLASSIFIER, folder=study)
    assert result.exit_code == 2
    assert "0002-synthesize was made with lungs of another network" in result.output


def test_a_view_of_lungs_needs_them(phantom_study: Path) -> None:
    result = cxr("gan-train", "--view", "lungs", folder=phantom_study)
    assert result.exit_code == 2
    assert "has no lungs yet; find them with: cxr data lungs" in result.output
