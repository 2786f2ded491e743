"""A run says how its seconds are spread over its parts, and prints it when asked to."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.run import Run
from tests.conftest import TINY_CLASSIFIER, cxr, ok

PARTS = {
    "0001-gan-train": {
        *("imports", "data", "preparation", "first step", "steps", "snapshots", "figures")
    },
    "0003-classify-train": {"imports", "data", "training and test", "figures"},
}


@pytest.mark.parametrize("name", PARTS)
def test_a_result_has_the_seconds_of_every_part(tiny_study: Path, name: str) -> None:
    result = Run(tiny_study / "runs" / name).result
    assert result["seconds_by_part"].keys() == PARTS[name]
    assert sum(result["seconds_by_part"].values()) > result["seconds"] - 0.1


def test_they_are_printed_when_asked_for(study: Path) -> None:
    told = ok(cxr("classify-train", *TINY_CLASSIFIER, "--verbose", folder=study))
    assert " s: imports " in told
