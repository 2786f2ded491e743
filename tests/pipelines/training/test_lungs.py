"""`cxr lungs-train` on phantoms, whose lungs are known."""

from __future__ import annotations

import csv
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from gan.segan.segmentation import load_lung_network, save_lung_network
from pipelines.data.phantom import draw_lung_mask, list_cases
from pipelines.results.lung_result import LungResult
from pipelines.study.workspace import Workspace
from runtime.device import choose_compute
from runtime.run import Run
from tests.conftest import cxr, ok, signalled
from tests.support.study_files import study_differences

TINY = ("--image-size", 64, "--width", 4, "--batch-size", 4, "--steps", 8, "--evaluate-every", 2)
CPU = ("--device", "cpu", "--precision", "fp32")
RUN = Path("runs", "0001-lungs-train")


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The true masks of the 64 phantoms, at half their size."""
    folder = tmp_path_factory.mktemp("masks")
    for case in list_cases(64, seed=0):
        name = f"PHANTOM-0-{case.label}-{case.patient:05d}-{case.image}.png"
        Image.fromarray(draw_lung_mask(case, 0, 128)).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def trained(
    phantom_study: Path, masks: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """A study with a lung network, and what its training printed. Not to be changed."""
    study = Path(shutil.copytree(phantom_study, tmp_path_factory.mktemp("trained") / "study"))
    output = ok(cxr("lungs-train", "--masks", masks, *TINY, *CPU, folder=study))
    return study, output


def test_scores_have_intervals_and_the_numbers_of_images(trained: tuple[Path, str]) -> None:
    study, output = trained
    result = LungResult.load(Run(study / RUN))
    rows = Workspace(study).rows()
    for split, scores in (("validation", result.validation), ("test", result.test)):
        of_split = [row for row in rows if row.split == split]
        assert scores.dice.n == len(of_split)
        assert scores.patients == len({row.patient for row in of_split})
        assert 0 <= scores.dice.low <= scores.dice.value <= scores.dice.high <= 1
        assert scores.dice.text() in output
    with open(study / RUN / "dice.csv", encoding="utf-8") as file:
        test = [float(row["dice"]) for row in csv.DictReader(file) if row["split"] == "test"]
    assert test == sorted(test)
    assert sum(test) / len(test) == pytest.approx(result.test.dice.value, abs=1e-6)


def test_it_was_trained_on_the_training_split_alone(trained: tuple[Path, str]) -> None:
    study, _ = trained
    network = load_lung_network(study / RUN / "lungs.pt", choose_compute("cpu").device)
    splits = {row.sha256: row.split for row in Workspace(study).rows()}
    assert {splits[sha256] for sha256 in network.trained_on} == {"train"}
    assert len(network.trained_on) == list(splits.values()).count("train")


def test_the_worst_are_drawn_and_the_card_has_the_figures(trained: tuple[Path, str]) -> None:
    study, _ = trained
    for split in ("validation", "test"):
        assert Image.open(study / RUN / f"worst-{split}.png").mode == "RGB"
    card = (study / RUN / "model_card.md").read_text()
    assert LungResult.load(Run(study / RUN)).test.dice.text() in card


def test_interrupted_and_resumed_it_is_the_same(
    trained: tuple[Path, str], phantom_study: Path, masks: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    with signalled(study / RUN / "journal.jsonl", 1, signal.SIGINT):
        stopped = cxr("lungs-train", "--masks", masks, *TINY, *CPU, folder=study)
    assert stopped.exit_code == 130
    assert "--resume" in stopped.output
    ok(cxr("lungs-train", "--resume", folder=study))
    assert not study_differences(study / RUN, trained[0] / RUN)


def test_without_masks_it_says_what_to_give(phantom_study: Path) -> None:
    refused = cxr("lungs-train", folder=phantom_study)
    assert refused.exit_code == 2
    assert "--masks PATH: expected masks that people drew" in refused.output


def test_too_few_masks_are_refused(phantom_study: Path, masks: Path, tmp_path: Path) -> None:
    row = next(row for row in Workspace(phantom_study).rows() if row.split == "test")
    shutil.copy(masks / Path(row.file_name).name, tmp_path)
    refused = cxr("lungs-train", "--masks", tmp_path, folder=phantom_study)
    assert refused.exit_code == 2
    assert "0 train image(s) of the study have a mask" in refused.output
    assert not (phantom_study / "runs").exists()


def test_a_network_that_saw_held_out_images_is_not_begun_with(
    trained: tuple[Path, str], masks: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(trained[0], tmp_path / "study"))
    network = load_lung_network(study / RUN / "lungs.pt", choose_compute("cpu").device)
    test = next(row for row in Workspace(study).rows() if row.split == "test")
    seen = replace(network, trained_on=(*network.trained_on, test.sha256))
    save_lung_network(study / RUN / "lungs.pt", seen)
    refused = cxr("lungs-train", "--masks", masks, "--start", 1, *TINY, *CPU, folder=study)
    assert refused.exit_code == 2
    assert "leak: the lung network 0001-lungs-train was trained on 1 held-out" in refused.output
