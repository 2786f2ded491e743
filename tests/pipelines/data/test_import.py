"""From folders to a workspace: what is read, how it is split, and that failures leave no trace."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.data.importing import import_listings
from pipelines.data.manifest import SPLITS, read_manifest, write_manifest
from pipelines.data.reading import MAX_SIDE, pixel_hash, read_gray, to_square, write_gray
from pipelines.data.sources import phantom_listing, read_source
from pipelines.data.splitting import assign_splits, join_groups, parse_ratios
from pipelines.data.store import load_images
from pipelines.workspace import Workspace

RATIOS = (0.7, 0.1, 0.2)


def picture(seed: int, height: int = 40, width: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder per label: 12 images each, two of them with awkward names."""
    folder = tmp_path / "my source"
    for label, first in (("COVID 19", 0), ("normal", 100)):
        (folder / label).mkdir(parents=True)
        for number in range(10):
            Image.fromarray(picture(first + number)).save(folder / label / f"{number}.png")
        Image.fromarray(picture(first + 10)).save(folder / label / "naïve 'quoted', name.PNG")
        Image.fromarray(picture(first + 11)).save(folder / label / "line\nbreak.jpg", quality=95)
    (folder / "normal" / "notes.txt").write_text("not an image")
    return folder


def test_a_folder_per_label(source: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "study")
    summary = import_listings(workspace, [read_source(str(source))], ratios=RATIOS, seed=0)
    rows = workspace.rows()
    assert summary["kept"] == len(rows) == 24
    assert Counter(row.label for row in rows) == {"covid-19": 12, "normal": 12}
    assert {row.split for row in rows} == set(SPLITS)
    for row in rows:
        with Image.open(workspace.data / row.file_name) as image:
            assert (image.mode, image.size) == ("L", (row.width, row.height)) == ("L", (50, 40))
        assert pixel_hash(read_gray(workspace.data / row.file_name)) == row.sha256
    files = {str(path.relative_to(workspace.data)) for path in (workspace.data / "images").rglob("*.png")}
    assert files == {row.file_name for row in rows}
    assert not (workspace.data / ".incoming").exists()


def test_importing_again_adds_nothing_and_moves_nothing(source: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "study")
    import_listings(workspace, [read_source(str(source))], ratios=RATIOS, seed=0)
    before = {row.file_name: row for row in workspace.rows()}
    with pytest.raises(ValueError, match="24 already in the study"):
        import_listings(workspace, [read_source(str(source))], ratios=RATIOS, seed=5)
    for number in range(20, 40):
        Image.fromarray(picture(number)).save(source / "normal" / f"{number}.png")
    import_listings(workspace, [read_source(str(source))], ratios=RATIOS, seed=5)
    after = {row.file_name: row for row in workspace.rows()}
    assert len(after) == 44 and all(after[name] == row for name, row in before.items())


