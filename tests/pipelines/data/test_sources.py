"""Each published layout, made small, and what is wrong with the folders that people have."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.importing import import_listings
from pipelines.data.published import KINDS, read_sources
from pipelines.data.sources import Listing, parse_labels
from pipelines.study.manifest import SPLITS
from pipelines.study.workspace import Workspace
from tests.conftest import cxr

RATIOS = (0.7, 0.1, 0.2)


def draw(path: Path, seed: int | None = None) -> Path:
    """A picture unlike all others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(map(ord, str(path))) * 7919 + len(str(path)) if seed is None else seed
    Image.fromarray(
        np.random.default_rng(seed)
        .integers(0, 256, (10, 9), dtype=np.uint8)
        .repeat(8, 0)
        .repeat(8, 1)
    ).save(path, "PNG")
    return path


def of(listing: Listing) -> set[tuple[str, str, str | None]]:
    """(file, label, patient) of all records."""
    return {(Path(record.origin).name, record.label, record.patient) for record in listing.records}


def test_covid_chestxray_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "covid-chestxray-dataset"
    rows = [
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
    ]
    for row in rows[:8]:
        draw(folder / "images" / row.rsplit(",", 1)[1])
    draw(tmp_path / "secret.png")
    (folder / "metadata.csv").write_bytes(
        b"patientid,finding,view,modality,filename\n"
        + "\n".join(rows).encode()
        + "\n11,caf\xe9,PA,X-ray,x.png\n".encode("latin-1")
    )
    (listing,) = read_sources((str(folder),))
    assert listing.kind == "covid-chestxray-dataset"
    assert of(listing) == {
        ("a.jpg", "covid", "2"),
        ("b.png", "covid", "2"),
        ("f.png", "covid", "6"),
        ("g.png", "covid", "7"),
    }
    assert listing.passed_over == {"not a frontal X-ray": 2, "another finding": 2}
    assert len(listing.absent) == 3
    (listing,) = read_sources(
        (str(folder),), labels=parse_labels(("Pneumonia=pneumonia", "sars=other", "ARDS="))
    )
    assert ("h.png", "pneumonia", "8") in of(listing)
    assert ("e.png", "other", "5") in of(listing)
    assert ("g.png", "covid", "7") in of(listing)
    with pytest.raises(
        ValueError,
        match='"influenza=…": no image has this finding; the findings here are: .*COVID-19|covid-19',
    ):
        read_sources((str(folder),), labels=parse_labels(("influenza=flu",)))


def test_its_sisters(tmp_path: Path) -> None:
    figure1, actualmed = (
        tmp_path / "Figure1-COVID-chestxray-dataset",
        tmp_path / "Actualmed-COVID-chestxray-dataset",
    )
    for name in ("COVID-00003a.jpg", "COVID-00003b.jpg", "COVID-00004.png", "COVID-00009.jpg"):
        draw(figure1 / "images" / name)
    header = "patientid,offset,sex,age,finding,survival,temperature,pO2 saturation,view,modality,artifacts/distortion,notes\n"
    (figure1 / "metadata.csv").write_bytes(
        (
            header
            + "COVID-00003a,8,M,28,COVID-19,,,,AP erect,X-ray,,\nCOVID-00003b,8,M,28,COVID-19,,,,AP erect,X-ray,,\nCOVID-00004,,,,COVID-19,,,,,X-ray,,39.1\xb0\nCOVID-00009,,,,,,,,PA,X-ray,,\nCOVID-00010,,,,COVID-19,,,,PA,X-ray,,\n"
        ).encode("latin-1")
    )
    for name in ("CR.1.2.png", "CR.1.3.png", "DX.1.png"):
        draw(actualmed / "images" / name)
    header = header.replace("modality,", "modality,imagename,")
    (actualmed / "metadata.csv").write_text(
        header
        + "ANON196,,,,COVID-19,,,,PA,X-ray,CR.1.2.png,,\nANON56,,,,No finding,,,,AP,X-ray,CR.1.3.png,,\nANON2,,,,,,,,PA,X-ray,DX.1.png,,Inconclusive\n"
    )
    first, second = read_sources(
        (str(figure1), str(actualmed)), labels=parse_labels(("No finding=normal",))
    )
    assert first.kind == figure1.name
    assert second.kind == actualmed.name
    assert of(first) == {
        ("COVID-00003a.jpg", "covid", "COVID-00003"),
        ("COVID-00003b.jpg", "covid", "COVID-00003"),
        ("COVID-00004.png", "covid", "COVID-00004"),
    }
    assert len(first.absent) == 1
    assert first.passed_over == {"another finding": 1}
    assert of(second) == {("CR.1.2.png", "covid", "ANON196"), ("CR.1.3.png", "normal", "ANON56")}


