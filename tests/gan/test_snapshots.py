"""The best snapshot is known, and old ones make room."""

from __future__ import annotations

from pathlib import Path

import pytest

from gan import snapshots
from gan.snapshots import best_snapshot, describe_rollback, list_snapshots, snapshot_file
from runtime.options import OptionError
from runtime.run import Run, create_run
from tests.gan.tiny_training import load_best, names_in, run_training

Score = tuple[int, float, float]  # step, diversity of the first class, distance


def run_with(folder: Path, *scores: Score) -> Run:
    """Make a run whose journal has snapshots of these scores."""
    run = create_run(folder, "gan-train", {})
    for step, diversity, distance in scores:
        run.log(step=step, diversity=[diversity, 0.9], distance=[distance, distance])
    return run


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        pytest.param([(20, 0.9, 0.002), (21, 0.9, 0.001)], 21, id="the closest"),
        pytest.param([(20, 0.9, 1.0), (21, 0.9, 1.2), (22, 0.9, 1.1)], 20, id="the closest before"),
        pytest.param(
            [(20, 0.9, 1.02), (21, 0.9, 1.0), (22, 0.9, 1.04)], 22, id="the last as close"
        ),
        pytest.param([(20, 0.9, 1.04), (21, 0.9, 1.0), (22, 0.9, 1.06)], 21, id="not the last"),
        pytest.param([(20, 0.9, -1e-9), (21, 0.9, 0.1)], 20, id="at a distance of 0, rounded"),
        pytest.param([(20, 0.1, 0.0), (21, 0.9, 0.001)], 21, id="of the healthy"),
        pytest.param([(20, 0.1, 0.001), (21, 9.0, 0.002)], 20, id="of all where none is healthy"),
    ],
)
def test_the_best_snapshot(tmp_path: Path, scores: list[Score], best: int) -> None:
    snapshot = best_snapshot(run_with(tmp_path, *scores))
    assert snapshot is not None
    assert snapshot.step == best


def test_a_run_without_snapshots_has_no_best(tmp_path: Path) -> None:
    assert best_snapshot(run_with(tmp_path)) is None


@pytest.mark.parametrize(
    ("scores", "text"),
    [
        pytest.param([], "there is no snapshot before it", id="none"),
        pytest.param([(20, 0.9, 1.0)], "rolled back to the best snapshot, step 20", id="healthy"),
        pytest.param([(20, 0.1, 1.0)], "do not use it", id="collapsed"),
    ],
)
def test_what_a_failed_run_is_left_with_is_said(
    tmp_path: Path, scores: list[Score], text: str
) -> None:
    assert text in describe_rollback(run_with(tmp_path, *scores))


def test_a_damaged_event_is_told_of_with_its_file(tmp_path: Path) -> None:
    run = create_run(tmp_path, "gan-train", {})
    run.log(step="five", diversity=[1.0], distance=[1.0])
    with pytest.raises(ValueError, match=r"journal\.jsonl: step is 'five', expected int"):
        list_snapshots(run)


@pytest.fixture(scope="module")
def thinned(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of 13 snapshots, of which 5 may stay, besides the newest and the best."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshots, "MAX_SNAPSHOTS", 5)
        return run_training(tmp_path_factory.mktemp("thinned"), steps=13, sample_every=1)


@pytest.mark.parametrize("folder", ["snapshots", "samples"])
def test_old_snapshots_are_thinned_out_evenly(thinned: Run, folder: str) -> None:
    assert names_in(thinned, folder) == [f"step-{step:06d}" for step in (4, 8, 12, 13)]


def test_the_best_is_kept_thinned_out_or_not(thinned: Run) -> None:
    best = best_snapshot(thinned)
    assert best is not None
    assert load_best(thinned).step == best.step


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("best", "generator.pt"),
        ("last", "snapshots/step-000013.pt"),
        ("8", "snapshots/step-000008.pt"),
    ],
)
def test_a_snapshot_is_found_by_name(thinned: Run, name: str, file: str) -> None:
    assert snapshot_file(thinned, name) == thinned.folder / file


@pytest.mark.parametrize("name", ["5", "-8", "first", ""])
def test_an_absent_snapshot_is_refused_with_what_there_is(thinned: Run, name: str) -> None:
    with pytest.raises(OptionError) as refused:
        snapshot_file(thinned, name)
    assert str(refused.value) == f"snapshot {name}: {thinned.name} has best, last, 4, 8, 12, 13"
