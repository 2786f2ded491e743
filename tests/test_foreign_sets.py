"""Images of another program: imported behind the leak lock, and compared as sets of one study."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.results.held_out_nearness import HeldOutNearness
from pipelines.study.folder_formats import LabelledImage, write_images
from pipelines.study.manifest import fingerprint
from pipelines.study.synthetic import UNKNOWN_WARNING, read_synthetic
from pipelines.study.trained_on import TRAINED_ON_FILE
from pipelines.study.workspace import Workspace
from runtime.run import Run
from tests.conftest import cxr, ok
from tests.hostile.dicom_files import jpeg_of_size
from tests.support.command_steps import TINY_CLASSIFIER

SIZE, PER_LABEL = 32, 10
CLASSES = ("covid", "normal")
CPU = ("--device", "cpu", "--precision", "fp32")


def mix(export: Path, folder: Path, seed: int) -> Path:
    """Play the other program: mix pairs of exported images of a label."""
    random = np.random.default_rng(seed)
    for label in CLASSES:
        reals = [np.asarray(Image.open(path), float) for path in sorted(export.glob(f"{label}/*"))]
        (folder / label).mkdir(parents=True)
        for number in range(PER_LABEL):
            first, second = random.choice(len(reals), 2, replace=False)
            pixels = (reals[first] + reals[second]) / 2
            Image.fromarray(pixels.astype(np.uint8)).save(folder / label / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def place(phantom_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study, its export, and images mixed of it, at 32 px and at 48."""
    place = tmp_path_factory.mktemp("foreign")
    shutil.copytree(phantom_study, place / "study")
    for size in (SIZE, 48):
        ok(cxr("data", "export", place / f"export{size}", "--for", "imagefolder", "--image-size",
               size, folder=place / "study"))  # fmt: skip
    mix(place / "export32", place / "mixed", seed=1)
    mix(place / "export48", place / "larger", seed=2)
    return place


def take(place: Path, source: str, *options: object) -> str:
    """Import a set; return what is said."""
    return ok(cxr("synthesize", "--from", place / source, *options, folder=place / "study"))


@pytest.fixture(scope="module")
def sets(place: Path) -> list[Run]:
    """A set with its statement, and one of unknown origin, brought to the size of the first."""
    take(place, "mixed", "--trained-on", place / "export32" / TRAINED_ON_FILE)
    said = take(place, "larger", "--trained-on", "unknown", "--image-size", SIZE, "--name", "B")
    assert f"20 images of 48×48 px reduced to {SIZE}×{SIZE} px" in said
    assert UNKNOWN_WARNING in said
    return [Workspace(place / "study").named_run(number) for number in ("1", "2")]


def test_a_set_is_what_came_and_says_what_it_is(place: Path, sets: list[Run]) -> None:
    stated = read_synthetic(sets[0].folder)
    hashes = json.loads((place / "export32" / TRAINED_ON_FILE).read_text())["images"]
    assert stated.trained_on == set(hashes)
    assert stated.rows[0].trained_on == fingerprint(hashes)
    assert not stated.caution
    brought = {np.asarray(Image.open(path)).tobytes() for path in (place / "mixed").glob("*/*")}
    assert {image.tobytes() for image in stated.load_images()} == brought
    assert [row.label for row in stated.rows] == list(CLASSES) * PER_LABEL
    with Image.open(stated.paths[0]) as image:
        assert "synthetic" in image.info["Comment"]
    assert (sets[0].folder / "samples.png").exists()
    assert UNKNOWN_WARNING in read_synthetic(sets[1].folder).caution
    nearness = HeldOutNearness.load(sets[1].folder)
    assert nearness is not None
    assert nearness.n_synthetic == 2 * PER_LABEL


