"""What score.json and score.csv say of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.metrics.per_class import Score, Unscored
from pipelines.study.manifest import table
from runtime.files import write_json, write_text


def summary_of(scores: Sequence[Score], unscored: Sequence[Unscored]) -> dict[str, Any]:
    """The sections `scores` and `unscored` of score.json."""
    return {
        "scores": [asdict(score) for score in scores],
        "unscored": [asdict(one) for one in unscored],
    }


def write_scores(folder: Path, scores: Sequence[Score], summary: dict[str, Any]) -> None:
    """score.json, and score.csv with one row per score."""
    write_json(folder / "score.json", summary)
    write_text(
        folder / "score.csv",
        table([field.name for field in fields(Score)], (asdict(score) for score in scores)),
    )


def warnings(features: dict[str, dict[str, np.ndarray]]) -> list[str]:
    """What to know before comparing Fréchet distances: that there are fewer images than features."""
    found = []
    for name, parts in features.items():
        width = next(iter(parts.values())).shape[1]
        small = {
            what.replace("_", "-"): len(part) for what, part in parts.items() if len(part) <= width
        }
        if small:
            counts = ", ".join(f"{count} {what}" for what, count in small.items())
            found.append(
                f"{name}: fewer images ({counts}) than its {width} features, so covariances are singular; Fréchet distances come from the exact small form "
                "and are larger than those of more images would be: compare at equal n only"
            )
    return found
