"""The parts of a command add up to the whole."""

from __future__ import annotations

import time

import pytest

from runtime.stopwatch import Stopwatch, describe_parts


def test_parts_add_up_to_the_time_since_the_start() -> None:
    started = time.monotonic() - 100
    watch = Stopwatch("imports", started)
    for part in ("steps", "doctor", "steps", "doctor", "figures"):
        time.sleep(0.01)
        watch.begin(part)
    seconds = watch.read()
    assert list(seconds) == ["imports", "steps", "doctor", "figures"]
    assert sum(seconds.values()) == pytest.approx(time.monotonic() - started, abs=0.03)
    assert seconds["imports"] == pytest.approx(100, abs=0.05)
    assert seconds["steps"] >= 0.02


def test_a_watch_can_be_read_while_a_part_is_under_way() -> None:
    watch = Stopwatch("imports")
    assert watch.read() == {"imports": pytest.approx(0, abs=0.01)}
    time.sleep(0.02)
    assert watch.read()["imports"] >= 0.02


def test_parts_are_written_in_one_line() -> None:
    assert describe_parts({"imports": 2.04, "first step": 0.5}) == (
        "2.5 s: imports 2.0, first step 0.5"
    )