@pytest.mark.parametrize("format", ["huggingface", "stylegan", "csv"])
def test_every_layout_gives_the_same_set(
    place: Path, sets: list[Run], tmp_path: Path, format: str
) -> None:
    images = [
        LabelledImage(f"{path.parent.name}-{path.stem}", path.parent.name,
                      np.asarray(Image.open(path)))
        for path in sorted((place / "mixed").glob("*/*"))
    ]  # fmt: skip
    write_images(tmp_path, images, "flat" if format == "csv" else format, CLASSES)
    source, options = tmp_path, []
    if format == "stylegan":
        source = tmp_path / "dataset.zip"
    if format == "csv":
        (tmp_path / "metadata.jsonl").unlink()
        lines = [f"{image.name}.png,{image.label}\n" for image in images]
        (tmp_path / "labels.csv").write_text("name,label\n" + "".join(lines))
        options = ["--labels-csv", tmp_path / "labels.csv"]
    study = Path(shutil.copytree(place / "study", tmp_path / "study"))
    ok(cxr("synthesize", "--from", source, *options, "--trained-on", "nothing", folder=study))
    run = Workspace(study).find_run("synthesize")
    found = {
        (row.label, image.tobytes())
        for row, image in zip(
            read_synthetic(run.folder).rows, read_synthetic(run.folder).load_images(), strict=True
        )
    }
    assert found == {(image.label, image.pixels.tobytes()) for image in images}


