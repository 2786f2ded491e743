"""Images put aside as an external test set by a column of a source's table."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.data.candidates import Candidate
from pipelines.data.decoding import Decoded
from pipelines.data.hold_out import HoldOut, parse_hold_outs
from pipelines.data.importing import ImportRules, import_listings
from pipelines.data.listing import Listing, SourceImage
from pipelines.data.patients import Patient
from pipelines.data.screening import screen
from pipelines.study.import_log import HoldOutRule, ImportSummary
from pipelines.study.manifest import SPLITS, Row
from pipelines.study.workspace import Workspace
from tests.conftest import cxr, ok
from tests.pipelines.data.films import RATIOS, films_in_memory, save_blocks
from tests.pipelines.data.listings import labels_of, list_path, touch

# --- rules ---


def image_with(**cells: str) -> SourceImage:
    listing = films_in_memory([(0, "a", "p", SPLITS)])
    return replace(listing.images[0], table_rows=(cells,))


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        ("location=Hannover*", True),
        ("LOCATION = hannover medical*", True),
        ("location=Hannover", False),
        ("location=*school", True),
        ("location=Hannover Medical Schoo?", True),
        ("location=[H]*", False),
        ("location!=Hannover*", False),
        ("location!=Italy", True),
        ("notes=*", False),
        ("notes!=Italy", False),
        ("elsewhere!=Italy", False),
    ],
)
def test_a_pattern_is_of_a_whole_cell_and_an_empty_one_matches_nothing(
    rule: str, matches: bool
) -> None:
    (hold_out,) = parse_hold_outs([rule])
    image = image_with(Location="Hannover Medical School", notes="")
    assert bool(hold_out.matching_cells(image)) == matches


@given(st.text(min_size=1), st.booleans())
def test_a_value_matches_itself_and_not_its_negation(value: str, negated: bool) -> None:
    pattern = value.replace("*", "?")
    rule = HoldOut("column", pattern, negated)
    assert bool(rule.matching_cells(image_with(column=value))) != negated


@pytest.mark.parametrize("text", ["location", "=Hannover", "location=", "!=x", "_=x", "location= "])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected COLUMN=PATTERN"):
        ImportRules(hold_out=(text,))


# --- tables of every kind of source ---

METADATA = "patientid,finding,view,modality,{file},location\n1,COVID-19,PA,X-ray,{name},Ulm\n"
TABLES = {
    "covid-chestxray-dataset": ("metadata.csv", METADATA.format(file="filename", name="a.png")),
    "actualmed": ("metadata.csv", METADATA.format(file="imagename", name="a.png")),
    "figure1": ("metadata.csv", "patientid,finding,view,modality,location\na,COVID-19,PA,,Ulm\n"),
    "nih": (
        "Data_Entry_2017.csv",
        "Image Index,Finding Labels,Patient ID,View Position,location\na.png,No Finding,1,PA,Ulm\n",
    ),
    "csv": ("list.csv", "file_name;label;location\na.png;x;Trier\na.png;x;Ulm\n"),
    "covidx": ("train.txt", "1 a.png normal Ulm\n"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_the_columns_of_every_table_can_be_asked_for(tmp_path: Path, kind: str) -> None:
    name, text = TABLES[kind]
    touch(tmp_path, "images/a.png")
    (tmp_path / name).write_text(text)
    listing = list_path(tmp_path, kind=kind)
    column = "source" if kind == "covidx" else "Location"
    assert column.lower() in listing.columns
    (image,) = listing.images
    assert HoldOut(column, "ulm").matching_cells(image) == ["Ulm"]


def test_every_other_finding_of_a_collection_can_have_a_label(tmp_path: Path) -> None:
    rows = ["COVID-19", "SARS", '"COVID-19, ARDS"', "Pneumonia/Viral", '""', "No Finding"]
    lines = [f"{n},{finding},PA,X-ray,{n}.png" for n, finding in enumerate(rows)]
    touch(tmp_path, *(f"images/{n}.png" for n in range(len(rows))))
    header = "patientid,finding,view,modality,filename"
    (tmp_path / "metadata.csv").write_text("\n".join([header, *lines]))
    assert labels_of(list_path(tmp_path, "*=normal", "Pneumonia=")) == {
        "0.png": "covid",
        "1.png": "normal",
        "2.png": "covid",
        "5.png": "normal",
    }


def test_folders_have_no_other_findings(tmp_path: Path) -> None:
    touch(tmp_path, "covid/a.png", "normal/b.png")
    with pytest.raises(ValueError, match="no source here has findings that are left out"):
        list_path(tmp_path, "*=normal")


# --- who is put aside ---

Film = tuple[int, str, str, str]  # number (4 to a film), label, patient, clinic


def clinic(films: Sequence[Film], source: str = "clinic") -> Listing:
    """List films with a table that says of which clinic each is."""
    listing = films_in_memory([(n, label, who, SPLITS) for n, label, who, _ in films], source)
    images = [
        replace(image, table_rows=({"clinic": where, "patient": who},))
        for image, (_, _, who, where) in zip(listing.images, films, strict=True)
    ]
    return replace(listing, images=images, columns=["clinic", "patient"])


def import_clinic(
    workspace: Workspace, films: Sequence[Film], *rules: str, source: str = "clinic"
) -> ImportSummary:
    return import_listings(
        workspace,
        [clinic(films, source)],
        ratios=RATIOS,
        seed=0,
        rules=ImportRules(hold_out=rules),
    )


def external(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.split == "external"]


FAR: list[Film] = [
    (0, "a", "p0", "Ulm"),
    (4, "a", "p0", "Trier"),  # of a patient of Ulm
    (5, "a", "p1", "Trier"),  # looks like the one before
    (8, "b", "p2", "Ulm"),
]
NEAR: list[Film] = [(40 + 4 * n, "ab"[n % 2], f"q{n}", "Trier") for n in range(6)]


@pytest.fixture(scope="module")
def without_ulm(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A study from which Ulm is held out. Not to be changed."""
    workspace = Workspace(tmp_path_factory.mktemp("without-ulm"))
    import_clinic(workspace, [*FAR, *NEAR], "clinic=ulm")
    return workspace


