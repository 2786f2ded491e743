"""`cxr score` on plain folders and on statistics, without a study."""

from __future__ import annotations

import shutil
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


def empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def both(folder: Path) -> None:
    write(folder / "sub", 1, 0)


def damaged(folder: Path) -> None:
    (folder / "000.png").write_bytes((folder / "001.png").read_bytes()[:60])


def photographs(folder: Path) -> None:
    for number in range(25):
        colours = np.random.default_rng(number).integers(0, 255, (30, 24, 3), np.uint8)
        Image.fromarray(colours).save(folder / f"{number:03d}.png")


def nested(folder: Path) -> None:
    reals = folder.parents[1] / "reals" / "a"
    shutil.rmtree(folder)
    write(reals / "images", 25, 5)
    folder.symlink_to(reals / "images")


def other_labels(folder: Path) -> None:
    shutil.rmtree(folder)
    for label in "xy":
        write(folder / label, 3, ord(label))
        (folder.parents[1] / "reals" / "a" / f"of-{label}").mkdir()
    for number, file in enumerate(sorted((folder.parents[1] / "reals" / "a").glob("*.png"))):
        file.rename(file.parent / f"of-{'xy'[number % 2]}" / file.name)


BAD = [
    (
        lambda folder: write(folder, 1, 0, size=(30, 24)),
        "differ in size: 24 of 24×30 px, 1 of 30×24 px",
    ),
    (lambda folder: write(folder, 25, 0, size=(20, 20)), "expected one size"),
    (photographs, "holds no radiograph among its 25 images; 000.png: not a radiograph by its"),
    (nested, "one lies in the other"),
    (other_labels, "no label in common"),
    (empty, "holds no image"),
    (both, "both in itself and in subfolders"),
    (damaged, "000.png"),
]


@pytest.mark.parametrize(
    ("break_it", "message"), [pytest.param(*row, id=row[1].replace(" ", "-")[:24]) for row in BAD]
)
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


def save_as(folder: Path, suffix: str, mode: str) -> None:
    """Store every picture of a folder in another way."""
    for file in sorted(folder.glob("*.png")):
        image = Image.open(file).convert(mode)
        file.unlink()
        image.save(file.with_suffix(suffix))


def score_a(folders: Path, second: Path | None = None) -> FolderScores:
    """Score fakes/a against reals/a."""
    first, second = folders / "reals" / "a", second or folders / "fakes" / "a"
    options = ["--features", "random", "--dataset-a", first, "--dataset-b", second]
    ok(cxr("score", *options, "--out", folders / "out", folder=folders))
    return FolderScores.load(folders / "out")


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "CMYK"])
def test_gray_is_gray_however_it_is_stored(tmp_path: Path, mode: str) -> None:
    write(tmp_path, 4, 1)
    as_gray = read_image_folder(tmp_path).images
    picture = Image.open(tmp_path / "002.png").convert(mode)
    (tmp_path / "002.png").unlink()
    picture.save(tmp_path / ("002.tif" if mode == "CMYK" else "002.png"))
    difference = as_gray.astype(int) - read_image_folder(tmp_path).images
    assert np.abs(difference).max() <= 1


def into_subfolder(folder: Path, name: str) -> None:
    for file in sorted(folder.glob("*.png"))[:10]:
        (folder / name).mkdir(parents=True, exist_ok=True)
        file.rename(folder / name / file.name)


@pytest.mark.parametrize(
    ("layout", "labels"),
    [
        pytest.param(["x.png"], [""], id="flat"),
        pytest.param(["a/x.png", "b/x.png"], ["a", "b"], id="folder per label"),
        pytest.param(["a/x.png", "a/more/y.png", "b/x.png"], ["a", "a", "b"], id="deeper"),
        pytest.param(["covid/x.png", "covid/more/y.png"], ["covid"] * 2, id="deeper of one label"),
        pytest.param(["a/images/x.png", "b/images/x.png"], ["a", "b"], id="folders of images"),
        pytest.param(["images/a/x.png", "images/b/x.png"], ["a", "b"], id="synthetic set"),
        pytest.param(["Dataset/a/x.png", "Dataset/b/x.png"], ["a", "b"], id="doubled folder"),
        pytest.param(["train/a/x.png", "test/b/x.png"], ["b", "a"], id="splits"),
        pytest.param(["a/train/x.png", "b/test/x.png"], ["a", "b"], id="splits under labels"),
        pytest.param(
            ["patient00001/study1/x.png", "patient2/study1/x.png"], ["", ""], id="CheXpert"
        ),
        pytest.param(["COVID 19/x.png", "covid-19/x.png"], ["COVID 19"] * 2, id="spellings"),
        pytest.param(["images/x.png", "y.png"], ["", ""], id="images beside"),
        pytest.param(["00000/x.png", "00001/x.png"], ["", ""], id="shards"),
        pytest.param(["0/x.png", "1/x.png"], ["0", "1"], id="numbered classes"),
        pytest.param(["a/b/x.png", "c/b/x.png"], ["", ""], id="two levels that may be labels"),
    ],
)
def test_labels_are_the_folders_that_name_one(
    tmp_path: Path, layout: list[str], labels: list[str]
) -> None:
    for number, name in enumerate(layout):
        write((tmp_path / name).parent, 1, number)
        (tmp_path / name).parent.joinpath("000.png").rename(tmp_path / name)
    assert read_image_folder(tmp_path).labels == labels