def test_what_is_odd_about_images_is_said(place: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(place / "study", tmp_path / "study"))
    random = np.random.default_rng(0)
    (tmp_path / "odd").mkdir()
    for number in range(8):
        pixels = random.integers(0, 256, (SIZE, SIZE + 8, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "odd" / f"{number}.jpg", quality=95)
    blank = Image.new("RGB", (SIZE + 8, SIZE), (7, 7, 7))
    for name in ("8.jpg", "9.jpg"):
        blank.save(tmp_path / "odd" / name)
    said = ok(cxr("synthesize", "--from", tmp_path / "odd", "--label", "covid", "--trained-on",
                  "nothing", folder=study))  # fmt: skip
    for note in (
        "10 images of 40×32 px cut to a centred square and reduced to 32×32 px",
        "8 of 10 images have colours",
        "10 images were stored with loss",
        "2 of 10 images are blank",
        "1 of 10 images are exact copies",
    ):
        assert note in said


def held_out_files(study: Path, count: int) -> list[Path]:
    rows = [row for row in Workspace(study).rows() if row.split == "test"]
    return [study / "data" / row.file_name for row in rows[:count]]


def with_images(folder: Path, paths: list[Path], size: int | None = None) -> Path:
    """Put images into a folder per label, perhaps resized."""
    (folder / "covid").mkdir(parents=True)
    for path in paths:
        with Image.open(path) as image:
            (image.resize((size, size)) if size else image).save(folder / "covid" / path.name)
    return folder


def of_one_label_twice(folder: Path) -> None:
    shutil.rmtree(folder / "normal")
    shutil.copytree(folder / "covid", folder / "flu")


def of_two_sizes(folder: Path) -> None:
    Image.new("L", (48, 48), 9).save(folder / "covid" / "0.png")


def of_few(folder: Path) -> None:
    for path in sorted((folder / "covid").iterdir())[3:]:
        path.unlink()


def of_two_depths(folder: Path) -> None:
    Image.fromarray(np.arange(SIZE * SIZE, dtype=np.uint16).reshape(SIZE, SIZE)).save(
        folder / "covid" / "0.png"
    )


def with_a_jpeg(folder: Path) -> None:
    Image.open(folder / "covid" / "0.png").save(folder / "covid" / "0.jpg")


def with_a_damaged_one(folder: Path) -> None:
    path = folder / "covid" / "0.png"
    path.write_bytes(path.read_bytes()[:-60])


def with_a_loose_one(folder: Path) -> None:
    shutil.copy(folder / "covid" / "0.png", folder / "loose.png")


def with_a_circle(folder: Path) -> None:
    of_few(folder)
    (folder / "covid" / "again").symlink_to(folder)


def with_a_bomb(folder: Path) -> None:
    (folder / "covid" / "0.png").write_bytes(jpeg_of_size((20_000, 20_000)))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (of_one_label_twice, "flu: no such label in this study; expected covid, normal"),
        (of_two_sizes, "images of several sizes (19 of 32×32 px, 1 of 48×48 px)"),
        (of_two_depths, "images of several depths (19 of 8 bits, 1 of over 8 bits)"),
        (with_a_jpeg, "images of several formats (20 of lossless, 1 of with loss)"),
        (of_few, "holds 3 image(s) of covid, expected at least 8"),
        (with_a_circle, "holds 3 image(s) of covid, expected at least 8"),
        (with_a_damaged_one, "covid/0.png is damaged or truncated"),
        (with_a_loose_one, "lie in no folder of a label, such as loose.png"),
        (with_a_bomb, "covid/0.png has more pixels than the 100,000,000 that are read"),
    ],
)
def test_what_cannot_be_a_set_is_refused_in_one_line(
    place: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    source = Path(shutil.copytree(place / "mixed", tmp_path / "source"))
    spoil(source)
    assert_refused(place, source, ["--trained-on", "nothing"], message)


def assert_refused(place: Path, source: Path, options: list[object], message: str) -> None:
    runs = place / "study" / "runs"
    before = sorted(runs.iterdir()) if runs.exists() else []
    result = cxr("synthesize", "--from", source, *options, folder=place / "study")
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert message in result.output
    assert (sorted(runs.iterdir()) if runs.exists() else []) == before


@pytest.mark.parametrize(
    ("size", "how"), [(None, "the same pixels"), (40, "its thumbnail differs by 0.0")]
)
def test_held_out_images_among_them_are_refused_whatever_is_said(
    place: Path, tmp_path: Path, size: int | None, how: str
) -> None:
    source = with_images(tmp_path / "source", held_out_files(place / "study", 8), size)
    options = ["--trained-on", "unknown", "--image-size", SIZE, "--reject-copies"]
    assert_refused(
        place, source, options, "8 of 8 images are real images of this study, or near-copies (8 of"
    )
    assert_refused(place, source, options, how)


def test_training_images_among_them_are_refused_or_left_out(place: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(place / "mixed", tmp_path / "source"))
    copied = sorted((place / "export32" / "covid").iterdir())[0]
    shutil.copy(copied, source / "covid" / "copy.png")
    options = ["--trained-on", "nothing"]
    assert_refused(place, source, options, "covid/copy.png is images/covid/")
    study = Path(shutil.copytree(place / "study", tmp_path / "study"))
    said = ok(cxr("synthesize", "--from", source, *options, "--reject-copies", folder=study))
    assert "left out: 1 copies of training images" in said
    assert len(read_synthetic(Workspace(study).find_run("synthesize").folder).rows) == 20


def statement(place: Path, tmp_path: Path, **changes: object) -> Path:
    """Write the export's TRAINED_ON.json with changes."""
    values = json.loads((place / "export32" / TRAINED_ON_FILE).read_text())
    path = tmp_path / TRAINED_ON_FILE
    path.write_text(json.dumps(values | changes))
    return path


def test_the_leak_lock_asks_what_the_generator_saw(place: Path, tmp_path: Path) -> None:
    rows = Workspace(place / "study").rows()
    source = place / "mixed"
    assert_refused(place, source, [], "nothing says what the generator of these images was")
    for split in ("validation", "test"):
        hashes = [row.sha256 for row in rows if row.split in ("train", split)]
        path = statement(place, tmp_path, images=hashes)
        assert_refused(place, source, ["--trained-on", path], "leak: the generator of")
    path = statement(place, tmp_path, study="0" * 64, images=["1" * 64])
    assert_refused(place, source, ["--trained-on", path], "it was written for another study")
    path = statement(place, tmp_path, images=[])
    assert_refused(place, source, ["--trained-on", path], "names no image")
    path = statement(place, tmp_path, format=9)
    assert_refused(place, source, ["--trained-on", path], "has format 9")


def test_a_zip_may_name_what_it_likes(place: Path, tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    image = (place / "mixed" / "covid" / "0.png").read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../outside.png", image)
        archive.writestr("dataset.json", json.dumps({"labels": [["../../outside.png", 7]]}))
    assert_refused(place, path, ["--trained-on", "nothing"], "the number of its label, 0 to 1")
    assert not (tmp_path.parent / "outside.png").exists()
    path.write_bytes(path.read_bytes()[:80])
    assert_refused(place, path, ["--trained-on", "nothing"], "no whole zip of StyleGAN's")


def test_an_import_that_fails_in_the_middle_leaves_nothing(
    place: Path, sets: list[Run], tmp_path: Path
) -> None:
    study = Path(shutil.copytree(place / "study", tmp_path / "study"))
    begun = study / "runs" / "0003-synthesize"  # of a killed import
    begun.mkdir()
    (begun / "config.json").write_text((sets[0].folder / "config.json").read_text())
    resumed = cxr("synthesize", "--resume", folder=study)
    assert resumed.exit_code == 2
    assert "give its own command again" in resumed.output
    ok(cxr("synthesize", "--from", place / "mixed", "--trained-on", "nothing", folder=study))
    assert [run.name for run in (study / "runs").iterdir() if "3" in run.name] == [
        "0003-synthesize"
    ]
    assert Workspace(study).named_run("3").finished


def test_sets_are_compared_as_arms_of_one_study(place: Path, sets: list[Run]) -> None:
    study = place / "study"
    said = ok(cxr("compare", "--synthetic", "A=1,2", "--arms", "real+gan", "--seeds",
                  2, *TINY_CLASSIFIER, *CPU, folder=study))  # fmt: skip
    assert f"B: {sets[1].name}, trained elsewhere: {UNKNOWN_WARNING}" in said
    run = Workspace(study).find_run("compare")
    summary = ComparisonSummary.load(run)
    assert summary.arms == ("real", "real+A", "real+B")
    pairs = {(own.condition.arm, own.reference.arm) for own in summary.differences}
    assert {("real+A", "real"), ("real+B", "real"), ("real+A", "real+B")} <= pairs
    assert summary.question.arm == "real+A"
    sizes = {own.arm: own.synthetic_images for own in summary.results}
    assert sizes["real+A"] == sizes["real+B"] == 2 * PER_LABEL
    assert any(UNKNOWN_WARNING in warning for warning in summary.warnings)
    assert UNKNOWN_WARNING in summary.sentence
    about = {own.arm: own.about for own in summary.results}
    assert (UNKNOWN_WARNING in about["real+A"], UNKNOWN_WARNING in about["real+B"]) == (False, True)
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert page.count(UNKNOWN_WARNING) > 2
    assert "--synthetic A=0001-synthesize,B=0002-synthesize" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--generators", "2"], "--generators 2: mixed was made by another program"),
        (["--real-fractions", "0.5"], "--real-fractions 0.5: the generator of mixed was trained"),
        (
            ["--synthetic", "2", "--real-fractions", "0.5"],
            "the generator of B was trained on is unk",
        ),
        (["--synthetic-ratio", "3"], "--synthetic mixed: it has 10 images of covid, and its arms"),
        (["--synthetic", "a=1,A=2"], "expected sets of different names and runs"),
        (["--synthetic", "classical=1"], "a set of this name would be taken for another arm"),
        (["--synthetic", "x=y=1"], "expected RUN or NAME=RUN"),
    ],
)
def test_what_sets_of_other_programs_cannot_give_is_refused(
    place: Path, sets: list[Run], options: list[str], message: str
) -> None:
    given = options if "--synthetic" in options else ["--synthetic", "1", *options]
    result = cxr("compare", *given, "--seeds", 2, *TINY_CLASSIFIER, *CPU, folder=place / "study")
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert message in result.output


