"""The report page and its figures, from studies written by hand."""

from __future__ import annotations

import base64
import io
import itertools
import shlex
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from pipelines.metrics.names import MEASURES
from pipelines.report.checklist import MARKS, checklist
from pipelines.report.contents import read_study
from pipelines.report.formats import (
    count,
    p_value,
    percent,
    percent_range,
    plain,
    points,
    points_range,
    sentence,
    signed,
)
from pipelines.report.page import CONTENTS, write_report
from pipelines.report.shell_commands import commands
from pipelines.results.comparison_summary import headline_results
from pipelines.study.manifest import fingerprint, study_fingerprint
from pipelines.study.workspace import Workspace
from runtime.files import read_json, write_json
from runtime.run import Run
from tests.pipelines.report.studies import ARMS, change, poor_study

HOSTILE = '<img src=x onerror="alert(1)">&$a$'
VOID = {"meta", "link", "img", "br", "wbr"}


class Page(HTMLParser):
    """A page's tags with their attributes, its visible text, and a check that tags are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.tags, self.text, self._open = html, [], "", []
        self.feed(html)
        self.close()
        assert self._open == []
        self.text = self.text.replace("\n", " ")

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(workspace: Workspace, run: Run) -> Page:
    return Page(write_report(workspace, run).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(full: tuple[Workspace, Run]) -> Page:
    path = write_report(*full)
    assert path == full[1].folder / "report.html"
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of a study with next to nothing."""
    return page_of(*poor_study(tmp_path_factory.mktemp("poor")))


@pytest.mark.parametrize("which", ["page", "poor"])
def test_the_page_asks_for_nothing_outside_itself(
    which: str, request: pytest.FixtureRequest
) -> None:
    page = request.getfixturevalue(which)
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "action"):
            assert attributes.get(name, "data:").startswith(("data:", "#"))
    assert not page.all("script")
    assert "url(" not in page.html
    assert "@import" not in page.html
    assert page.all("html") == [{"lang": "en"}]


def test_every_number_of_the_summary_is_on_the_page(
    full: tuple[Workspace, Run], page: Page
) -> None:
    summary = read_json(full[1].folder / "summary.json")
    expected = [
        "Whether synthetic images help cannot be told.",
        "Cannot tell.",
        "12\u202f800 steps",
        "4 images",
        "A limit of this study.",
        "What was stated in the plan.",
        "Few test patients: 2 covid.",
        "4.4 points",
    ]
    for one in summary["results"]:
        expected += [
            percent(one["accuracy"]["mean"]),
            percent_range(one["accuracy"]["interval"]),
            f"{one['real_images']} of {one['real_patients']} patients; {one['synthetic_images']}"
            * bool(one["synthetic_images"]),
        ]
        if one["against_real"]:
            difference = one["against_real"]["difference"]["accuracy"]
            expected += [points(difference["mean"]), points_range(difference["interval"])]
    for one in headline_results(summary):
        expected += [one["arm"], one["about"], f"{one['roc_auc']['mean']:.3f}"]
        for measure in MEASURES:
            expected += [percent(one[measure]["mean"]), percent_range(one[measure]["interval"])]
            if one["against_real"]:
                expected += [points(one["against_real"]["difference"][measure]["mean"])]
    for one in summary["worth"]:
        expected += [
            one["sentence"],
            signed(one["extra"]),
            signed(one["interval"][0]),
            str(one["real_images"]),
        ]
    assert (
        page.text.count("ew test patients: 2 covid") == 1
    )  # as a warning, and not in the sentence again
    expected += [
        "0.032",
        "0.128",
        "13 : 17",
        "p 0.585",
        "0.41",
        "0.83",
        "1.27",
        "hurts",
        "≤ −29",
        "≥ +113",
    ]
    assert [text for text in expected if text not in page.text] == []


