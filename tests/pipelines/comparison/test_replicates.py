"""Which generators and sets a comparison takes for further ones of the same recipe."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gan import doctor
from pipelines.comparison.replicates import (
    WantedGenerator,
    continue_generator,
    find_generator,
    make_synthetic_set,
)
from pipelines.study.runs import RunRequest
from pipelines.study.shares import RealShare
from pipelines.study.workspace import Workspace
from pipelines.training.generator import train_generator
from runtime.device import choose_compute
from runtime.run import Run
from tests.conftest import cxr, ok


def find_second(study: Path, **changes: Any) -> tuple[Run, Run | None]:
    """A finished generator of the next seed, otherwise changed so, and what is found of it."""
    workspace = Workspace(study)
    first = workspace.find_run("gan-train")
    second = Run(Path(shutil.copytree(first.folder, study / "runs" / "0090-gan-train")))
    config = dict(first.config) | {"seed": first.config["seed"] + 1} | changes
    (second.folder / "config.json").write_text(json.dumps(config))
    wanted = WantedGenerator(RealShare(), 1, first.config["seed"] + 1)
    return second, find_generator(workspace, first, wanted)


def test_a_generator_of_the_next_seed_is_taken(study: Path) -> None:
    second, found = find_second(study)
    assert found == second


@pytest.mark.parametrize(
    "changes",
    [{"width": 64}, {"steps": 50}, {"batch_size": 2}, {"learning_rate": 0.5}, {"augment": False}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_generator_of_another_recipe_is_not(study: Path, changes: dict[str, Any]) -> None:
    """A rehearsal of 50 steps at width 8 is no replicate of 6000 at width 32."""
    _, found = find_second(study, **changes)
    assert found is None


def test_a_generator_that_the_doctor_gives_up_on_is_trained_to_its_end(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Studies of the trainings that went well alone would flatter the GAN."""
    monkeypatch.setattr(doctor, "UNHEALTHY_STEPS", 24)
    options = {"steps": 120, "learning_rate": 0.1, "ema_decay": 0.5, "sample_every": 4}
    options |= {"image_size": 32, "width": 4, "batch_size": 8}
    workspace, compute = Workspace(study), choose_compute("cpu", "fp32")
    with pytest.raises(ValueError, match="rolled back to the best snapshot"):
        train_generator(workspace, options, RunRequest(compute=compute))
    begun = Run(study / "runs" / "0004-gan-train")
    workspace.release()
    run = continue_generator(workspace, options, RealShare(), None, compute)
    assert (run, run.result["step"]) == (begun, 120)


def test_a_further_set_has_latents_as_wide_as_the_first(study: Path) -> None:
    ok(cxr("synthesize", "--n", 24, "--sampling-scale", 1.5, folder=study))
    workspace, compute = Workspace(study), choose_compute("cpu", "fp32")
    own, wide = (workspace.find_run("synthesize", number) for number in ("2", "4"))
    generator = workspace.find_run("gan-train")
    for first in (own, wide):
        assert make_synthetic_set(workspace, first, generator, 0, 24, compute) == first
    further = make_synthetic_set(workspace, wide, generator, 1, 24, compute)
    assert further.folder.parent == workspace.replicates.runs
    assert (further.config["sampling_scale"], further.config["seed"]) == (1.5, 1)
    assert make_synthetic_set(workspace, wide, generator, 1, 24, compute) == further
    assert make_synthetic_set(workspace, own, generator, 1, 24, compute) != further
