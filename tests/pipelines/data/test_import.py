"""From folders to a workspace: what is read, how it is split, and that failures leave no trace."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.data.cleaning import NEAR, SAME
from pipelines.data.importing import import_listings
from pipelines.data.published import read_sources
from pipelines.data.sources import Listing, Record, phantom_listing
from pipelines.study.dataset import open_study
from pipelines.study.image_cache import load_images
from pipelines.study.image_io import Picture, pixel_hash, read_gray
from pipelines.study.manifest import SPLITS, Row, read_manifest, write_manifest
from pipelines.study.splitting import Groups, distribute, parse_ratios
from pipelines.study.workspace import Workspace

RATIOS = (0.7, 0.1, 0.2)


def picture(seed: int, height: int = 80, width: int = 100) -> np.ndarray:
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
    summary = import_listings(workspace, read_sources((str(source),)), ratios=RATIOS, seed=0)
    rows = workspace.rows()
    assert summary["kept"] == len(rows) == 24
    assert Counter(row.label for row in rows) == {"covid-19": 12, "normal": 12}
    assert {row.split for row in rows} == set(SPLITS)
    for row in rows:
        with Image.open(workspace.data / row.file_name) as image:
            assert (image.mode, image.size) == ("L", (row.width, row.height)) == ("L", (100, 80))
        assert pixel_hash(read_gray(workspace.data / row.file_name)) == row.sha256
    files = {
        str(path.relative_to(workspace.data)) for path in (workspace.data / "images").rglob("*.png")
    }
    assert files == {row.file_name for row in rows}
    assert not (workspace.data / ".incoming").exists()


def test_importing_again_adds_nothing_and_moves_nothing(source: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "study")
    import_listings(workspace, read_sources((str(source),)), ratios=RATIOS, seed=0)
    before = {row.file_name: row for row in workspace.rows()}
    with pytest.raises(ValueError, match="24 already in the study"):
        import_listings(workspace, read_sources((str(source),)), ratios=RATIOS, seed=5)
    for number in range(20, 40):
        Image.fromarray(picture(number)).save(source / "normal" / f"{number}.png")
    import_listings(workspace, read_sources((str(source),)), ratios=RATIOS, seed=5)
    after = {row.file_name: row for row in workspace.rows()}
    assert len(after) == 44
    assert all(after[name] == row for name, row in before.items())


def test_one_picture_under_two_labels_is_left_out_and_said_so(source: Path, tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(source / "normal" / "copy of a covid image.png")
    workspace = Workspace(tmp_path / "study")
    summary = import_listings(workspace, read_sources((str(source),)), ratios=RATIOS, seed=0)
    assert summary["kept"] == 23
    assert summary["left_out_counts"] == {"the same picture under two labels": 2}


def test_an_unreadable_image_is_left_out_or_with_strict_stops_all(
    source: Path, tmp_path: Path
) -> None:
    whole = (source / "normal" / "3.png").read_bytes()
    (source / "normal" / "3.png").write_bytes(whole[: len(whole) // 2])
    workspace = Workspace(tmp_path / "study")
    with pytest.raises(
        ValueError,
        match=r"--strict: 1 files would be left out; first .*3\.png: unreadable: damaged or truncated",
    ):
        import_listings(workspace, read_sources((str(source),)), ratios=RATIOS, seed=0, strict=True)
    assert not workspace.data.exists()
    summary = import_listings(workspace, read_sources((str(source),)), ratios=RATIOS, seed=0)
    assert summary["kept"] == 23
    assert summary["left_out_counts"] == {"unreadable": 1}
    assert "3.png" not in (workspace.data / "import.json").read_text()
    (entry,) = summary["left_out"]
    with open(workspace.data / "originals.csv", newline="") as file:
        (original,) = [row for row in csv.DictReader(file) if row["id"] == entry["id"]]
    assert original["origin"].endswith("3.png")
    assert original["reason"] == entry["reason"]


def memory(
    pictures: list[tuple[int, str, str, tuple[str, ...]]], source: str = "memory"
) -> Listing:
    """A source of (picture number, label, patient, splits it may go to); numbers that end in 1 to 3 are versions of one film."""
    return Listing(
        source,
        "in memory",
        [
            Record(
                f"{source} {place} {number}",
                partial(film, number),
                label,
                source,
                patient,
                splits=splits,
            )
            for place, (number, label, patient, splits) in enumerate(pictures)
        ],
    )


def film(number: int) -> Picture:
    gray = np.random.default_rng(number // 4).integers(0, 200, (10, 8), dtype=np.uint8).repeat(
        8, 0
    ).repeat(8, 1) + np.uint8(10 * (number % 4))
    return Picture(gray, *gray.shape)


def ties(rows: list[Row]) -> list[tuple[str, str]]:
    """Everything that must not be in two splits, or in two folds, with the place it is in."""
    found = []
    for place in ("split", "fold"):
        for row in rows:
            if place == "split" or row.fold:
                found += [
                    (f"{place} of {what}", getattr(row, place))
                    for what in (row.patient, row.sha256)
                ]
        for first, second in combinations([row for row in rows if place == "split" or row.fold], 2):
            if (
                np.unpackbits(np.frombuffer(bytes.fromhex(first.near_hash), np.uint8))
                != np.unpackbits(np.frombuffer(bytes.fromhex(second.near_hash), np.uint8))
            ).sum() <= NEAR:
                found += [
                    (f"{place} of {first.sha256} and {second.sha256}", getattr(row, place))
                    for row in (first, second)
                ]
    return found


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_comes_in_no_patient_and_no_film_is_in_two_splits(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    one = st.tuples(
        st.integers(0, 60),
        st.sampled_from("ab"),
        st.sampled_from([f"p{number}" for number in range(12)]),
        st.sampled_from([SPLITS, ("train", "validation"), ("test",), ("train",)]),
    )
    workspace, before = Workspace(tmp_path_factory.mktemp("any")), []
    folds = data.draw(st.sampled_from([None, 3]))
    for turn in range(2):
        own, apart = (
            memory(data.draw(st.lists(one, min_size=1, max_size=25)), f"own{turn % 2}"),
            memory(data.draw(st.lists(one, max_size=6)), "far"),
        )
        try:
            summary = import_listings(
                workspace,
                [own],
                external=[apart],
                ratios=RATIOS,
                seed=data.draw(st.integers(0, 3)),
                folds=folds,
            )
        except ValueError as error:
            assert "nothing to import" in str(error)
            continue
        rows = workspace.rows()
        assert len(rows) == len(before) + summary["kept"]
        assert summary["kept"] + len(summary["left_out"]) == len(own.records) + len(apart.records)
        places = defaultdict(set)
        for what, place in ties(rows):
            places[what].add(place)
        assert all(len(found) == 1 for found in places.values())
        assert {row.source for row in rows if row.split == "external"} <= {"far"}
        assert all(row.split == "external" for row in rows if row.source == "far")
        assert all(
            (row.fold is not None) == (folds is not None and row.split in ("train", "validation"))
            for row in rows
        )
        assert rows[: len(before)] == before, "what was there has not moved"
        before = rows


def test_the_split_of_a_source_is_respected_and_validation_comes_from_training(
    tmp_path: Path,
) -> None:
    workspace = Workspace(tmp_path / "study")
    given = memory(
        [
            (
                4 * number,
                "ab"[number % 2],
                f"p{number}",
                ("test",) if number < 20 else ("train", "validation"),
            )
            for number in range(100)
        ]
    )
    import_listings(workspace, [given], ratios=RATIOS, seed=0)
    assert Counter(row.split for row in workspace.rows()) == {
        "test": 20,
        "train": 70,
        "validation": 10,
    }


def test_a_patient_in_two_lists_stays_in_test(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "study")
    given = memory([(0, "a", "p", ("train",)), (4, "a", "p", ("test",)), (8, "a", "q", ("train",))])
    summary = import_listings(workspace, [given], ratios=RATIOS, seed=0)
    assert summary["left_out_counts"] == {"ties patients of two splits together": 1}
    assert sorted(row.split for row in workspace.rows()) == ["test", "train"]


def test_a_film_under_two_patients_makes_them_one_and_is_kept_once(tmp_path: Path) -> None:
    for seed in range(8):
        workspace = Workspace(tmp_path / str(seed))
        films = (
            [(0, "a", "p", SPLITS), (0, "a", "q", SPLITS)]
            + [(4 * number, "a", "pq"[number % 2], SPLITS) for number in range(1, 5)]
            + [(40 + 4 * number, "a", f"r{number}", SPLITS) for number in range(20)]
        )
        summary = import_listings(workspace, [memory(films)], ratios=RATIOS, seed=seed)
        assert summary["left_out_counts"] == {"exact duplicate": 1}
        rows = workspace.rows()
        assert len({row.split for row in rows[:5]}) == 1


def test_versions_of_one_film_are_listed_and_share_a_split(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "study")
    summary = import_listings(
        workspace,
        [memory([(number, "a", f"p{number}", SPLITS) for number in (0, 1, 4, 8, 12, 16)])],
        ratios=RATIOS,
        seed=0,
    )
    (pair,) = summary["near_duplicates"]
    splits = {row.file_name: row.split for row in workspace.rows()}
    assert pair["bits"] <= SAME
    assert splits[pair["images"][0]] == splits[pair["images"][1]]
    with pytest.raises(ValueError, match="two labels"):
        import_listings(workspace, [memory([(17, "b", "other", SPLITS)])], ratios=RATIOS, seed=0)


def test_external_images_stand_apart_and_give_way(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "study")
    own = memory([(4 * number, "ab"[number % 2], f"p{number}", SPLITS) for number in range(30)])
    far = memory(
        [
            (0, "a", "x", SPLITS),
            (5, "b", "y", SPLITS),
            (200, "a", "z", SPLITS),
            (204, "c", "z", SPLITS),
        ],
        "far",
    )
    summary = import_listings(workspace, [own], external=[far], ratios=RATIOS, seed=0)
    assert summary["left_out_counts"] == {
        "label not in the study": 1,
        "exact duplicate": 1,
        "ties patients of two splits together": 1,
    }
    (row,) = [row for row in workspace.rows() if row.split == "external"]
    assert row.source == "far"
    assert open_study(workspace.root, "external", image_size=32).classes == ("a", "b")


def test_folds_divide_training_and_validation_by_patient(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "study")
    own = memory(
        [(4 * number, "ab"[number % 2], f"p{number // 3}", SPLITS) for number in range(120)]
    )
    import_listings(workspace, [own], ratios=RATIOS, seed=0, folds=4)
    rows = workspace.rows()
    sizes = Counter(row.fold for row in rows if row.fold)
    assert set(sizes) == {1, 2, 3, 4}
    assert max(sizes.values()) - min(sizes.values()) <= 6
    parts = [
        open_study(workspace.root, "validation", image_size=32, fold=fold) for fold in range(1, 5)
    ]
    assert sum(map(len, parts)) == sum(row.split != "test" for row in rows)
    train = open_study(workspace.root, "train", image_size=32, fold=1)
    assert not {row.patient for row in train.rows} & {row.patient for row in parts[0].rows}
    assert len(train) + len(parts[0]) == sum(sizes.values())
    for message, choice in (
        ("no folds|folds 1 to 4", {"fold": 9}),
        ("same for all", {"fold": 1, "split": "test"}),
    ):
        with pytest.raises(ValueError, match=message):
            open_study(workspace.root, **{"split": "train", "image_size": 32} | choice)
    with pytest.raises(ValueError, match="--folds 3"):
        import_listings(
            workspace, [memory([(800, "a", "new", SPLITS)])], ratios=RATIOS, seed=0, folds=3
        )
    import_listings(
        workspace,
        [memory([(800 + 4 * number, "a", f"new{number}", SPLITS) for number in range(9)])],
        ratios=RATIOS,
        seed=0,
    )
    assert all(bool(row.fold) == (row.split != "test") for row in workspace.rows())


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_groups_never_break_and_never_lose_their_way(data: st.DataObject) -> None:
    groups, members = Groups(), []
    for _ in range(data.draw(st.integers(1, 40))):
        item = (
            data.draw(st.integers(0, 20)),
            data.draw(st.integers(100, 125)),
            data.draw(st.sampled_from([SPLITS, SPLITS[:2], ("test",), ("train",)])),
        )
        number = groups.add(item[:2], item[2])
        if number is not None:
            members.append((number, item))
    roots = [groups.root(number) for number, _ in members]
    splits = distribute(
        ["a"] * len(members),
        roots,
        [groups.allowed(number) for number, _ in members],
        dict(zip(SPLITS, RATIOS)),
        seed=0,
    )
    places = defaultdict(set)
    for (_, (patient, film, allowed)), split in zip(members, splits):
        assert split in allowed
        places[patient].add(split)
        places[film].add(split)
    assert all(len(found) == 1 for found in places.values())


def test_splits_have_their_shares_and_every_class() -> None:
    labels = ["a"] * 300 + ["b"] * 1000 + ["c"] * 3

    def split(seed: int) -> list[str]:
        return distribute(
            labels,
            list(range(len(labels))),
            [SPLITS] * len(labels),
            dict(zip(SPLITS, RATIOS)),
            seed,
        )

    counts = Counter(zip(labels, split(1)))
    assert [counts["a", name] for name in SPLITS] == pytest.approx([210, 30, 60], abs=1)
    assert [counts["b", name] for name in SPLITS] == pytest.approx([700, 100, 200], abs=1)
    assert [counts["c", name] for name in SPLITS] == [1, 1, 1]
    assert split(1) != split(2)


@pytest.mark.parametrize("text", ["70/30", "70/20/20", "a/b/c", "100/0/0", "-10/60/50"])
def test_wrong_shares(text: str) -> None:
    with pytest.raises(ValueError, match="--split"):
        parse_ratios(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("images/", "../images/", "leads out of the folder"),
        ("images/", "/images/", "leads out of the folder"),
        (",train,", ",training,", "split 'training'"),
        ("file_name", "file", "lacks the column"),
    ],
)
def test_a_manifest_that_was_tampered_with(
    phantom_study: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = (phantom_study / "data" / "manifest.csv").read_text()
    (tmp_path / "manifest.csv").write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_manifest(tmp_path / "manifest.csv")


def test_a_manifest_survives_awkward_names(phantom_study: Path, tmp_path: Path) -> None:
    rows = read_manifest(phantom_study / "data" / "manifest.csv")
    odd = [
        row.__class__(**{**row.__dict__, "patient": f'a "b", c\nd é {index}'})
        for index, row in enumerate(rows)
    ]
    write_manifest(tmp_path / "manifest.csv", odd)
    assert read_manifest(tmp_path / "manifest.csv") == odd


def test_phantoms_say_so_everywhere_and_are_the_same_bytes_again(
    phantom_study: Path, tmp_path: Path
) -> None:
    first, again, more = (
        Workspace(tmp_path / "first"),
        Workspace(tmp_path / "again"),
        Workspace(phantom_study),
    )
    for workspace in (first, again):
        import_listings(workspace, [phantom_listing(12, 0)], ratios=RATIOS, seed=0)
    assert again.manifest_path.read_bytes() == first.manifest_path.read_bytes()
    assert len(first.rows()) == 12
    for row in first.rows():
        assert Path(row.file_name).name.startswith("PHANTOM")
        assert row.source == "phantom"
        assert (
            (first.data / row.file_name).read_bytes()
            == (again.data / row.file_name).read_bytes()
            == (more.data / row.file_name).read_bytes()
        )
        assert "PHANTOM" in Image.open(first.data / row.file_name).text["Comment"]


def test_arrays_are_kept_and_made_anew_when_the_manifest_changes(
    phantom_study: Path, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / "study")
    import_listings(workspace, [phantom_listing(6, 0)], ratios=RATIOS, seed=0)
    rows = workspace.rows()
    first = load_images(workspace, rows, 32)
    assert first.shape == (6, 32, 32)
    assert np.array_equal(load_images(workspace, rows[::-1], 32), first[::-1])
    (kept,) = (workspace.data / "arrays").glob("*.npy")
    import_listings(workspace, [phantom_listing(8, 0)], ratios=RATIOS, seed=0)
    assert load_images(workspace, workspace.rows(), 32).shape == (8, 32, 32)
    assert not kept.exists()
    next((workspace.data / "arrays").glob("*.npy")).write_bytes(b"damaged")
    with pytest.raises(ValueError, match="delete it"):
        load_images(workspace, workspace.rows(), 32)


def test_the_shared_x_rays(shared: Path, tmp_path: Path) -> None:
    """The counts of the collections' own description, less one exact duplicate; nine pairs of one film, seven of them under two patients. Of the second collection the first 100, for speed."""
    listings = read_sources(
        (
            str(shared / "data" / "covid-chestxray-dataset"),
            f"{shared / 'data' / 'chestxray8-subset' / 'No_findings'}=normal",
        )
    )
    assert [len(listing.records) for listing in listings] == [427, 500]
    assert [len({record.patient for record in listing.records}) for listing in listings] == [
        257,
        332,
    ]
    workspace = Workspace(tmp_path / "study")
    summary = import_listings(
        workspace,
        [listings[0], replace(listings[1], records=listings[1].records[:100])],
        ratios=RATIOS,
        seed=0,
    )
    rows = workspace.rows()
    images = Counter(row.label for row in rows)
    assert images == {"covid": 426, "normal": 100}
    assert summary["left_out_counts"] == {"exact duplicate": 1, "named in a table, file absent": 35}
    assert len(summary["near_duplicates"]) == 9
    patients = {row.file_name: row.patient for row in rows}
    assert (
        sum(
            patients[one] != patients[other]
            for one, other in (pair["images"] for pair in summary["near_duplicates"])
        )
        == 7
    )
    for label in images:
        shares = [
            sum(row.split == split and row.label == label for row in rows) / images[label]
            for split in SPLITS
        ]
        assert shares == pytest.approx(RATIOS, abs=0.02)
    for tie in ("patient", "sha256"):
        splits = defaultdict(set)
        for row in rows:
            splits[getattr(row, tie)].add(row.split)
        assert all(len(found) == 1 for found in splits.values())


def test_the_manifest_is_a_hugging_face_imagefolder_table(phantom_study: Path) -> None:
    with open(phantom_study / "data" / "manifest.csv", newline="") as file:
        assert next(csv.reader(file))[0] == "file_name"
