"""A file is whole or absent, and says what was expected of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runtime.files import MissingFieldError, atomic, check_file, parse_config, read_json, write_json
from runtime.options import OptionError


def write_half(path: Path) -> None:
    with atomic(path) as file:
        file.write(b"new and half")
        raise KeyboardInterrupt


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as failed, atomic(tmp_path / "absent" / "x"):
        pass
    assert failed.value.filename == str(tmp_path / "absent" / "x")


def test_json_comes_back_as_it_was(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None], "b": {"c": "d"}}
    write_json(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json") == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is not valid JSON"),
        ('{"a": NaN}', "NaN is no number"),
        ("[1]", "expected names and values in braces"),
        ("[" * 100_000, "is not valid JSON"),
    ],
    ids=["truncated", "NaN", "list", "deep"],
)
def test_a_damaged_json_file_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=problem) as refused:
        read_json(path)
    assert str(path) in str(refused.value)


def test_a_name_that_is_not_there_is_a_fault_of_the_file(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": {"b": 1}})
    record = read_json(tmp_path / "x.json")
    with pytest.raises(MissingFieldError, match=r"x\.json lacks 'c'"):
        record["a"]["c"]


@pytest.mark.parametrize(
    ("value", "kind"), [(1, int), (1.5, float), (1, float), (True, bool), ([], list)]
)
def test_a_value_of_the_expected_type_is_accepted(tmp_path: Path, value: Any, kind: type) -> None:
    write_json(tmp_path / "x.json", {"a": value})
    assert read_json(tmp_path / "x.json").expect(a=kind) == {"a": value}


@pytest.mark.parametrize(
    ("value", "kind"), [("1", int), (True, int), (1.5, int), (True, float), (1, bool), (None, list)]
)
def test_a_value_of_another_type_is_refused(tmp_path: Path, value: Any, kind: type) -> None:
    write_json(tmp_path / "x.json", {"a": value})
    with pytest.raises(ValueError, match=f"a is .*, expected {kind.__name__}"):
        read_json(tmp_path / "x.json").expect(a=kind)


@dataclass(frozen=True)
class Config:
    width: int
    depth: float | None = None

    def __post_init__(self) -> None:
        if self.width < 1:
            raise OptionError("width", self.width, "expected at least 1")


@pytest.mark.parametrize(
    "values", [{"width": 3}, {"width": 3, "depth": None}, {"width": 3, "depth": 2}], ids=str
)
def test_a_configuration_is_read(values: dict[str, Any], tmp_path: Path) -> None:
    """What is None unless it is given may be absent: older files have no such field."""
    assert parse_config(Config, values, tmp_path) == Config(**values)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "lacks 'width'"),
        ({"width": 1, "height": 2}, "has the unknown option height"),
        ({"width": "3"}, "width is '3', expected int"),
        ({"width": 3, "depth": "2"}, "depth is '2', expected float or NoneType"),
        ({"width": 0}, "width 0: expected at least 1"),
    ],
    ids=["absent", "unknown", "type", "optional-type", "range"],
)
def test_a_wrong_configuration_is_told_of_with_its_file(
    values: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=rf"x\.json.*{problem}"):
        parse_config(Config, values, Path("x.json"))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder, expected a file"):
        check_file(tmp_path, 10)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x" * 11)
    with pytest.raises(ValueError, match="11 bytes, more than the 10"):
        check_file(tmp_path / "x", 10)