@pytest.fixture(scope="module")
def with_ulm(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A study from which nothing is held out. Not to be changed."""
    workspace = Workspace(tmp_path_factory.mktemp("with-ulm"))
    import_clinic(workspace, [*FAR, *NEAR])
    return workspace


def copy(workspace: Workspace, folder: Path) -> Workspace:
    return Workspace(Path(shutil.copytree(workspace.root, folder / "study")))


def test_a_patient_goes_with_all_images_and_with_whom_they_look_alike(
    without_ulm: Workspace,
) -> None:
    assert len(external(without_ulm.rows())) == 4
    (summary,) = without_ulm.imports()
    assert summary.held_out is not None
    assert summary.held_out.images == {"a": 3, "b": 1}
    assert summary.held_out.patients == {"a": 2, "b": 1}
    assert summary.held_out.tied_images == 2
    assert summary.held_out.rules == [HoldOutRule("clinic=ulm", 2, {"Ulm": 2}, 0)]


def test_several_rules_are_a_union_and_name_no_value_of_one_patient(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    import_clinic(workspace, [*FAR, *NEAR], "clinic=Ulm", "patient=q3", "patient=q4")
    assert len(external(workspace.rows())) == 6
    (summary,) = workspace.imports()
    assert summary.held_out is not None
    assert summary.held_out.rules == [
        HoldOutRule("clinic=Ulm", 2, {"Ulm": 2}, 0),
        HoldOutRule("patient=q3", 1, {}, 1),
        HoldOutRule("patient=q4", 1, {}, 1),
    ]


PATIENTS = st.integers(0, 12).map("p{}".format)


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    """Draw what decoding makes of up to 14 images, many of them of one patient or alike."""
    drawn = draw(
        st.lists(
            st.tuples(st.integers(0, 9), st.integers(0, 3), PATIENTS, st.booleans()),
            min_size=1,
            max_size=14,
        )
    )
    image = image_with()
    return [
        Candidate(
            image,
            Decoded(
                sha256=f"{film:032x}{version:032x}",
                near_hash=f"{hashlib.sha256(bytes([film])).hexdigest()[:-1]}{version:x}",
                problem="blank: white" if is_blank and version == 0 else "",
            ),
            Patient(patient, patient),
            external=False,
        )
        for film, version, patient, is_blank in drawn
    ]


@given(candidates(), st.data())
def test_nothing_of_a_held_out_patient_is_in_another_split(
    offered: list[Candidate], data: st.DataObject
) -> None:
    matching = data.draw(st.sets(st.integers(0, len(offered) - 1), min_size=1))
    screening = screen(offered, [], matching=matching)
    assert matching <= screening.held_out
    outside, inside = set(), set()
    for number, candidate in enumerate(offered):
        group = outside if number in screening.held_out else inside
        group |= {candidate.patient.name, candidate.decoded.sha256}
    assert outside.isdisjoint(inside)
    for pair in screening.near:
        assert (pair.first in screening.held_out) == (pair.second in screening.held_out)
    for number in screening.kept:
        allowed = screening.groups.allowed(screening.members[number])
        assert (allowed == {"external"}) == (number in screening.held_out)


# --- later imports ---


def test_a_rule_holds_for_later_imports(without_ulm: Workspace, tmp_path: Path) -> None:
    workspace = copy(without_ulm, tmp_path)
    later = [(200, "a", "r0", "Ulm"), (204, "a", "p0", "Trier"), (208, "b", "r1", "Trier")]
    summary = import_clinic(workspace, later)
    assert {row.split == "external" for row in workspace.rows()[-3:-1]} == {True}
    assert workspace.rows()[-1].split != "external"
    assert summary.held_out is not None
    assert [rule.rule for rule in summary.held_out.rules] == ["clinic=ulm"]


def test_the_same_rule_again_is_no_new_one(without_ulm: Workspace, tmp_path: Path) -> None:
    workspace = copy(without_ulm, tmp_path)
    import_clinic(workspace, [*FAR, *NEAR, (200, "a", "r", "Trier")], "clinic=ulm")
    assert external(workspace.rows()) == external(without_ulm.rows())


@pytest.mark.parametrize(
    ("later", "rule", "message"),
    [
        ([*FAR, *NEAR, (200, "a", "r", "Ulm")], "clinic=Ulm", "4 images of the study, or of the"),
        ([(200, "a", "p0", "Ulm")], "patient=p0", "10 images of clinic are in the study already"),
    ],
    ids=["it is in training", "the table is not here"],
)
def test_a_rule_that_comes_too_late_is_refused(
    with_ulm: Workspace, later: list[Film], rule: str, message: str
) -> None:
    before = with_ulm.manifest_path.read_bytes()
    with pytest.raises(ValueError, match=message):
        import_clinic(with_ulm, later, rule)
    assert with_ulm.manifest_path.read_bytes() == before


def test_a_kept_rule_refuses_an_image_of_a_patient_in_another_split(without_ulm: Workspace) -> None:
    before = without_ulm.manifest_path.read_bytes()
    with pytest.raises(ValueError, match="1 images of the study, or of the same patients, match"):
        import_clinic(without_ulm, [(200, "a", "q0", "Ulm"), (204, "a", "r", "Trier")])
    assert without_ulm.manifest_path.read_bytes() == before


def test_a_new_rule_is_no_matter_of_sources_without_its_column(
    with_ulm: Workspace, tmp_path: Path
) -> None:
    workspace = copy(with_ulm, tmp_path)
    far = [(300 + 4 * n, "a", f"x{n}", SPLITS) for n in range(2)]
    elsewhere = films_in_memory(far, "elsewhere")
    images = [
        replace(image, table_rows=({"town": town},))
        for image, town in zip(elsewhere.images, ("Bonn", "Köln"), strict=True)
    ]
    listing = replace(elsewhere, images=images, columns=["town"])
    rules = ImportRules(hold_out=("town=B*",))
    import_listings(workspace, [listing], ratios=RATIOS, seed=0, rules=rules)
    assert len(external(workspace.rows())) == 1


# --- what is refused, as the command line says it ---


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of six images."""
    folder = tmp_path_factory.mktemp("table")
    lines = ["file_name,label,Hospital"]
    for number in range(6):
        save_blocks(folder / f"{number}.png", number)
        label = "covid" if number < 3 else "normal"
        lines.append(f"{number}.png,{label},{'Ulm' if number in (0, 3, 4) else 'Trier'}")
    (folder / "list.csv").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (["town=Ulm"], "--hold-out town=Ulm: no table has the column town; the columns here are: "),
        (["hospital=Bonn"], "no image matches; the commonest values of the column are: "),
        (["hospital=*"], "all 6 images are held out; nothing is left to train on"),
        (["label=covid"], "all 3 images of the label covid are held out, and none is left"),
        (["hospital"], "--hold-out hospital: expected COLUMN=PATTERN"),
    ],
    ids=["no such column", "no such value", "everything", "a whole label", "no pattern"],
)
def test_what_cannot_be_held_out_is_refused_in_one_line(
    table: Path, tmp_path: Path, rules: list[str], message: str
) -> None:
    options = [option for rule in rules for option in ("--hold-out", rule)]
    result = cxr("data", "import", table, *options, folder=tmp_path)
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.splitlines()) == 1
    assert not (tmp_path / "data").exists()


def test_a_folder_has_no_table(tmp_path: Path) -> None:
    save_blocks(tmp_path / "covid" / "a.png")
    result = cxr("data", "import", tmp_path, "--hold-out", "a=b", folder=tmp_path / "study")
    assert "no table has the column a; no table is here" in result.output


def test_what_was_held_out_is_said(table: Path, tmp_path: Path) -> None:
    output = ok(cxr("data", "import", table, "--hold-out", "hospital=U?m", folder=tmp_path))
    assert "held out by hospital=U?m: 3 images: Ulm (3)\n" in output
    assert "external test set, images (patients): covid 1 (1), normal 2 (2)\n" in output
