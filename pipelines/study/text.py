"""Text fit for a terminal: what other people wrote, and the names of options."""

from __future__ import annotations

import os


def one_line(message: object) -> str:
    """Write a text on one line, with what a terminal would obey written out.

    Names of files and of findings are other people's.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in " ".join(str(message).split())
    )


def decode_file_name(name: str) -> str:
    """Write a file name as text that can be stored, whatever bytes it is made of."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def flag_of(field: str) -> str:
    """Return the command line's name of an option's field."""
    return f"--{field.replace('_', '-')}"