def test_every_number_of_the_other_files_is_on_the_page(
    full: tuple[Workspace, Run], page: Page
) -> None:
    rows = full[0].rows()
    expected = ["87.7\u00a0%", "76.5\u00a0%", "65.4\u00a0%", "0.543", "340", "41 s"]  # results.csv
    expected += [
        "12.3",
        "13.6",
        "9.87 to 16.4",
        "6.21",
        "4.56 to 7.89",
        "2.19 times the floor",
        "0.87",
        "0.76",
        "p = 0.012",
        "p = 0.345",
        "it needs 12",
        "few images.",
    ]  # score.json
    expected += [
        "A warning of the audit.",
        "0.824",
        "0.754–0.874",
        "78\u00a0% kept",
        "0.913",
        "A sentence about sources.",
    ]  # audit.json
    expected += [
        "A warning of the data check.",
        "61.7\u00a0%",
        "55.3\u00a0%",
        "127",
        "74",
        "6\u00a0%",
    ]  # check.json
    expected += [
        "my clinic (folder per label): 21 images; passed over: 3 not frontal",
        "2 exact duplicate",
        "Kept: 16",
    ]  # import.json
    expected += [
        "1\u202f234\u202f567",
        "1.5 minutes",
        "replicates/0001-gan-train",
        "75.1\u00a0%",
        "On the external test set 61.7\u00a0%",
        "9 images of 8 patients",
    ]
    expected += [
        "2.99.1",
        "of the comparison",
        "ab" * 32,
        "ef" * 32,
        study_fingerprint(rows),
        fingerprint(row.sha256 for row in rows if row.split == "train"),
    ]
    assert [text for text in expected if text not in page.text] == []


def test_sections_come_in_their_order_and_are_all_linked(page: Page, poor: Page) -> None:
    for one in (page, poor):
        links, headings = (
            [attributes["href"] for attributes in one.all("a")],
            [attributes.get("id") for attributes in one.all("h2")],
        )
        assert headings == ["answer", *CONTENTS]
        assert [link for link in links if link != "#checklist"] == [
            f"#{name}" for name in CONTENTS if name != "checklist"
        ]


def test_every_image_has_an_alt_text_and_decodes(page: Page) -> None:
    images = page.all("img")
    assert len(images) == 4 + 2 + 1 + 4 + 2  # comparison, sheets, audit, classifiers, generator
    for image in images:
        assert len(image["alt"]) > 20
        with Image.open(
            io.BytesIO(base64.b64decode(image["src"].removeprefix("data:image/png;base64,")))
        ) as decoded:
            decoded.load()
            assert decoded.size == (int(image["width"]), int(image["height"]))


def test_tables_have_captions_and_headings_do_not_skip(page: Page) -> None:
    assert len(page.all("table")) == len(page.all("caption"))
    levels = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_commands_can_be_pasted_into_a_shell(page: Page, poor: Page) -> None:
    words = shlex.split(
        page.text.partition("Commands")[2].partition("Fingerprints")[0].replace("\\ ", " ")
    )
    assert "PATH/my clinic" in words
    assert words[words.index("PATH/theirs") - 1] == "--external"
    train = words[words.index("gan-train") :]
    assert (
        train[train.index("--steps") + 1] == "250"
    )  # as many as were trained, not as were asked for
    assert words.count("gan-train") == 1  # the other generator the comparison trains itself
    for option, value in {
        "--arms": ",".join(ARMS),
        "--generators": "2",
        "--draws": "2",
        "--seeds": "3",
        "--real-fractions": "0.1,0.25,1",
        "--synthetic-ratio": "0.5,2",
        "--budget": "steps",
    }.items():
        assert words[words.index(option) + 1] == value
    assert words[-2:] == ["--seed", "4"]
    words = shlex.split(
        poor.text.partition("Commands")[2].partition("Fingerprints")[0].replace("\\ ", " ")
    )
    assert words[:4] == ["cxr", "compare", "--arms", "real,real+classical"]
    assert not {
        "--synthetic",
        "--generators",
        "--real-fractions",
    } & set(words)


def test_a_generator_of_a_fraction_says_so_in_its_command(own_study: tuple[Workspace, Run]) -> None:
    change(own_study[0].runs / "0001-gan-train" / "config.json", real_fraction=0.25)
    assert any("--real-fraction 0.25" in command for command in commands(read_study(*own_study)))


def test_the_same_study_gives_the_same_page(small: tuple[Workspace, Run]) -> None:
    assert page_of(*small).html == page_of(*small).html


def test_absent_parts_are_said_to_be_absent_with_the_command_that_makes_them(
    poor: Page, small: tuple[Workspace, Run]
) -> None:
    for text in (
        "cxr gan-train",
        "cxr audit",
        "cxr classify-train",
        "cxr data check",
        "cxr compare --real-fractions 0.1,0.25,1",
        "has no generator",
        "No arm of this comparison has synthetic images",
    ):
        assert text in poor.text
    assert "Does “real+classical” help the classifier?" in poor.text
    assert len(poor.all("img")) == 4
    workspace, run = small
    (workspace.data / "import.json").unlink()
    for folder in [*workspace.runs.glob("*-*"), workspace.root / "replicates"]:
        if folder != run.folder:
            shutil.rmtree(folder)
    text = page_of(workspace, run).text
    for absent in (
        "have not been scored",
        "No single classifier was trained",
        "0001-gan-train is not on disk",
        "none of this class are on disk",
        "not on record any more",
        "cxr score",
    ):
        assert absent in text


