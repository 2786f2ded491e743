"""Names of labels that are not the same to a reader never become one label."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.data.listing import FindingLabels, Listing, check_label_names, parse_labels
from pipelines.data.sources import read_sources
from tests.pipelines.data.listings import touch

LONG = "x" * 70
COLLAPSING = [
    ("COVID+", "COVID-"),
    ("COVID", "COVID+"),
    ("COVID", "COVID-"),
    ("<3", "≥3"),
    ("Größe", "Gr-e"),
    ("stage 1 期", "stage 1"),
    (f"{LONG}a", f"{LONG}b"),
    ("a.b", "a b"),
]


@pytest.mark.parametrize("names", COLLAPSING, ids=[" and ".join(pair)[:20] for pair in COLLAPSING])
@pytest.mark.parametrize("kind", ["folders", "table", "two sources"])
def test_names_that_become_one_label_are_refused(
    tmp_path: Path, names: tuple[str, str], kind: str
) -> None:
    with pytest.raises(ValueError, match=r"would both become the label .*--label") as error:
        read_sources(_sources(tmp_path, names, kind))
    assert all(repr(name) in str(error.value) for name in names)


@pytest.mark.parametrize(
    "names", [("COVID 19", "covid-19"), ("No  Finding", "no finding"), ("Normal", "NORMAL_")]
)
@pytest.mark.parametrize("kind", ["folders", "table", "two sources"])
def test_case_and_spaces_make_no_other_label(
    tmp_path: Path, names: tuple[str, str], kind: str
) -> None:
    listings = read_sources(_sources(tmp_path, names, kind))
    assert len({image.label for listing in listings for image in listing.images}) == 1


def test_names_that_are_given_labels_do_not_collapse(tmp_path: Path) -> None:
    sources = _sources(tmp_path, ("COVID+", "COVID-"), "table")
    labels = parse_labels(("COVID+=covid", "COVID-=negative"))
    (listing,) = read_sources(sources, labels=labels)
    assert {image.label for image in listing.images} == {"covid", "negative"}


def test_a_label_that_says_less_than_its_name_is_told_of(tmp_path: Path) -> None:
    (listing,) = read_sources(_sources(tmp_path, ("COVID+", "normal"), "folders"))
    assert "'COVID+' became the label covid" in listing.notes


@given(
    *[st.text("covidA19+-_ <≥é期./", min_size=1) for _ in range(2)],
    st.sampled_from(("", "c" * 64)),
)
def test_names_of_one_label_have_the_same_letters_and_signs(
    first: str, second: str, beginning: str
) -> None:
    names = (beginning + first, beginning + second)
    listing = Listing("here", "table")
    labels = FindingLabels({}, keep_others=True, made=listing.label_names)
    try:
        made = [labels.label_of(name, "here") for name in names]
        check_label_names([listing])
    except ValueError:
        return
    kept = [re.sub(r"[\s_-]", "", unicodedata.normalize("NFC", name).casefold()) for name in names]
    assert made[0] != made[1] or kept[0] == kept[1]


def _sources(tmp_path: Path, names: Sequence[str], kind: str) -> list[str]:
    """Make sources whose two images have labels of these names."""
    if kind == "table":
        touch(tmp_path, "0.png", "1.png")
        rows = [f"{number}.png,{name}" for number, name in enumerate(names)]
        (tmp_path / "list.csv").write_text("\n".join(["file_name,label", *rows]), encoding="utf-8")
        return [str(tmp_path / "list.csv")]
    folders = [tmp_path / (str(number) * (kind == "two sources")) for number in (0, 1)]
    for folder, name in zip(folders, names, strict=True):
        touch(folder, f"{name}/{len(name)}{name[-1] == '-'}.png")
    return sorted({str(folder) for folder in folders})
