"""`cxr data lungs`: masks, boxes and doubts of a study's images."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan.segan.segmentation import (
    PACKAGED,
    LungNetwork,
    load_lung_network,
    save_lung_network,
)
from pipelines.data.lungs import draw_lungs
from pipelines.data.phantom import draw_lung_mask, list_cases
from pipelines.study.image_io import pixel_hash, read_gray
from pipelines.study.lung_shape import box_of, dice, find_doubts
from pipelines.study.lungs import lungs_of
from pipelines.study.manifest import Row, fingerprint
from pipelines.study.workspace import Workspace
from tests.conftest import cxr, made_once, ok, signalled
from tests.support.study_files import file_contents

N_PHANTOMS = 12
UNSEEN = (  # every 14th of the test images of the study that the network was trained on
    "41182_2020_203_Fig3_HTML.jpg",
    "701_2020_4374_Fig2_HTML.png",
    "radiol.2020201160.fig3c.jpeg",
    "extubation-8.jpg",
    "covid-19-pneumonia-progression-and-regression-day24.jpg",
    "covid-19-pneumonia-progression-and-regression-day1.jpg",
)
MAX_BYTES = 2_000_000
CPU = ("--device", "cpu")


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The true masks of the twelve phantoms. Not to be changed: copy them."""
    folder = tmp_path_factory.mktemp("masks")
    for case in list_cases(N_PHANTOMS, seed=0):
        name = f"PHANTOM-0-{case.label}-{case.patient:05d}-{case.image}.png"
        Image.fromarray(draw_lung_mask(case, seed=0)).save(folder / name)
    return folder