@pytest.mark.parametrize(
    ("name", "note"),
    [
        pytest.param("masks/000.png", "passed over: 1 ", id="mask"),
        pytest.param("notes.txt", "passed over: 1 ", id="no image"),
        pytest.param("colours.png", "1 not a radiograph by its colours: colours.png", id="colours"),
    ],
)
def test_what_is_passed_over_is_noted(tmp_path: Path, name: str, note: str) -> None:
    write(tmp_path, 3, 1)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    if name.endswith(".png"):
        colours = np.random.default_rng(1).integers(0, 255, (30, 24, 3), np.uint8)
        Image.fromarray(colours).save(tmp_path / name)
    else:
        (tmp_path / name).write_text("seen by two readers")
    folder = read_image_folder(tmp_path)
    assert len(folder.images) == 3
    assert any(note in line for line in folder.notes)


def test_statistics_alone_say_what_they_leave_out(folders: Path) -> None:
    into_subfolder(folders / "reals" / "a", "masks")
    options = ["--features", "random", "--save-statistics", folders / "a.npz"]
    result = cxr("score", *options, "--dataset-a", folders / "reals" / "a", folder=folders)
    assert "made: statistics" in ok(result)
    assert "passed over: 10 " in result.stderr


def larger(folder: Path) -> None:
    for name, scale in ((folder, 24), (folder.parents[1] / "reals" / "a", 30)):
        for number, file in enumerate(sorted(name.glob("*.png"))):
            if number > 5:
                file.unlink()
                continue
            picture = Image.open(file)
            picture.resize((24 * scale, 30 * scale)).save(file)


def copied(folder: Path) -> None:
    for number in (1, 2):
        shutil.copy(folder.parents[1] / "reals" / "a" / f"00{number}.png", folder)


def repeated(folder: Path) -> None:
    shutil.copy(folder / "001.png", folder / "002.png")


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        pytest.param(copied, "2 of the 25 images of", id="copies"),
        pytest.param(repeated, "1 images repeat", id="repeated"),
        pytest.param(lambda folder: save_as(folder, ".jpg", "L"), "lossy compression", id="jpeg"),
        pytest.param(lambda folder: save_as(folder, ".png", "I;16"), "deeper than 8", id="depth"),
        pytest.param(larger, "those made smaller are sharper", id="sizes"),
    ],
)
def test_differences_between_the_files_are_told(
    folders: Path, change: Callable[[Path], None], warning: str
) -> None:
    change(folders / "fakes" / "a")
    assert any(warning in line for line in score_a(folders).warnings)


def test_plain_folders_of_one_kind_have_no_such_warning(folders: Path) -> None:
    (of_few_images,) = score_a(folders).warnings
    assert "fewer images" in of_few_images


def test_spellings_of_a_label_are_one_label(folders: Path) -> None:
    for name in ("reals", "fakes"):
        for label in "ab":
            spelt = f"Label_{label}" if name == "reals" else f"label {label}".upper()
            (folders / name / label).rename(folders / name / spelt)
    options = ["--features", "random", "--out", folders / "out"]
    names = ["--dataset-a", folders / "reals", "--dataset-b", folders / "fakes"]
    ok(cxr("score", *options, *names, folder=folders))
    assert FolderScores.load(folders / "out").classes == ["Label_a", "Label_b"]


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
        ('"format": 3', '"format": 1', "format 1.* make it anew with: cxr score"),
        ('"format": 3,', "", "format 1.* make it anew with: cxr score"),
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
