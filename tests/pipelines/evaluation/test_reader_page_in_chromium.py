"""What a reader does with the page of a reader study, in a browser."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from tests.pipelines.evaluation.reader_studies import (
    ReaderStudy,
    score,
)
from tests.support.chromium import Chromium, Page

SHOWN = "document.getElementById('stage').ariaBusy === 'false'"


def opened(chromium: Chromium, page: Path, folder: Path, **how: object) -> Page:
    """A copy of the page alone, as a reader gets it."""
    alone = folder / "reader.html"
    alone.write_bytes(page.read_bytes())
    return chromium.open(alone, **how)


def said(page: Page, name: str) -> str:
    return page.evaluate(f"document.getElementById('{name}').textContent.trim()")


def test_the_whole_way_in_a_browser(
    chromium: Chromium, reader_study: ReaderStudy, tmp_path: Path
) -> None:
    workspace, file, key = reader_study
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
    right = sum(
        one["answer"][0] == pressed for one, pressed in zip(key["images"], presses, strict=True)
    )
    assert f"{100 * right / 8:.1f} [" in score(workspace, answers)


def test_time_counts_only_while_the_page_is_in_view(
    chromium: Chromium, reader_study: ReaderStudy, tmp_path: Path
) -> None:
    page = opened(chromium, reader_study.page, tmp_path)
    page.press("Enter")
    page.wait(SHOWN)
    page.evaluate(
        "void (Object.defineProperty(document, 'hidden', { value: true, configurable: true }), "
        "document.dispatchEvent(new Event('visibilitychange')))"
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
    chromium: Chromium, reader_study: ReaderStudy, tmp_path: Path
) -> None:
    page = opened(chromium, reader_study.page, tmp_path)

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
    reader_study: ReaderStudy,
    tmp_path: Path,
    width: int,
    height: int,
    dark: bool,
) -> None:
    page = opened(chromium, reader_study.page, tmp_path, width=width, height=height, dark=dark)
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
        "[...document.querySelectorAll('#reading button')]"
        ".map((button) => button.getBoundingClientRect())"
        ".map(({width, height}) => Math.min(width, height))"
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
    chromium: Chromium, reader_study: ReaderStudy, tmp_path: Path
) -> None:
    page = opened(chromium, reader_study.page, tmp_path)
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
