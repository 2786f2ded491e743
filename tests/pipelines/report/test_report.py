"""The report page and its figures, from a tiny study written by hand."""

from __future__ import annotations

import base64
import csv
import io
import math
import shlex
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.manifest import Row, study_fingerprint, write_manifest
from pipelines.data.reading import pixel_hash, write_gray
from pipelines.report import figures
from pipelines.report.page import count, percent, percent_range, points, write_report
from pipelines.workspace import Workspace
from runtime.files import write_json
from runtime.run import Run

SIZE = 32
HOSTILE = '<img src=x onerror="alert(1)">&$a$'
VOID = {"meta", "link", "img", "br"}


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


def estimate(mean: float) -> dict:
    return {"mean": mean, "interval": [mean - 0.0312, mean + 0.0301], "per_seed": [mean - 0.0113, mean + 0.0113], "detectable": 0.0444}


def make_study(root: Path, classes: tuple[str, str] = ("covid", "normal"), source: str = "clinic") -> tuple[Workspace, Run]:
    """Images, a generator, a synthetic set, two classifiers, a score and a comparison."""
    workspace, rng, rows = Workspace(root), np.random.default_rng(0), []
    for number in range(16):
        label, split = classes[number % 2], ("train", "train", "validation", "test")[number // 4]
        gray = rng.integers(0, 256, (40, SIZE), np.uint8)
        name = f"images/{number % 2}/{number}.png"
        (workspace.data / name).parent.mkdir(parents=True, exist_ok=True)
        write_gray(workspace.data / name, gray)
        row = Row(file_name=name, label=label, patient=f"p{number // 2 * 2 + number % 2}", split=split, source=source, view="PA", sha256=pixel_hash(gray), fold=None, near_hash="", width=SIZE, height=40)
        rows.append(row)
    write_manifest(workspace.manifest_path, rows)
    sources = [{"source": "my clinic", "kind": "folder per label", "images": 21, "passed_over": {"not frontal": 3}}]
    write_json(workspace.data / "import.json", {"imports": [{"sources": sources, "kept": 16, "left_out_counts": {"unreadable": 5}, "images_in_study": 16, "split_seed": 7}]})

    generator = workspace.create_run("gan-train", {"image_size": SIZE, "steps": 9000, "classes": list(classes), "max_minutes": None})
    (generator.folder / "samples").mkdir()
    write_gray(generator.folder / "samples" / "step-000250.png", np.zeros((SIZE, SIZE), np.uint8))
    write_gray(generator.folder / "curves.png", np.zeros((SIZE, SIZE), np.uint8))
    generator.finish({"step": 250, "seconds": 90.0, "images": 8, "parameters": {"generator": 1234567, "discriminator": 7654}})

    config = {"n": 6, "seed": 3, "labels": list(classes), "generator": generator.name}
    synthetic = workspace.create_run("synthesize", config)
    for number in range(6):
        path = synthetic.folder / "images" / classes[number % 2] / f"synthetic-{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_gray(path, rng.integers(0, 256, (SIZE, SIZE), np.uint8))
    synthetic.finish({})

    for name in (None, synthetic.name):
        single = workspace.create_run("classify-train", {"synthetic": name})
        for figure in ("training_curves.png", "confusion_matrix.png"):
            write_gray(single.folder / figure, np.zeros((SIZE, 40), np.uint8))
        write_json(single.folder / "metrics.json", {"n": 4, "patients": 4, "measures": {"accuracy": {"value": 0.751, "interval": [0.3, 0.98]}}})
        single.finish({})

    scored = workspace.create_run("score", {})
    one = {"group": "overall", "features": "cnn", "score": "frechet", "value": 13.57, "low": 9.87, "high": 16.4, "p": None, "floor": 6.21, "floor_low": 4.56, "floor_high": 7.89, "floor_p": None}
    one |= {"of_all": 12.34, "n": 6, "n_train": 8, "n_synthetic": 6, "n_held_out": 8, "detail": ""}
    told = one | {"score": "two_sample_accuracy", "value": 0.87, "p": 0.012, "floor_p": 0.345, "of_all": None}
    alike = one | {"features": "pixels", "score": "ms_ssim_diversity", "value": 0.76, "of_all": None}
    left_out = {"group": "covid", "features": "cnn", "score": "recall", "reason": "3 training images; it needs 12"}
    extractor = {"name": "cnn", "sha256": "ab" * 32, "note": "of this study"}
    write_json(scored.folder / "score.json", {"extractors": [extractor], "synthetic": synthetic.name, "warnings": ["few images"], "scores": [one, told, alike], "unscored": [left_out]})
    scored.finish({})

    run = workspace.create_run("compare", {})
    write_json(run.folder / "summary.json", make_summary(classes, generator.name, synthetic.name, study_fingerprint(rows)))
    write_results(run)
    return workspace, run


def make_summary(classes: tuple[str, str], generator: str, synthetic: str, data: str = "cd" * 32) -> dict:
    def arm(train: int, added: int, mean: float) -> dict:
        measures = {name: estimate(mean - place / 50) for place, name in enumerate(figures.MEASURES)}
        return {"train_images": train, "synthetic_images": added, "roc_auc": {"mean": mean + 0.0123, "per_seed": [mean, mean]}} | measures

    return {
        "verdict": "cannot tell",
        "sentence": "Whether 6 synthetic images help cannot be told.",
        "positive": classes[0],
        "classes": list(classes),
        "arms": {"real": arm(8, 0, 0.9111), "real+gan": arm(14, 6, 0.9027)},
        "difference": {name: estimate(-0.0084 - place / 100) for place, name in enumerate(figures.MEASURES)},
        "budget": {"arch": "cnn", "steps": 12800, "batch_size": 32, "seeds": [4, 5]},
        "test": {"images": 4, "patients": 4},
        "image_size": SIZE,
        "generator": generator,
        "synthetic": synthetic,
        "data_fingerprint": data,
        "config": {"arch": "cnn", "steps": 12800, "seed": 4},
        "limits": ["A limit of this study."],
        "versions": {"cxr": "0.1.0", "torch": "2.99.1"},
        "device": "cpu, fp32",
    }


def write_results(run: Run) -> None:
    with open(run.folder / "results.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow("arm,seed,steps,train_images,synthetic_images,accuracy,sensitivity,specificity,roc_auc,best_step,seconds".split(","))
        writer.writerows([arm, seed, 12800, 8, 0, 0.8766, 0.7654, 0.6543, 0.5432, 340, 41.4] for arm in ("real", "real+gan") for seed in (4, 5))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Run]:
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def page(study: tuple[Workspace, Run]) -> Page:
    path = write_report(*study)
    assert path == study[1].folder / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_asks_for_nothing_outside_itself(page: Page) -> None:
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "action"):
            assert attributes.get(name, "data:").startswith(("data:", "#"))
    assert not page.all("script") and "url(" not in page.html and "@import" not in page.html
    assert page.all("html") == [{"lang": "en"}]


