"""What is promised of a GPU, on one: every command works there, and the same seed gives the same
bytes, killed and resumed included.

`python -m pytest -m cuda` runs these alone. All other tests are run as on a machine without a GPU.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from pipelines.data.phantom import draw_lung_mask, list_cases
from tests.conftest import cxr, ok
from tests.support.command_server import CommandServer
from tests.support.study_files import study_differences

pytestmark = pytest.mark.cuda

GPU = ("--device", "cuda")
# Steps enough that most of them are replayed from the recording of one.
GAN = ("--image-size", 32, "--width", 8, "--batch-size", 16, "--steps", 24, "--sample-every", 8)
CLASSIFIER = ("--steps", 12, "--batch-size", 8, "--evaluate-every", 4)
STUDY = (
    ("data", "lungs"),
    ("gan-train", *GAN),
    ("synthesize", "--n", 60, "--reject-copies"),
    ("classify-train", "--arch", "svm"),
    ("classify-train", *CLASSIFIER),
    ("classify-train", *CLASSIFIER, "--with-synthetic", "--augment", "yes"),
    ("score", "--features", "random,cnn"),
    ("audit", "--steps", 4),
    ("compare", *CLASSIFIER, "--seeds", 2, "--arms", "real,real+gan"),
)
CNN = "0004-classify-train"  # of these
TRAININGS = {
    "dcgan": ("gan-train", *GAN, "--preset", "dcgan", "--steps", 3),
    "covidgan": ("gan-train", "--preset", "covidgan", "--width", 8, "--steps", 3),
    "pggan": ("gan-train", *GAN, "--preset", "pggan", "--steps", 12, "--stage-steps", 3),
    "fbgan": ("gan-train", *GAN, "--preset", "fbgan", "--steps", 6),
    "growing": ("gan-train", *GAN, "--image-size", 64, "--stage-steps", 6),
    "vgg16": ("classify-train", *CLASSIFIER, "--arch", "vgg16", "--unfreeze", 5),
    "resnet18": ("classify-train", *CLASSIFIER, "--arch", "resnet18", "--unfreeze", 5),
}
KILLED = {  # each before so many changes to a file
    "gan-train": (("gan-train", *GAN), ("step-000016.png", 1)),
    "classify-train": (
        ("classify-train", *CLASSIFIER, "--augment", "yes"),
        ("checkpoints/last.pt", 3),
    ),
}


def run_study(folder: Path) -> None:
    """Run the commands of a study on a copy of the phantoms, one after the other."""
    for command in STUDY:
        ok(cxr(*command, *GPU, folder=folder))


@pytest.fixture(scope="module")
def done_study(phantom_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of which every command was run on the GPU. Not to be changed: copy it."""
    study = Path(shutil.copytree(phantom_study, tmp_path_factory.mktemp("on a gpu") / "study"))
    run_study(study)
    return study


def test_every_run_says_that_it_was_on_the_gpu(done_study: Path) -> None:
    for path in done_study.glob("runs/*/config.json"):
        assert json.loads(path.read_text())["compute"].startswith("cuda"), path


def test_what_was_trained_there_is_used_there_and_elsewhere(
    done_study: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(done_study, tmp_path / "study"))
    images = study / "data" / "images"
    explained = ("--explain", tmp_path / "explained", "--csv", tmp_path / "answers.csv")
    cnn = ("--classifier", CNN)
    ok(cxr("classify", images, *cnn, *explained, *GPU, folder=study))
    ok(cxr("classify", images, *cnn, "--device", "cpu", folder=study))
    ok(cxr("export", CNN, folder=study))
    ok(cxr("data", "check", folder=study))
    ok(cxr("report", folder=study))


def test_the_same_seed_gives_the_same_bytes(
    phantom_study: Path, done_study: Path, tmp_path: Path
) -> None:
    again = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    run_study(again)
    assert not study_differences(again, done_study)


@pytest.mark.parametrize("name", TRAININGS)
def test_every_training_has_one_order_of_its_sums(
    phantom_study: Path, tmp_path: Path, name: str
) -> None:
    weights = ("--weights", "none") if "--unfreeze" in TRAININGS[name] else ()
    studies = [Path(shutil.copytree(phantom_study, tmp_path / which)) for which in "ab"]
    for study in studies:
        ok(cxr(*TRAININGS[name], *weights, *GPU, folder=study))
    assert not study_differences(*studies)


def test_a_lung_network_has_one_order_of_its_sums(phantom_study: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    for case in list_cases(64, seed=0):
        name = f"PHANTOM-0-{case.label}-{case.patient:05d}-{case.image}.png"
        Image.fromarray(draw_lung_mask(case, seed=0)).save(masks / name)
    options = ("--image-size", 64, "--width", 4, "--batch-size", 4, "--steps", 6, "--loss", "segan")
    studies = [Path(shutil.copytree(phantom_study, tmp_path / which)) for which in "ab"]
    for study in studies:
        ok(cxr("lungs-train", "--masks", masks, *options, *GPU, folder=study))
    assert not study_differences(*studies)


@pytest.mark.parametrize("name", KILLED)
def test_killed_and_resumed_a_training_ends_as_undisturbed(
    command_server: CommandServer, phantom_study: Path, tmp_path: Path, name: str
) -> None:
    command, change = KILLED[name]
    killed, undisturbed = (
        Path(shutil.copytree(phantom_study, tmp_path / which)) for which in ("killed", "not")
    )
    result = command_server.run(*command, *GPU, folder=undisturbed)
    assert result.returncode == 0, result.stderr
    result = command_server.run(*command, *GPU, folder=killed, kill_before_change=change)
    assert result.killed, result.stderr
    result = command_server.run(name, "--resume", folder=killed)
    assert result.returncode == 0, result.stderr
    assert not study_differences(killed, undisturbed)


def test_what_is_not_to_be_deterministic_says_so(phantom_study: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    told = ok(cxr("gan-train", *GAN, *GPU, "--deterministic", "no", folder=study))
    assert "not deterministic)" in told


def test_a_full_gpu_is_one_line(phantom_study: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.002)
    try:
        result = cxr("gan-train", *GAN, "--image-size", 256, *GPU, folder=study)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert result.exit_code == 2
    assert "out of memory with --batch-size 16; try --batch-size 8" in result.stderr


def test_a_run_of_the_cpu_does_not_go_on_here_nor_one_of_here_there(
    phantom_study: Path, tmp_path: Path
) -> None:
    for begun, other in (("cpu", "cuda"), ("cuda", "cpu")):
        study = Path(shutil.copytree(phantom_study, tmp_path / begun))
        ok(cxr("gan-train", *GAN, "--device", begun, folder=study))
        (study / "runs" / "0001-gan-train" / "result.json").unlink()
        refused = cxr("gan-train", "--resume", "--device", other, folder=study)
        assert refused.exit_code == 2
        assert f"--device {begun} → {other}" in refused.stderr
