"""Numbers and settings as they are written for readers: filters of the page's templates."""

from __future__ import annotations

from pipelines.study.fractions import RealFraction, split_fraction
from runtime.estimate import Estimate


def percent(share: float) -> str:
    """Write a share in 0..1 as per cent: 94.0 %."""
    return f"{100 * share:.1f}\u00a0%"


def percent_range(share: Estimate) -> str:
    """Write the interval of a share in per cent, cut to what a share can be: 91.0–97.0."""
    low, high = (min(max(bound, 0.0), 1.0) for bound in (share.low, share.high))
    return f"{100 * low:.1f}–{100 * high:.1f}"


def points(difference: float) -> str:
    """Write a difference of shares in percentage points, with its sign: +1.0 or −1.0."""
    value = round(100 * difference, 1)
    return f"{value:+.1f}".replace("-", "−") if value else "0.0"


def points_range(difference: Estimate) -> str:
    """Write the interval of a difference of shares in percentage points: −1.0 to +3.0."""
    return f"{points(difference.low)} to {points(difference.high)}"


def p_value(p: float) -> str:
    """Write a probability: 0.040, below a thousandth < 0.001."""
    return f"{p:.3f}" if p >= 0.001 else "<\u202f0.001"


def deviation(value: float | None) -> str:
    """Write a standard deviation of shares in percentage points, a dash for none: 1.24."""
    return "–" if value is None else f"{100 * value:.2f}"


def count(number: int) -> str:
    """Write a whole number; groups of three from 10 000 on."""
    return f"{number:,}".replace(",", "\u202f") if number >= 10_000 else str(number)


def signed(number: float) -> str:
    """Write a whole number of patients or images with its sign: +40, −20, 0."""
    return f"{round(number):+d}".replace("-", "−") if round(number) else "0"


def part(fraction: RealFraction) -> str:
    """Write a fraction of the real images: all, 10 %, or of one class: covid 10 %."""
    label, share = split_fraction(fraction)
    text = "all" if share == 1 else f"{100 * share:g}\u00a0%"
    return f"{label} {text}" if label else text


def plural(number: int, thing: str, things: str | None = None) -> str:
    """Write a number of things: 1 image, 2 images."""
    return f"{count(number)} {thing if number == 1 else things or thing + 's'}"


def sentence(text: str) -> str:
    """Give a text a capital letter in front and a full stop behind."""
    text = text.strip()
    return capital(text) + ("" if text.endswith((".", "!", "?")) else ".")


def capital(text: str) -> str:
    """Give a text a capital letter in front."""
    return text[:1].upper() + text[1:]


def plain(value: object) -> str:
    """Write a configuration's value: lists and tables without brackets, a dash for none."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {plain(member)}" for name, member in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(map(plain, value)) or "–"
    return "–" if value is None else str(value)


def dash(value: object) -> str:
    """Write a value, a dash for none."""
    return "–" if value is None else str(value)


FILTERS = (
    percent,
    percent_range,
    points,
    points_range,
    p_value,
    deviation,
    count,
    signed,
    part,
    plural,
    sentence,
    capital,
    plain,
    dash,
)
