"""The report page as a browser shows it: at three widths, light and dark, full and nearly empty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.report.page import write_report
from tests.pipelines.report.studies import make_study, poor_study
from tests.support.chromium import Chromium, Page

WIDTHS = (360, 768, 1200)
CONTRAST = 4.5  # WCAG 2.2, success criterion 1.4.3, text of any size
PROBES = (Path(__file__).parent / "page_probes.js").read_text(encoding="utf-8")


def probe(page: Page, expression: str) -> Any:
    """Evaluate an expression that uses the functions of page_probes.js."""
    return page.evaluate(f"(() => {{ {PROBES}\nreturn {expression}; }})()")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        make.__name__: write_report(*make(tmp_path_factory.mktemp(make.__name__)))
        for make in (make_study, poor_study)
    }


@pytest.fixture(scope="module", params=["make_study", "poor_study"])
def tab(request: pytest.FixtureRequest, pages: dict[str, Path], chromium: Chromium) -> Page:
    return chromium.open(pages[request.param], width=360)


@pytest.fixture
def page(tab: Page) -> Page:
    """The page as it is when it is opened, in the tab of the tests before."""
    tab.show(360, 800)
    tab.load()
    return tab


@pytest.fixture
def unfolded_page(page: Page) -> Page:
    """The page with all its folded parts open."""
    probe(page, "openDetails()")
    return page


def test_it_is_quiet_and_asks_for_nothing(page: Page) -> None:
    assert page.faults == []
    assert page.requests == []


def test_its_pictures_are_shown_and_nothing_sticks_out_at_any_width(unfolded_page: Page) -> None:
    for width in WIDTHS:
        unfolded_page.show(width, 800)
        images = probe(unfolded_page, f"images({width})")
        assert len(images) >= 3
        assert [image for image in images if not all(image[1:])] == []
        assert unfolded_page.evaluate("document.documentElement.scrollWidth") <= width
        assert probe(unfolded_page, f"outside({width})") == []


def test_its_text_has_contrast_in_light_and_dark(unfolded_page: Page) -> None:
    papers = set()
    for dark in (False, True):
        unfolded_page.show(768, 800, dark=dark)
        contrasts = probe(unfolded_page, f"contrasts({CONTRAST})")
        assert contrasts["seen"] > 100
        assert contrasts["faint"] == []
        assert 10 < contrasts["best"] < 21
        papers.add(unfolded_page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(papers) == 2


def test_tab_reaches_everything_that_can_be_used_in_order(unfolded_page: Page) -> None:
    count = probe(unfolded_page, "focusable().length")
    assert count > 15
    reached = []
    for _ in range(count):
        unfolded_page.press("Tab")
        reached.append(probe(unfolded_page, "focused()"))
    assert reached == [[place, True] for place in range(count)]


def test_the_keyboard_opens_what_is_folded_and_follows_links(page: Page) -> None:
    page.evaluate("document.querySelector('summary').focus()")
    assert not page.evaluate("document.querySelector('details').open")
    page.press("Enter")
    page.wait("document.querySelector('details').open")
    page.evaluate("document.querySelector('a[href=\"#checklist\"]').focus()")
    page.press("Enter")
    page.wait("Math.abs(document.querySelector('#checklist').getBoundingClientRect().top) < 5")


def test_every_link_has_its_target(page: Page) -> None:
    assert probe(page, "deadLinks()") == 0
    assert page.evaluate("document.links.length") >= 12


def test_wide_tables_keep_their_first_column_on_a_phone(page: Page) -> None:
    """Scrolled to its end, the name of a row is still there."""
    tables = probe(page, "scrolledTables()")
    assert tables
    assert all(has_moved and has_names for has_moved, has_names in tables)


def test_on_paper_folded_parts_are_open_and_links_gone(page: Page) -> None:
    page.show(794, 1123, media="print")
    assert page.evaluate("document.querySelector('.settings').getBoundingClientRect().height") > 20
    assert page.evaluate("document.querySelector('nav').checkVisibility()") is False
