"""The reader study: that its page gives nothing away, what a reader does with it in a browser, and the statistics of the answers."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import struct
import time
from math import comb
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from scipy.stats import beta

from pipelines.evaluation.reader_study import commitment
from pipelines.study.image_io import pixel_hash, read_gray, to_square, write_gray
from pipelines.study.manifest import Row, fingerprint, write_manifest
from pipelines.study.synthetic import SyntheticRow, write_synthetic_manifest
from pipelines.study.workspace import Workspace
from tests.conftest import cxr, ok
from tests.support.chromium import Chromium, Page

SIZE = 16
LABELS = ("covid", "quite-well")
SHOWN = "document.getElementById('stage').ariaBusy === 'false'"


def make_study(root: Path, *, test: tuple[int, int] = (6, 6), leak: bool = False) -> Workspace:
    """Noise images of two labels, so many in the test split with two of each patient, and a set of 20 synthetic ones."""
    workspace, rng, rows = Workspace(root), np.random.default_rng(0), []
    for place, label in enumerate(LABELS):
        for number in range(4 + 2 * test[place]):
            gray = rng.integers(0, 256, (40, 30), np.uint8)
            name = f"images/{label}/{rng.bytes(8).hex()}.png"
            (workspace.data / name).parent.mkdir(parents=True, exist_ok=True)
            write_gray(workspace.data / name, gray, Comment="a note")
            split = "train" if number < 4 else "test"
            about = {
                "source": "clinic",
                "view": "PA",
                "sha256": pixel_hash(gray),
                "fold": None,
                "near_hash": "",
                "width": 30,
                "height": 40,
            }
            rows.append(
                Row(
                    file_name=name,
                    label=label,
                    patient=f"patient-{place}-{number // 2}",
                    split=split,
                    **about,
                )
            )
    write_manifest(workspace.manifest_path, rows)
    seen = [row.sha256 for row in rows if row.split == "train" or leak]
    made = workspace.create_run("synthesize", {"image_size": SIZE, "trained_on": seen})
    listed = []
    for index in range(20):
        label = LABELS[index % 2]
        name = f"images/{label}/synthetic-{index:06d}.png"
        (made.folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_gray(
            made.folder / name, np.full((SIZE, SIZE), 10 * index, np.uint8), Comment="synthetic"
        )
        listed.append(
            SyntheticRow(
                file_name=name,
                label=label,
                index=index,
                seed=0,
                synthetic="yes",
                generator="0009-gan-train",
                trained_on=fingerprint(seen),
            )
        )
    write_synthetic_manifest(made.folder / "manifest.csv", listed)
    made.finish({})
    return workspace


def make_page(workspace: Workspace, *options: object) -> tuple[Path, dict]:
    """The page of a new reader study of 8 images, and its key."""
    ok(cxr("reader-study", "--n", 8, *options, folder=workspace.root))
    folder = sorted(workspace.runs.glob("*-reader-study"))[-1]
    return folder / "reader.html", json.loads((folder / "key.json").read_text())


def carried(page: Path) -> list[dict]:
    return json.loads(re.search(r'id="study">(.*?)</script>', page.read_text()).group(1))["images"]


def write_answers(path: Path, key: dict, wrong: int = 0, **changes: object) -> Path:
    """A file of answers, the first few wrong, the time of image i (from 0) i seconds."""
    other = {"real": "synthetic", "synthetic": "real"}
    answers = [
        {
            "image": one["image"],
            "answer": other[one["answer"]] if place < wrong else one["answer"],
            "ms": 1000 * place,
        }
        for place, one in enumerate(key["images"])
    ]
    path.write_text(
        json.dumps({"study": key["study"], "reader": path.stem, "answers": answers} | changes)
    )
    return path


def one_line(result: Result) -> str:
    """The one line of a refusal."""
    assert (
        result.exit_code == 2
        and result.output.startswith("cxr: ")
        and result.output.count("\n") == 1
    ), result.output
    return result.output


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Path, dict]:
    workspace = make_study(tmp_path_factory.mktemp("reader") / "study")
    return workspace, *make_page(workspace)


def test_half_are_test_images_and_both_halves_have_the_same_labels(
    study: tuple[Workspace, Path, dict],
) -> None:
    workspace, _page, key = study
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
    study: tuple[Workspace, Path, dict],
) -> None:
    workspace, page, key = study
    assert [one["id"] for one in carried(page)] == [one["image"] for one in key["images"]]
    for one, listed in zip(carried(page), key["images"]):
        with Image.open(io.BytesIO(base64.b64decode(one["png"].partition(",")[2]))) as image:
            assert image.mode == "L"
            np.testing.assert_array_equal(
                np.asarray(image), to_square(read_gray(workspace.root / listed["file_name"]), SIZE)
            )


def test_nothing_in_the_page_tells_real_from_synthetic(study: tuple[Workspace, Path, dict]) -> None:
    workspace, page, key = study
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
            f"at most 40, as many real as synthetic of each label ({LABELS[0]}: 12 test, 10 synthetic; {LABELS[1]}: 12 test, 10 synthetic)",
        ),
        (["--synthetic", "0042"], "no run '0042'"),
        (["--n", 8, "--score", "answers.json"], "give --score FILE alone"),
        (["--score", "absent.json"], "absent.json does not exist"),
    ],
)
def test_what_cannot_be_is_refused(
    study: tuple[Workspace, Path, dict], options: list, said: str
) -> None:
    before = list(study[0].runs.iterdir())
    assert said in one_line(cxr("reader-study", *options, folder=study[0].root))
    assert list(study[0].runs.iterdir()) == before


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


# Scores.


def score(workspace: Workspace, *files: Path) -> str:
    return ok(
        cxr(
            "reader-study",
            *(part for file in files for part in ("--score", file)),
            folder=workspace.root,
        )
    )


def test_a_score_is_what_one_counts_by_hand(
    study: tuple[Workspace, Path, dict], tmp_path: Path
) -> None:
    workspace, page, key = study
    output = score(workspace, write_answers(tmp_path / "three-wrong.json", key, wrong=3))
    result = json.loads((page.parent / "score-three-wrong.json").read_text())
    wrong = key["images"][:3]
    fooled_by, called_synthetic = (
        [one["file_name"] for one in wrong if one["answer"] == kind]
        for kind in ("synthetic", "real")
    )
    assert result["fooled_by"] == fooled_by
    assert result["called_synthetic"] == called_synthetic
    for name, right, n in (
        ("accuracy", 5, 8),
        ("sensitivity", 4 - len(fooled_by), 4),
        ("specificity", 4 - len(called_synthetic), 4),
    ):
        low = beta.ppf(0.025, right, n - right + 1) if right else 0  # Clopper and Pearson (1934)
        high = beta.ppf(0.975, right + 1, n - right) if right < n else 1
        assert result[name]["value"] == right / n
        assert result[name]["interval"] == pytest.approx([low, high])
        assert result[name]["n"] == n
    assert result["p"] == pytest.approx(2 * sum(comb(8, k) for k in range(5, 9)) / 2**8)
    assert result["median_seconds"] == 3.5
    for text in (
        "62.5 [24.5, 91.5]  of 8 images; p = 0.727",
        "3.5 s",
        "one reader is one reader",
        *fooled_by,
        *called_synthetic,
    ):
        assert text in output
    with Image.open(page.parent / "sheet-three-wrong.png") as sheet:
        assert sheet.height > 128


def test_a_reader_who_is_always_right_leaves_no_sheet(
    study: tuple[Workspace, Path, dict], tmp_path: Path
) -> None:
    workspace, page, key = study
    output = score(workspace, write_answers(tmp_path / "right.json", key))
    result = json.loads((page.parent / "score-right.json").read_text())
    assert result["accuracy"]["interval"] == pytest.approx([0.025 ** (1 / 8), 1])
    assert result["p"] == pytest.approx(2 / 2**8)
    assert result["sheet"] is None
    assert not (page.parent / "sheet-right.png").exists()
    assert "none" in output


def test_two_readers_agree_as_far_as_cohen_says(
    study: tuple[Workspace, Path, dict], tmp_path: Path
) -> None:
    workspace, _, key = study
    right, some, always = (tmp_path / f"{name}.json" for name in ("a", "b", "c"))
    write_answers(right, key), write_answers(some, key, wrong=3)
    write_answers(
        always,
        key,
        answers=[{"image": one["image"], "answer": "real", "ms": 1} for one in key["images"]],
    )
    output = score(workspace, right, some, always)
    called = sum(one["answer"] == "real" for one in key["images"][3:]) + sum(
        one["answer"] == "synthetic" for one in key["images"][:3]
    )
    chance = (4 * called + 4 * (8 - called)) / 64  # both real, or both synthetic
    assert (
        f"a.json and b.json agree on 62.5 % of 8 images; Cohen's kappa {(5 / 8 - chance) / (1 - chance):.2f}"
        in output
    )
    assert "a.json and c.json agree on 50.0 % of 8 images; Cohen's kappa 0.00" in output
    assert output.count("one reader is one reader") == 3
    write_answers(tmp_path / "d.json", key, answers=json.loads(always.read_text())["answers"])
    assert "agree on 100.0 % of 8 images; no kappa" in score(workspace, always, tmp_path / "d.json")


def change(place: int, **values: object) -> object:
    """What alters one answer of a file."""
    return lambda answers: [
        one | (values if number == place else {}) for number, one in enumerate(answers)
    ]


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (lambda answers: answers[:-2], "incomplete: 6 of 8 images judged"),
        (lambda answers: answers[:-1] + answers[:1], "is judged twice"),
        (lambda answers: answers + answers[:1], "is judged twice"),
        (change(3, image="0123456789abcdef"), "image 0123456789abcdef is not one of"),
        (change(0, answer="maybe"), "answer 'maybe'"),
        (change(0, answer=True), "answer is True, expected str"),
        (change(0, ms=-1), "after -1 ms"),
        (change(0, ms=10**30), "0 to 86400000 ms"),
        (change(0, ms=1.5), "ms is 1.5, expected int"),
        (lambda answers: [{"image": one["image"]} for one in answers], "lacks 'answer'"),
        (lambda answers: ["real"] * 8, "answer 1 is 'real'"),
        (lambda answers: "real", "answers is 'real'"),
    ],
)
def test_altered_answers_are_refused(
    study: tuple[Workspace, Path, dict], tmp_path: Path, alter: object, said: str
) -> None:
    workspace, page, key = study
    file = write_answers(tmp_path / "altered.json", key)
    write_answers(file, key, answers=alter(json.loads(file.read_text())["answers"]))
    assert said in one_line(cxr("reader-study", "--score", file, folder=workspace.root))
    assert not list(page.parent.glob("*altered*"))


def test_files_that_are_no_answers_are_refused(
    study: tuple[Workspace, Path, dict], tmp_path: Path
) -> None:
    workspace, _page, key = study

    def refused(*files: Path) -> str:
        return one_line(
            cxr(
                "reader-study",
                *(part for file in files for part in ("--score", file)),
                folder=workspace.root,
            )
        )

    unknown = write_answers(tmp_path / "unknown.json", key, study="f" * 64)
    assert "is of study 'ffffffff'" in refused(unknown)
    assert "expected a name or a code" in refused(
        write_answers(tmp_path / "escape.json", key, reader="\x1b[31mred")
    )
    assert "cannot be printed" in refused(
        write_answers(tmp_path / "\x1b[31m.json", key, reader="A")
    )
    (tmp_path / "broken.json").write_text("{")
    assert "not valid JSON" in refused(tmp_path / "broken.json")
    assert "expected a file" in refused(tmp_path)
    mine = write_answers(tmp_path / "mine.json", key, wrong=1)
    (tmp_path / "copy.json").write_bytes(mine.read_bytes())
    assert "the very answers" in refused(mine, tmp_path / "copy.json")
    score(workspace, mine)
    score(workspace, mine)  # the same answers give the same score
    assert "nothing is overwritten" in refused(write_answers(mine, key, wrong=2))


def test_an_altered_key_is_seen(tmp_path: Path) -> None:
    workspace = make_study(tmp_path / "study")
    page, key = make_page(workspace)
    kinds = [one["answer"] for one in key["images"]]
    swapped = kinds.index("real"), kinds.index("synthetic")
    for place, kind in zip(swapped, ("synthetic", "real")):
        key["images"][place]["answer"] = kind
    (page.parent / "key.json").write_text(json.dumps(key))
    assert "was altered" in one_line(
        cxr(
            "reader-study",
            "--score",
            write_answers(tmp_path / "a.json", key),
            folder=workspace.root,
        )
    )


# In a browser.


def opened(chromium: Chromium, page: Path, folder: Path, **how: object) -> Page:
    """A copy of the page alone, as a reader gets it."""
    alone = folder / "reader.html"
    alone.write_bytes(page.read_bytes())
    return chromium.open(alone, **how)


def said(page: Page, name: str) -> str:
    return page.evaluate(f"document.getElementById('{name}').textContent.trim()")


def test_the_whole_way_in_a_browser(
    chromium: Chromium, study: tuple[Workspace, Path, dict], tmp_path: Path
) -> None:
    workspace, file, key = study
    page = opened(chromium, file, tmp_path)
    page.press("Tab")
    assert page.evaluate("document.activeElement.id") == "reader"
    for letter in "Dr. S":
        page.press(letter)
    page.press("Enter")
    presses = ["r", "s", "r", "s", "s", "r", "r", "s"]
    for place, key_pressed in enumerate(presses[:4]):
        page.wait(SHOWN)
        assert said(page, "count") == f"Image {place + 1} of 8"
        time.sleep(0.05)
        page.press(key_pressed)
    page.load()  # in the middle
    assert said(page, "begin") == "Go on (4 of 8 judged)"
    page.press("Enter")
    page.wait(SHOWN)
    assert said(page, "count") == "Image 5 of 8"
    page.press("Backspace")
    page.wait(SHOWN)
    assert (said(page, "count"), said(page, "said")) == (
        "Image 4 of 8",
        "you said synthetic; judge again",
    )
    page.press("R")
    presses[3] = "r"
    page.wait(SHOWN)
    page.call(
        "Input.dispatchKeyEvent", type="keyDown", key="s", autoRepeat=True
    )  # a key held down judges no more
    assert said(page, "count") == "Image 5 of 8"
    for name in ("synthetic", "real"):
        page.evaluate(f"document.getElementById('{name}').click()")
        page.wait(SHOWN)
    page.press(presses[6])
    page.wait(SHOWN)
    page.press(presses[7])
    assert page.evaluate("document.activeElement.id") == "save"
    page.press("Enter")
    answers = page.downloaded(f"answers-{key['study'][:8]}-Dr-S.json")
    assert answers.name in said(page, "saved")
    assert page.faults == []
    assert page.requests == []

    given = json.loads(answers.read_text())
    assert (given["study"], given["reader"]) == (key["study"], "Dr. S")
    assert [one["answer"][0] for one in given["answers"]] == presses
    assert all(50 <= one["ms"] < 20_000 for one in given["answers"][:4])
    right = sum(one["answer"][0] == pressed for one, pressed in zip(key["images"], presses))
    assert f"{100 * right / 8:.1f} [" in score(workspace, answers)


def test_time_counts_only_while_the_page_is_in_view(
    chromium: Chromium, study: tuple[Workspace, Path, dict], tmp_path: Path
) -> None:
    page = opened(chromium, study[1], tmp_path)
    page.press("Enter")
    page.wait(SHOWN)
    page.evaluate(
        "void (Object.defineProperty(document, 'hidden', { value: true, configurable: true }), document.dispatchEvent(new Event('visibilitychange')))"
    )
    time.sleep(0.4)
    page.press("r")
    assert said(page, "count") == "Image 1 of 8"  # nobody sees it
    page.evaluate(
        "void (delete document.hidden, document.dispatchEvent(new Event('visibilitychange')))"
    )
    time.sleep(0.05)
    page.press("r")
    (spent,) = page.evaluate(
        "Object.values(JSON.parse(Object.values(localStorage)[0]).ms).slice(0, 1)"
    )
    assert 50 <= spent < page.evaluate("performance.now()") - 400


def test_the_image_can_be_zoomed_and_moved(
    chromium: Chromium, study: tuple[Workspace, Path, dict], tmp_path: Path
) -> None:
    page = opened(chromium, study[1], tmp_path)

    def box() -> dict[str, float]:
        return page.evaluate("document.getElementById('image').getBoundingClientRect().toJSON()")

    page.press("Enter")
    page.wait(SHOWN)
    whole = box()
    page.press("+")
    assert box()["width"] == pytest.approx(1.5 * whole["width"])
    page.press("0")
    assert box() == whole
    x, y = whole["x"] + 0.4 * whole["width"], whole["y"] + 0.4 * whole["height"]
    page.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=-400)
    page.wait(
        f"document.getElementById('image').getBoundingClientRect().width > {whole['width'] * 2}"
    )
    near = box()
    assert (x - near["x"]) / near["width"] == pytest.approx(
        0.4, abs=1e-3
    )  # the point under the mouse stays there
    for kind, place in (("mousePressed", x), ("mouseMoved", x + 30), ("mouseReleased", x + 30)):
        page.call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=place,
            y=y,
            button="left",
            buttons=1,
            clickCount=1,
        )
    assert box()["x"] == pytest.approx(near["x"] + 30)
    assert box()["width"] == near["width"]
    for _ in range(60):
        page.press("ArrowLeft")
    assert box()["x"] == pytest.approx(0, abs=1)  # no farther than its edge
    page.press("p")
    assert (
        page.evaluate("getComputedStyle(document.getElementById('image')).imageRendering")
        == "pixelated"
    )
    page.load()
    page.press("Enter")
    assert page.evaluate("document.getElementById('pixels').ariaPressed") == "true"
    assert page.faults == []


@pytest.mark.parametrize(("width", "height", "dark"), [(360, 640, True), (768, 1024, False)])
def test_the_page_fits_its_window_and_names_what_it_has(
    chromium: Chromium,
    study: tuple[Workspace, Path, dict],
    tmp_path: Path,
    width: int,
    height: int,
    dark: bool,
) -> None:
    page = opened(chromium, study[1], tmp_path, width=width, height=height, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.press("Enter")
    page.wait(SHOWN)
    assert page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    ) == [width, height]
    assert (
        page.evaluate("getComputedStyle(document.getElementById('stage')).backgroundColor")
        == "rgb(0, 0, 0)"
    )
    nodes = [
        node
        for node in page.call("Accessibility.getFullAXTree")["nodes"]
        if not node["ignored"]
        and node["role"]["value"] in ("button", "image", "progressbar", "group")
    ]
    assert len(nodes) >= 8
    assert all(node["name"]["value"] for node in nodes)
    sides = page.evaluate(
        "[...document.querySelectorAll('#reading button')].map((button) => button.getBoundingClientRect()).map(({width, height}) => Math.min(width, height))"
    )
    assert min(sides) >= 44
    seen = []
    for _ in range(6):
        page.press("Tab")
        seen.append(
            page.evaluate(
                "[document.activeElement.id, getComputedStyle(document.activeElement).outlineStyle]"
            )
        )
    assert seen == [
        [name, "solid"] for name in ("real", "synthetic", "less", "more", "whole", "pixels")
    ]


def test_another_reader_begins_anew(
    chromium: Chromium, study: tuple[Workspace, Path, dict], tmp_path: Path
) -> None:
    page = opened(chromium, study[1], tmp_path)
    names = []
    for _ in range(2):
        page.press("Enter")
        for _ in range(8):
            page.wait(SHOWN)
            page.press("r")
        page.press("Enter")
        names.append(re.search(r"answers-\S+\.json", said(page, "saved")).group())
        page.downloaded(names[-1])
        page.evaluate("document.getElementById('anew').click()")
        assert said(page, "begin") == "Begin"
        page.evaluate("document.activeElement.blur()")
    assert len(set(names)) == 2
    assert all("anonymous" in name for name in names)
