"""Damage to the bytes of files, and texts that do harm where they are read."""

from __future__ import annotations

from hypothesis import strategies as st

EXTREME_VALUES = (
    b"",
    b"\x00",
    b"\xff",
    b"\x00" * 4,
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x80\x00\x00\x00",
    b"\x00\x00\x00\x80",
    b"\xff" * 8,
)
DAMAGES = ("cut", "flip", "flip", "overwrite", "overwrite", "insert", "remove", "nothing left")
NASTY_TEXTS = (
    "",
    " ",
    "\0",
    "a\0b",
    '=HYPERLINK("http://x")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "'=1",
    "../../outside.png",
    "/etc/passwd",
    "images/../../x",
    "..",
    ".",
    "C:\\x.png",
    "images\\..\\..\\x",
    "file:///etc/passwd",
    "nan",
    "inf",
    "-1",
    "0",
    "1e999",
    "9" * 5000,
    "\u202egnp.exe",
    "\u0661",
    "\x1b]0;title\x07",
    "\n",
    '"',
    "a,b",
    "ä" * 300,
    "\ufeff",
    "train",
    "test",
    "covid",
    "x" * 140_000,
)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw a file's bytes cut, flipped, overwritten, lengthened, or with a piece gone."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(len(changed) - 1, 0)))
        how = draw(st.sampled_from(DAMAGES))
        if how == "cut":
            del changed[place:]
        elif how == "flip" and changed:
            changed[place] ^= 1 << draw(st.integers(0, 7))
        elif how == "overwrite":
            value = draw(st.sampled_from(EXTREME_VALUES))
            changed[place : place + len(value)] = value
        elif how == "insert":
            changed[place:place] = draw(
                st.one_of(st.sampled_from(EXTREME_VALUES), st.binary(max_size=40))
            )
        elif how == "remove":
            del changed[place : place + draw(st.integers(1, 64))]
        elif how == "nothing left":
            del changed[draw(st.sampled_from((0, 1, 4, 8, 132, 140))) :]
    return bytes(changed)
