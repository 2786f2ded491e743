"""Public reports of silent wrong results, recreated on drawn films.

They are those of docs/public-reports.md. Each writes what somebody had, runs a command on it, and
says what must hold then.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from pipelines.results.score_summary import FolderScores
from pipelines.study.manifest import Row
from pipelines.study.workspace import Workspace
from tests.conftest import cxr, ok
from tests.pipelines.data.films import blocks
from tests.pipelines.study.test_dicom import write_dicom
from tests.support.command_server import ROOT

PAGE = ROOT / "docs" / "public-reports.md"
METADATA = "patientid,finding,view,modality,folder,filename"
RANDOM_FEATURES = ("score", "--features", "random", "--out", "out")


@dataclass(frozen=True)
class Report:
    """What somebody had, and what must hold.

    Attributes:
        threads: As docs/public-reports.md names them.
        about: In a few words.
        write: Writes the files into a folder, and returns the command for it.
        check: Looks at the folder and at what the command said.
    """

    threads: Sequence[str]
    about: str
    write: Callable[[Path], Sequence[str]]
    check: Callable[[Path, Result], None]

    @property
    def name(self) -> str:
        return f"{self.threads[0]} {self.about}"


# --- helpers ---


def save(path: Path, seed: int, **options: object) -> Path:
    """Write a drawn film; the suffix, or `format`, tells the kind of file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blocks(seed)).save(path, **options)
    return path