def test_a_score_of_another_set_is_not_shown(small: tuple[Workspace, Run]) -> None:
    path = small[0].find_run("score").folder / "score.json"
    path.write_text(path.read_text().replace("0002-synthesize", "0009-synthesize"))
    text = page_of(*small).text
    assert "of another set (0009-synthesize)" in text
    assert "16.4" not in text


def test_hostile_names_and_notes_are_escaped(small: tuple[Workspace, Run]) -> None:
    workspace, run = small
    rows = [replace(row, source=HOSTILE, view=HOSTILE) for row in workspace.rows()]
    workspace.write_rows(rows)
    change(
        run.folder / "summary.json",
        data_fingerprint=study_fingerprint(rows),
        sentence=HOSTILE,
        limits=[HOSTILE],
        warnings=[HOSTILE],
        plan={"sentence": HOSTILE},
        device=HOSTILE,
    )
    change(
        workspace.find_run("score").folder / "score.json",
        warnings=[HOSTILE],
        extractors=[{"name": "cnn", "sha256": "ab" * 32, "note": HOSTILE}],
    )
    change(workspace.find_run("audit").folder / "audit.json", warnings=[HOSTILE, HOSTILE])
    change(workspace.data / "check.json", warnings=[HOSTILE])
    page = page_of(workspace, run)
    assert page.text.count(HOSTILE) >= 10
    assert HOSTILE not in page.html
    assert all("onerror" not in attributes for _, attributes in page.tags)


def test_phantoms_and_changed_data_are_named_at_the_top(tmp_path: Path, page: Page) -> None:
    workspace, run = poor_study(tmp_path)
    workspace.write_rows([replace(row, source="phantom") for row in workspace.rows()[:-1]])
    top = (
        page_of(workspace, run)
        .text.partition("Cannot tell.")[2]
        .partition("Accuracy of every arm")[0]
    )
    assert "15 of the 15 images in this study are phantoms" in top
    assert "The data have changed." in top
    assert "phantom" not in page.text
    assert "have changed" not in page.text


def test_a_summary_of_an_earlier_version_is_refused(own_study: tuple[Workspace, Run]) -> None:
    summary = read_json(own_study[1].folder / "summary.json")
    write_json(
        own_study[1].folder / "summary.json",
        {name: value for name, value in summary.items() if name != "results"},
    )
    with pytest.raises(ValueError, match="summary.json is of an earlier version .* cxr compare"):
        write_report(*own_study)


@pytest.mark.parametrize("old, new", [("accuracy", "precision"), ("0.8766", "high"), (",41.4", "")])
def test_damaged_results_are_named(own_study: tuple[Workspace, Run], old: str, new: str) -> None:
    path = own_study[1].folder / "results.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match="results.csv is damaged, or of another version"):
        write_report(*own_study)


def test_every_pitfall_is_shown_with_a_sign_and_words_and_not_by_colour_alone(
    full: tuple[Workspace, Run], page: Page
) -> None:
    text = " ".join(page.text.split())
    signs = {"good": "✓", "open": "?", "bad": "✗"}
    for item in checklist(read_study(*full)):
        assert (
            f"{signs[item.answer.mark]}{MARKS[item.answer.mark]} {item.pitfall} ({item.source}) {' '.join(item.answer.text.split())}"
            in text
        )
    assert "10 of 16" in text
    assert "3 open, 3 not avoided" in text


def test_numbers_are_written_for_readers() -> None:
    assert (points(0.0104), points(-0.0096), points(-0.0004)) == ("+1.0", "−1.0", "0.0")
    assert percent_range([0.9, 1.02]) == "90.0–100.0"
    assert (count(9999), count(1234567)) == ("9999", "1\u202f234\u202f567")
    assert (p_value(0.0321), p_value(0.0004), p_value(1.0)) == ("0.032", "<\u202f0.001", "1.000")
    assert (signed(37.4), signed(-21), signed(0.3)) == ("+37", "−21", "0")
    assert (sentence("few images"), sentence("Really? ")) == ("Few images.", "Really?")
    assert (plain(True), plain(None), plain([1, 2]), plain({"a": []})) == (
        "yes",
        "–",
        "1, 2",
        "a –",
    )
