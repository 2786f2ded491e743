"""The page of a reader study gives nothing away, and shows what it should."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.results.reader_results import commitment
from pipelines.study.image_io import read_gray, to_square, write_gray
from tests.conftest import cxr
from tests.pipelines.evaluation.reader_studies import (
    LABELS,
    SIZE,
    ReaderStudy,
    make_page,
    make_study,
    one_line,
)


def carried(page: Path) -> list[dict]:
    return json.loads(re.search(r'id="study">(.*?)</script>', page.read_text()).group(1))["images"]


def test_half_are_test_images_and_both_halves_have_the_same_labels(
    reader_study: ReaderStudy,
) -> None:
    workspace, _page, key = reader_study
    rows = {f"data/{row.file_name}": row for row in workspace.rows()}
    reals = [one for one in key["images"] if one["answer"] == "real"]
    made = [one for one in key["images"] if one["answer"] == "synthetic"]
    for half in (reals, made):
        assert sorted(one["label"] for one in half) == [LABELS[0]] * 2 + [LABELS[1]] * 2
    assert all(rows[one["file_name"]].split == "test" for one in reals)
    assert all(one["file_name"].startswith("runs/0001-synthesize/images/") for one in made)


def test_no_patient_comes_twice_before_all_have_come_once(tmp_path: Path) -> None:
    workspace = make_study(tmp_path / "study")
    patients = {f"data/{row.file_name}": row.patient for row in workspace.rows()}
    shown = [
        [
            patients[one["file_name"]]
            for one in make_page(workspace, "--n", n)[1]["images"]
            if one["answer"] == "real"
        ]
        for n in (24, 28)
    ]
    assert [(len(them), len(set(them))) for them in shown] == [(12, 12), (14, 12)]


def test_the_page_shows_the_images_of_the_key_by_the_one_pixel_path(
    reader_study: ReaderStudy,
) -> None:
    workspace, page, key = reader_study
    assert [one["id"] for one in carried(page)] == [one["image"] for one in key["images"]]
    for one, listed in zip(carried(page), key["images"], strict=True):
        with Image.open(io.BytesIO(base64.b64decode(one["png"].partition(",")[2]))) as image:
            assert image.mode == "L"
            np.testing.assert_array_equal(
                np.asarray(image), to_square(read_gray(workspace.root / listed["file_name"]), SIZE)
            )


def test_nothing_in_the_page_tells_real_from_synthetic(reader_study: ReaderStudy) -> None:
    workspace, page, key = reader_study
    text = page.read_text()
    secrets = {
        *LABELS,
        key["secret"],
        key["generator"],
        key["synthetic"],
        "clinic",
        "patient-",
        "images/",
        ".png",
        "synthetic-0",
        str(workspace.root),
        "key.json",
    }
    secrets |= {Path(one["file_name"]).stem for one in key["images"]} | {
        row.sha256 for row in workspace.rows()
    }
    assert [secret for secret in secrets if secret in text] == []
    assert key["study"] in text
    assert key["study"] == commitment(key)
    files = [base64.b64decode(one["png"].partition(",")[2]) for one in carried(page)]
    assert len({len(file) for file in files}) == 1
    assert {tuple(chunks(file)) for file in files} == {("IHDR", "IDAT", "IEND")}
    assert {file[:41] for file in files} == {
        files[0][:41]
    }  # signature, header, and the IDAT's length


def chunks(png: bytes) -> list[str]:
    names, place = [], 8
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        names.append(png[place + 4 : place + 8].decode())
        place += 12 + length
    return names


def test_the_seed_makes_the_page_and_the_order_says_nothing(tmp_path: Path) -> None:
    workspace = make_study(tmp_path / "study")
    first, again, other = (make_page(workspace, "--seed", seed) for seed in (1, 1, 2))
    assert first[0].read_bytes() == again[0].read_bytes()
    assert first[0].parent != again[0].parent
    assert not {one["image"] for one in first[1]["images"]} & {
        one["image"] for one in other[1]["images"]
    }
    places = [
        place
        for seed in range(40)
        for place, one in enumerate(make_page(workspace, "--seed", seed)[1]["images"])
        if one["answer"] == "real"
    ]
    deviation = np.sqrt(
        (8**2 - 1) / 12 / 160 * 4 / 7
    )  # of the mean of 40 draws of 4 from 8 places, without replacement
    assert abs(np.mean(places) - 3.5) < 4 * deviation


def test_a_rare_label_is_as_rare_among_the_synthetic_ones(tmp_path: Path) -> None:
    workspace = make_study(tmp_path / "study", test=(6, 1))
    _, key = make_page(workspace, "--n", 12)
    for kind in ("real", "synthetic"):
        assert (
            sorted(one["label"] for one in key["images"] if one["answer"] == kind)
            == [LABELS[0]] * 4 + [LABELS[1]] * 2
        )
    assert "at most 24" in one_line(cxr("reader-study", folder=workspace.root))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--n", 7], "expected an even number"),
        (["--n", 0], "expected an even number"),
        (["--n", -2], "expected an even number"),
        (
            ["--n", 500],
            f"at most 40, as many real as synthetic of each label ({LABELS[0]}: 12 test, "
            f"10 synthetic; {LABELS[1]}: 12 test, 10 synthetic)",
        ),
        (["--synthetic", "0042"], "no run '0042'"),
        (["--n", 8, "--score", "answers.json"], "give --score FILE alone"),
        (["--score", "absent.json"], "absent.json does not exist"),
    ],
)
def test_what_cannot_be_is_refused(reader_study: ReaderStudy, options: list, said: str) -> None:
    before = list(reader_study.workspace.runs.iterdir())
    assert said in one_line(cxr("reader-study", *options, folder=reader_study.workspace.root))
    assert list(reader_study.workspace.runs.iterdir()) == before


def test_a_study_without_what_it_takes_says_what_is_missing(tmp_path: Path) -> None:
    bare = make_study(tmp_path / "bare")
    shutil.rmtree(bare.runs)
    assert "cxr synthesize --n 2000" in one_line(cxr("reader-study", folder=bare.root))
    assert "no test images" in one_line(
        cxr("reader-study", "--n", 2, folder=make_study(tmp_path / "a", test=(0, 0)).root)
    )
    grown = make_study(tmp_path / "grown")
    for path in grown.runs.rglob("synthetic-*.png"):
        write_gray(path, np.zeros((SIZE + 1, SIZE + 1), np.uint8))
    assert "is 17×17 px, expected 16×16" in one_line(
        cxr("reader-study", "--n", 2, folder=grown.root)
    )
    assert "leak" in one_line(
        cxr("reader-study", "--n", 2, folder=make_study(tmp_path / "b", leak=True).root)
    )