def test_one_picture_under_two_labels_is_left_out_and_said_so(source: Path, tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(source / "normal" / "copy of a covid image.png")
    workspace = Workspace(tmp_path / "study")
    summary = import_listings(workspace, [read_source(str(source))], ratios=RATIOS, seed=0)
    assert summary["kept"] == 23
    assert summary["left_out_counts"] == {"the same picture under two labels": 2}


def test_an_unreadable_image_stops_the_import_and_leaves_nothing(source: Path, tmp_path: Path) -> None:
    whole = (source / "normal" / "3.png").read_bytes()
    (source / "normal" / "3.png").write_bytes(whole[: len(whole) // 2])
    workspace = Workspace(tmp_path / "study")
    with pytest.raises(ValueError, match=r"3\.png is damaged or truncated .* --skip-unreadable"):
        import_listings(workspace, [read_source(str(source))], ratios=RATIOS, seed=0)
    assert not workspace.data.exists()
    summary = import_listings(workspace, [read_source(str(source))], ratios=RATIOS, seed=0, skip_unreadable=True)
    assert summary["kept"] == 23 and summary["left_out_counts"] == {"unreadable": 1}
    assert "3.png" in summary["left_out"][0]["reason"]


def test_a_newcomer_that_ties_two_splits_together_is_left_out(source: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "study")
    import_listings(workspace, [read_source(str(source))], ratios=RATIOS, seed=0)
    rows = workspace.rows()
    train = next(row for row in rows if row.split == "train" and row.label == "normal")
    test = next(row for row in rows if row.split == "test" and row.label == "normal")
    more = tmp_path / source.name / "more"
    more.mkdir()
    for row, name in ((train, test.patient.split(":")[1]),):  # a training picture under a test patient's name
        Image.open(workspace.data / row.file_name).save(more / f"{name}.png")
    with pytest.raises(ValueError, match="ties patients of two splits"):
        listing = read_source(f"{more}=normal")
        records = [record.__class__(**{**record.__dict__, "patient": test.patient}) for record in listing.records]
        import_listings(workspace, [listing.__class__(listing.source, listing.kind, records)], ratios=RATIOS, seed=0)
    assert workspace.rows() == rows


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_patient_and_no_duplicate_is_in_two_splits(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 60))
    labels = data.draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    patients = data.draw(st.lists(st.integers(0, 25), min_size=n, max_size=n))
    hashes = data.draw(st.lists(st.integers(100, 140), min_size=n, max_size=n))
    groups = join_groups(list(zip(patients, hashes)))
    known: list[str | None] = [None] * n
    first = assign_splits(labels, groups, known, RATIOS, seed=data.draw(st.integers(0, 5)))
    for ties in (patients, hashes):
        splits = defaultdict(set)
        for tie, split in zip(ties, first):
            splits[tie].add(split)
        assert all(len(found) == 1 for found in splits.values())
    some = [split if data.draw(st.booleans()) else None for split in first]
    later = assign_splits(labels, groups, some, RATIOS, seed=99)
    assert all(before is None or before == after for before, after in zip(some, later))


def test_splits_have_their_shares_and_every_class() -> None:
    labels = ["a"] * 300 + ["b"] * 1000 + ["c"] * 3
    splits = assign_splits(labels, list(range(len(labels))), [None] * len(labels), RATIOS, seed=1)
    counts = Counter(zip(labels, splits))
    assert [counts["a", split] for split in SPLITS] == pytest.approx([210, 30, 60], abs=1)
    assert [counts["b", split] for split in SPLITS] == pytest.approx([700, 100, 200], abs=1)
    assert [counts["c", split] for split in SPLITS] == [1, 1, 1]
    assert splits != assign_splits(labels, list(range(len(labels))), [None] * len(labels), RATIOS, seed=2)


@pytest.mark.parametrize("text", ["70/30", "70/20/20", "a/b/c", "100/0/0", "-10/60/50"])
def test_wrong_shares(text: str) -> None:
    with pytest.raises(ValueError, match="--split"):
        parse_ratios(text)


def test_pixels_of_every_mode(tmp_path: Path) -> None:
    gray = picture(1, 64, 64)
    plain = Image.fromarray(gray)
    plain.save(tmp_path / "gray.png")
    plain.convert("RGB").save(tmp_path / "rgb.png")
    plain.convert("RGBA").save(tmp_path / "rgba.png")
    Image.merge("LA", (plain, Image.new("L", plain.size, 255))).save(tmp_path / "la.png")
    plain.quantize(256).save(tmp_path / "palette.png")
    plain.save(tmp_path / "really a png.jpg", "PNG")
    for path in tmp_path.iterdir():
        assert np.abs(read_gray(path).astype(int) - gray).max() <= 1, path
    deep = (np.linspace(0, 1, 64 * 64).reshape(64, 64) * 4000 + 1000).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    read = read_gray(tmp_path / "deep.png")
    assert read.min() == 0 and read.max() == 255 and len(np.unique(read)) > 200


def test_large_images_are_reduced_and_squares_cropped(tmp_path: Path) -> None:
    Image.fromarray(picture(0, 700, 1400)).save(tmp_path / "large.png")
    assert read_gray(tmp_path / "large.png").shape == (MAX_SIDE // 2, MAX_SIDE)
    wide = np.zeros((20, 60), np.uint8)
    wide[:, 20:40] = 200
    assert (to_square(wide, 10) == 200).all()
    square = picture(3, 64, 64)
    assert to_square(square, 64) is not None and np.array_equal(to_square(square, 64), square)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "does not exist"),
        (lambda folder: folder.write_text("x"), "is a file"),
        (lambda folder: folder.mkdir(), "no usable image"),
        (lambda folder: (folder.mkdir(), write_gray(folder / "a.png", picture(0))), "name it: .*=LABEL"),
    ],
)
def test_sources_that_are_none(tmp_path: Path, make, message: str) -> None:
    make(tmp_path / "source")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_source(str(tmp_path / "source"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("images/", "../images/", "leads out of the folder"),
        ("images/", "/images/", "leads out of the folder"),
        (",train,", ",training,", "split 'training'"),
        ("file_name", "file", "lacks the column"),
    ],
)
def test_a_manifest_that_was_tampered_with(phantom_study: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (phantom_study / "data" / "manifest.csv").read_text()
    (tmp_path / "manifest.csv").write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_manifest(tmp_path / "manifest.csv")


def test_a_manifest_survives_awkward_names(phantom_study: Path, tmp_path: Path) -> None:
    rows = read_manifest(phantom_study / "data" / "manifest.csv")
    odd = [row.__class__(**{**row.__dict__, "patient": f'a "b", c\nd é {index}'}) for index, row in enumerate(rows)]
    write_manifest(tmp_path / "manifest.csv", odd)
    assert read_manifest(tmp_path / "manifest.csv") == odd


def test_phantoms_say_so_everywhere_and_are_the_same_bytes_again(phantom_study: Path, tmp_path: Path) -> None:
    again = Workspace(tmp_path / "again")
    import_listings(again, [phantom_listing(64, 0)], ratios=RATIOS, seed=0)
    first = Workspace(phantom_study)
    assert again.manifest_path.read_bytes() == first.manifest_path.read_bytes()
    for row in first.rows():
        assert Path(row.file_name).name.startswith("PHANTOM") and row.source == "phantom"
        assert (first.data / row.file_name).read_bytes() == (again.data / row.file_name).read_bytes()
        assert "PHANTOM" in Image.open(first.data / row.file_name).text["Comment"]


def test_arrays_are_kept_and_made_anew_when_the_manifest_changes(phantom_study: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "study")
    import_listings(workspace, [phantom_listing(20, 0)], ratios=RATIOS, seed=0)
    rows = workspace.rows()
    first = load_images(workspace, rows, 32)
    assert first.shape == (20, 32, 32) and np.array_equal(load_images(workspace, rows[::-1], 32), first[::-1])
    (kept,) = (workspace.data / "arrays").iterdir()
    import_listings(workspace, [phantom_listing(24, 0)], ratios=RATIOS, seed=0)
    assert load_images(workspace, workspace.rows(), 32).shape == (24, 32, 32)
    assert not kept.exists()
    next((workspace.data / "arrays").iterdir()).write_bytes(b"damaged")
    with pytest.raises(ValueError, match="delete it"):
        load_images(workspace, workspace.rows(), 32)


def test_the_shared_x_rays(shared: Path, tmp_path: Path) -> None:
    sources = [str(shared / "data" / "covid-chestxray-dataset"), f"{shared / 'data' / 'chestxray8-subset' / 'No_findings'}=normal"]
    workspace = Workspace(tmp_path / "study")
    summary = import_listings(workspace, [read_source(source) for source in sources], ratios=RATIOS, seed=0)
    rows = workspace.rows()
    images, patients = Counter(row.label for row in rows), {label: len({row.patient for row in rows if row.label == label}) for label in ("covid", "normal")}
    assert images == {"covid": 427, "normal": 500} and patients == {"covid": 257, "normal": 332}
    assert summary["sources"][0]["passed_over"]["named in metadata.csv, file absent"] == 7
    for label in images:
        shares = [sum(row.split == split and row.label == label for row in rows) / images[label] for split in SPLITS]
        assert shares == pytest.approx(RATIOS, abs=0.02)
    for tie in ("patient", "sha256"):
        splits = defaultdict(set)
        for row in rows:
            splits[getattr(row, tie)].add(row.split)
        assert all(len(found) == 1 for found in splits.values())


def test_the_raw_originals_can_be_read(shared: Path) -> None:
    read = 0
    for path in sorted((shared / "data" / "raw").iterdir()):
        if path.suffix == ".dcm":
            with pytest.raises(ValueError, match="not an image"):
                read_gray(path)
            continue
        gray = read_gray(path)
        assert max(gray.shape) <= MAX_SIDE and gray.std() > 10, path
        read += 1
    assert read >= 20


def test_the_manifest_is_a_hugging_face_imagefolder_table(phantom_study: Path) -> None:
    with open(phantom_study / "data" / "manifest.csv", newline="") as file:
        assert next(csv.reader(file))[0] == "file_name"
