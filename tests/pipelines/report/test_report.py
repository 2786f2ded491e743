"""The report page, from studies written by hand: what stands on it, and what does not."""

from __future__ import annotations

import base64
import io
import itertools
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pipelines.metrics.names import MEASURE_TITLES
from pipelines.report.answers import MARK_NAMES
from pipelines.report.checklist import checklist
from pipelines.report.contents import read_study
from pipelines.report.formats import percent, percent_range, points, points_range, signed
from pipelines.report.page import CONTENTS, write_report
from pipelines.report.shell_commands import commands
from pipelines.results.arm_result import ArmResult
from pipelines.results.audit_result import AuditResult
from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.results.score_summary import ScoreSummary
from pipelines.study.manifest import fingerprint, study_fingerprint
from pipelines.study.workspace import Workspace
from runtime.files import read_json
from runtime.run import Run
from tests.pipelines.report.html_page import HOSTILE, Page, page_of
from tests.pipelines.report.studies import change, give_lungs, poor_study
from tests.pipelines.report.summaries import ARMS


@pytest.mark.parametrize("which", ["page", "poor_page"])
def test_the_page_asks_for_nothing_outside_itself(
    which: str, request: pytest.FixtureRequest
) -> None:
    page = request.getfixturevalue(which)
    links = [
        attributes.get(name, "data:")
        for _, attributes in page.tags
        for name in ("src", "href", "srcset", "action")
    ]
    assert [link for link in links if not link.startswith(("data:", "#"))] == []
    assert not page.attributes("script")
    assert "url(" not in page.html
    assert "@import" not in page.html


def test_the_page_says_its_language(page: Page) -> None:
    assert page.attributes("html") == [{"lang": "en"}]


@pytest.mark.parametrize(
    "text",
    [
        "Whether synthetic images help cannot be told.",
        "Cannot tell.",
        "12\u202f800 steps",
        "4 images",
        "A limit of this study.",
        "What was stated in the plan.",
        "4.4 points",
        "0.032",
        "0.128",
        "13 : 17",
        "p 0.585",
        "0.41",
        "0.83",
        "1.27",
        "hurts",
        "≤ 0",
        "≥ 0",
    ],
)
def test_the_summary_is_on_the_page(page: Page, text: str) -> None:
    assert text in page.text


def test_every_arm_is_on_the_page_at_every_fraction(
    full: tuple[Workspace, Run], page: Page
) -> None:
    expected = []
    summary = ComparisonSummary.load(full[1])
    for result in summary.results:
        estimate = result.measures.of(summary.measure)
        expected += [
            percent(estimate.value),
            percent_range(estimate),
            f"{result.real_images} of {result.real_patients} patients; {result.synthetic_images}"
            * bool(result.synthetic_images),
        ]
    assert [text for text in expected if text not in page.text] == []


def test_every_arm_of_the_question_is_on_the_page_inside_and_outside(
    full: tuple[Workspace, Run], page: Page
) -> None:
    summary = ComparisonSummary.load(full[1])
    outside = [own for result in summary.primary_results() for own in result.outside.values()]
    expected = [
        text
        for own in outside
        for text in (percent(own.estimate.value), points(own.fall.value), points_range(own.fall))
    ]
    assert [text for text in expected if text not in page.text] == []
    assert "9 images of 8 patients of another hospital or source (4 covid, 5 normal)" in page.text


def test_without_an_external_set_the_page_has_no_place_for_one(poor_page: Page) -> None:
    assert "On the external test set" not in poor_page.text


def test_every_difference_is_on_the_page(full: tuple[Workspace, Run], page: Page) -> None:
    expected = []
    summary = ComparisonSummary.load(full[1])
    for own in summary.differences:
        estimate = own.differences.of(summary.measure)
        expected += [points(estimate.value), points_range(estimate)]
    assert [text for text in expected if text not in page.text] == []