def save_deep(path: Path, seed: int, highest: int) -> None:
    """Write a drawn film at 16 bits, whose low bytes are noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = blocks(seed).astype(float) / 255 * (highest - 300)
    noise = np.random.default_rng(seed).integers(0, 256, values.shape)
    Image.fromarray((values + noise).astype(np.uint16)).save(path)


def save_table(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def rows_by_origin(folder: Path) -> dict[str, Row]:
    """Return the imported images by the names that their files had."""
    rows = {row.file_name: row for row in Workspace(folder).rows()}
    with open(folder / "data" / "originals.csv", newline="", encoding="utf-8") as file:
        return {
            Path(line["origin"]).name: rows[line["file_name"]]
            for line in csv.DictReader(file)
            if line["file_name"]
        }


def imported(folder: Path, origin: str) -> np.ndarray:
    return np.asarray(Image.open(folder / "data" / rows_by_origin(folder)[origin].file_name))


def check_same_film(folder: Path, seeds: dict[str, int]) -> None:
    """Check that each file was imported as the film that was drawn into it."""
    assert set(rows_by_origin(folder)) == set(seeds)
    for name, seed in seeds.items():
        film = imported(folder, name)
        assert np.corrcoef(film.ravel(), blocks(seed).ravel())[0, 1] > 0.99, name


def check_refused(result: Result, *texts: str) -> None:
    """Check that a command ended with one line that has these texts."""
    (line,) = result.stderr.strip().splitlines()
    assert result.exit_code == 2
    assert not [text for text in texts if text not in line], line


# --- tables and lists ---


def names_without_suffix(folder: Path) -> Sequence[str]:
    lines = []
    for number in range(8):
        save(folder / "c" / "images" / f"Lorente-{number}.png", number)
        lines.append(f"{number},Pneumonia/Viral/COVID-19,PA,X-ray,images,Lorente-{number}")
    save_table(folder / "c" / "metadata.csv", METADATA, *lines)
    return ("data", "import", "c")


def all_eight_are_in(folder: Path, result: Result) -> None:
    ok(result)
    assert len(rows_by_origin(folder)) == 8


def rows_of_ct_volumes(folder: Path) -> Sequence[str]:
    names_without_suffix(folder)
    with open(folder / "c" / "metadata.csv", "a", encoding="utf-8") as file:
        file.write("9,Pneumonia/Viral/COVID-19,Axial,CT,volumes,coronacases_001.nii.gz\n")
    return ("data", "import", "c")


def images_without_a_row(folder: Path) -> Sequence[str]:
    names_without_suffix(folder)
    save(folder / "c" / "images" / "nobody-named-this.png", 99)
    return ("data", "import", "c")


def unnamed_image_is_out_and_told(folder: Path, result: Result) -> None:
    all_eight_are_in(folder, result)
    assert "nobody-named-this.png" in (folder / "data" / "import.json").read_text()


def several_images_of_a_patient(folder: Path) -> Sequence[str]:
    lines = []
    for number in range(40):
        save(folder / "c" / "images" / f"day-{number}.png", number)
        finding = "Pneumonia/Viral/COVID-19" if number < 20 else "No Finding"
        lines.append(f"{number // 4},{finding},PA,X-ray,images,day-{number}.png")
    save_table(folder / "c" / "metadata.csv", METADATA, *lines)
    return ("data", "import", "c", "--label", "No Finding=normal")


def no_patient_is_in_two_splits(folder: Path, result: Result) -> None:
    ok(result)
    rows = Workspace(folder).rows()
    assert len(rows) == 40
    assert len({row.patient for row in rows}) == 10
    assert len({(row.patient, row.split) for row in rows}) == 10


def boxes_of_rsna(folder: Path) -> Sequence[str]:
    lines = []
    for number in range(12):
        save(folder / "rsna" / f"{number:08x}.png", number)
        boxes = 1 + number % 3 if number % 2 else 1
        target = number % 2
        lines += [f"{number:08x},10,20,30,{40 + box},{target}" for box in range(boxes)]
    save_table(
        folder / "rsna" / "stage_2_train_labels.csv", "patientId,x,y,width,height,Target", *lines
    )
    return ("data", "import", "rsna/stage_2_train_labels.csv")


def boxes_are_refused_or_films_counted_once(folder: Path, result: Result) -> None:
    if result.exit_code:
        check_refused(result, "stage_2_train_labels.csv")
        assert not (folder / "data").exists()
    else:
        assert len(rows_by_origin(folder)) == 12


def covidx_list_with_doubled_rows(folder: Path) -> Sequence[str]:
    for split, first in (("train", 0), ("test", 20)):
        lines = []
        for number in range(first, first + 12):
            label = "COVID-19" if number % 2 else "normal"
            save(folder / "covidx" / split / f"film-{number}.png", number)
            lines += [f"{number} film-{number}.png {label} rsna"] * (1 + number % 3)
        save_table(folder / "covidx" / f"{split}.txt", *lines)
    return ("data", "import", "covidx")


def doubled_rows_are_one_image(folder: Path, result: Result) -> None:
    ok(result)
    of_test = Counter(row.split == "test" for row in Workspace(folder).rows())
    assert of_test == {True: 12, False: 12}


# --- folders ---


def same_files_in_train_and_test(folder: Path) -> Sequence[str]:
    for number in range(24):
        label = "covid" if number % 2 else "normal"
        save(folder / "d" / "train" / label / f"a-{number}.png", number)
        if number < 8:
            save(folder / "d" / "test" / label / f"b-{number}.png", number)
    for number in range(100, 106):
        save(
            folder / "d" / "test" / ("covid" if number % 2 else "normal") / f"c-{number}.png",
            number,
        )
    return ("data", "import", "d")


def copies_are_in_one_split_and_told(folder: Path, result: Result) -> None:
    output = ok(result)
    rows = Workspace(folder).rows()
    assert len(rows) == len({row.sha256 for row in rows}) == 30
    assert {row.label for row in rows} == {"covid", "normal"}
    assert "8 " in output
    assert "duplicate" in output


def one_film_in_two_collections(folder: Path) -> Sequence[str]:
    for number in range(20):
        label = "covid" if number % 2 else "normal"
        save(folder / "first" / label / f"a-{number}.png", number)
        save(folder / "second" / label / f"b-{number}.png", number + 10)
    return ("data", "import", "first", "second")


def film_of_both_is_in_once(folder: Path, result: Result) -> None:
    ok(result)
    assert len(Workspace(folder).rows()) == 30


def shards_and_dataset_json(folder: Path) -> Sequence[str]:
    labels = []
    for number in range(24):
        name = f"{number // 8:05d}/img{number:08d}.png"
        save(folder / "ada" / name, number)
        labels.append([name, number % 2])
    (folder / "ada" / "dataset.json").write_text(json.dumps({"labels": labels}))
    return ("data", "import", "ada")


def shards_are_no_labels(folder: Path, result: Result) -> None:
    check_refused(result, "ada", "=LABEL")
    assert not (folder / "data").exists()


# --- what the pixels mean ---


def webp_called_png(folder: Path) -> Sequence[str]:
    for number in range(8):
        name = f"{'abcdefgh'[number]}.png"
        save(folder / "d" / "covid" / name, number, format="WEBP", lossless=True)
    return ("data", "import", "d/covid=covid")


def webp_is_read(folder: Path, result: Result) -> None:
    ok(result)
    check_same_film(folder, {f"{letter}.png": place for place, letter in enumerate("abcdefgh")})


def transparent_films(folder: Path) -> Sequence[str]:
    for number in range(4):
        path = save(folder / "d" / "covid" / f"{number}.png", number)
        Image.open(path).convert("RGBA").save(path)
    return ("data", "import", "d/covid=covid")


def transparent_films_are_gray(folder: Path, result: Result) -> None:
    ok(result)
    check_same_film(folder, {f"{number}.png": number for number in range(4)})


def sixteen_bits(folder: Path) -> Sequence[str]:
    for number, highest in enumerate((4095, 16383, 65535)):
        save_deep(folder / "d" / "covid" / f"{number}.png", number, highest)
    return ("data", "import", "d/covid=covid")


def high_bits_are_kept(folder: Path, result: Result) -> None:
    ok(result)
    check_same_film(folder, {f"{number}.png": number for number in range(3)})


def monochrome1_with_a_window(folder: Path) -> Sequence[str]:
    (folder / "d" / "covid").mkdir(parents=True)
    for number in range(3):
        values = (4095 - blocks(number).astype(np.uint16) * 16).astype(np.uint16)
        write_dicom(
            folder / "d" / "covid" / f"{number}.dcm",
            values,
            PhotometricInterpretation="MONOCHROME1",
            WindowCenter=2048,
            WindowWidth=4096,
            PatientID=f"P-{number}",
        )
    return ("data", "import", "d/covid=covid")


def monochrome1_is_turned(folder: Path, result: Result) -> None:
    ok(result)
    check_same_film(folder, {f"{number}.dcm": number for number in range(3)})


def windows_of(function: str, width: float) -> Callable[[Path], Sequence[str]]:
    def write(folder: Path) -> Sequence[str]:
        (folder / "d" / "covid").mkdir(parents=True)
        for number in range(4):
            of_last = {"VOILUTFunction": function, "WindowCenter": 2048, "WindowWidth": width}
            write_dicom(
                folder / "d" / "covid" / f"{number}.dcm",
                blocks(number).astype(np.uint16) * 16,
                PatientID=f"P-{number}",
                **(of_last if number == 3 else {}),
            )
        return ("data", "import", "d/covid=covid")

    return write


def windows_of_width_0_alone(folder: Path) -> Sequence[str]:
    (folder / "d" / "covid").mkdir(parents=True)
    for number in range(3):
        write_dicom(folder / "d" / "covid" / f"{number}.dcm", WindowCenter=20, WindowWidth=0)
    return ("data", "import", "d/covid=covid")


def first_file_and_its_window_are_named(folder: Path, result: Result) -> None:
    check_refused(result, "3 unreadable", "d/covid/0.dcm", "a window of width 0")
    assert not (folder / "data").exists()


def film_is_right_or_out_and_told(folder: Path, result: Result) -> None:
    """Check that no black or white picture was made of the last film."""
    ok(result)
    if "3.dcm" in rows_by_origin(folder):
        film, right = imported(folder, "3.dcm"), blocks(3)
        assert np.corrcoef(film.ravel(), right.ravel())[0, 1] > 0.95
    else:
        assert "window of width" in (folder / "data" / "import.json").read_text()
        assert len(rows_by_origin(folder)) == 3


# --- scores of folders ---


def write_two_folders(folder: Path, count: int = 40) -> Sequence[str]:
    for number in range(count):
        save(folder / "real" / f"{number}.png", number)
        save(folder / "fake" / f"{number}.png", 100 + number)
    return (*RANDOM_FEATURES, "--dataset-a", "real", "--dataset-b", "fake")


def gray_beside_rgb(folder: Path) -> Sequence[str]:
    command = write_two_folders(folder)
    for number, mode in ((1, "RGB"), (2, "RGBA"), (3, "P"), (4, "LA")):
        path = folder / "real" / f"{number}.png"
        Image.open(path).convert(mode).save(path)
    return command


def is_scored(folder: Path, result: Result) -> None:
    ok(result)
    assert FolderScores.load(folder / "out").overall_distances


def photographs_beside_films(folder: Path) -> Sequence[str]:
    command = write_two_folders(folder)
    colours = np.random.default_rng(0).integers(0, 256, (80, 72, 3), dtype=np.uint8)
    Image.fromarray(colours).save(folder / "real" / "photo.png")
    return command


def photograph_is_out_and_told(folder: Path, result: Result) -> None:
    is_scored(folder, result)
    assert "photo.png" in " ".join(FolderScores.load(folder / "out").warnings)


def few_images(folder: Path) -> Sequence[str]:
    return write_two_folders(folder, 3)


def few_images_are_told(folder: Path, result: Result) -> None:
    assert "no Fréchet distance" in ok(result)


def folders_of_two_sizes(folder: Path) -> Sequence[str]:
    command = write_two_folders(folder)
    for path in (folder / "fake").iterdir():
        Image.open(path).resize((64, 64)).save(path)
    return command


def sizes_are_refused(folder: Path, result: Result) -> None:
    check_refused(result, "72×80", "64×64")
    assert not (folder / "out").exists()


def png_against_jpeg(folder: Path) -> Sequence[str]:
    command = write_two_folders(folder)
    for path in list((folder / "fake").iterdir()):
        Image.open(path).save(path.with_suffix(".jpg"), quality=75)
        path.unlink()
    return command


def compression_is_told(folder: Path, result: Result) -> None:
    is_scored(folder, result)
    assert "lossy compression" in " ".join(FolderScores.load(folder / "out").warnings)


REPORTS = [
    Report(
        ["ieee8023/covid-chestxray-dataset#96"],
        "names without suffix",
        names_without_suffix,
        all_eight_are_in,
    ),
    Report(
        ["ieee8023/covid-chestxray-dataset#152"],
        "rows of CT volumes",
        rows_of_ct_volumes,
        all_eight_are_in,
    ),
    Report(
        ["ieee8023/covid-chestxray-dataset#33"],
        "images without a row",
        images_without_a_row,
        unnamed_image_is_out_and_told,
    ),
    Report(
        ["Lightning-Universe/lightning-Covid19#11"],
        "a patient's images in two splits",
        several_images_of_a_patient,
        no_patient_is_in_two_splits,
    ),
    Report(
        ["lindawangg/COVID-Net#25", "lindawangg/COVID-Net#109"],
        "several rows per patient",
        boxes_of_rsna,
        boxes_are_refused_or_films_counted_once,
    ),
    Report(
        ["lindawangg/COVID-Net#26"],
        "doubled rows in a list",
        covidx_list_with_doubled_rows,
        doubled_rows_are_one_image,
    ),
    Report(
        ["lindawangg/COVID-Net#70"],
        "one film in two collections",
        one_film_in_two_collections,
        film_of_both_is_in_once,
    ),
    Report(
        ["stefyste/RIAWELC#2", "elcronos/COVID-19#51"],
        "test files in train",
        same_files_in_train_and_test,
        copies_are_in_one_split_and_told,
    ),
    Report(
        ["NVlabs/stylegan2-ada-pytorch#18"],
        "shards and dataset.json",
        shards_and_dataset_json,
        shards_are_no_labels,
    ),
    Report(
        ["NVlabs/stylegan2-ada-pytorch#33"], "RGBA", transparent_films, transparent_films_are_gray
    ),
    Report(["ncbi-nlp/COVID-19-CT-CXR#1"], "WebP called .png", webp_called_png, webp_is_read),
    Report(
        ["Emory-HITI/Niffler#226", "fdwr/ImageHeat#30"],
        "16 bits cut to 8",
        sixteen_bits,
        high_bits_are_kept,
    ),
    Report(
        ["mlmed/torchxrayvision#125"],
        "MONOCHROME1",
        monochrome1_with_a_window,
        monochrome1_is_turned,
    ),
    *(
        Report(
            ["pydicom/pydicom#1073"],
            f"{function} of width {width}",
            windows_of(function, width),
            film_is_right_or_out_and_told,
        )
        for function, width in (
            ("LINEAR", 0),
            ("LINEAR", -1),
            ("LINEAR_EXACT", 0),
            ("LINEAR_EXACT", 4096),
            ("SIGMOID", 4096),
            ("SIGMOID", 0),
        )
    ),
    Report(
        ["pydicom/pydicom#1073"],
        "no usable window at all",
        windows_of_width_0_alone,
        first_file_and_its_window_are_named,
    ),
    Report(
        ["mseitzer/pytorch-fid#1", "mseitzer/pytorch-fid#48"],
        "gray beside RGB",
        gray_beside_rgb,
        is_scored,
    ),
    Report(
        ["mseitzer/pytorch-fid#40"],
        "photographs beside films",
        photographs_beside_films,
        photograph_is_out_and_told,
    ),
    Report(["mseitzer/pytorch-fid#42"], "few images", few_images, few_images_are_told),
    Report(
        ["mseitzer/pytorch-fid#74", "GaParmar/clean-fid#2"],
        "folders of two sizes",
        folders_of_two_sizes,
        sizes_are_refused,
    ),
    Report(["mseitzer/pytorch-fid#74"], "PNG against JPEG", png_against_jpeg, compression_is_told),
]


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)
def test_report(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = cxr(*report.write(tmp_path), folder=tmp_path)
    report.check(tmp_path, result)


def test_the_page_names_every_thread() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert not [name for report in REPORTS for name in report.threads if name not in page]
