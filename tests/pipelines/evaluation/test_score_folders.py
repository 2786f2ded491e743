"""`cxr score` on plain folders and on statistics, without a study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.features import FeatureStore
from pipelines.evaluation.image_folder import read_image_folder
from pipelines.evaluation.score_folders import score_folders
from pipelines.metrics.extractors import choose_extractors
from pipelines.metrics.frechet import frechet_distance
from pipelines.results.score_summary import FolderScores
from runtime.device import choose_compute
from tests.conftest import cxr, ok


def write(
    folder: Path, count: int, seed: int, *, size: tuple[int, int] = (24, 30), contrast: float = 60
) -> None:
    """Random smooth images, width × height."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        coarse = Image.fromarray(rng.normal(128, contrast, (4, 4)).clip(0, 255).astype(np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(folder / f"{number:03d}.png")


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two folders with labels; "c" is in the first only."""
    for label, contrast in (("a", 60), ("b", 20)):
        write(tmp_path / "reals" / label, 40, ord(label), contrast=contrast)
        write(tmp_path / "fakes" / label, 25, 100 + ord(label), contrast=contrast)
    write(tmp_path / "reals" / "c", 3, 9)
    return tmp_path


def test_two_folders_with_labels(folders: Path) -> None:
    before = {path for path in folders.rglob("*") if path.is_file()}
    result = cxr(
        "score",
        "--features",
        "random",
        "--dataset-a",
        folders / "reals",
        "--dataset-b",
        folders / "fakes",
        "--out",
        folders / "out",
        folder=folders,
    )
    output = ok(result)
    assert "precision" in output
    assert "c: only one of the folders has it" in result.stderr
    assert {path for path in folders.rglob("*") if path.is_file()} - before == {
        folders / "out" / "score.json",
        folders / "out" / "score.csv",
    }
    scores = {
        (score.group, score.name): score for score in FolderScores.load(folders / "out").scores
    }
    assert {group for group, _ in scores} <= {"a", "b", "overall"}
    frechet = scores["overall", "frechet"]
    assert frechet.n_train + frechet.n_held_out == 80
    assert frechet.n_synthetic == 50
    taught = scores["overall", "train_synthetic_test_real"]
    assert taught.synthetic.value > 0.8, "contrast tells the labels apart"


def test_folders_without_labels_and_their_statistics(folders: Path) -> None:
    a, b = folders / "reals" / "a", folders / "fakes" / "b"
    random = ["--features", "random", "--out", folders / "out"]
    ok(cxr("score", *random, "--dataset-a", a, "--dataset-b", b, folder=folders))
    (direct,) = FolderScores.load(folders / "out").overall_distances
    assert direct.synthetic.low > direct.floor.high
    ok(
        cxr(
            "score",
            *random,
            "--dataset-a",
            a,
            "--save-statistics",
            folders / "a.npz",
            folder=folders,
        )
    )
    ok(
        cxr(
            "score",
            *random,
            "--dataset-a",
            b,
            "--save-statistics",
            folders / "b.npz",
            folder=folders,
        )
    )
    for first, second in (
        (folders / "a.npz", b),
        (a, folders / "b.npz"),
        (folders / "a.npz", folders / "b.npz"),
    ):
        assert "Fréchet distance" in ok(
            cxr("score", *random, "--dataset-a", first, "--dataset-b", second, folder=folders)
        )
        distance = FolderScores.load(folders / "out").frechet
        assert distance == pytest.approx(direct.all_synthetic, rel=1e-5)


def test_the_distance_of_all_is_that_of_all_images(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        write(tmp_path / name, 30, seed)
    compute = choose_compute("cpu")
    (extractor,) = choose_extractors(["random"], [], compute)
    features = extractor.features(
        {name: read_image_folder(tmp_path / name).images for name in "ab"}, FeatureStore(), compute
    )
    ok(
        cxr(
            "score",
            "--features",
            "random",
            "--dataset-a",
            tmp_path / "a",
            "--dataset-b",
            tmp_path / "b",
            "--out",
            tmp_path,
            folder=tmp_path,
        )
    )
    (found,) = FolderScores.load(tmp_path).overall_distances
    expected = frechet_distance(features["a"], features["b"])
    assert found.all_synthetic == pytest.approx(expected, rel=1e-6)


def gray_and_colour(folder: Path) -> None:
    Image.open(folder / "000.png").convert("RGB").save(folder / "001.png")


def empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def both(folder: Path) -> None:
    write(folder / "sub", 1, 0)


def damaged(folder: Path) -> None:
    (folder / "000.png").write_bytes((folder / "001.png").read_bytes()[:60])


BAD = [
    (
        lambda folder: write(folder, 1, 0, size=(30, 24)),
        "differ in size: 24 of 24×30 px, 1 of 30×24 px",
    ),
    (lambda folder: write(folder, 25, 0, size=(20, 20)), "expected one size"),
    (gray_and_colour, "differ in mode: 24 of L, 1 of RGB"),
    (empty, "holds no image"),
    (both, "both in itself and in subfolders"),
    (damaged, "000.png"),
]


@pytest.mark.parametrize(("break_it", "message"), BAD)
def test_folders_that_cannot_be_scored(
    folders: Path, break_it: Callable[[Path], None], message: str
) -> None:
    broken = folders / "fakes" / "a"
    break_it(broken)
    result = cxr(
        "score",
        "--features",
        "random",
        "--dataset-a",
        folders / "reals" / "a",
        "--dataset-b",
        broken,
        "--out",
        folders / "out",
        folder=folders,
    )
    (line,) = result.stderr.strip().splitlines()
    assert result.exit_code == 2
    assert message in line
    assert not (folders / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset-a", "reals"], "--dataset-b DIR"),
        (["--dataset-a", "absent", "--dataset-b", "fakes"], "absent: no such folder"),
        (["--dataset-a", "reals", "--dataset-b", "absent.npz"], "absent.npz: no such file"),
        (
            ["--dataset-a", "some.npz", "--save-statistics", "x.npz"],
            "expected --dataset-a to be a folder",
        ),
    ],
)
def test_options_that_make_no_sense(
    folders: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.chdir(folders)
    result = cxr("score", "--features", "random", *options, folder=folders)
    (line,) = result.stderr.strip().splitlines()
    assert result.exit_code == 2
    assert message in line
    assert not (folders / "score.json").exists()


def test_what_is_read_of_folders_is_what_was_written(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        write(tmp_path / name, 30, seed)
    scores = score_folders(
        tmp_path / "a",
        tmp_path / "b",
        choose_compute("cpu"),
        features=["random"],
        weights=[],
        out=tmp_path,
    )
    assert FolderScores.load(tmp_path) == scores


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"format": 2', '"format": 1', "format 1.* make it anew with: cxr score"),
        ('"format": 2,', "", "format 1.* make it anew with: cxr score"),
        ('"scores"', '"marks"', "scores is missing"),
        ('"frechet": null', '"frechet": "near"', "frechet is 'near'"),
    ],
    ids=["older format", "no format", "missing field", "wrong type"],
)
def test_other_files_are_refused_in_one_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    FolderScores(
        dataset_a="a",
        dataset_b="b",
        classes=[],
        extractors=[],
        warnings=[],
        scores=[],
        unscored=[],
    ).save(tmp_path)
    path = tmp_path / "score.json"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=rf"score\.json.*{message}") as refused:
        FolderScores.load(tmp_path)
    assert "\n" not in str(refused.value)