def test_every_number_of_the_summary_is_on_the_page(tmp_path: Path, page: Page) -> None:
    workspace, _ = make_study(tmp_path)
    summary = make_summary(("covid", "normal"), "0001-gan-train", "0002-synthesize")
    expected = [summary["sentence"], "Cannot tell.", "12\u202f800", "4 images", "14 training images", "6 synthetic", "A limit of this study."]
    for arm in summary["arms"].values():
        for measure in figures.MEASURES:
            expected += [percent(arm[measure]["mean"]), percent_range(arm[measure]["interval"])]
        expected.append(f"{arm['roc_auc']['mean']:.3f}")
    for change in summary["difference"].values():
        expected += [points(change["mean"]), f"{points(change['interval'][0])} to {points(change['interval'][1])}", "4.4"]
    expected += ["87.7\u00a0%", "76.5\u00a0%", "65.4\u00a0%", "0.543", "340", "41 s"]  # results.csv
    expected += ["12.3", "13.6", "9.87 to 16.4", "6.21", "4.56 to 7.89", "2.19", "0.87", "0.76", "p = 0.012", "p = 0.345", "it needs 12", "few images", "ab" * 32, study_fingerprint(workspace.rows()), "1\u202f234\u202f567", "2.99.1", "75.1\u00a0%"]
    assert [text for text in expected if text not in page.text] == []


def test_every_image_has_an_alt_text_and_decodes(page: Page) -> None:
    images = page.all("img")
    assert len(images) == 1 + 2 + 4 + 2  # comparison, sheets, classifiers, generator
    for image in images:
        assert len(image["alt"]) > 20
        with Image.open(io.BytesIO(base64.b64decode(image["src"].removeprefix("data:image/png;base64,")))) as decoded:
            decoded.load()
            assert decoded.size == (int(image["width"]), int(image["height"]))


def test_tables_have_captions_and_headings_do_not_skip(page: Page) -> None:
    assert len(page.all("table")) == len(page.all("caption"))
    levels = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1 and levels.count(1) == 1 and all(after - before <= 1 for before, after in zip(levels, levels[1:]))


def test_commands_can_be_pasted_into_a_shell(page: Page) -> None:
    text = page.text.partition("Commands")[2].partition("Fingerprints")[0]
    words = shlex.split(text.replace("\\ ", " "))
    assert "PATH/my clinic" in words
    assert words[words.index("gan-train") :][3:5] == ["--steps", "250"]  # as many as were trained, not as were asked for
    assert words[-2:] == ["--seed", "4"]


