"""Dataclasses survive the way to a JSON file and back, and nothing else is taken for one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runtime.estimate import Estimate
from runtime.records import read_record, write_record


@dataclass(frozen=True)
class Result:
    name: str
    accuracy: Estimate
    by_class: dict[str, Estimate]
    pairs: list[tuple[int, float]]
    interval: tuple[float, ...]
    auc: float | None
    free: Any
    since: float | None = None


RESULT = Result(
    name="real+gan",
    accuracy=Estimate(0.9, 0.85, 0.94, 184),
    by_class={"covid": Estimate(0.8, 0.7, 0.9, 80)},
    pairs=[(1, 2.5), (3, 4.0)],
    interval=(0.1, 0.2, 0.3),
    auc=None,
    free={"any": ["thing", 1]},
)


def write(path: Path, **changes: Any) -> Path:
    write_record(path, RESULT, 2)
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in values.items() if v != "absent"}))
    return path


def test_what_is_read_equals_what_was_written(tmp_path: Path) -> None:
    write_record(tmp_path / "result.json", RESULT, 2)
    assert read_record(tmp_path / "result.json", Result, 2, "cxr score") == RESULT


def test_what_is_none_unless_given_may_be_absent(tmp_path: Path) -> None:
    write(tmp_path / "result.json", since="absent")
    assert read_record(tmp_path / "result.json", Result, 2, "cxr score") == RESULT


def test_a_whole_number_is_read_as_a_float_where_one_is_declared(tmp_path: Path) -> None:
    read = read_record(write(tmp_path / "result.json", auc=1), Result, 2, "cxr score")
    assert isinstance(read.auc, float)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 1}, "has format 1, this cxr reads format 2"),
        ({"format": "absent"}, "has format 1, this cxr reads format 2"),
        ({"name": "absent"}, "name is missing"),
        ({"more": 1}, "more is unknown"),
        ({"name": 3}, "name is 3, expected str"),
        ({"auc": True}, "auc is True, expected float"),
        ({"auc": "0.5"}, "auc is '0.5', expected float"),
        ({"accuracy": 0.9}, "accuracy is 0.9, expected names and values"),
        ({"accuracy": {"value": 0.9, "low": 0.8, "high": 1}}, "accuracy.n is missing"),
        ({"by_class": [1]}, "by_class is [1], expected names and values"),
        ({"pairs": [[1, 2.0, 3]]}, "pairs[0] has 3 values, expected 2"),
        ({"interval": 0.5}, "interval is 0.5, expected a list"),
    ],
)
def test_another_form_is_refused_with_the_place(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "result.json", **changes)
    with pytest.raises(ValueError) as refused:  # noqa: PT011, the text is looked at
        read_record(path, Result, 2, "cxr score")
    assert message in str(refused.value)
    assert str(path) in str(refused.value)


def test_an_old_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="make it anew with: cxr score"):
        read_record(write(tmp_path / "result.json", format=1), Result, 2, "cxr score")