def test_the_radiography_database_without_its_masks(tmp_path: Path) -> None:
    folder = tmp_path / "COVID-19_Radiography_Dataset"
    for name in ("COVID", "Normal", "Lung_Opacity", "Viral Pneumonia"):
        for number in range(3):
            draw(folder / name / "images" / f"{name}-{number}.png")
            draw(folder / name / "masks" / f"{name}-{number}.png")
    (folder / "COVID.metadata.xlsx").write_text("")
    (listing,) = read_sources((str(folder),))
    assert listing.kind == "COVID-19 Radiography Database"
    assert listing.passed_over == {"a mask": 12}
    assert Counter(label for _, label, _ in of(listing)) == dict.fromkeys(
        ["covid", "normal", "lung-opacity", "viral-pneumonia"], 3
    )
    (listing,) = read_sources(
        (str(folder),), labels=parse_labels(("Viral Pneumonia=pneumonia", "Lung_Opacity="))
    )
    assert Counter(label for _, label, _ in of(listing)) == dict.fromkeys(
        ["covid", "normal", "pneumonia"], 3
    )


def test_covidx_lists_keep_their_split(tmp_path: Path) -> None:
    folder = tmp_path / "covidx"
    lists = {"train": [], "test": []}
    for number in range(40):
        split = "test" if number % 4 == 0 else "train"
        draw(
            folder / split / f"image {number}.png"
            if number == 5
            else folder / split / f"{number}.png"
        )
        lists[split].append(
            f"{number // 2} {f'image {number}' if number == 5 else number}.png {'COVID-19' if number % 3 else 'normal'} cohen"
        )
    for split, lines in lists.items():
        (folder / f"{split}_COVIDx9A.txt").write_text(
            "\n".join([*lines, f"99 gone-{split}.png normal rsna"]) + "\n"
        )
    (listing,) = read_sources((str(folder),))
    assert len(listing.records) == 40
    assert {record.source for record in listing.records} == {"covidx-cohen"}
    assert len(listing.absent) == 2
    assert {record.label for record in listing.records} == {"covid", "normal"}
    workspace = Workspace(tmp_path / "study")
    import_listings(workspace, [listing], ratios=RATIOS, seed=0)
    splits = {row.split for row in workspace.rows()}
    assert splits == set(SPLITS)
    (folder / "train_COVIDx8.txt").write_text("1 0.png normal cohen\n")
    with pytest.raises(ValueError, match="several lists of one split"):
        read_sources((str(folder),))


def test_nih_chestxray14(tmp_path: Path) -> None:
    folder = tmp_path / "nih"
    for name in ("00000001_000.png", "00000002_000.png", "00000002_001.png", "00000003_000.png"):
        draw(folder / "images_001" / "images" / name)
    rows = [
        "00000001_000.png,Cardiomegaly|Effusion,0,1,58Y,M,PA",
        "00000002_000.png,No Finding,0,2,81Y,F,PA",
        "00000002_001.png,Effusion,1,2,81Y,F,AP",
        "00000003_000.png,No Finding|Effusion,0,3,81Y,F,AP",
        "00000004_000.png,No Finding,0,4,1Y,F,AP",
    ]
    (folder / "Data_Entry_2017_v2020.csv").write_text(
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position\n"
        + "\n".join(rows)
        + "\n"
    )
    (listing,) = read_sources((str(folder),))
    assert of(listing) == {
        ("00000002_000.png", "normal", "00000002"),
        ("00000003_000.png", "normal", "00000003"),
    }
    assert len(listing.absent) == 1
    assert {record.view for record in listing.records} == {"PA", "AP"}
    (listing,) = read_sources((str(folder),), labels=parse_labels(("Effusion=effusion",)))
    assert ("00000001_000.png", "effusion", "00000001") in of(listing)
    assert listing.passed_over == {"several labels: effusion, normal": 1}


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    names = ["a b.png", 'sub/it\'s "q", x.png', "naïve\nline.png", "d.png"]
    for name in names:
        draw(folder / name)
    rows = [
        '"a b.png",Covid,p1,PA,train',
        '"sub/it\'s ""q"", x.png",Normal,p2,,test',
        '"naïve\nline.png",Normal,p3,AP,',
        "d.png,Covid,p1,PA,train",
        "gone.png,Covid,p9,PA,train",
    ]
    (folder / "list.csv").write_text(
        "file_name,label,patient,view,split\n" + "\n".join(rows) + "\n", encoding="utf-8"
    )
    for argument in (folder, folder / "list.csv"):
        (listing,) = read_sources((str(argument),))
        assert [
            (record.label, record.patient, record.view, record.splits) for record in listing.records
        ] == [
            ("covid", "p1", "PA", ("train", "validation")),
            ("normal", "p2", "", ("test",)),
            ("normal", "p3", "AP", SPLITS),
            ("covid", "p1", "PA", ("train", "validation")),
        ]
        assert len(listing.absent) == 1
    workspace = Workspace(tmp_path / "study")
    assert import_listings(workspace, [listing], ratios=RATIOS, seed=0)["kept"] == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file_name,kind\na.png,x\n", r"lacks the column\(s\) label; expected file_name, label"),
        ("file_name,label\n../a.png,x\n", "line 2: file name '../a.png' leads out of the folder"),
        ("file_name,label\n/etc/passwd,x\n", "line 2: .* leads out of the folder"),
        (
            "file_name,label,split\na.png,x,sometimes\n",
            "line 2: split 'sometimes', expected one of train, validation, test",
        ),
        ("file_name,label\na.png,\n", "line 2: no label"),
        ("file_name,label\nb.png,x\n", "holds no usable image; 1 named in its table are absent"),
    ],
)
def test_tables_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    draw(tmp_path / "own" / "a.png")
    (tmp_path / "own" / "list.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_sources((str(tmp_path / "own" / "list.csv"),), kind="csv")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "does not exist"),
        (lambda folder: folder.write_text("x"), "of no kind that is known"),
        (lambda folder: folder.mkdir(), "no usable image"),
        (lambda folder: draw(folder / "a.png"), "name it: .*=LABEL"),
        (lambda folder: (folder / "notes").mkdir(parents=True), "no usable image"),
    ],
)
def test_sources_that_are_none(tmp_path: Path, make, message: str) -> None:
    make(tmp_path / "source")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_sources((str(tmp_path / "source"),))
    if (tmp_path / "source").is_file():
        with pytest.raises(ValueError, match="is a file"):
            read_sources((f"{tmp_path / 'source'}=covid",))


