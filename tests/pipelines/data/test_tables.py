"""Tables of images as people save them: read as they are meant, or refused in one line."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.data.importing import import_listings
from pipelines.data.listing import Listing
from pipelines.data.table_columns import COLUMN_NAMES
from pipelines.study.manifest import SPLITS
from pipelines.study.workspace import Workspace
from tests.conftest import cxr
from tests.pipelines.data.films import RATIOS, save_blocks
from tests.pipelines.data.listings import labels_of, list_path, touch

NAMES = ("a.png", "b c.png", "sub/d.JPG", "sub/e, f.png", "naïve.png", "g;h.png")


def list_table(folder: Path, content: str | bytes, *labels: str, name: str = "list.csv") -> Listing:
    """Write a table into a folder and list it by its own name."""
    folder.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, bytes) else content.encode("utf-8")
    (folder / name).write_bytes(data)
    return list_path(folder / name, *labels)


def offered(listing: Listing) -> list[tuple[str, str, str | None, str, tuple[str, ...]]]:
    return [
        (image.origin, image.label, image.patient, image.view, image.splits)
        for image in listing.images
    ]


# --- any dialect ---


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return touch(tmp_path_factory.mktemp("tables"), *NAMES)


def rows_of_images() -> st.SearchStrategy[list[dict[str, str]]]:
    """Draw what is known of some of the files; of each split there is some image."""
    row = st.fixed_dictionaries(
        {
            "label": st.sampled_from(("COVID-19", "Normal", "No finding, sure", "Größe")),
            "patient": st.sampled_from(("", "p1", "p2; old", "7")),
            "view": st.sampled_from(("", "PA", "AP Supine", "Lateral")),
            "split": st.sampled_from(("", "train", "Test", "VAL")),
        }
    )
    rows = st.lists(row, min_size=len(NAMES), max_size=len(NAMES))
    return rows.map(
        lambda drawn: [
            {"file_name": name, **values} for name, values in zip(NAMES, drawn, strict=True)
        ]
    )


@st.composite
def dialects(draw: st.DrawFn, rows: Sequence[dict[str, str]]) -> bytes:
    """Write rows as some program might."""
    columns = draw(st.permutations(tuple(COLUMN_NAMES)))
    header = []
    for column in columns:
        name = draw(st.sampled_from((column, *COLUMN_NAMES[column])))
        change = draw(st.sampled_from((str.lower, str.upper, str.title)))
        header.append(draw(st.sampled_from(("", " "))) + change(name))
    space = draw(st.sampled_from(("", "", "  ")))
    lines = [header]
    for row in rows:
        lines += [[""] * len(columns)] * draw(st.integers(0, 1))
        lines.append([space + row[column] for column in columns])
    lines += [[""] * len(columns)] * draw(st.integers(0, 2))
    text = io.StringIO()
    delimiter = draw(st.sampled_from(",;\t|"))
    csv.writer(
        text,
        delimiter=delimiter,
        quoting=draw(st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))),
        lineterminator=draw(st.sampled_from(("\n", "\r\n", "\r"))),
    ).writerows(lines)
    stated = f"sep={delimiter}\r\n" if draw(st.integers(0, 4)) == 0 else ""
    encoding = draw(
        st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"))
    )
    return (stated + text.getvalue()).encode(encoding)


@given(st.data())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_table_says_the_same_in_any_dialect(folder: Path, data: st.DataObject) -> None:
    rows = data.draw(rows_of_images())
    plain = io.StringIO()
    writer = csv.DictWriter(plain, list(COLUMN_NAMES))
    writer.writeheader()
    writer.writerows(rows)
    expected = offered(list_table(folder, plain.getvalue()))
    assert len(expected) == len(NAMES)
    assert offered(list_table(folder, data.draw(dialects(rows)))) == expected


@pytest.mark.parametrize(
    "content",
    [
        "file_name;label;patient\nimages/c0.png;covid;1\nimages/n0.png;normal;2\n",
        "Image Index\tFinding\nc0.png\tcovid\nn0.png\tnormal\n",
        "path,class\nimages\\c0.png,covid\nimages\\n0.png,normal\n",
        "filename,diagnosis\nc0,covid\nn0,normal\n",
        "filename,diagnosis\nC0.PNG,covid\nimages/N0.png,normal\n",
    ],
    ids=["semicolons", "tabs", "backslashes", "no suffixes", "another case"],
)
@pytest.mark.parametrize("whole_folder", [True, False], ids=["folder", "table"])
def test_a_table_beside_a_folder_of_images_gives_their_labels(
    tmp_path: Path, content: str, whole_folder: bool
) -> None:
    touch(tmp_path, "images/c0.png", "images/n0.png")
    (tmp_path / "labels.csv").write_text(content)
    listing = list_path(tmp_path if whole_folder else tmp_path / "labels.csv")
    assert labels_of(listing) == {"c0.png": "covid", "n0.png": "normal"}


# --- what is refused ---


REFUSED = {
    "two columns of files": (
        "image,path,label\na.png,a.png,x\n",
        "columns 'image' and 'path' could both be the file_name",
    ),
    "two columns of labels": (
        "file_name,class,diagnosis\na.png,x,y\n",
        "columns 'class' and 'diagnosis' could both be the label",
    ),
    "one name twice": (
        "file_name,label,Label\na.png,x,y\n",
        "columns 'label' and 'Label' could both be the label",
    ),
    "no column of labels": ("file,kind\na.png,x\n", r"lacks the column\(s\) label; .*read file"),
    "an unquoted comma": ("file_name,label\na, b.png,x\n", "line 2: 3 values, the last 'x'"),
    "a quotation mark left open": (
        'file_name,label\na.png,x\nsub/d.JPG,"x\nb c.png,x\n',
        "is not a CSV file: .* begins in line 3",
    ),
    "another split": ("file_name,label,set\na.png,x,A\n", "line 2: split 'a', expected one of"),
    "no file name": ("file_name,label\na.png,x\n,x\n", "line 3: no file name"),
    "a folder above, as Windows has it": (
        "file_name,label\n..\\a.png,x\n",
        "line 2: file name .* leads out of the folder",
    ),
    "a drive": ("file_name,label\nC:\\x\\a.png,x\n", "line 2: .* leads out of the folder"),
    "another line, after a quoted one": (
        'file_name,label,note\na.png,x,"two\nlines"\n\n../b.png,x,\n',
        "line 5: file name",
    ),
    "two patients of a file": (
        "file_name,label,patient\na.png,x,1\na.png,x,2\n",
        "line 3: patient '2' of a file that has '1' in the row of line 2",
    ),
    "two splits of a file": (
        "file_name,label,split\na.png,x,train\na.png,x,test\n",
        "line 3: split 'test' of a file that has 'train'",
    ),
    "a workbook": (b"PK\x03\x04\0\0", "is a workbook.*save it as CSV"),
    "nothing": ("", "has no header"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_understood_is_refused(
    folder: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        list_table(folder, content)
    assert str(folder / "list.csv") in str(error.value)


def test_the_documented_column_goes_before_other_names(folder: Path) -> None:
    listing = list_table(folder, "file_name,label,diagnosis,age\na.png,x,y,7\n")
    assert labels_of(listing) == {"a.png": "x"}
    assert "columns not used: diagnosis, age" in listing.notes


# --- files ---


def test_a_name_that_fits_several_files_is_absent_and_told_of(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.png", "y/a.png", "c.png", "c.jpg", "d.png")
    listing = list_table(tmp_path, "file,label\na.png,x\nc,x\nd,x\n")
    assert labels_of(listing) == {"d.png": "x"}
    assert len(listing.absent) == 2
    assert "2 names fit several files, and count as absent; first a.png" in listing.notes


def test_masks_are_not_found_by_a_films_name(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.png", "masks/a.png")
    listing = list_table(tmp_path, "file,label\na.png,x\n")
    assert [image.origin for image in listing.images] == [str(tmp_path / "images" / "a.png")]


def test_rows_of_one_file_and_label_are_one_image(tmp_path: Path) -> None:
    touch(tmp_path, "p1.dcm", "p2.dcm")
    rows = "patientId,x,Target\np1,10,1\np1,20,1\np2,,0\n"
    listing = list_table(tmp_path, rows)
    assert [(image.label, image.patient) for image in listing.images] == [("1", "p1"), ("0", "p2")]
    assert "1 rows are of a file that has a row already" in listing.notes


@pytest.mark.parametrize(
    "rows", ["a.png,Mass\na.png,Effusion\n", "a.png,Mass|Effusion\n"], ids=["rows", "one cell"]
)
def test_a_file_of_two_labels_is_passed_over_by_name(tmp_path: Path, rows: str) -> None:
    touch(tmp_path, "a.png", "b.png")
    listing = list_table(tmp_path, f"file_name,label\n{rows}b.png,Mass\n")
    assert labels_of(listing) == {"b.png": "mass"}
    (passed_over,) = listing.passed_over_files
    assert (passed_over.file, passed_over.reason) == ("a.png", "several labels: effusion, mass")


def test_a_label_that_is_not_wanted_leaves_the_other(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    listing = list_table(tmp_path, "file,label\na.png,Mass|Effusion\n", "Effusion=")
    assert labels_of(listing) == {"a.png": "mass"}


def test_images_in_no_row_are_passed_over_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "more/b.png")
    (tmp_path / "list.csv").write_text("file,label\na.png,x\n")
    listing = list_path(tmp_path)
    assert listing.passed_over == {"in no row of the table": 1}
    assert listing.passed_over_files[0].file == "more/b.png"


def test_missing_values_are_no_patients(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    listing = list_table(
        tmp_path, "file,label,patient,view,split\na.png,x,nan,NaN,\nb.png,x,N/A,null,nan\n"
    )
    assert {(image.patient, image.view, image.splits) for image in listing.images} == {
        (None, "", SPLITS)
    }


# --- views ---


def test_views_of_a_table_are_filtered_and_unknown_ones_named(tmp_path: Path) -> None:
    views = ("PA", "L", "LL", "RL", "Lat", "LATERAL", "lateral view", "OBLIQUE", "")
    rows = [f"{number}.png,x,{view}" for number, view in enumerate(views)]
    for number in range(len(views)):
        save_blocks(tmp_path / "own" / f"{number}.png", number)
    listing = list_table(tmp_path / "own", "\n".join(["Image,Class,View Position", *rows]))
    summary = import_listings(Workspace(tmp_path / "study"), [listing], ratios=RATIOS, seed=0)
    assert summary.left_out_counts == {"not a frontal X-ray": 6}
    assert {image.reason for image in summary.left_out} >= {"not a frontal X-ray: view Lat"}
    assert summary.kept == 3
    assert summary.unknown_views == {"OBLIQUE": 1}


# --- tables that are not used ---


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.csv", "id;kind\n1;x\n"),
        ("covid/extra.TSV", "a\tb\n"),
        ("metadata.xlsx", "PK"),
        ("test_list.txt", "a.png\n"),
    ],
)
def test_a_table_that_is_not_used_is_named(tmp_path: Path, name: str, content: str) -> None:
    folder = tmp_path / "own"
    for label in ("covid", "normal"):
        save_blocks(folder / label / f"{label}.png")
    (folder / name).write_text(content)
    output = cxr("data", "import", folder, folder=tmp_path / "study").output
    assert f"tables that were not used: {name}" in output
    (entry,) = Workspace(tmp_path / "study").imports()
    assert any(name in note for note in entry.sources[0].notes)


def test_a_doubtful_table_beside_folders_of_labels_does_not_bar_them(tmp_path: Path) -> None:
    touch(tmp_path, "covid/a.png", "normal/b.png")
    (tmp_path / "list.csv").write_text("image,path,class\na.png,x,flu\n")
    with pytest.raises(ValueError, match=r"'image' and 'path' .*--as folders"):
        list_path(tmp_path)
    listing = list_path(tmp_path, kind="folders")
    assert labels_of(listing) == {"a.png": "covid", "b.png": "normal"}