def test_the_same_study_gives_the_same_page(page: Page, study: tuple[Workspace, Run]) -> None:
    assert write_report(*study).read_text(encoding="utf-8") == page.html


def test_absent_parts_are_said_to_be_absent(tmp_path: Path) -> None:
    workspace, run = make_study(tmp_path)
    (workspace.data / "import.json").unlink()
    for folder in workspace.runs.iterdir():
        if folder != run.folder:
            shutil.rmtree(folder)
    page = Page(write_report(workspace, run).read_text(encoding="utf-8"))
    for text in ("have not been scored", "No single classifier was trained", "0001-gan-train is not on disk", "none of this class are on disk"):
        assert text in page.text


def test_a_score_of_another_set_is_not_shown(tmp_path: Path) -> None:
    workspace, run = make_study(tmp_path)
    path = workspace.find_run("score").folder / "score.json"
    path.write_text(path.read_text().replace("0002-synthesize", "0009-synthesize"))
    page = Page(write_report(workspace, run).read_text(encoding="utf-8"))
    assert "of another set (0009-synthesize)" in page.text and "16.4" not in page.text


def test_hostile_labels_and_notes_are_escaped(tmp_path: Path) -> None:
    page = Page(write_report(*make_study(tmp_path, classes=(HOSTILE, "normal"))).read_text(encoding="utf-8"))
    assert HOSTILE in page.text and HOSTILE not in page.html
    assert all("onerror" not in attributes for _, attributes in page.tags)


def test_phantoms_and_changed_data_are_named_at_the_top(tmp_path: Path, page: Page) -> None:
    workspace, run = make_study(tmp_path, source="phantom")
    write_manifest(workspace.manifest_path, workspace.rows()[:-1])
    top = Page(write_report(workspace, run).read_text(encoding="utf-8")).text.partition("Cannot tell.")[2].partition("With against")[0]
    assert "15 of the 15 images in this study are phantoms" in top and "The data have changed." in top
    assert "phantom" not in page.text and "have changed" not in page.text


@pytest.mark.parametrize("events", [1, 2, 100])
def test_gan_curves_of_any_length(tmp_path: Path, events: int) -> None:
    journal = [{"step": 10 * number + 10, "d_loss": math.sin(number), "g_loss": 1.0, "gap": 0.5} for number in range(events)]
    journal += [{"step": 10 * number, "diversity": [0.9, 0.8], "distance": [0.1, 0.2]} for number in range(1, events)]
    assert figures.gan_curves(journal, ["covid", "normal"], 10 if events > 1 else None, tmp_path / "loss.png")
    assert Image.open(tmp_path / "loss.png").convert("L").getextrema()[0] < 100


def test_gan_curves_of_nothing_write_no_file(tmp_path: Path) -> None:
    assert not figures.gan_curves([], ["covid"], None, tmp_path / "loss.png")
    assert list(tmp_path.iterdir()) == []


def test_training_curves_of_one_evaluation(tmp_path: Path) -> None:
    evaluation = {"step": 20, "epoch": 1.0, "loss": 0.5, "accuracy": 0.8, "validation_loss": 0.6, "validation_accuracy": 0.75}
    figures.training_curves([evaluation, {"best_step": 20, "best_validation_loss": 0.6}], tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").convert("L").getextrema()[0] < 100


def test_training_curves_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no evaluation"):
        figures.training_curves([{"best_step": 1}], tmp_path / "curves.png")


def test_a_confusion_matrix_of_three_classes_and_an_empty_row(tmp_path: Path) -> None:
    figures.confusion_matrix([[5, 0, 1], [0, 0, 0], [2, 2, 3]], [HOSTILE, "b", "c" * 40], tmp_path / "matrix.png", "A title of $one$ line")
    assert Image.open(tmp_path / "matrix.png").width > 500


def test_an_image_sheet_repeats_whole_pixels(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE), np.uint8)
    figures.image_sheet([("some, real", images), ("x" * 200, images[:1])], tmp_path / "sheet.png", columns=2)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    enlarged = images[1].repeat(figures.TILE // SIZE, axis=0).repeat(figures.TILE // SIZE, axis=1)
    rows = [row for row in range(len(sheet) - figures.TILE) if (sheet[row : row + figures.TILE, -figures.TILE :] == enlarged).all()]
    assert len(rows) == 1


def test_numbers_are_written_for_readers() -> None:
    assert (points(0.0104), points(-0.0096), points(-0.0004)) == ("+1.0", "−1.0", "0.0")
    assert percent_range([0.9, 1.02]) == "90.0–100.0"
    assert (count(9999), count(1234567)) == ("9999", "1\u202f234\u202f567")