def test_links_in_a_circle_and_folders_of_cxr_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    draw(folder / "covid" / "a.png")
    draw(folder / "normal" / "b.png")
    (folder / "covid" / "again").symlink_to(folder, target_is_directory=True)
    (folder / "covid" / "broken.png").symlink_to(folder / "nowhere.png")
    os.makedirs(folder / "covid" / "study" / "data")
    draw(folder / "covid" / "study" / "data" / "c.png")
    for name in ("manifest.csv", "import.json"):
        (folder / "covid" / "study" / "data" / name).write_text("")
    (listing,) = read_sources((str(folder),))
    assert ("a.png", "covid", None) in of(listing)
    assert "c.png" not in {name for name, _, _ in of(listing)}
    assert len(listing.records) <= 4


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"of\xff")
    draw(folder / "covid" / "a.png").rename(folder / "covid" / os.fsdecode(b"\xfe.png"))
    draw(folder / "normal" / "b.png")
    workspace = Workspace(tmp_path / "study")
    assert (
        import_listings(workspace, read_sources((str(folder),)), ratios=RATIOS, seed=0)["kept"] == 2
    )
    assert {row.source for row in workspace.rows()} == {"of\\xff"}
    assert "\\xfe.png" in (workspace.data / "originals.csv").read_text()


def test_a_kind_that_is_named_and_is_not_there(tmp_path: Path) -> None:
    draw(tmp_path / "source" / "covid" / "a.png")
    for kind in KINDS:
        if kind.name != "folders":
            with pytest.raises(ValueError, match="expected|no CSV"):
                read_sources((str(tmp_path / "source"),), kind=kind.name)


def test_two_folders_of_one_name_are_two_sources(tmp_path: Path) -> None:
    for name in ("here", "there"):
        draw(tmp_path / name / "images" / "00000001_000.png")
    listings = read_sources(
        (f"{tmp_path / 'here' / 'images'}=covid", f"{tmp_path / 'there' / 'images'}=normal")
    )
    assert [listing.source for listing in listings] == ["images", "there-images"]


def test_every_file_is_a_patient_of_its_own_where_nothing_is_known(tmp_path: Path) -> None:
    for label in ("covid", "normal"):
        for number in range(3):
            draw(tmp_path / "source" / label / f"{number}.png")
    workspace = Workspace(tmp_path / "study")
    import_listings(workspace, read_sources((str(tmp_path / "source"),)), ratios=RATIOS, seed=0)
    assert len({row.patient for row in workspace.rows()}) == 6


def test_synthetic_images_are_no_source(study: Path, tmp_path: Path) -> None:
    result = cxr(
        "data",
        "import",
        next((study / "runs").glob("*-synthesize")) / "images",
        folder=tmp_path / "new",
    )
    assert result.exit_code == 2
    assert "nothing to import: 24 not real" in result.output


def test_the_kinds_are_listed_with_where_to_get_them() -> None:
    from pipelines.cli.data import KIND_NAMES

    output = cxr("data", "sources", folder=Path()).output
    assert set(KIND_NAMES) == {kind.name for kind in KINDS}
    for kind in KINDS:
        assert kind.name in output
        assert kind.url in output
        assert kind.licence in output
