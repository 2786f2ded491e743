"""Fractions of the real training images: of all classes alike, or of one class alone.

A number is a share of every class. The text "covid=0.1" is a share of one class, beside all images
of the others, as where a disease is rare. Files and the command line write both as they are.
"""

from __future__ import annotations

from collections.abc import Iterable

from runtime.options import OptionError

RealFraction = float | str


def parse_fraction(text: str, option: str = "real_fraction") -> RealFraction:
    """Make 0.1 of "0.1", and "covid=0.1" of the same with spaces or other digits.

    All images of a class are all images: "covid=1" is 1.0. option: the field that has the text.
    Raises OptionError for what is no share, more than 0 and at most 1.
    """
    label, equals, number = text.rpartition("=")
    label = label.strip()
    try:
        share = float(number)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1 or bool(equals) != bool(label):
        raise OptionError(
            option,
            text,
            "expected shares of the real images, each more than 0 and at most 1, such as 0.1 or, "
            "of one class, covid=0.1",
        )
    return f"{label}={share!r}" if label and share < 1 else share


def split_fraction(fraction: RealFraction) -> tuple[str | None, float]:
    """Return the class that is thinned, None for all alike, and its share."""
    if not isinstance(fraction, str):
        return None, fraction
    label, _, number = fraction.rpartition("=")
    return label, float(number)


def fraction_text(fraction: RealFraction) -> str:
    """Write a fraction as on the command line: 0.1, covid=0.1."""
    return fraction if isinstance(fraction, str) else f"{fraction:g}"


def sort_fractions(fractions: Iterable[RealFraction]) -> list[RealFraction]:
    """Sort fractions: shares of all classes, those with one thinned class, and all images last."""

    def place(fraction: RealFraction) -> tuple[bool, bool, float, str]:
        label, share = split_fraction(fraction)
        return fraction == 1, label is not None, share, label or ""

    return sorted(fractions, key=place)


def of_all_classes(fractions: Iterable[RealFraction]) -> list[float]:
    """Return those of every class alike, sorted: the sizes of a learning curve."""
    return sorted(fraction for fraction in fractions if not isinstance(fraction, str))
