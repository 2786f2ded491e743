"""TensorBoard shows every event of a journal once, also after a run was resumed.

What needs the package `tensorboard`, of the extra of that name, is skipped where it is absent.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.run import Run
from runtime.tensorboard import TensorBoardLog
from tests.conftest import TINY_GAN, cxr, ok

IS_INSTALLED = importlib.util.find_spec("tensorboard") is not None


def read_events(run: Path) -> Counter[tuple[str, int]]:
    """Count the events of each tag and step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = EventAccumulator(str(run / "tensorboard"))
    shown.Reload()
    tags = shown.Tags()
    return Counter(
        [(tag, event.step) for tag in tags["scalars"] for event in shown.Scalars(tag)]
        + [(tag, event.step) for tag in tags["images"] for event in shown.Images(tag)]
    )


@pytest.mark.skipif(IS_INSTALLED, reason="the package tensorboard is installed")
def test_without_the_package_nothing_is_begun(study: Path) -> None:
    for command in ("gan-train", "classify-train"):
        refused = cxr(command, "--tensorboard", folder=study)
        assert refused.exit_code == 2
        assert "--tensorboard yes: the package is not installed; pip install" in refused.output
    assert len(list((study / "runs").glob("0*"))) == 3


@pytest.mark.skipif(not IS_INSTALLED, reason="needs the package tensorboard")
def test_a_journal_that_was_cut_back_is_shown_anew(tmp_path: Path) -> None:
    def begin() -> Run:
        log = TensorBoardLog(Run(tmp_path), ["covid", "normal"])
        return Run(tmp_path, on_change=log.update)

    (tmp_path / "samples").mkdir()
    for step in (1, 2, 3):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "samples" / f"step-{step}.png")
    run = begin()
    run.log(step=1, loss=0.5, diversity=[0.9, 1.0])
    size = run.journal_size()
    run.log(step=2, loss=0.25)
    run.rewind_journal(size)  # as resuming does, in another process
    run = begin()
    run.log(step=2, loss=0.125, doctor="all is well")
    once = {("loss", 1), ("loss", 2), ("samples", 1), ("samples", 2)}
    once |= {("diversity/covid", 1), ("diversity/normal", 1)}
    assert {key for key in read_events(tmp_path) if not key[0].startswith("doctor")} == once
    assert set(read_events(tmp_path).values()) == {1}


@pytest.mark.skipif(not IS_INSTALLED, reason="needs the package tensorboard")
def test_a_training_is_shown(study: Path) -> None:
    ok(cxr("gan-train", "--steps", 8, "--tensorboard", *TINY_GAN, folder=study))
    (run,) = (study / "runs").glob("*4-gan-train")
    shown = read_events(run)
    assert {("samples", 4), ("samples", 8), ("distance/covid", 8)} <= set(shown)
    assert set(shown.values()) == {1}
