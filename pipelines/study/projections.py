"""The views that films are taken in: one rule for whatever states them.

A table, a DICOM header and a published collection name views in words of their own.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

ProjectionKind = Literal["frontal", "not frontal", "unknown", "not stated"]

FRONTAL_WORDS = frozenset(
    ("PA", "AP", "FRONTAL", "POSTEROANTERIOR", "ANTEROPOSTERIOR", "ANTERIOPOSTERIOR")
)
NOT_FRONTAL_WORDS = frozenset(
    (
        *("L", "LL", "RL", "LAT", "LLAT", "RLAT", "LATL", "LATR", "LATERAL"),
        *("LEFTLATERAL", "RIGHTLATERAL", "SIDE", "PROFILE", "SEITLICH"),
        *("AXIAL", "CORONAL", "SAGITTAL"),  # sections of a CT
    )
)
# What is said besides of a view, and does not change it.
MINOR_WORDS = frozenset(
    (
        *("SUPINE", "ERECT", "SEMI", "SEMIERECT", "UPRIGHT", "SITTING", "STANDING", "PORTABLE"),
        *("MOBILE", "BEDSIDE", "CHEST", "CXR", "THORAX", "VIEW", "PROJECTION", "FILM", "XRAY"),
        *("X", "RAY", "LEFT", "RIGHT", "R", "POSITION", "1", "2"),
    )
)
_JOINED = (("POSTERO", "ANTERIOR"), ("ANTERO", "POSTERIOR"), ("P", "A"), ("A", "P"))


def projection_kind(view: str) -> ProjectionKind:
    """Tell what a view is by its name: frontal, not frontal, of an unknown name, or not stated.

    Case, accents and signs between words do not matter: "Lat", "lateral view" and "LEFT LATERAL"
    are not frontal, "P.A." and "AP Supine" are. A name with both kinds of words, or with a word
    that is not known, such as OBLIQUE or DECUBITUS, is unknown.
    """
    words = _words_of(view)
    if not words:
        return "not stated"
    if not words <= FRONTAL_WORDS | NOT_FRONTAL_WORDS | MINOR_WORDS:
        return "unknown"
    is_frontal, is_other = bool(words & FRONTAL_WORDS), bool(words & NOT_FRONTAL_WORDS)
    if is_frontal == is_other:
        return "unknown"
    return "frontal" if is_frontal else "not frontal"


def _words_of(view: str) -> set[str]:
    plain = unicodedata.normalize("NFKD", view).upper()
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    words = re.findall(r"[^\W_]+", plain)
    for first, second in _JOINED:
        for place in range(len(words) - 1):
            if words[place : place + 2] == [first, second]:
                words[place : place + 2] = [first + second]
    return set(words)
