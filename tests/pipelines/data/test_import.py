"""From folders to a study: what is read, how it is split, and that failures leave no trace."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.data.cleaning import SAME_BITS
from pipelines.data.importing import ImportRules, import_listings
from pipelines.data.listing import Listing
from pipelines.data.phantom_source import list_phantoms
from pipelines.data.sources import read_sources
from pipelines.study.dataset import open_study
from pipelines.study.image_io import pixel_hash, read_gray
from pipelines.study.import_log import ImportSummary
from pipelines.study.manifest import SPLITS, Row
from pipelines.study.persons import NEAR_BITS
from pipelines.study.shares import RealShare
from pipelines.study.workspace import Workspace
from tests.pipelines.data.films import RATIOS, films_in_memory, import_films, noise


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder per label: 12 images each, two of them with awkward names."""
    folder = tmp_path / "my source"
    for label, first in (("COVID 19", 0), ("normal", 100)):
        (folder / label).mkdir(parents=True)
        for number in range(10):
            Image.fromarray(noise(first + number)).save(folder / label / f"{number}.png")
        Image.fromarray(noise(first + 10)).save(folder / label / "naïve 'quoted', name.PNG")
        Image.fromarray(noise(first + 11)).save(folder / label / "line\nbreak.jpg", quality=95)
    (folder / "normal" / "notes.txt").write_text("not an image")
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty study."""
    return Workspace(tmp_path / "study")


def import_folder(
    workspace: Workspace, folder: Path, *, seed: int = 0, strict: bool = False
) -> ImportSummary:
    listings = read_sources((str(folder),))
    rules = ImportRules(strict=strict)
    return import_listings(workspace, listings, ratios=RATIOS, seed=seed, rules=rules)


# --- a folder per label ---


def test_every_image_of_a_folder_per_label_comes_in(source: Path, workspace: Workspace) -> None:
    assert import_folder(workspace, source).kept == 24
    assert Counter(row.label for row in workspace.rows()) == {"covid-19": 12, "normal": 12}
    assert {row.split for row in workspace.rows()} == set(SPLITS)


def test_images_are_kept_as_gray_pngs_of_their_size(source: Path, workspace: Workspace) -> None:
    import_folder(workspace, source)
    for row in workspace.rows():
        with Image.open(workspace.data / row.file_name) as image:
            assert (image.format, image.mode) == ("PNG", "L")
            assert image.size == (row.width, row.height) == (100, 80)
        assert pixel_hash(read_gray(workspace.data / row.file_name)) == row.sha256


def test_the_study_holds_the_images_of_its_manifest_alone(
    source: Path, workspace: Workspace
) -> None:
    import_folder(workspace, source)
    files = (workspace.data / "images").rglob("*.png")
    assert {str(path.relative_to(workspace.data)) for path in files} == {
        row.file_name for row in workspace.rows()
    }
    assert not (workspace.data / ".incoming").exists()


def test_importing_the_same_again_adds_nothing(source: Path, workspace: Workspace) -> None:
    import_folder(workspace, source)
    with pytest.raises(ValueError, match="nothing to import: 24 already in the study"):
        import_folder(workspace, source, seed=5)


def test_importing_more_moves_nothing(source: Path, workspace: Workspace) -> None:
    import_folder(workspace, source)
    before = workspace.rows()
    for number in range(20, 40):
        Image.fromarray(noise(number)).save(source / "normal" / f"{number}.png")
    import_folder(workspace, source, seed=5)
    assert len(workspace.rows()) == 44
    assert workspace.rows()[:24] == before


def test_one_picture_under_two_labels_is_left_out(source: Path, workspace: Workspace) -> None:
    Image.fromarray(noise(0)).save(source / "normal" / "copy of a covid image.png")
    summary = import_folder(workspace, source)
    assert summary.kept == 23
    assert summary.left_out_counts == {"the same picture under two labels": 2}


@pytest.fixture
def damaged(source: Path) -> Path:
    """The same source, one image of which is cut short."""
    path = source / "normal" / "3.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return source


def test_an_unreadable_image_is_left_out(damaged: Path, workspace: Workspace) -> None:
    summary = import_folder(workspace, damaged)
    assert summary.kept == 23
    assert summary.left_out_counts == {"unreadable": 1}


def test_strict_stops_at_an_unreadable_image(damaged: Path, workspace: Workspace) -> None:
    message = r"--strict: 2 files would be left out; first .*3\.png: unreadable: damaged or"
    with pytest.raises(ValueError, match=message):
        import_folder(workspace, damaged, strict=True)
    assert not workspace.data.exists()


def test_only_originals_csv_names_the_file_that_was_left_out(
    damaged: Path, workspace: Workspace
) -> None:
    (left_out,) = import_folder(workspace, damaged).left_out
    assert "3.png" not in (workspace.data / "import.json").read_text()
    with open(workspace.data / "originals.csv", newline="") as file:
        (original,) = [row for row in csv.DictReader(file) if row["id"] == left_out.id]
    assert original["origin"].endswith("3.png")
    assert original["reason"] == left_out.reason


# --- who shares a split ---


def near_each_other(first: Row, second: Row) -> bool:
    bits = [np.frombuffer(bytes.fromhex(row.near_hash), np.uint8) for row in (first, second)]
    return int(np.bitwise_count(bits[0] ^ bits[1]).sum()) <= NEAR_BITS


def ties(rows: list[Row], part: str) -> Iterator[tuple[str, object]]:
    """Yield everything that must not be in two parts (splits or folds), with the part it is in."""
    for row in rows:
        yield f"patient {row.patient}", getattr(row, part)
        yield f"pixels {row.sha256}", getattr(row, part)
    for first, second in combinations(rows, 2):
        if near_each_other(first, second):
            for row in (first, second):
                yield f"film {first.sha256} {second.sha256}", getattr(row, part)


def torn(rows: list[Row], part: str) -> list[str]:
    """Return what is in two parts at once."""
    parts: dict[str, set[object]] = defaultdict(set)
    for tie, value in ties(rows, part):
        parts[tie].add(value)
    return [tie for tie, values in parts.items() if len(values) > 1]


OFFERS = st.tuples(
    st.integers(0, 60),
    st.sampled_from("ab"),
    st.sampled_from([f"p{number}" for number in range(12)]),
    st.sampled_from([SPLITS, ("train", "validation"), ("test",), ("train",)]),
)


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_comes_in_no_patient_and_no_film_is_in_two_splits(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workspace = Workspace(tmp_path_factory.mktemp("any"))
    before: list[Row] = []
    folds = data.draw(st.sampled_from([None, 3]))
    for turn in range(2):
        own = films_in_memory(data.draw(st.lists(OFFERS, min_size=1, max_size=12)), f"own{turn}")
        far = films_in_memory(data.draw(st.lists(OFFERS, max_size=6)), "far")
        seed = data.draw(st.integers(0, 3))
        summary = import_unless_nothing_is_new(workspace, own, far, seed, folds)
        if summary is None:
            continue
        rows = workspace.rows()
        assert len(rows) == len(before) + summary.kept
        assert summary.kept + len(summary.left_out) == len(own.images) + len(far.images)
        assert torn(rows, "split") == []
        assert torn([row for row in rows if row.fold], "fold") == []
        assert all((row.split == "external") == (row.source == "far") for row in rows)
        in_folds = ("train", "validation") if folds else ()
        assert all((row.fold is not None) == (row.split in in_folds) for row in rows)
        assert rows[: len(before)] == before, "what was in the study has not moved"
        before = rows


def import_unless_nothing_is_new(
    workspace: Workspace, own: Listing, far: Listing, seed: int, folds: int | None
) -> ImportSummary | None:
    try:
        return import_listings(
            workspace, [own], external=[far], ratios=RATIOS, seed=seed, folds=folds
        )
    except ValueError as error:
        if "nothing to import" not in str(error):
            raise
        return None


def test_the_split_of_a_source_is_respected_and_validation_comes_from_training(
    workspace: Workspace,
) -> None:
    films = [
        (4 * number, "ab"[number % 2], f"p{number}", ("test",) if number < 20 else SPLITS[:2])
        for number in range(100)
    ]
    import_films(workspace, films)
    counts = Counter(row.split for row in workspace.rows())
    assert counts == {"test": 20, "train": 70, "validation": 10}


def test_a_patient_in_two_lists_stays_in_test(workspace: Workspace) -> None:
    summary = import_films(
        workspace,
        [(0, "a", "p", ("train",)), (4, "a", "p", ("test",)), (8, "a", "q", ("train",))],
    )
    assert summary.left_out_counts == {"ties patients of two splits together": 1}
    assert sorted(row.split for row in workspace.rows()) == ["test", "train"]


@pytest.mark.parametrize("seed", range(4))
def test_a_film_under_two_patients_makes_them_one_and_is_kept_once(
    workspace: Workspace, seed: int
) -> None:
    films = [(0, "a", "p", SPLITS), (0, "a", "q", SPLITS)]
    films += [(4 * number, "a", "pq"[number % 2], SPLITS) for number in range(1, 5)]
    films += [(40 + 4 * number, "a", f"r{number}", SPLITS) for number in range(20)]
    summary = import_films(workspace, films, seed=seed)
    assert summary.left_out_counts == {"exact duplicate": 1}
    assert len({row.split for row in workspace.rows()[:5]}) == 1


def test_patients_of_one_film_are_one_in_every_fold_of_a_comparison(workspace: Workspace) -> None:
    films = [(0, "a", "p", SPLITS), (0, "a", "q", SPLITS)]
    films += [(4 * number, "a", "pq"[number % 2], SPLITS) for number in range(1, 5)]
    films += [(40 + 4 * number, "a", f"r{number}", SPLITS) for number in range(20)]
    import_films(workspace, films)
    for fold in range(10):
        rows = RealShare(fold=fold, folds=10).rows(workspace)
        assert len({row.split for row in rows[:5]}) == 1


def test_versions_of_one_film_are_listed_and_share_a_split(workspace: Workspace) -> None:
    films = [(number, "a", f"p{number}", SPLITS) for number in (0, 1, 4, 8, 12, 16)]
    (pair,) = import_films(workspace, films).near_duplicates
    splits = {row.file_name: row.split for row in workspace.rows()}
    assert pair.bits <= SAME_BITS
    assert splits[pair.images[0]] == splits[pair.images[1]]


def test_a_version_of_a_film_under_another_label_is_refused(workspace: Workspace) -> None:
    import_films(workspace, [(16, "a", "p", SPLITS), (0, "b", "q", SPLITS)])
    with pytest.raises(ValueError, match="two labels"):
        import_films(workspace, [(17, "b", "other", SPLITS)])


@pytest.fixture
def with_external(workspace: Workspace) -> tuple[Workspace, ImportSummary]:
    """A study of thirty films, and of four external ones the one that may come in."""
    own = films_in_memory(
        [(4 * number, "ab"[number % 2], f"p{number}", SPLITS) for number in range(30)]
    )
    far = films_in_memory(
        [
            (0, "a", "x", SPLITS),
            (5, "b", "y", SPLITS),
            (200, "a", "z", SPLITS),
            (204, "c", "z", SPLITS),
        ],
        "far",
    )
    return workspace, import_listings(workspace, [own], external=[far], ratios=RATIOS, seed=0)


def test_external_images_give_way(with_external: tuple[Workspace, ImportSummary]) -> None:
    _, summary = with_external
    assert summary.left_out_counts == {
        "label not in the study": 1,
        "exact duplicate": 1,
        "ties patients of two splits together": 1,
    }


def test_external_images_stand_apart(with_external: tuple[Workspace, ImportSummary]) -> None:
    workspace, _ = with_external
    (row,) = [row for row in workspace.rows() if row.split == "external"]
    assert row.source == "far"
    assert open_study(workspace.root, "external", image_size=32).classes == ("a", "b")


def test_what_comes_later_is_dealt_into_the_folds_too(workspace: Workspace) -> None:
    def films(first: int) -> list[tuple[int, str, str, tuple[str, ...]]]:
        numbers = range(first, first + 20)
        return [(4 * number, "a", f"p{number}", SPLITS) for number in numbers]

    import_films(workspace, films(0), folds=4)
    import_films(workspace, films(20))
    assert len(workspace.rows()) == 40
    assert all(bool(row.fold) == (row.split != "test") for row in workspace.rows())


# --- phantoms and public X-rays ---


def test_phantoms_say_so_everywhere(workspace: Workspace) -> None:
    import_listings(workspace, [list_phantoms(12, 0)], ratios=RATIOS, seed=0)
    assert len(workspace.rows()) == 12
    for row in workspace.rows():
        assert Path(row.file_name).name.startswith("PHANTOM")
        assert row.source == "phantom"
        assert "PHANTOM" in Image.open(workspace.data / row.file_name).info["Comment"]


def test_phantoms_are_the_same_bytes_again(phantom_study: Path, tmp_path: Path) -> None:
    first, again = Workspace(tmp_path / "first"), Workspace(tmp_path / "again")
    for workspace in (first, again):
        import_listings(workspace, [list_phantoms(12, 0)], ratios=RATIOS, seed=0)
    assert again.manifest_path.read_bytes() == first.manifest_path.read_bytes()
    for row in first.rows():
        content = (first.data / row.file_name).read_bytes()
        assert (again.data / row.file_name).read_bytes() == content
        assert (phantom_study / "data" / row.file_name).read_bytes() == content


@pytest.fixture(scope="module")
def public_listings(shared: Path) -> list[Listing]:
    """Two public collections."""
    collections = shared / "data"
    normal = collections / "chestxray8-subset" / "No_findings"
    return read_sources((str(collections / "covid-chestxray-dataset"), f"{normal}=normal"))


def test_public_collections_have_the_images_and_patients_of_their_description(
    public_listings: list[Listing],
) -> None:
    assert [len(listing.images) for listing in public_listings] == [427, 500]
    patients = [{image.patient for image in listing.images} for listing in public_listings]
    assert list(map(len, patients)) == [257, 332]


@pytest.fixture(scope="module")
def public_study(
    public_listings: list[Listing], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workspace, ImportSummary]:
    """A study of 150 images of the one, with most pairs of it, and 50 of the other, for speed."""
    covid, normal = public_listings
    workspace = Workspace(tmp_path_factory.mktemp("public"))
    listings = [
        replace(covid, images=covid.images[80:230]),
        replace(normal, images=normal.images[:50]),
    ]
    return workspace, import_listings(workspace, listings, ratios=RATIOS, seed=0)


def test_of_public_x_rays_one_exact_duplicate_is_left_out(
    public_study: tuple[Workspace, ImportSummary],
) -> None:
    workspace, summary = public_study
    assert Counter(row.label for row in workspace.rows()) == {"covid": 149, "normal": 50}
    assert summary.left_out_counts == {"exact duplicate": 1, "named in a table, file absent": 35}


def test_of_nine_pairs_of_public_x_rays_eight_stand_under_two_patients(
    public_study: tuple[Workspace, ImportSummary],
) -> None:
    workspace, summary = public_study
    patients = {row.file_name: row.patient for row in workspace.rows()}
    pairs = [[patients[name] for name in pair.images] for pair in summary.near_duplicates]
    assert len(pairs) == 9
    assert sum(first != second for first, second in pairs) == 8


@pytest.mark.parametrize("label", ["covid", "normal"])
def test_public_x_rays_are_split_in_the_shares_asked_for(
    public_study: tuple[Workspace, ImportSummary], label: str
) -> None:
    splits = Counter(row.split for row in public_study[0].rows() if row.label == label)
    shares = [splits[split] / splits.total() for split in SPLITS]
    assert shares == pytest.approx(RATIOS, abs=0.02)


def test_no_public_patient_is_in_two_splits(
    public_study: tuple[Workspace, ImportSummary],
) -> None:
    rows = public_study[0].rows()
    for attribute in ("patient", "sha256"):
        places = {(getattr(row, attribute), row.split) for row in rows}
        assert len(places) == len({name for name, _ in places})
