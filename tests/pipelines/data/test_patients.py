"""Who is one patient: numbers of one register, of several sources, of DICOM, and of nobody."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.cli.data_tables import counts_table
from pipelines.data.decoding import Decoded
from pipelines.data.importing import ImportRules, import_listings
from pipelines.data.listing import Listing, SourceImage
from pipelines.data.originals import read_originals
from pipelines.data.patient_notes import name_doubtful_numbers
from pipelines.data.patient_numbers import find_spellings, is_placeholder
from pipelines.data.patients import (
    KnownPatients,
    Patient,
    identify_patients,
    keyed_hash,
    open_patient_key,
)
from pipelines.data.review import write_warnings
from pipelines.data.sources import read_sources
from pipelines.study.image_io import Picture
from pipelines.study.import_log import ImportSummary, read_imports, write_imports
from pipelines.study.manifest import SPLITS
from pipelines.study.workspace import Workspace
from tests.conftest import cxr, ok
from tests.pipelines.data.films import RATIOS, films_in_memory, noise, save_blocks

KEY = bytes(32)
NOBODY = KnownPatients({}, frozenset(), frozenset())


def offer(source: str, **fields: str) -> SourceImage:
    origin = f"{source}/{fields.get('patient', '')}{fields.get('nih_number', '')}"
    image = SourceImage(origin, lambda: Picture(noise(0), 80, 100), "a", source)
    return replace(image, **fields)


def identify(
    *offers: tuple[SourceImage, Decoded], known: KnownPatients = NOBODY, same: bool = False
) -> list[Patient]:
    images, decoded = zip(*offers, strict=True)
    return identify_patients(images, decoded, KEY, known, same_patients=same)


def dicom(source: str, number: str, issuer: str = "") -> tuple[SourceImage, Decoded]:
    return offer(source), Decoded(patient=number, issuer=issuer, is_dicom=True)


def table(source: str, number: str, **fields: str) -> tuple[SourceImage, Decoded]:
    return offer(source, patient=number, **fields), Decoded()


# --- which numbers are one name space ---


@pytest.mark.parametrize(
    ("first", "second", "are_one"),
    [
        (table("a", "5"), table("a", "5"), True),
        (table("a", "5"), table("b", "5"), False),
        (table("a", "5", register="r"), table("b", "5", register="r"), True),
        (table("a", "5", register="r"), table("b", "5", register="s"), False),
        (dicom("a", "5", "CLINIC"), dicom("b", "5", "CLINIC"), True),
        (dicom("a", "5", "CLINIC"), dicom("b", "5", "OTHER"), False),
        (dicom("a", "5", "ANONYMOUS"), dicom("b", "5", "ANONYMOUS"), False),
        (dicom("a", "5"), dicom("b", "5"), False),
        (dicom("a", "5", "CLINIC"), dicom("a", "5"), True),
        (
            table("a", "p1", nih_number="00000001"),
            table("b", "00000001", nih_number="00000001"),
            True,
        ),
    ],
    ids=[
        "one source",
        "two sources",
        "one collection",
        "two collections",
        "one institution",
        "two institutions",
        "institutions that are none",
        "no institution",
        "an institution that one file of a source lacks",
        "file names of NIH beside a table",
    ],
)
def test_equal_numbers(
    first: tuple[SourceImage, Decoded], second: tuple[SourceImage, Decoded], are_one: bool
) -> None:
    one, other = identify(first, second)
    assert (one.name == other.name) == are_one


def test_same_patients_joins_equal_numbers_of_sources() -> None:
    first, second, third = identify(table("a", "5"), table("b", "5"), table("b", "6"), same=True)
    assert first.name == second.name != third.name


def test_a_folder_of_a_patient_counts_where_the_header_names_nobody() -> None:
    image = offer("a", folder_patient="patient1")
    headers = [Decoded(patient=number, is_dicom=True) for number in ("", "ANONYMOUS", "17")]
    numbers = [patient.number for patient in identify(*((image, header) for header in headers))]
    assert numbers == ["patient1", "patient1", "17"]


# --- splits ---


NIH_FILES = st.lists(
    st.tuples(st.integers(1, 8), st.integers(0, 2), st.integers(0, 3), st.booleans()),
    min_size=4,
    max_size=16,
    unique_by=lambda file: file[:2],
)


@settings(max_examples=5, deadline=None)
@given(files=NIH_FILES, seed=st.integers(0, 5), labelled=st.booleans())
def test_no_nih_patient_is_in_two_splits_however_files_are_given(
    files: list[tuple[int, int, int, bool]],
    seed: int,
    labelled: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("nih")
    arguments = set()
    for number, (patient, follow_up, folder, is_deep) in enumerate(files):
        top, name = root / f"part {folder}", f"{patient:08}_{follow_up:03}.png"
        save_blocks(
            top / ("covid" if patient % 2 else "normal") / ("images" * is_deep) / name, number
        )
        arguments.add(f"{top}=label{folder}" if labelled else str(top))
    workspace = Workspace(root / "study")
    half = sorted(arguments)[: len(arguments) // 2 + 1]
    for part in (half, sorted(arguments - set(half))):
        if part:
            import_listings(workspace, read_sources(part), ratios=RATIOS, seed=seed)
    assert_apart_by_nih_numbers(workspace)


def assert_apart_by_nih_numbers(workspace: Workspace) -> None:
    rows = {row.file_name: row for row in workspace.rows()}
    splits, names = defaultdict(set), defaultdict(set)
    for original in read_originals(workspace.data / "originals.csv"):
        if original.file_name:
            number = Path(original.origin).name[:8]
            splits[number].add(rows[original.file_name].split)
            names[number].add(rows[original.file_name].patient)
    assert {len(values) for values in splits.values()} == {1}
    assert {len(values) for values in names.values()} == {1}
    assert len({row.patient for row in rows.values()}) == len(names)


def save_nih(folder: Path, patients: Sequence[int], follow_up: int) -> Path:
    for number in patients:
        name = f"{number:08}_{follow_up:03}.png"
        save_blocks(folder / name, 100 * number + follow_up)
    return folder


def test_a_study_of_the_version_before_goes_on_with_its_names(tmp_path: Path) -> None:
    """Version 0.1 hashed an NIH number with its source, and wrote no `same_patients`."""
    workspace = Workspace(tmp_path / "study")
    normal = save_nih(tmp_path / "No_findings", range(12), 0)
    import_listings(workspace, read_sources([f"{normal}=normal"]), ratios=RATIOS, seed=0)
    make_early(workspace, "No_findings")
    before = workspace.rows()
    pneumonia = save_nih(tmp_path / "Pneumonia", range(12), 1)
    import_listings(workspace, read_sources([f"{pneumonia}=pneumonia"]), ratios=RATIOS, seed=1)
    assert workspace.rows()[:12] == before
    assert_apart_by_nih_numbers(workspace)


def make_early(workspace: Workspace, source: str) -> None:
    key = open_patient_key(workspace, has_images=True)
    numbers = {
        row.file_name: row.patient for row in read_originals(workspace.data / "originals.csv")
    }
    workspace.write_rows(
        [
            replace(row, patient=keyed_hash(key, f"{source}:{numbers[row.file_name]}")[:16])
            for row in workspace.rows()
        ]
    )
    path = workspace.data / "import.json"
    write_imports(path, read_imports(path))
    content = json.loads(path.read_text())
    for summary in content["imports"]:
        for name in ("same_patients", "patient_aliases", "patient_notes", "unknown_views"):
            del summary[name]
    path.write_text(json.dumps(content))


def test_patients_who_turn_out_to_be_one_keep_their_splits(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "study")
    for source in ("a", "b"):
        offers = [(4 * number + 400 * (source == "b"), "x", f"{number}", SPLITS)
                  for number in range(10)]  # fmt: skip
        import_listings(
            workspace, [films_in_memory(offers, source)], ratios=RATIOS, seed=int(source == "b")
        )
    before = workspace.rows()
    first, second = ([row.split for row in before if row.source == source] for source in "ab")
    are_torn = [one != other for one, other in zip(first, second, strict=True)]
    offers = [(4000 + 4 * number, "x", f"{number}", SPLITS) for number in range(10)]
    rules = ImportRules(same_patients=True)
    later = films_in_memory(offers, "c")
    summary = import_listings(workspace, [later], ratios=RATIOS, seed=0, rules=rules)
    assert workspace.rows()[:20] == before
    assert 0 < sum(are_torn) < 10
    assert summary.left_out_counts == {"ties patients of two splits together": sum(are_torn)}


# --- what is doubtful is told ---


def import_offers(
    workspace: Workspace, *listings: Listing, rules: ImportRules | None = None
) -> ImportSummary:
    return import_listings(workspace, listings, ratios=RATIOS, seed=0, rules=rules)


def numbered(source: str, numbers: Sequence[str], first: int = 0) -> Listing:
    offers = [(first + 4 * place, "ab"[place % 2], number, SPLITS)
              for place, number in enumerate(numbers)]  # fmt: skip
    return films_in_memory(offers, source)


@pytest.mark.parametrize("number", ["ANONYMOUS", "0", "0000", "unknown", "N/A", "12345"])
def test_one_number_for_everybody_is_refused_with_the_way_out(tmp_path: Path, number: str) -> None:
    workspace = Workspace(tmp_path / "study")
    message = f"all 10 images have one patient number, '{number}'.*CSV with file_name,label,patient"
    with pytest.raises(ValueError, match=message):
        import_offers(workspace, numbered("clinic", [number] * 10))
    assert not workspace.data.exists()


def test_placeholders_among_numbers_are_told(tmp_path: Path) -> None:
    numbers = [*(["ANON"] * 3), *(f"{number}" for number in range(1, 10))]
    summary = import_offers(Workspace(tmp_path / "study"), numbered("clinic", numbers))
    (note,) = summary.patient_notes
    assert note.startswith("3 images of clinic have the patient number 'ANON' and count as one")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        *((text, True) for text in ("ANONYMOUS", "anon", "Anonymized", "0", "000", "n/a", "-")),
        *((text, True) for text in ("Unknown", "DE-IDENTIFIED", "Anonymous Patient", "nan")),
        *((text, False) for text in ("1", "10", "ANON196", "p0", "patient 3", "COVID-00003")),
    ],
)
def test_numbers_that_are_none_are_told(number: str, expected: bool) -> None:
    assert is_placeholder(number) == expected


def test_numbers_of_several_sources_are_counted_with_how_to_join_them(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "study")
    first = numbered("a", [f"{number}" for number in range(1, 9)])
    import_offers(workspace, first)
    second = numbered("b", [f"{number}" for number in range(5, 13)], first=400)
    (note,) = import_offers(workspace, second).patient_notes
    assert note.startswith("4 patient numbers occur in several sources (a, b)")
    assert "--same-patients" in note
    assert note in write_warnings(workspace.rows(), {}, None, workspace.imports())


def test_same_patients_is_recorded(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "study")
    names = [f"{number}" for number in range(1, 9)]
    rules = ImportRules(same_patients=True)
    summary = import_offers(
        workspace, numbered("a", names), numbered("b", names, first=400), rules=rules
    )
    assert summary.patient_notes == []
    assert workspace.imports()[0].same_patients is True
    assert len({row.patient for row in workspace.rows()}) == 8
    assert "16 (8)" in counts_table([replace(row, label="x") for row in workspace.rows()])


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        (["7", "7.0", "007", "8"], [["007", "7", "7.0"]]),
        (["0", "00"], [["0", "00"]]),
        (["7", "70", "7.5", "p7", "P07"], []),
    ],
    ids=["zeros", "nothing but zeros", "others"],
)
def test_spellings_of_one_number_are_found(numbers: list[str], expected: list[list[str]]) -> None:
    assert find_spellings([("a", number) for number in numbers]) == expected


def test_spellings_are_neither_joined_nor_kept_silent(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "study")
    summary = import_offers(workspace, numbered("a", ["7", "7.0", "007", "8", "9"]))
    assert len({row.patient for row in workspace.rows()}) == 5
    assert "1 patient numbers are written in several ways" in summary.patient_notes[0]
    (line,) = name_doubtful_numbers(workspace)
    assert "007, 7, 7.0" in line


def test_the_command_line_joins_and_says_so(tmp_path: Path) -> None:
    for place, name in enumerate(("a", "b")):
        rows = ["file_name,label,patient"]
        for number in range(6):
            save_blocks(tmp_path / name / f"{number}.png", 50 * place + number)
            rows.append(f"{number}.png,{'xy'[number % 2]},{number + 1}")
        (tmp_path / name / "list.csv").write_text("\n".join(rows))
    sources = [tmp_path / "a", tmp_path / "b"]
    apart = ok(cxr("data", "import", *sources, folder=tmp_path / "apart"))
    assert "patients: 6 patient numbers occur in several sources" in apart
    assert "6 patient numbers occur" in ok(cxr("data", "check", folder=tmp_path / "apart"))
    together = ok(cxr("data", "import", *sources, "--same-patients", folder=tmp_path / "together"))
    assert "occur in several sources" not in together