@pytest.fixture(scope="session")
def lung_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve phantoms, and their lungs as the network of the package draws them. Copy it."""

    def make(folder: Path) -> None:
        ok(cxr("data", "phantom", "--n", N_PHANTOMS, folder=folder))
        output = ok(cxr("data", "lungs", *CPU, folder=folder))
        (folder / "output.txt").write_text(output)

    return made_once(tmp_path_factory, "lung-study", make)


@pytest.fixture
def study(lung_study: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lung_study, tmp_path / "study"))


def rows_of(study: Path) -> list[Row]:
    return Workspace(study).rows()


def change_mask(masks: Path, tmp_path: Path, change: Callable[[np.ndarray], object]) -> Path:
    """Copy the masks and replace the first by what `change` makes of it, an array or an image."""
    folder = Path(shutil.copytree(masks, tmp_path / "masks"))
    first = min(folder.iterdir())
    changed = change(np.asarray(Image.open(first).convert("L")))
    image = changed if isinstance(changed, Image.Image) else Image.fromarray(changed)
    image.save(first)
    return folder


# --- without masks ---


def test_every_image_has_a_mask_of_its_size_and_a_box_around_it(lung_study: Path) -> None:
    workspace = Workspace(lung_study)
    lung_rows = workspace.lungs
    for row in rows_of(lung_study):
        lungs = lungs_of(workspace.data, row, lung_rows)
        assert lungs.mask.shape == (row.height, row.width)
        assert lungs.box == box_of(lungs.mask)
        assert lung_rows[row.file_name].source == "network"


def test_what_is_in_doubt_is_listed_and_drawn(lung_study: Path) -> None:
    output = (lung_study / "output.txt").read_text()
    doubtful = [row for row in Workspace(lung_study).lungs.values() if row.doubts]
    assert output.count("doubtful: ") == len(doubtful)
    assert f"{N_PHANTOMS} masks from the network, {len(doubtful)} of them in doubt" in output
    assert Image.open(lung_study / "data" / "lungs.png").width > 1000


def test_the_same_again_gives_the_same_files(study: Path) -> None:
    before = file_contents(study)
    ok(cxr("data", "lungs", *CPU, folder=study))
    assert file_contents(study) == before


def test_a_study_without_lungs_says_how_to_find_them(phantom_study: Path) -> None:
    with pytest.raises(FileNotFoundError, match="cxr data lungs"):
        _ = Workspace(phantom_study).lungs


def test_lungs_of_other_images_are_refused(study: Path) -> None:
    ok(cxr("data", "phantom", "--n", 4, "--seed", 3, folder=study))
    with pytest.raises(ValueError, match="4 are not in it, first images/covid/PHANTOM-3"):
        _ = Workspace(study).lungs


# --- the network of the package ---


def test_the_packaged_network_is_small_and_known() -> None:
    network = load_lung_network(PACKAGED, torch.device("cpu"))
    assert PACKAGED.stat().st_size < MAX_BYTES
    assert sum(weight.numel() for weight in network.segmentor.parameters()) <= 1_000_000
    assert len(set(network.trained_on)) == len(network.trained_on) > 200
    card = PACKAGED.with_name("MODEL_CARD.md").read_text()
    assert fingerprint(network.trained_on) in card
    assert "CC BY 4.0" in card


def test_the_packaged_network_draws_lungs_of_patients_it_has_not_seen(shared: Path) -> None:
    network = load_lung_network(PACKAGED, torch.device("cpu"))
    found = []
    for name in UNSEEN:
        gray = read_gray(shared / "data/covid-chestxray-dataset/images" / name)
        assert pixel_hash(gray) not in network.trained_on
        true = np.asarray(Image.open(shared / "data/lung-masks" / f"{Path(name).stem}.png")) > 0
        found.append(dice(draw_lungs(network, gray).mask, true))
    assert np.mean(found) >= 0.93


@pytest.mark.parametrize("gray", [np.zeros((120, 100)), np.tile(np.arange(160), (120, 1))])
def test_what_is_no_chest_is_in_doubt(gray: np.ndarray) -> None:
    network = load_lung_network(PACKAGED, torch.device("cpu"))
    film = gray.astype(np.uint8)
    drawn = draw_lungs(network, film)
    assert find_doubts(drawn.mask, film, drawn.agreement)


# --- the leak lock ---


def test_held_out_images_that_the_network_was_trained_on_are_told(study: Path) -> None:
    packaged = load_lung_network(PACKAGED, torch.device("cpu"))
    rows = rows_of(study)
    seen = [row for row in rows if row.split == "test"][:2]
    seen += [row for row in rows if row.split == "train"][:1]
    run = study / "runs" / "0001-lungs-train"
    run.mkdir(parents=True)
    (run / "config.json").write_text("{}")
    (run / "result.json").write_text("{}")
    hashes = tuple(row.sha256 for row in seen)
    save_lung_network(run / "lungs.pt", LungNetwork(packaged.segmentor, packaged.config, hashes))
    output = ok(cxr("data", "lungs", "--network", 1, *CPU, folder=study))
    assert "trained on images that this study holds out (2 test)" in output
    assert json.loads((study / "data" / "lungs.json").read_text())["trained_on_held_out"] == {
        "test": 2
    }
    marked = {name for name, row in Workspace(study).lungs.items() if row.trained_on == "yes"}
    assert marked == {row.file_name for row in seen}


# --- masks that are brought ---


def test_brought_masks_are_used_as_they_are(study: Path, masks: Path) -> None:
    output = ok(cxr("data", "lungs", "--masks", masks, *CPU, folder=study))
    assert f"{N_PHANTOMS} masks that were brought" in output
    workspace = Workspace(study)
    lung_rows = workspace.lungs
    for row in rows_of(study):
        true = np.asarray(Image.open(masks / Path(row.file_name).name))
        assert (lungs_of(workspace.data, row, lung_rows).mask == true).all()
        assert lung_rows[row.file_name].source == "masks"


def test_images_without_a_mask_get_the_networks(study: Path, masks: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    shutil.copy(min(masks.iterdir()), few)
    output = ok(cxr("data", "lungs", "--masks", few, *CPU, folder=study))
    assert "1 masks that were brought" in output
    assert f"{N_PHANTOMS - 1} masks from the network" in output


@pytest.mark.parametrize(
    "change",
    [
        lambda mask: (mask > 0).astype(np.uint8),  # 0 and 1
        lambda mask: np.dstack([mask] * 3),  # as the radiography database has them
        lambda mask: Image.fromarray(mask).convert("1"),
        lambda mask: Image.fromarray(mask).resize((512, 512), Image.Resampling.NEAREST),
    ],
    ids=["0 and 1", "RGB", "1 bit", "larger"],
)
def test_masks_are_read_however_they_are_kept(
    change: Callable[[np.ndarray], object], study: Path, masks: Path, tmp_path: Path
) -> None:
    folder = change_mask(masks, tmp_path, change)
    output = ok(cxr("data", "lungs", "--masks", folder, *CPU, folder=study))
    first = min(masks.iterdir())
    row = next(row for row in rows_of(study) if row.file_name.endswith(first.name))
    workspace = Workspace(study)
    mask = lungs_of(workspace.data, row, workspace.lungs).mask
    assert (mask == np.asarray(Image.open(first))).all()
    is_larger = max(Image.open(folder / first.name).size) == 512
    assert ("1 masks had another size" in output) == is_larger


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (np.zeros_like, "is empty"),
        (np.ones_like, "is all lung"),
        (lambda mask: np.where(np.arange(256) < 50, 128, mask).astype(np.uint8), "3 gray values"),
        (lambda mask: mask[:200], "256×200 px, its image"),
        (lambda mask: np.dstack([mask, mask, 0 * mask]), "is in colour"),
        (lambda mask: mask.astype(np.uint16) * 200, "of mode I;16"),
    ],
    ids=["empty", "full", "three values", "another shape", "colour", "16 bits"],
)
def test_a_bad_mask_is_one_line_and_changes_nothing(
    change: Callable[[np.ndarray], object],
    problem: str,
    lung_study: Path,
    masks: Path,
    tmp_path: Path,
) -> None:
    folder = change_mask(masks, tmp_path, change)
    before = file_contents(lung_study)
    refused = cxr("data", "lungs", "--masks", folder, *CPU, folder=lung_study)
    assert refused.exit_code == 2
    assert refused.output.count("\n") == 1
    assert problem in refused.output
    assert str(min(folder.iterdir())) in refused.output
    assert file_contents(lung_study) == before


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("stranger.png", None, "1 of 13 masks have no image in the study, first"),
        ("mask.jpg", b"", "is no PNG"),
        ("PHANTOM-0-covid-00000-0.png", b"nothing", "cannot be read as a PNG"),
    ],
)
def test_a_bad_folder_of_masks_is_one_line(
    name: str, content: bytes | None, problem: str, lung_study: Path, masks: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(masks, tmp_path / "masks"))
    (folder / name).write_bytes(min(masks.iterdir()).read_bytes() if content is None else content)
    refused = cxr("data", "lungs", "--masks", folder, *CPU, folder=lung_study)
    assert refused.exit_code == 2
    assert refused.output.count("\n") == 1
    assert problem in refused.output
    assert name in refused.output


def test_a_folder_that_is_empty_or_absent_is_refused(lung_study: Path, tmp_path: Path) -> None:
    for folder, problem in ((tmp_path, "holds no masks"), (tmp_path / "none", "is no folder")):
        refused = cxr("data", "lungs", "--masks", folder, folder=lung_study)
        assert refused.exit_code == 2
        assert problem in refused.output


def test_an_unreadable_image_leaves_the_lungs_that_were_there(study: Path) -> None:
    last = rows_of(study)[-1].file_name
    (study / "data" / last).write_bytes(b"damaged")
    before = file_contents(study)
    refused = cxr("data", "lungs", *CPU, folder=study)
    assert refused.exit_code == 2
    assert last in refused.output
    assert file_contents(study) == before


def test_a_signal_leaves_the_study_as_it_was(phantom_study: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    before = file_contents(study)
    first = study / "data" / ".lungs.new" / "covid" / "PHANTOM-0-covid-00000-0.png"
    with signalled(first, 1, signal.SIGTERM):  # there is a line's end in the head of every PNG
        stopped = cxr("data", "lungs", *CPU, folder=study)
    assert stopped.exit_code == 130
    assert "the study is as it was" in stopped.output
    assert file_contents(study) == before
