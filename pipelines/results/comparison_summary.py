"""The results of a comparison, as its summary.json and results.csv hold them: which belong side by side, and of what kind an arm is."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

KINDS = {  # of arms; every other one has synthetic images
    "real": "real",
    "real+classical": "classical",
    "real+duplicates": "control",
    "real+shuffled": "control",
    "real+oracle": "control",
}
KIND_NAMES = {
    "real": "real images as they are",
    "classical": "classical augmentation",
    "synthetic": "synthetic images",
    "control": "controls",
}
NUMBERS = ("fraction", "accuracy", "sensitivity", "specificity", "roc_auc", "seconds")


def kind_of(arm: str) -> str:
    """One of KIND_NAMES."""
    return KINDS.get(arm, "synthetic")


def results_at(
    summary: dict[str, Any], fraction: float, ratio: float | None
) -> list[dict[str, Any]]:
    """The results at one fraction of the real images, `real` first: of each arm that at this ratio, or where it has no ratio the only one."""
    mine = [one for one in summary["results"] if one["fraction"] == fraction]
    there = {one["arm"] for one in mine if one["ratio"] == ratio}
    return [
        one
        for one in mine
        if one["ratio"] == ratio or (one["ratio"] is None and one["arm"] not in there)
    ]


def headline_results(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """The results that the answer is of, `real` first."""
    return results_at(summary, summary["headline"]["fraction"], summary["headline"]["ratio"])


def headline_result(summary: dict[str, Any]) -> dict[str, Any]:
    """The result of the arm that the answer is of."""
    return next(
        one for one in headline_results(summary) if one["arm"] == summary["headline"]["arm"]
    )


def headline_worth(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """What the synthetic images are worth at each fraction, at the headline's ratio, or at the first one where its arm has none."""
    found = summary["worth"] or []
    ratio = (
        summary["headline"]["ratio"]
        if summary["headline"]["ratio"] in summary["ratios"]
        else summary["ratios"][0]
    )
    return [one for one in found if one["ratio"] == ratio]


def settings(summary: dict[str, Any]) -> list[tuple[float, float | None]]:
    """Every (fraction, ratio) that some arm was trained at, smallest first; a ratio of None only where no arm of the fraction has one."""
    ratios: dict[float, set[float | None]] = {}
    for one in summary["results"]:
        of_fraction = ratios.setdefault(one["fraction"], set())
        if one["ratio"] is not None or one["synthetic_images"]:
            of_fraction.add(one["ratio"])
    return [
        (fraction, ratio)
        for fraction in sorted(ratios)
        for ratio in _ordered(ratios[fraction] or {None})
    ]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """results.csv, one row per trained classifier: shares and seconds as numbers, what an arm has none of as empty text."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    try:
        return [row | {name: float(row[name]) for name in NUMBERS} for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged, or of another version of cxr ({error!r}); make the comparison anew with: cxr compare"
        ) from error


def _ordered(ratios: Iterable[float | None]) -> list[float | None]:
    return sorted(ratios, key=lambda ratio: (ratio is None, ratio or 0.0))