def _measures(result: ArmResult) -> list[str]:
    estimates = [result.measures.of(name) for name in MEASURE_TITLES]
    return [text for share in estimates for text in (percent(share.value), percent_range(share))]


def test_the_arms_of_the_question_are_on_the_page_with_all_measures(
    full: tuple[Workspace, Run], page: Page
) -> None:
    summary = ComparisonSummary.load(full[1])
    results = summary.primary_results()
    expected = [text for result in results for text in _measures(result)]
    expected += [text for result in results for text in (result.arm, result.about)]
    expected += [
        points(own.differences.of(name).value)
        for own in summary.primary_differences()
        for name in MEASURE_TITLES
    ]
    assert [text for text in expected if text not in page.text] == []


def test_the_page_tells_the_question_from_what_is_exploratory(
    full: tuple[Workspace, Run], page: Page
) -> None:
    summary = ComparisonSummary.load(full[1])
    roles = ("real", "like", "best")
    tables = [summary.primary_results()]
    tables += [summary.results_at(*setting) for setting in summary.settings()]
    shown = [
        summary.difference(result.condition, role)
        for results in tables
        for result in results
        for role in roles
    ]
    shown += summary.primary_differences()
    exploratory = [own for own in shown if own and not own.is_primary]
    assert page.text.count(", exploratory") == len(exploratory)


def test_the_worth_in_patients_and_images_is_on_the_page(
    full: tuple[Workspace, Run], page: Page
) -> None:
    expected = []
    for entry in ComparisonSummary.load(full[1]).data_efficiency:
        expected += [entry.sentence, str(entry.real_patients), str(entry.real_images)]
        for reals in (entry.further, entry.low, entry.high):
            expected += [signed(reals.patients), signed(reals.images)]
    assert [text for text in expected if text not in page.text] == []


def test_a_warning_is_not_in_the_answer_again(page: Page) -> None:
    assert page.text.count("ew test patients: 2 covid") == 1


OTHER_FILES = {
    "results.csv": ["87.7\u00a0%", "76.5\u00a0%", "65.4\u00a0%", "0.543", "340", "41 s"],
    "score.json": [
        *("12.3", "13.6", "9.87 to 16.4", "6.21", "4.56 to 7.89", "2.19 times the floor"),
        *("0.87", "0.76", "p = 0.012", "p = 0.345", "it needs 12", "few images."),
        "ab" * 32,
    ],
    "audit.json": [
        *("A warning of the audit.", "0.824", "0.754–0.874", "78\u00a0% kept", "0.913"),
        *("A sentence about sources.", "ef" * 32),
    ],
    "check.json": [
        *("A warning of the data check.", "61.7\u00a0%", "55.3\u00a0%", "127", "74", "6\u00a0%"),
    ],
    "import.json": [
        "my clinic (folder per label): 21 images; passed over: 3 not frontal",
        "2 exact duplicate",
        "Kept: 16",
    ],
    "generators": ["1\u202f234\u202f567", "1.5 minutes", "replicates/0001-gan-train"],
    "metrics.json": [
        "75.1\u00a0%",
        "On the external test set 61.7\u00a0%",
        "9 images of 8 patients",
    ],
    "versions and configuration": ["2.99.1", "of the comparison"],
}


@pytest.mark.parametrize("name", OTHER_FILES)
def test_the_numbers_of_other_files_are_on_the_page(page: Page, name: str) -> None:
    assert [text for text in OTHER_FILES[name] if text not in page.text] == []


def test_the_hashes_of_the_data_are_on_the_page(full: tuple[Workspace, Run], page: Page) -> None:
    rows = full[0].rows()
    assert study_fingerprint(rows) in page.text
    assert fingerprint(row.sha256 for row in rows if row.split == "train") in page.text


