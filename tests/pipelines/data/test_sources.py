"""Each published layout, made small, and what is wrong with the folders that people have."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from pipelines.data.importing import import_listings
from pipelines.data.listing import Listing, parse_labels
from pipelines.data.sources import SOURCE_KINDS, SourceKind, read_sources
from pipelines.study.import_log import ImportSummary
from pipelines.study.manifest import SPLITS
from pipelines.study.workspace import Workspace
from tests.conftest import cxr
from tests.pipelines.data.films import RATIOS, save_blocks


def list_source(path: Path, *labels: str, kind: str | None = None) -> Listing:
    """List one source, with labels as `--label` takes them."""
    (listing,) = read_sources((str(path),), kind=kind, labels=parse_labels(labels))
    return listing


def files_of(listing: Listing) -> set[tuple[str, str, str | None]]:
    """Return (file, label, patient) of all images."""
    return {(Path(image.origin).name, image.label, image.patient) for image in listing.images}


def label_counts(listing: Listing) -> Counter[str]:
    return Counter(image.label for image in listing.images)


def import_source(folder: Path, workspace: Workspace) -> ImportSummary:
    return import_listings(workspace, read_sources((str(folder),)), ratios=RATIOS, seed=0)


# --- covid-chestxray-dataset ---


COVID_ROWS = (
    "2,COVID-19,PA,X-ray,a.jpg",
    "2,COVID-19,AP Supine,X-ray,b.png",
    "3,COVID-19,L,X-ray,c.png",
    "4,COVID-19,Axial,CT,d.png",
    "5,SARS,PA,X-ray,e.png",
    '6,"COVID-19, ARDS",AP,X-ray,f.png',
    "7,Pneumonia/Viral/COVID-19,PA,X-ray,g.png",
    "8,Pneumonia,PA,X-ray,h.png",
    "9,COVID-19,PA,X-ray,absent.png",
    "10,COVID-19,PA,X-ray,../../secret.png",
    "11,café,PA,X-ray,x.png",
)


@pytest.fixture
def covid_chestxray(tmp_path: Path) -> Path:
    """The covid-chestxray-dataset with eight of its images, and its table in Latin-1."""
    folder = tmp_path / "covid-chestxray-dataset"
    for row in COVID_ROWS[:8]:
        save_blocks(folder / "images" / row.rsplit(",", 1)[1])
    save_blocks(tmp_path / "secret.png")
    lines = ("patientid,finding,view,modality,filename", *COVID_ROWS)
    (folder / "metadata.csv").write_bytes(("\n".join(lines) + "\n").encode("latin-1"))
    return folder


def test_covid_chestxray_dataset_gives_frontal_covid_images(covid_chestxray: Path) -> None:
    listing = list_source(covid_chestxray)
    assert listing.kind == "covid-chestxray-dataset"
    assert files_of(listing) == {
        ("a.jpg", "covid", "2"),
        ("b.png", "covid", "2"),
        ("f.png", "covid", "6"),
        ("g.png", "covid", "7"),
    }


def test_covid_chestxray_dataset_says_what_it_has_besides(covid_chestxray: Path) -> None:
    listing = list_source(covid_chestxray)
    assert listing.passed_over == {"not a frontal X-ray": 2, "another finding": 2}
    assert len(listing.absent) == 3


def test_other_findings_come_by_label_at_any_level(covid_chestxray: Path) -> None:
    listing = list_source(covid_chestxray, "Pneumonia=pneumonia", "sars=other", "ARDS=")
    assert files_of(listing) > {
        ("h.png", "pneumonia", "8"),
        ("e.png", "other", "5"),
        ("g.png", "covid", "7"),
    }


def test_a_finding_that_no_image_has_is_refused_with_those_that_are(
    covid_chestxray: Path,
) -> None:
    message = '"influenza=…": no image has this finding; the findings here are: .*covid-19'
    with pytest.raises(ValueError, match=message):
        list_source(covid_chestxray, "influenza=flu")


# --- its sisters ---


SISTER_COLUMNS = (
    "patientid,offset,sex,age,finding,survival,temperature,pO2 saturation,view,modality,"
    "artifacts/distortion,notes\n"
)


def test_figure1_names_files_by_patient(tmp_path: Path) -> None:
    folder = tmp_path / "Figure1-COVID-chestxray-dataset"
    for name in ("COVID-00003a.jpg", "COVID-00003b.jpg", "COVID-00004.png", "COVID-00009.jpg"):
        save_blocks(folder / "images" / name)
    rows = (
        "COVID-00003a,8,M,28,COVID-19,,,,AP erect,X-ray,,\n"
        "COVID-00003b,8,M,28,COVID-19,,,,AP erect,X-ray,,\n"
        "COVID-00004,,,,COVID-19,,,,,X-ray,,39.1°\n"
        "COVID-00009,,,,,,,,PA,X-ray,,\n"
        "COVID-00010,,,,COVID-19,,,,PA,X-ray,,\n"
    )
    (folder / "metadata.csv").write_bytes((SISTER_COLUMNS + rows).encode("latin-1"))
    listing = list_source(folder)
    assert listing.kind == folder.name
    assert files_of(listing) == {
        ("COVID-00003a.jpg", "covid", "COVID-00003"),
        ("COVID-00003b.jpg", "covid", "COVID-00003"),
        ("COVID-00004.png", "covid", "COVID-00004"),
    }
    assert len(listing.absent) == 1
    assert listing.passed_over == {"another finding": 1}


def test_actualmed_names_files_by_a_column(tmp_path: Path) -> None:
    folder = tmp_path / "Actualmed-COVID-chestxray-dataset"
    for name in ("CR.1.2.png", "CR.1.3.png", "DX.1.png"):
        save_blocks(folder / "images" / name)
    header = SISTER_COLUMNS.replace("modality,", "modality,imagename,")
    rows = (
        "ANON196,,,,COVID-19,,,,PA,X-ray,CR.1.2.png,,\n"
        "ANON56,,,,No finding,,,,AP,X-ray,CR.1.3.png,,\n"
        "ANON2,,,,,,,,PA,X-ray,DX.1.png,,Inconclusive\n"
    )
    (folder / "metadata.csv").write_text(header + rows)
    listing = list_source(folder, "No finding=normal")
    assert listing.kind == folder.name
    assert files_of(listing) == {
        ("CR.1.2.png", "covid", "ANON196"),
        ("CR.1.3.png", "normal", "ANON56"),
    }


# --- collections that put the label into folders, lists or a table of their own ---


@pytest.fixture
def radiography(tmp_path: Path) -> Path:
    """The COVID-19 Radiography Database with three images and masks of each class."""
    folder = tmp_path / "COVID-19_Radiography_Dataset"
    for name in ("COVID", "Normal", "Lung_Opacity", "Viral Pneumonia"):
        for number in range(3):
            save_blocks(folder / name / "images" / f"{name}-{number}.png")
            save_blocks(folder / name / "masks" / f"{name}-{number}.png")
    (folder / "COVID.metadata.xlsx").write_text("")
    return folder


def test_the_radiography_database_comes_without_its_masks(radiography: Path) -> None:
    listing = list_source(radiography)
    assert listing.kind == "COVID-19 Radiography Database"
    assert listing.passed_over == {"a mask": 12, "not an image": 1}
    assert label_counts(listing) == dict.fromkeys(
        ["covid", "normal", "lung-opacity", "viral-pneumonia"], 3
    )


def test_its_classes_can_be_renamed_and_left_out(radiography: Path) -> None:
    listing = list_source(radiography, "Viral Pneumonia=pneumonia", "Lung_Opacity=")
    assert label_counts(listing) == dict.fromkeys(["covid", "normal", "pneumonia"], 3)


@pytest.fixture
def covidx(tmp_path: Path) -> Path:
    """COVIDx lists of forty images, one with a space in its name, and of two that are absent."""
    folder = tmp_path / "covidx"
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for number in range(40):
        split = "test" if number % 4 == 0 else "train"
        name = "image 5.png" if number == 5 else f"{number}.png"
        save_blocks(folder / split / name)
        finding = "COVID-19" if number % 3 else "normal"
        lines[split].append(f"{number // 2} {name} {finding} cohen")
    for split in lines:
        text = "\n".join([*lines[split], f"99 gone-{split}.png normal rsna"]) + "\n"
        (folder / f"{split}_COVIDx9A.txt").write_text(text)
    return folder


def test_covidx_lists_are_read(covidx: Path) -> None:
    listing = list_source(covidx)
    assert len(listing.images) == 40
    assert {image.source for image in listing.images} == {"covidx-cohen"}
    assert label_counts(listing).keys() == {"covid", "normal"}
    assert len(listing.absent) == 2


def test_covidx_lists_keep_their_split(covidx: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "study")
    import_source(covidx, workspace)
    tested = {image.splits for image in list_source(covidx).images}
    assert tested == {("test",), ("train", "validation")}
    assert {row.split for row in workspace.rows()} == set(SPLITS)


def test_several_covidx_lists_of_one_split_are_refused(covidx: Path) -> None:
    (covidx / "train_COVIDx8.txt").write_text("1 0.png normal cohen\n")
    with pytest.raises(ValueError, match="several lists of one split"):
        list_source(covidx)


@pytest.fixture
def nih(tmp_path: Path) -> Path:
    """NIH ChestX-ray14 with four images, one more in its table."""
    folder = tmp_path / "nih"
    for name in ("00000001_000.png", "00000002_000.png", "00000002_001.png", "00000003_000.png"):
        save_blocks(folder / "images_001" / "images" / name)
    (folder / "Data_Entry_2017_v2020.csv").write_text(
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position\n"
        "00000001_000.png,Cardiomegaly|Effusion,0,1,58Y,M,PA\n"
        "00000002_000.png,No Finding,0,2,81Y,F,PA\n"
        "00000002_001.png,Effusion,1,2,81Y,F,AP\n"
        "00000003_000.png,No Finding|Effusion,0,3,81Y,F,AP\n"
        "00000004_000.png,No Finding,0,4,1Y,F,AP\n"
    )
    return folder


def test_nih_images_without_finding_are_normal(nih: Path) -> None:
    listing = list_source(nih)
    assert files_of(listing) == {
        ("00000002_000.png", "normal", "00000002"),
        ("00000003_000.png", "normal", "00000003"),
    }
    assert len(listing.absent) == 1
    assert {image.view for image in listing.images} == {"PA", "AP"}


def test_nih_images_of_several_labels_are_passed_over(nih: Path) -> None:
    listing = list_source(nih, "Effusion=effusion")
    assert ("00000001_000.png", "effusion", "00000001") in files_of(listing)
    assert listing.passed_over == {"several labels: effusion, normal": 1}


# --- a table of one's own ---


@pytest.fixture
def own_table(tmp_path: Path) -> Path:
    """A folder with a table of four images with awkward names, and of one that is absent."""
    folder = tmp_path / "own"
    for name in ("a b.png", 'sub/it\'s "q", x.png', "naïve\nline.png", "d.png"):
        save_blocks(folder / name)
    (folder / "list.csv").write_text(
        "file_name,label,patient,view,split\n"
        '"a b.png",Covid,p1,PA,train\n'
        '"sub/it\'s ""q"", x.png",Normal,p2,,test\n'
        '"naïve\nline.png",Normal,p3,AP,\n'
        "d.png,Covid,p1,PA,train\n"
        "gone.png,Covid,p9,PA,train\n",
        encoding="utf-8",
    )
    return folder


@pytest.mark.parametrize("name", ["", "list.csv"], ids=["its folder", "the table"])
def test_a_table_of_ones_own_is_read(own_table: Path, name: str) -> None:
    listing = list_source(own_table / name)
    assert [(image.label, image.patient, image.view, image.splits) for image in listing.images] == [
        ("covid", "p1", "PA", ("train", "validation")),
        ("normal", "p2", "", ("test",)),
        ("normal", "p3", "AP", SPLITS),
        ("covid", "p1", "PA", ("train", "validation")),
    ]
    assert len(listing.absent) == 1


def test_images_with_awkward_names_come_in(own_table: Path, tmp_path: Path) -> None:
    assert import_source(own_table, Workspace(tmp_path / "study")).kept == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file_name,kind\na.png,x\n", r"lacks the column\(s\) label; expected file_name, label"),
        ("file_name,label\n../a.png,x\n", r"line 2: file name '../a\.png' leads out of the folder"),
        ("file_name,label\n/etc/passwd,x\n", "line 2: .* leads out of the folder"),
        (
            "file_name,label,split\na.png,x,sometimes\n",
            "line 2: split 'sometimes', expected one of train, validation, test",
        ),
        ("file_name,label\na.png,\n", "line 2: no label"),
        ("file_name,label\nb.png,x\n", "holds no usable image; 1 named in its table are absent"),
    ],
    ids=["no label column", "parent folder", "absolute", "unknown split", "no label", "absent"],
)
def test_tables_that_are_wrong_are_refused(tmp_path: Path, text: str, message: str) -> None:
    save_blocks(tmp_path / "own" / "a.png")
    (tmp_path / "own" / "list.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        list_source(tmp_path / "own" / "list.csv", kind="csv")


# --- plain folders ---


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_text("x"), "of no kind that is known"),
        (lambda path: path.mkdir(), "no usable image"),
        (lambda path: save_blocks(path / "a.png"), "name it: .*=LABEL"),
        (lambda path: (path / "notes").mkdir(parents=True), "no usable image"),
    ],
    ids=["absent", "a text file", "an empty folder", "images without label", "an empty label"],
)
def test_sources_that_are_none_are_refused(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / "source")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        list_source(tmp_path / "source")


def test_a_file_has_no_label_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("x")
    with pytest.raises(ValueError, match="is a file"):
        list_source(Path(f"{tmp_path / 'source'}=covid"))


@pytest.mark.parametrize("kind", [kind.name for kind in SOURCE_KINDS if kind.name != "folders"])
def test_a_kind_that_is_named_and_is_not_there_is_refused(tmp_path: Path, kind: str) -> None:
    save_blocks(tmp_path / "source" / "covid" / "a.png")
    with pytest.raises(ValueError, match=r"expected|no CSV"):
        list_source(tmp_path / "source", kind=kind)


def write_labels(folder: Path, files: Mapping[str, Sequence[str]]) -> Path:
    """Write a folder per label, with images of these names."""
    for label, names in files.items():
        for name in names:
            save_blocks(folder / label / name)
    return folder


def test_links_in_a_circle_are_not_followed(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "source", {"covid": ["a.png"], "normal": ["b.png"]})
    (folder / "covid" / "again").symlink_to(folder, target_is_directory=True)
    (folder / "covid" / "broken.png").symlink_to(folder / "nowhere.png")
    listing = list_source(folder)
    assert ("a.png", "covid", None) in files_of(listing)
    assert len(listing.images) <= 4


def test_images_of_another_study_are_no_source(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "source", {"covid": ["a.png"], "normal": ["b.png"]})
    data = folder / "covid" / "study" / "data"
    save_blocks(data / "c.png")
    for name in ("manifest.csv", "import.json"):
        (data / name).write_text("")
    listing = list_source(folder)
    assert {name for name, _, _ in files_of(listing)} == {"a.png", "b.png"}
    assert listing.passed_over == {"in a workspace of cxr": 1}


def test_names_that_are_no_text_come_in(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / os.fsdecode(b"of\xff"), {"normal": ["b.png"]})
    image = save_blocks(folder / "covid" / "a.png")
    image.rename(image.with_name(os.fsdecode(b"\xfe.png")))
    workspace = Workspace(tmp_path / "study")
    assert import_source(folder, workspace).kept == 2
    assert {row.source for row in workspace.rows()} == {"of\\xff"}
    assert "\\xfe.png" in (workspace.data / "originals.csv").read_text()


def test_two_folders_of_one_name_are_two_sources(tmp_path: Path) -> None:
    for name in ("here", "there"):
        save_blocks(tmp_path / name / "images" / "00000001_000.png")
    listings = read_sources(
        (f"{tmp_path / 'here' / 'images'}=covid", f"{tmp_path / 'there' / 'images'}=normal")
    )
    assert [listing.source for listing in listings] == ["images", "there-images"]


def test_every_file_is_a_patient_of_its_own_where_nothing_is_known(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(3)]
    folder = write_labels(tmp_path / "source", {"covid": names, "normal": names})
    workspace = Workspace(tmp_path / "study")
    import_source(folder, workspace)
    assert len({row.patient for row in workspace.rows()}) == 6


def test_synthetic_images_are_no_source(study: Path, tmp_path: Path) -> None:
    images = next((study / "runs").glob("*-synthesize")) / "images"
    result = cxr("data", "import", images, folder=tmp_path / "new")
    assert result.exit_code == 2
    assert "nothing to import: 24 not real" in result.output


# --- what the command line says of kinds ---


def test_the_command_line_knows_every_kind() -> None:
    from pipelines.cli.data import KIND_NAMES

    assert set(KIND_NAMES) == {kind.name for kind in SOURCE_KINDS}


@pytest.mark.parametrize("kind", SOURCE_KINDS, ids=lambda kind: kind.name)
def test_kinds_are_listed_with_where_to_get_them(kind: SourceKind) -> None:
    output = cxr("data", "sources", folder=Path()).output
    for text in (kind.name, kind.about, kind.url, kind.licence):
        assert text in output
