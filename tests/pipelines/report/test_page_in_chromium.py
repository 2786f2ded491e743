"""The report page as a browser shows it: at three widths, light and dark, with all and with next to nothing to show."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.report.page import write_report
from tests.pipelines.report.studies import make_study, poor_study
from tests.support.chromium import Chromium, Page

WIDTHS = (360, 768, 1200)
CONTRAST = 4.5  # WCAG 2.2, success criterion 1.4.3, text of any size

# Every text's contrast with what is painted below it, as WCAG defines it; colours may be translucent. Gives how many texts there are, those below `least`, and the best.
FAINT = """
(least => {
  const rgba = text => { const found = text.match(/[\\d.]+/g).map(Number); return found.length < 4 ? [...found, 1] : found; };
  const over = (top, below) => [0, 1, 2].map(k => top[k] * top[3] + below[k] * (1 - top[3])).concat(1);
  const light = colour => {
    const [r, g, b] = colour.slice(0, 3).map(value => value / 255).map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const grounds = new Map([[null, [255, 255, 255, 1]]]);
  const below = element => {
    if (!grounds.has(element)) grounds.set(element, over(rgba(getComputedStyle(element).backgroundColor), below(element.parentElement)));
    return grounds.get(element);
  };
  const faint = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0, best = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility()) continue;
    const ground = below(element), ink = light(over(rgba(getComputedStyle(element).color), ground)), paper = light(ground);
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    seen += 1;
    best = Math.max(best, ratio);
    if (ratio < least) faint.push([text.slice(0, 40), ratio]);
  }
  return {seen, faint, best};
})
"""
IMAGES = """
(width => [...document.images].map(image => {
  const box = image.getBoundingClientRect();
  return [image.alt.slice(0, 40), image.complete && image.naturalWidth > 0, box.width > 40 && box.height > 20, box.left >= -1 && box.right <= width + 1,
    Math.abs(box.width / box.height - image.naturalWidth / image.naturalHeight) < 0.05 * box.width / box.height];
}))
"""
# What sticks out of the page, other than within a region that scrolls by itself.
OUTSIDE = """
(width => [...document.querySelectorAll('body *')].filter(one => !one.closest('.scroll, pre') && one.checkVisibility() && one.getBoundingClientRect().right > width + 1)
  .map(one => one.outerHTML.slice(0, 80)))
"""
FOCUSABLE = "[...document.querySelectorAll('a[href], summary, [tabindex]')].filter(one => one.checkVisibility({contentVisibilityAuto: true}))"


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


def test_it_is_quiet_and_asks_for_nothing(page: Page) -> None:
    assert page.faults == []
    assert page.requests == []


def test_its_pictures_are_shown_and_nothing_sticks_out_at_any_width(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    for width in WIDTHS:
        page.show(width, 800)
        images = page.evaluate(f"{IMAGES}({width})")
        assert len(images) >= 3
        assert [image for image in images if not all(image[1:])] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(f"{OUTSIDE}({width})") == []


def test_its_text_has_contrast_in_light_and_dark(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    papers = set()
    for dark in (False, True):
        page.show(768, 800, dark=dark)
        found = page.evaluate(f"{FAINT}({CONTRAST})")
        assert found["seen"] > 100
        assert found["faint"] == []
        assert 10 < found["best"] < 21
        papers.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(papers) == 2


def test_tab_reaches_everything_that_can_be_used_in_order(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    wanted = page.evaluate(f"{FOCUSABLE}.length")
    assert wanted > 15
    reached = []
    for _ in range(wanted):
        page.press("Tab")
        reached.append(
            page.evaluate(
                f"[{FOCUSABLE}.indexOf(document.activeElement), getComputedStyle(document.activeElement).outlineStyle != 'none']"
            )
        )
    assert reached == [[place, True] for place in range(wanted)]


def test_the_keyboard_opens_what_is_folded_and_follows_links(page: Page) -> None:
    page.evaluate("document.querySelector('summary').focus()")
    assert not page.evaluate("document.querySelector('details').open")
    page.press("Enter")
    page.wait("document.querySelector('details').open")
    page.evaluate("document.querySelector('a[href=\"#checklist\"]').focus()")
    page.press("Enter")
    page.wait("Math.abs(document.querySelector('#checklist').getBoundingClientRect().top) < 5")


def test_every_link_has_its_target(page: Page) -> None:
    assert (
        page.evaluate(
            "[...document.links].filter(link => !document.getElementById(link.hash.slice(1))).length"
        )
        == 0
    )
    assert page.evaluate("document.links.length") >= 12


def test_wide_tables_keep_their_first_column_on_a_phone(page: Page) -> None:
    """Scrolled to its end, the name of a row is still there."""
    moved = page.evaluate("""
      [...document.querySelectorAll('.scroll')].filter(one => one.checkVisibility() && one.scrollWidth > one.clientWidth + 2).map(one => {
        one.scrollLeft = 1e6;
        const name = one.querySelector('tbody th:not([colspan])');
        return [one.scrollLeft > 0, !name || Math.abs(name.getBoundingClientRect().left - one.getBoundingClientRect().left) < 2];
      })
    """)
    assert moved
    assert all(all(one) for one in moved)


def test_on_paper_folded_parts_are_open_and_links_gone(page: Page) -> None:
    page.show(794, 1123, media="print")
    assert page.evaluate("document.querySelector('.settings').getBoundingClientRect().height") > 20
    assert page.evaluate("document.querySelector('nav').checkVisibility()") is False
