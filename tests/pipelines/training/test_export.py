"""Exported files give what the originals give, for any number of images."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifier.predict import TrainedClassifier, load_classifier, predict
from gan.sample import TrainedGenerator, load_generator
from pipelines.study.intended_use import INTENDED_USE
from pipelines.training import export
from pipelines.training.export_formats import EXPORT_FORMATS
from pipelines.training.exportable import CPU
from tests.conftest import ROOT, cxr, ok

BATCHES = (1, 2, 5, 33)
TINY_DCGAN = ("--preset", "dcgan", "--steps", 2, "--image-size", 32, "--width", 4)


def read_description(folder: Path, kind: str) -> dict[str, Any]:
    return json.loads((folder / f"{kind}.json").read_text())


def make_images(n: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    return torch.randint(0, 256, (n, 1, size, size), dtype=torch.uint8, generator=generator)


def make_latents(n: int, latent_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    latents = torch.randn(n, latent_size, generator=torch.Generator().manual_seed(n))
    return latents, torch.arange(n) * 7 % 2


@torch.no_grad()
def draw(generator: TrainedGenerator, n: int) -> torch.Tensor:
    latents, labels = make_latents(n, generator.config.latent_size)
    return generator.network(latents, labels).mean(dim=1, keepdim=True)


@pytest.fixture(scope="module")
def exports(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A study whose classifier and generator are exported to TorchScript: each one's folder."""
    study = Path(shutil.copytree(tiny_study, tmp_path_factory.mktemp("export") / "study"))
    ok(cxr("export", folder=study))
    ok(cxr("export", "1", folder=study))
    runs = study / "runs"
    return {"classifier": runs / "0004-export", "generator": runs / "0005-export"}


@pytest.fixture
def classifier(tiny_study: Path) -> TrainedClassifier:
    run = tiny_study / "runs" / "0003-classify-train"
    return load_classifier(run / "classifier.pt", CPU.device)


@pytest.fixture
def generator(tiny_study: Path) -> TrainedGenerator:
    return load_generator(tiny_study / "runs" / "0001-gan-train" / "generator.pt", CPU.device)


@pytest.mark.parametrize("kind", ["classifier", "generator"])
def test_the_description_says_what_the_file_is(exports: dict[str, Path], kind: str) -> None:
    about = read_description(exports[kind], kind)
    assert about["kind"] == kind
    assert about["classes"] == ["covid", "normal"]
    assert about["intended_use"] == INTENDED_USE


@pytest.mark.parametrize("kind", ["classifier", "generator"])
def test_the_description_has_the_hash_of_the_file(exports: dict[str, Path], kind: str) -> None:
    about = read_description(exports[kind], kind)
    exported = (exports[kind] / about["file"]).read_bytes()
    assert about["sha256"] == hashlib.sha256(exported).hexdigest()


@pytest.mark.parametrize("kind", ["classifier", "generator"])
def test_the_outputs_were_checked(exports: dict[str, Path], kind: str) -> None:
    checked = read_description(exports[kind], kind)["checked"]
    assert checked["inputs"] > 0
    assert checked["largest_difference"] <= checked["tolerance"]


@pytest.mark.parametrize(
    ("kind", "source"), [("classifier", "0003-classify-train"), ("generator", "0001-gan-train")]
)
def test_the_description_names_the_run(exports: dict[str, Path], kind: str, source: str) -> None:
    assert read_description(exports[kind], kind)["exported_from"] == source


def test_the_command_says_how_near_the_outputs_are(study: Path) -> None:
    output = ok(cxr("export", folder=study))
    assert "largest difference" in output
    assert INTENDED_USE in output


@pytest.mark.parametrize("n", BATCHES)
def test_a_classifier_in_torchscript(
    exports: dict[str, Path], classifier: TrainedClassifier, n: int
) -> None:
    exported = torch.jit.load(exports["classifier"] / "classifier.torchscript.pt")
    images = make_images(n, classifier.image_size)
    np.testing.assert_allclose(
        exported(images).numpy(), predict(classifier, images, CPU), atol=1e-5
    )


def test_a_classifier_takes_what_its_description_says(
    exports: dict[str, Path], classifier: TrainedClassifier
) -> None:
    (tensor,) = read_description(exports["classifier"], "classifier")["inputs"]
    size = classifier.image_size
    assert (tensor["shape"], tensor["dtype"]) == (["batch", 1, size, size], "uint8")


