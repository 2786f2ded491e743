"""Files that are either whole or absent, and what files say, held to what was expected.

A file is written beside its target, synced, then renamed over it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, get_args, get_type_hints

Config = TypeVar("Config")

# Bytes. A longer file is a mistake or an attack; one of this size takes a process up to 2 GB.
MAX_JSON = 64_000_000

ANOTHER_VERSION = "it is damaged, or another version of cxr wrote it"


class MissingFieldError(ValueError, LookupError):
    """A file does not say what it should."""


class Record(dict[str, Any]):
    """What a file says, by name.

    A name that is not there is a fault of that file, and is reported as one: MissingFieldError.
    """

    __slots__ = ("path",)

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.path = path

    def __missing__(self, name: str) -> Any:
        raise MissingFieldError(f"{self.path} lacks {name!r}; {ANOTHER_VERSION}")

    def expect(self, **kinds: Any) -> Record:
        """Return itself, when it has a value of such a kind under each of these names.

        A kind is a type, or several with | between. A float may be a whole number. Raises
        ValueError that names the file.
        """
        for name, kind in kinds.items():
            value, allowed = self[name], get_args(kind) or (kind,)
            if not isinstance(value, (*allowed, int) if float in allowed else allowed) or (
                isinstance(value, bool) and bool not in allowed
            ):
                expected = " or ".join(one.__name__ for one in allowed)
                raise ValueError(
                    f"{self.path}: {name} is {value!r:.80}, expected {expected}; {ANOTHER_VERSION}"
                )
        return self


@contextmanager
def atomic(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Open a binary file that appears under `path` only when the block ends without an error.

    The bytes go to a temporary file in the same folder, are synced to disk, and take the name with
    `os.replace`; on an error the temporary file is removed and `path` is untouched.

    Args:
        path: The file.
        sync: False for one of many files that a later, synced one vouches for.

    Raises:
        OSError: It cannot be written; `filename` says where.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        temporary.unlink(missing_ok=True)  # of a process with this number that was killed
        with open(temporary, "xb") as file:  # never through a link
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):  # of the error that is told
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and (
            error.filename is None or str(error.filename) == str(temporary)
        ):
            error.filename = str(path)  # a failed write does not say where
        raise


@contextmanager
def name_in_errors(path: Path) -> Iterator[None]:
    """Name the file in an OSError of a block that writes to it: a failed write does not itself."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8, whole or not at all."""
    with atomic(path) as file:
        file.write(text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all. Raises ValueError for a number that is none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Record:
    """Return the object in a JSON file; objects within are Records too.

    Raises FileNotFoundError when it is absent, and ValueError that names the file when it holds
    something else.
    """
    check_file(path, MAX_JSON)
    try:
        value = json.loads(
            Path(path).read_text(encoding="utf-8"),
            object_hook=lambda values: Record(path, values),
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not valid JSON ({error}); it was damaged or is not ours"
        ) from error
    if not isinstance(value, Record):
        raise ValueError(
            f"{path} holds {value!r:.80}, expected names and values in braces; it was damaged or "
            "is not ours"
        )
    return value


def parse_config(kind: type[Config], values: Mapping[str, Any], path: Path) -> Config:
    """Make the configuration that a file holds.

    Args:
        kind: Its class, a dataclass.
        values: Its fields, by name. One that is None unless it is given may be absent, so that
            files stay readable when a configuration gets another such field.
        path: The file, for the message.

    Raises:
        ValueError: A field is absent, unknown, or of another type or range; the text names the
            file.
    """
    hints = get_type_hints(kind)
    declared = fields(kind)  # type: ignore[arg-type]  # it is a dataclass
    known = {field.name: hints[field.name] for field in declared}
    unknown = [str(name) for name in values if name not in known]
    if unknown:
        raise ValueError(f"{path} has the unknown option {unknown[0]:.40}; {ANOTHER_VERSION}")
    needed = [field.name for field in declared if field.default is not None]
    Record(path, values).expect(
        **{name: hint for name, hint in known.items() if name in values or name in needed}
    )
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def check_file(path: Path, max_bytes: int) -> None:
    """Check that a file is there, is a plain one, and is not too large to be read.

    Raises FileNotFoundError when there is none, and ValueError when it is no plain file or has more
    than `max_bytes`.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        what = "folder" if stat.S_ISDIR(status.st_mode) else "device or pipe"
        raise ValueError(f"{path} is a {what}, expected a file")
    if status.st_size > max_bytes:
        raise ValueError(
            f"{path} has {status.st_size:,} bytes, more than the {max_bytes:,} that are read of "
            "such a file"
        )


def _refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which JSON does not have."""
    raise ValueError(f"{name} is no number")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