@pytest.mark.parametrize(
    "damage", [{"statement": "sure"}, {"name": "../../evil"}, {"changes": 3}, {"extra": 1}]
)
def test_a_damaged_origin_is_named(
    place: Path, sets: list[Run], tmp_path: Path, damage: dict[str, object]
) -> None:
    study = Path(shutil.copytree(place / "study", tmp_path / "study"))
    path = study / "runs" / sets[1].name / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"foreign": config["foreign"] | damage}))
    for command in (("compare", "--synthetic", 2), ("classify-train", "--with-synthetic", 2)):
        result = cxr(*command, *TINY_CLASSIFIER, folder=study)
        assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
        assert f"{path}: foreign" in result.output or f"{path}: statement" in result.output


def test_what_rests_on_a_set_of_unknown_origin_says_so(place: Path, sets: list[Run]) -> None:
    study = place / "study"
    said = ok(cxr("classify-train", "--with-synthetic", 2, *TINY_CLASSIFIER, *CPU, folder=study))
    assert UNKNOWN_WARNING in said
    run = Workspace(study).find_run("classify-train")
    for name in ("metrics.json", "model_card.md"):
        assert UNKNOWN_WARNING in (run.folder / name).read_text(encoding="utf-8")
    said = ok(cxr("score", "--synthetic", 2, "--features", "random", *CPU, folder=study))
    assert UNKNOWN_WARNING in said
    assert "copies of held-out images" in said
    said = ok(cxr("reader-study", "--synthetic", 2, "--n", 4, folder=study))
    assert UNKNOWN_WARNING in said
