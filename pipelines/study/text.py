"""Text that other people wrote, made fit for a terminal."""

from __future__ import annotations


def one_line(message: object) -> str:
    """A text without line breaks, and with what a terminal would obey written out: names of files are other people's."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in " ".join(str(message).split())
    )
