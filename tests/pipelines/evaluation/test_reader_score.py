"""The statistics of a reader's answers, and what files of answers are refused."""

from __future__ import annotations

import json
from math import comb
from pathlib import Path

import pytest
from PIL import Image
from scipy.stats import beta

from tests.conftest import cxr
from tests.pipelines.evaluation.reader_studies import (
    ReaderStudy,
    make_page,
    make_study,
    one_line,
    score,
    write_answers,
)


def test_a_score_is_what_one_counts_by_hand(reader_study: ReaderStudy, tmp_path: Path) -> None:
    workspace, page, key = reader_study
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
        assert [result[name]["low"], result[name]["high"]] == pytest.approx([low, high])
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
    reader_study: ReaderStudy, tmp_path: Path
) -> None:
    workspace, page, key = reader_study
    output = score(workspace, write_answers(tmp_path / "right.json", key))
    result = json.loads((page.parent / "score-right.json").read_text())
    accuracy = result["accuracy"]
    assert [accuracy["low"], accuracy["high"]] == pytest.approx([0.025 ** (1 / 8), 1])
    assert result["p"] == pytest.approx(2 / 2**8)
    assert result["sheet"] is None
    assert not (page.parent / "sheet-right.png").exists()
    assert "none" in output


def test_two_readers_agree_as_far_as_cohen_says(reader_study: ReaderStudy, tmp_path: Path) -> None:
    workspace, _, key = reader_study
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
    kappa = (5 / 8 - chance) / (1 - chance)
    assert f"a.json and b.json agree on 62.5 % of 8 images; Cohen's kappa {kappa:.2f}" in output
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
    reader_study: ReaderStudy, tmp_path: Path, alter: object, said: str
) -> None:
    workspace, page, key = reader_study
    file = write_answers(tmp_path / "altered.json", key)
    write_answers(file, key, answers=alter(json.loads(file.read_text())["answers"]))
    assert said in one_line(cxr("reader-study", "--score", file, folder=workspace.root))
    assert not list(page.parent.glob("*altered*"))


def test_files_that_are_no_answers_are_refused(reader_study: ReaderStudy, tmp_path: Path) -> None:
    workspace, _page, key = reader_study

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
    for place, kind in zip(swapped, ("synthetic", "real"), strict=True):
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