@pytest.mark.parametrize("n", BATCHES)
def test_a_generator_in_torchscript(
    exports: dict[str, Path], generator: TrainedGenerator, n: int
) -> None:
    exported = torch.jit.load(exports["generator"] / "generator.torchscript.pt")
    images = exported(*make_latents(n, generator.config.latent_size))
    torch.testing.assert_close(images, draw(generator, n), atol=1e-5, rtol=0)


def test_a_generator_takes_and_gives_what_its_description_says(
    exports: dict[str, Path], generator: TrainedGenerator
) -> None:
    about = read_description(exports["generator"], "generator")
    assert [tensor["name"] for tensor in about["inputs"]] == ["latents", "labels"]
    assert about["outputs"][0]["shape"][1:] == list(draw(generator, 1).shape[1:])


def test_a_generator_of_one_network_per_class_in_torchscript(study: Path) -> None:
    ok(cxr("gan-train", *TINY_DCGAN, "--batch-size", 4, folder=study))
    ok(cxr("export", "4", folder=study))
    exported = torch.jit.load(study / "runs" / "0005-export" / "generator.torchscript.pt")
    original = load_generator(study / "runs" / "0004-gan-train" / "generator.pt", CPU.device)
    for n in BATCHES:
        images = exported(*make_latents(n, original.config.latent_size))
        torch.testing.assert_close(images, draw(original, n), atol=1e-5, rtol=0)


def test_both_in_onnx(
    study: Path, classifier: TrainedClassifier, generator: TrainedGenerator
) -> None:
    for package in EXPORT_FORMATS["onnx"].packages:
        pytest.importorskip(package)
    import onnxruntime

    ok(cxr("export", "--format", "onnx", folder=study))
    ok(cxr("export", "1", "--format", "onnx", folder=study))
    assert not any(
        str(ROOT).encode() in path.read_bytes() for path in study.glob("runs/*-export/*")
    ), "it says where it was made"
    classify, generate = (
        onnxruntime.InferenceSession(study / "runs" / name, providers=["CPUExecutionProvider"])
        for name in ("0004-export/classifier.onnx", "0005-export/generator.onnx")
    )
    for n in BATCHES:
        images = make_images(n, classifier.image_size)
        probabilities = classify.run(["probabilities"], {"images": images.numpy()})[0]
        np.testing.assert_allclose(probabilities, predict(classifier, images, CPU), atol=1e-5)
        latents, labels = make_latents(n, generator.config.latent_size)
        inputs = {"latents": latents.numpy(), "labels": labels.numpy()}
        drawn = generate.run(["images"], inputs)[0]
        np.testing.assert_allclose(drawn, draw(generator, n).numpy(), atol=1e-5)


@pytest.mark.parametrize("place", range(6))
def test_the_largest_difference_is_found_wherever_it_is(place: int) -> None:
    inputs = {"x": torch.arange(6.0)}
    expected = torch.arange(6.0)
    expected[place] += 0.25
    assert export.largest_difference(lambda x: x, inputs, expected) == 0.25


def test_outputs_that_are_no_numbers_are_not_near() -> None:
    inputs = {"x": torch.arange(6.0)}
    difference = export.largest_difference(lambda x: x * torch.nan, inputs, torch.arange(6.0))
    assert not difference <= export.TOLERANCE


def check_refused(study: Path, message: str, *arguments: object) -> None:
    """The command says one line and leaves no run."""
    result = cxr("export", *arguments, folder=study)
    (line,) = result.stderr.strip().splitlines()
    assert result.exit_code == 2
    assert message in line
    assert not result.stdout
    assert not list((study / "runs").glob("*-export"))


@pytest.mark.parametrize(
    ("run", "message"),
    [
        pytest.param("2", "is a synthesize", id="neither classifier nor generator"),
        pytest.param("77", "no run '77'", id="no such run"),
    ],
)
def test_a_run_that_cannot_be_exported_is_refused(study: Path, run: str, message: str) -> None:
    check_refused(study, message, run)


def test_an_svm_is_refused(study: Path) -> None:
    ok(cxr("classify-train", "--arch", "svm", folder=study))
    check_refused(study, "svm", "4")


def test_onnx_without_its_packages_says_how_to_get_them(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    check_refused(study, "pip install 'cxr[onnx]'", "3", "--format", "onnx")


def test_outputs_that_differ_are_refused(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "TOLERANCE", -1)
    check_refused(study, "nothing was written", "3")
