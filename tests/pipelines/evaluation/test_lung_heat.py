"""How much of where a classifier looks lies in the lungs."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from classifier.explain import grad_cam
from classifier.predict import load_classifier, predict
from pipelines.evaluation.lung_heat import measure_lung_heat
from pipelines.results.audit_result import AuditResult
from pipelines.study.lungs import lungs_of, table_path
from pipelines.study.manifest import Row
from pipelines.study.split import load_splits
from pipelines.study.views import read_lung_shares
from pipelines.study.workspace import Workspace
from runtime.device import choose_compute
from runtime.run import Run
from tests.conftest import LUNGS_IN_DOUBT, TINY_CLASSIFIER, cxr, ok
from tests.support.command_steps import IN_FP32
from tests.support.study_files import file_contents

CPU = choose_compute("cpu", "fp32")


@pytest.fixture(scope="module")
def whole_study(lung_box_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with lungs, and a newest classifier of whole images."""
    study = Path(shutil.copytree(lung_box_study, tmp_path_factory.mktemp("whole") / "study"))
    ok(cxr("classify-train", "--view", "whole", *TINY_CLASSIFIER, folder=study))
    return study


def classified(study: Path, folder: Path, *images: Path) -> dict[str, dict[str, str]]:
    """Explain images; return the table by the name of the file."""
    table = folder / "answers.csv"
    paths = ("--csv", table, "--explain", folder / "maps")
    ok(cxr("classify", *images, *paths, *IN_FP32, folder=study))
    with open(table, newline="", encoding="utf-8") as file:
        return {Path(row["file"]).name: row for row in csv.DictReader(file)}


def rows_in_doubt(study: Path) -> list[Row]:
    workspace = Workspace(study)
    return [row for row in workspace.rows() if not workspace.lungs[row.file_name].is_usable]


def test_heat_of_an_image_of_the_study_is_held_against_its_own_mask(
    whole_study: Path, tmp_path: Path
) -> None:
    workspace = Workspace(whole_study)
    row = next(row for row in workspace.rows() if row.split == "test")
    answers = classified(whole_study, tmp_path, whole_study / "data" / row.file_name)
    answer = answers[Path(row.file_name).name]
    trained = load_classifier(
        whole_study / "runs" / "0004-classify-train" / "classifier.pt", CPU.device
    )
    size = trained.image_size
    (pixels,) = load_splits(workspace, size, trained.classes)["test"].pixels()[:1]
    (share,) = read_lung_shares(workspace, [row], size)
    (heat,) = grad_cam(
        trained.network, pixels[None], torch.tensor([trained.classes.index(answer["label"])])
    ).numpy()
    assert float(answer["heat_in_lungs"]) == pytest.approx(
        (heat * share).sum() / heat.sum(), abs=1e-3
    )
    assert float(answer["lungs_in_picture"]) == pytest.approx(share.mean(), abs=1e-3)


def test_doubtful_lungs_and_none_are_left_out(whole_study: Path, tmp_path: Path) -> None:
    row = rows_in_doubt(whole_study)[0]
    noise = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8)).save(noise)
    answers = classified(whole_study, tmp_path, noise, whole_study / "data" / row.file_name)
    for answer in answers.values():
        assert answer["label"] in ("covid", "normal")
        assert (answer["heat_in_lungs"], answer["lungs_in_picture"]) == ("", "")


def test_lungs_of_other_films_are_drawn(whole_study: Path, tmp_path: Path) -> None:
    workspace = Workspace(whole_study)
    row = next(row for row in workspace.rows() if row.split == "test")
    film = np.asarray(Image.open(whole_study / "data" / row.file_name))
    Image.fromarray(np.pad(film, 20)).save(tmp_path / "film.png")
    answer = classified(whole_study, tmp_path, tmp_path / "film.png")["film.png"]
    mask = np.pad(lungs_of(workspace.data, row, workspace.lungs).mask, 20)
    assert float(answer["lungs_in_picture"]) == pytest.approx(mask.mean(), rel=0.25)
    assert 0 <= float(answer["heat_in_lungs"]) <= 1


def test_a_view_of_lungs_refuses_the_studys_own_doubtful_ones(
    lung_box_study: Path, tmp_path: Path
) -> None:
    row = rows_in_doubt(lung_box_study)[0]
    other = next(row for row in Workspace(lung_box_study).rows() if row.split == "test")
    files = [lung_box_study / "data" / name for name in (row.file_name, other.file_name)]
    table = tmp_path / "answers.csv"
    output = ok(cxr("classify", *files, "--csv", table, *IN_FP32, folder=lung_box_study))
    assert "1 not classified" in output
    assert "lungs that cannot be trusted: doubtful" in output
    assert "heat_in_lungs" not in table.read_text()


def test_over_a_split_it_is_a_mean_of_images_with_trusted_lungs(whole_study: Path) -> None:
    workspace = Workspace(whole_study)
    trained = load_classifier(
        whole_study / "runs" / "0004-classify-train" / "classifier.pt", CPU.device
    )
    images = load_splits(workspace, trained.image_size, trained.classes)["train"]
    found = measure_lung_heat(
        workspace, trained, images, predict(trained, images.pixels(), CPU), CPU
    )
    assert found is not None
    assert found.left_out >= LUNGS_IN_DOUBT
    assert found.share.n == len(images.labels) - found.left_out
    assert 0 < found.share.low <= found.share.value <= found.share.high < 1
    assert 0.1 < found.area < 0.7
    assert f"{100 * found.area:.0f} % of the picture" in found.sentence


def test_a_study_without_lungs_has_none(study: Path) -> None:
    trained = load_classifier(study / "runs" / "0003-classify-train" / "classifier.pt", CPU.device)
    images = load_splits(Workspace(study), trained.image_size, trained.classes)["test"]
    probabilities = np.ones((len(images.labels), 2)) / 2
    assert measure_lung_heat(Workspace(study), trained, images, probabilities, CPU) is None


def test_an_audit_says_how_much_heat_lies_in_the_lungs(whole_study: Path) -> None:
    output = ok(cxr("audit", "--steps", 2, *IN_FP32, folder=whole_study))
    found = AuditResult.load(Run(whole_study / "runs" / "0005-audit")).lung_heat
    assert found is not None
    assert f"Grad-CAM: {found.sentence}" in output


def test_lungs_of_other_images_are_refused_before_anything_is_made(
    whole_study: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(whole_study, tmp_path / "study"))
    lungs = table_path(study / "data")
    lungs.write_text("".join(lungs.read_text().splitlines(keepends=True)[:-1]))
    film = study / "data" / Workspace(study).rows()[0].file_name
    before = file_contents(study)
    for words in (("classify", film, "--explain", tmp_path / "maps"), ("audit",)):
        result = cxr(*words, folder=study)
        assert result.exit_code == 2
        assert "is of other images than the study has" in result.output
    assert file_contents(study) == before
    assert not (tmp_path / "maps").exists()