@pytest.mark.parametrize("which", ["page", "poor_page"])
def test_sections_come_in_their_order(which: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue(which)
    headings = [attributes.get("id") for attributes in page.attributes("h2")]
    assert headings == ["answer", *CONTENTS]


@pytest.mark.parametrize("which", ["page", "poor_page"])
def test_sections_are_all_linked(which: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue(which)
    links = [attributes["href"] for attributes in page.attributes("a")]
    assert [link for link in links if link != "#checklist"] == [
        f"#{name}" for name in CONTENTS if name != "checklist"
    ]


def test_every_image_decodes_to_the_size_it_states(page: Page) -> None:
    images = page.attributes("img")
    assert len(images) == 5 + 2 + 1 + 4 + 2  # comparison, sheets, audit, classifiers, generator
    for attributes in images:
        encoded = attributes["src"].removeprefix("data:image/png;base64,")
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
            image.load()
            assert image.size == (int(attributes["width"]), int(attributes["height"]))


def test_every_image_has_an_alternative_text(page: Page) -> None:
    assert min(len(attributes["alt"]) for attributes in page.attributes("img")) > 20


def test_every_table_has_a_caption(page: Page) -> None:
    assert len(page.attributes("table")) == len(page.attributes("caption"))


def test_headings_do_not_skip_a_level(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def shell_words(page: Page) -> list[str]:
    """The commands of a page as a shell reads them."""
    text = page.text.partition("Commands")[2].partition("Fingerprints")[0]
    return shlex.split(text.replace("\\ ", " "))


def test_commands_can_be_pasted_into_a_shell(page: Page) -> None:
    assert "PATH/my clinic" in shell_words(page)


def test_an_external_source_is_imported_as_one(page: Page) -> None:
    words = shell_words(page)
    assert words[words.index("PATH/theirs") - 1] == "--external"


def test_what_was_held_out_is_held_out_again(page: Page) -> None:
    assert "--hold-out 'town=Ulm*'" in page.text
    assert "Held out for the external test set by town=Ulm*: 2 images" in page.text


def test_a_generator_is_trained_for_the_steps_it_had(page: Page) -> None:
    words = shell_words(page)
    training = words[words.index("gan-train") :]
    assert training[training.index("--steps") + 1] == "250", "9000 were asked for"


def test_a_generator_that_the_comparison_trains_has_no_command(page: Page) -> None:
    assert shell_words(page).count("gan-train") == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--arms", ",".join(ARMS)),
        ("--generators", "3"),
        ("--draws", "2"),
        ("--seeds", "3"),
        ("--real-fractions", "0.1,0.25,1"),
        ("--synthetic-ratio", "0.5,2"),
        ("--budget", "steps"),
        ("--measure", "auc"),
    ],
)
def test_the_comparison_has_its_options(page: Page, option: str, value: str) -> None:
    words = shell_words(page)
    assert words[words.index(option) + 1] == value


def test_the_configuration_of_the_classifiers_ends_the_command(page: Page) -> None:
    assert shell_words(page)[-2:] == ["--seed", "4"]


def test_a_comparison_without_generators_needs_none_of_their_options(poor_page: Page) -> None:
    words = shell_words(poor_page)
    assert words[:4] == ["cxr", "compare", "--arms", "real,real+classical"]
    assert not {"--synthetic", "--generators", "--real-fractions"} & set(words)


def test_a_generator_of_a_fraction_says_so_in_its_command(own_study: tuple[Workspace, Run]) -> None:
    change(own_study[0].runs / "0001-gan-train" / "config.json", real_fraction=0.25)
    assert any("--real-fraction 0.25" in command for command in commands(read_study(*own_study)))


def test_the_scale_of_a_sets_latents_is_in_its_command(own_study: tuple[Workspace, Run]) -> None:
    config = own_study[0].runs / "0002-synthesize" / "config.json"
    for scale, words in ((None, 0), (1.25, 1)):
        change(config, sampling_scale=scale)
        lines = [line for line in commands(read_study(*own_study)) if "synthesize" in line]
        assert sum("--sampling-scale 1.25" in line for line in lines) == words


def test_folds_and_subsets_are_in_the_command(own_study: tuple[Workspace, Run]) -> None:
    path = own_study[1].folder / "summary.json"
    change(path, budget=read_json(path)["budget"] | {"folds": 5, "subsets": 3})
    command = commands(read_study(*own_study))[-1]
    assert "--folds 5" in command
    assert "--subsets 3" in command


def test_the_same_study_gives_the_same_page(small: tuple[Workspace, Run]) -> None:
    assert page_of(*small).html == page_of(*small).html


@pytest.mark.parametrize(
    "text",
    [
        "cxr gan-train",
        "cxr audit",
        "cxr classify-train",
        "cxr data check",
        "cxr compare --real-fractions 0.1,0.25,1",
        "has no generator",
        "No arm of this comparison has synthetic images",
        "Does “real+classical” help the classifier?",
    ],
)
def test_what_a_poor_study_lacks_is_said(poor_page: Page, text: str) -> None:
    assert text in poor_page.text


def test_a_poor_study_has_its_figures(poor_page: Page) -> None:
    assert len(poor_page.attributes("img")) == 4


def test_what_is_deleted_is_said_to_be_absent(small: tuple[Workspace, Run]) -> None:
    workspace, run = small
    (workspace.data / "import.json").unlink()
    for folder in [*workspace.runs.glob("*-*"), workspace.root / "replicates"]:
        if folder != run.folder:
            shutil.rmtree(folder)
    text = page_of(workspace, run).text
    expected = (
        "have not been scored",
        "No single classifier was trained",
        "0001-gan-train is not on disk",
        "none of this class are on disk",
        "not on record any more",
        "cxr score",
    )
    assert [absent for absent in expected if absent not in text] == []


def test_a_score_of_another_set_is_not_shown(small: tuple[Workspace, Run]) -> None:
    scored = small[0].find_run("score")
    replace(ScoreSummary.load(scored), synthetic="0009-synthesize").save(scored)
    text = page_of(*small).text
    assert "of another set (0009-synthesize)" in text
    assert "16.4" not in text


def test_hostile_names_and_notes_are_escaped(small: tuple[Workspace, Run]) -> None:
    workspace, run = small
    rows = [replace(row, source=HOSTILE, view=HOSTILE) for row in workspace.rows()]
    workspace.write_rows(rows)
    summary = ComparisonSummary.load(run)
    replace(
        summary,
        data_fingerprint=study_fingerprint(rows),
        sentence=HOSTILE,
        limits=(HOSTILE,),
        warnings=(HOSTILE,),
        plan=replace(summary.plan, sentence=HOSTILE),
        device=HOSTILE,
    ).save(run)
    scored, audited = workspace.find_run("score"), workspace.find_run("audit")
    score = ScoreSummary.load(scored)
    extractors = [replace(score.extractors[0], note=HOSTILE)]
    replace(score, warnings=[HOSTILE], extractors=extractors).save(scored)
    replace(AuditResult.load(audited), warnings=(HOSTILE, HOSTILE)).save(audited)
    change(workspace.data / "check.json", warnings=[HOSTILE])
    page = page_of(workspace, run)
    assert page.text.count(HOSTILE) >= 10
    assert HOSTILE not in page.html
    assert all("onerror" not in attributes for _, attributes in page.tags)


def test_phantoms_and_changed_data_are_named_at_the_top(tmp_path: Path) -> None:
    workspace, run = poor_study(tmp_path)
    workspace.write_rows([replace(row, source="phantom") for row in workspace.rows()[:-1]])
    text = page_of(workspace, run).text
    top = text.partition("Cannot tell.")[2].partition("Accuracy of every arm")[0]
    assert "15 of the 15 images in this study are phantoms" in top
    assert "The data have changed." in top


def test_patients_are_not_called_phantoms_nor_data_changed(page: Page) -> None:
    assert "phantom" not in page.text
    assert "have changed" not in page.text


def test_a_summary_of_an_earlier_format_is_refused_in_a_line_with_the_way_out(
    own_study: tuple[Workspace, Run],
) -> None:
    change(own_study[1].folder / "summary.json", format=1)
    with pytest.raises(ValueError, match=r"summary\.json has format 1, .* cxr compare") as refusal:
        write_report(*own_study)
    assert "\n" not in str(refusal.value)


def test_results_of_an_earlier_format_are_left_out_and_the_page_says_so(
    small: tuple[Workspace, Run],
) -> None:
    files = {"score": "score.json", "audit": "audit.json", "classify-train": "metrics.json"}
    old = {command: small[0].find_run(command) for command in files}
    for command, run in old.items():
        change(run.folder / files[command], format=1)
    text = page_of(*small).text
    for command, run in old.items():
        note = f"{files[command]} of {run.name} was written by another version of cxr; make it anew"
        assert f"Left out. {note} with: cxr {command}" in text


def test_an_older_result_of_this_format_stands_in_for_one_of_another(
    small: tuple[Workspace, Run],
) -> None:
    workspace, _ = small
    newest = workspace.create_run("audit", {})
    AuditResult.load(workspace.find_run("audit")).save(newest)
    change(newest.folder / "audit.json", format=1)
    newest.finish({})
    study = read_study(*small)
    assert study.audit is not None
    assert study.audit.run.name != newest.name
    assert len(study.left_out) == 1


@pytest.mark.parametrize(
    ("old", "new"), [("accuracy", "precision"), ("0.8766", "high"), (",41.4", "")]
)
def test_damaged_results_are_named(own_study: tuple[Workspace, Run], old: str, new: str) -> None:
    path = own_study[1].folder / "results.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=r"results\.csv is damaged, or of another version"):
        write_report(*own_study)


def test_every_pitfall_is_shown_with_a_sign_and_words_and_not_by_colour_alone(
    full: tuple[Workspace, Run], page: Page
) -> None:
    text = " ".join(page.text.split())
    signs = {"good": "✓", "open": "?", "bad": "✗"}
    for item in checklist(read_study(*full)):
        mark, answer = item.answer.mark, " ".join(item.answer.text.split())
        line = f"{signs[mark]}{MARK_NAMES[mark]} {item.pitfall} ({item.source}) {answer}"
        assert line in text


def test_the_pitfalls_are_counted(page: Page) -> None:
    text = " ".join(page.text.split())
    assert "14 of 20" in text
    assert "4 open, 2 not avoided" in text


def test_a_view_of_lungs_is_named_with_what_it_leaves_out(small: tuple[Workspace, Run]) -> None:
    give_lungs(small, doubtful=(0, 2, 13), brought=(4,), trained_on=(6, 15))
    change(small[1].folder / "config.json", view="lung-box", lung_network="ab" * 32)
    page = page_of(Workspace(small[0].root), small[1])
    for text in (
        "The box of the lungs (--view lung-box); 3 images left out, whose lungs cannot be trusted",
        "as the classifiers see them: the box of the lungs, 32 × 32 pixels",
        "saw the box of the lungs, stretched to a square",
        "25.0 % of covid, 12.5 % of normal",
        "covid: 5 drawn by the network, 1 brought; normal: 7 drawn by the network, 0 brought",
        "trained on 1 of the training images and on 1 of those held out",
        "that is a selection",
        "cxr data lungs --masks PATH",
        "Lung network, whose masks show where the lungs are",
        "ab" * 32,
    ):
        assert text in page.text, text
    assert "The data have changed" not in page.text
    assert "Images have been imported since" not in page.text


def test_whole_images_lose_none(page: Page) -> None:
    assert "The whole image (--view whole)." in page.text
    assert "cannot be trusted" not in page.text


def test_where_the_audited_classifier_looked_is_on_the_page(page: Page) -> None:
    heat = "43 [36, 50] % of the heat lies in the lungs, which are 31 % of the picture"
    assert f"Where 0003-classify-train looked (Grad-CAM): {heat}" in page.text
