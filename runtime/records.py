"""Dataclasses as JSON files and back: what is read has the types that its class declares.

A file of results says its format number, so that one of another version of cxr is refused in one
line instead of being misread.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from runtime.files import read_json, write_json

Kind = TypeVar("Kind")


def write_record(path: Path, record: Any, version: int) -> None:
    """Write a dataclass as JSON: its fields by name, under the number of their format."""
    write_json(path, {"format": version, **dataclasses.asdict(record)})


def read_record(path: Path, kind: type[Kind], version: int, remedy: str) -> Kind:
    """Read the dataclass `kind` from a file that `write_record` wrote.

    remedy: the command that makes such a file anew. Raises FileNotFoundError when there is no such
    file, FormatError that names it when it is of another format, and ValueError that names it when
    a field is absent, unknown or of another type.
    """
    values = dict(read_json(path))
    found = values.pop("format", 1)
    if found != version:
        raise FormatError(
            f"{path} has format {found!r:.20}, this cxr reads format {version}: another version "
            f"of cxr wrote it; make it anew with: {remedy}"
        )
    try:
        return parse_record(kind, values)
    except RecordError as error:
        raise ValueError(
            f"{path}: {error}; it is damaged, or another version of cxr wrote it"
        ) from error


class FormatError(ValueError):
    """A file is of another format than this version of cxr reads."""


class RecordError(ValueError):
    """A value is not what its field declares; the text says where."""


@functools.cache
def _declared_fields(kind: type) -> tuple[dict[str, Any], list[str]]:
    """Return the type of each field that a dataclass is made with, and those that must be given."""
    hints = get_type_hints(kind)
    fields = [field for field in dataclasses.fields(kind) if field.init]
    required = [field.name for field in fields if field.default is not None]
    return {field.name: hints[field.name] for field in fields}, required


@functools.cache
def _origin_and_arguments(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(kind), get_args(kind)


def parse_record(kind: type[Kind], values: Any, where: str = "") -> Kind:
    """Make a dataclass of names and values, nested ones included. Raises RecordError.

    A field that is None unless it is given may be absent: older files have no such name.
    """
    prefix = f"{where}." if where else ""
    if not isinstance(values, Mapping):
        raise RecordError(f"{where or 'it'} is {values!r:.60}, expected names and values")
    declared, required = _declared_fields(kind)  # type: ignore[arg-type]  # a class is hashable
    for name in required:
        if name not in values:
            raise RecordError(f"{prefix}{name} is missing")
    for name in values:
        if name not in declared:
            raise RecordError(f"{prefix}{name} is unknown")
    return kind(
        **{name: parse(declared[name], value, prefix + name) for name, value in values.items()}
    )


def parse(kind: Any, value: Any, where: str) -> Any:
    """Make a value of a declared type: plain JSON types, dataclasses, list, tuple, dict, unions.

    Raises RecordError when the value is of another type.
    """
    if type(value) is kind or kind is Any or kind is object:
        return value
    origin, arguments = _origin_and_arguments(kind)
    if origin in (Union, types.UnionType):
        return _parse_union(arguments, value, where)
    if dataclasses.is_dataclass(kind):
        return parse_record(kind, value, where)  # type: ignore[arg-type]  # no instance
    if origin in (list, Sequence):
        return [parse(arguments[0], item, f"{where}[{i}]") for i, item in _items(value, where)]
    if origin is tuple:
        return _parse_tuple(arguments, value, where)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise RecordError(f"{where} is {value!r:.60}, expected names and values")
        return {
            parse_key(arguments[0], name, where): parse(arguments[1], item, f"{where}.{name}")
            for name, item in value.items()
        }
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise RecordError(f"{where} is {value!r:.60}, expected {kind.__name__}")
    return value


def parse_key(kind: Any, name: str, where: str) -> Any:
    """Make a key of a declared type of the text that JSON has in its place."""
    try:
        return kind(name)
    except ValueError as error:
        raise RecordError(f"{where} has the name {name!r:.60}, expected {kind.__name__}") from error


def _parse_union(kinds: Sequence[Any], value: Any, where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    possible = [kind for kind in kinds if kind is not type(None)]
    errors = []
    for kind in possible:
        try:
            return parse(kind, value, where)
        except RecordError as error:
            errors.append(error)
    raise errors[-1]


def _parse_tuple(kinds: Sequence[Any], value: Any, where: str) -> tuple[Any, ...]:
    items = _items(value, where)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(parse(kinds[0], item, f"{where}[{i}]") for i, item in items)
    if len(items) != len(kinds):
        raise RecordError(f"{where} has {len(items)} values, expected {len(kinds)}")
    return tuple(parse(kinds[i], item, f"{where}[{i}]") for i, item in items)


def _items(value: Any, where: str) -> list[tuple[int, Any]]:
    if not isinstance(value, list):
        raise RecordError(f"{where} is {value!r:.60}, expected a list")
    return list(enumerate(value))
