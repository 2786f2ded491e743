"""Exported files give what the originals give, for any number of images, and say how to use them."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from classifier.predict import load_classifier, predict
from gan.sample import load_generator
from pipelines.study.intended_use import INTENDED_USE
from pipelines.training import export
from tests.conftest import ROOT, cxr, ok

BATCHES = (1, 2, 5, 33)


def described(folder: Path, kind: str) -> dict:
    about = json.loads((folder / f"{kind}.json").read_text())
    assert about["kind"] == kind
    assert about["intended_use"] == INTENDED_USE
    assert about["classes"] == ["covid", "normal"]
    assert about["checked"]["largest_difference"] <= about["checked"]["tolerance"]
    assert about["sha256"] == hashlib.sha256((folder / about["file"]).read_bytes()).hexdigest()
    return about


def images(n: int, size: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (n, 1, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(n)
    )


def draws(n: int, latent_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(n, latent_size, generator=torch.Generator().manual_seed(n)), torch.arange(
        n
    ) * 7 % 2


def test_a_classifier_in_torchscript(study: Path) -> None:
    output = ok(cxr("export", folder=study))
    folder = study / "runs" / "0004-export"
    about, exported = (
        described(folder, "classifier"),
        torch.jit.load(folder / "classifier.torchscript.pt"),
    )
    assert "largest difference" in output
    assert INTENDED_USE in output
    assert about["exported_from"] == "0003-classify-train"
    original = load_classifier(
        study / "runs" / "0003-classify-train" / "classifier.pt", export.CPU.device
    )
    for n in BATCHES:
        given = images(n, about["image_size"])
        assert list(given.shape[1:]) == about["inputs"][0]["shape"][1:]
        assert about["inputs"][0]["dtype"] == "uint8"
        np.testing.assert_allclose(
            exported(given).numpy(), predict(original, given, export.CPU), atol=1e-5
        )


@pytest.mark.parametrize("preset", ["small-data", "dcgan"])
def test_a_generator_in_torchscript(study: Path, preset: str) -> None:
    if preset != "small-data":
        ok(
            cxr(
                "gan-train",
                "--preset",
                preset,
                "--steps",
                2,
                "--image-size",
                32,
                "--width",
                4,
                "--batch-size",
                4,
                folder=study,
            )
        )
    source = sorted((study / "runs").glob("*-gan-train"))[-1]
    ok(cxr("export", source.name, folder=study))
    (folder,) = (study / "runs").glob("*-export")
    about, exported = (
        described(folder, "generator"),
        torch.jit.load(folder / "generator.torchscript.pt"),
    )
    original = load_generator(source / "generator.pt", export.CPU.device)
    assert [one["name"] for one in about["inputs"]] == ["latents", "labels"]
    for n in BATCHES:
        with torch.no_grad():
            found, expected = (
                exported(*draws(n, original.config.latent_size)),
                original.network(*draws(n, original.config.latent_size)).mean(dim=1, keepdim=True),
            )
        assert list(found.shape[1:]) == about["outputs"][0]["shape"][1:]
        assert found.abs().max() <= 1
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_both_in_onnx(study: Path) -> None:
    for package in export.PACKAGES:
        pytest.importorskip(package)
    import onnxruntime

    ok(cxr("export", "--format", "onnx", folder=study))
    ok(cxr("export", "1", "--format", "onnx", folder=study))
    (
        described(study / "runs" / "0004-export", "classifier"),
        described(study / "runs" / "0005-export", "generator"),
    )
    assert not any(
        str(ROOT).encode() in path.read_bytes() for path in study.glob("runs/*-export/*")
    ), "it says where it was made"
    original = load_classifier(
        study / "runs" / "0003-classify-train" / "classifier.pt", export.CPU.device
    )
    generator = load_generator(
        study / "runs" / "0001-gan-train" / "generator.pt", export.CPU.device
    )
    classify, draw = (
        onnxruntime.InferenceSession(study / "runs" / name, providers=["CPUExecutionProvider"])
        for name in ("0004-export/classifier.onnx", "0005-export/generator.onnx")
    )
    for n in BATCHES:
        given = images(n, original.image_size)
        np.testing.assert_allclose(
            classify.run(["probabilities"], {"images": given.numpy()})[0],
            predict(original, given, export.CPU),
            atol=1e-5,
        )
        latents, labels = draws(n, generator.config.latent_size)
        with torch.no_grad():
            expected = generator.network(latents, labels).mean(dim=1, keepdim=True).numpy()
        np.testing.assert_allclose(
            draw.run(["images"], {"latents": latents.numpy(), "labels": labels.numpy()})[0],
            expected,
            atol=1e-5,
        )


def test_the_largest_difference_is_found_wherever_it_is() -> None:
    inputs = {"x": torch.arange(6.0)}
    for place in range(6):
        wrong = torch.arange(6.0)
        wrong[place] += 0.25
        assert export.largest_difference(lambda x: x, inputs, wrong) == 0.25
    assert (
        not export.largest_difference(lambda x: x * torch.nan, inputs, inputs["x"])
        <= export.TOLERANCE
    )


def test_what_cannot_be_exported_gets_one_line_and_leaves_nothing(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ok(cxr("classify-train", "--arch", "svm", folder=study))

    def refused(message: str, *arguments: object) -> None:
        result = cxr("export", *arguments, folder=study)
        (line,) = result.stderr.strip().splitlines()
        assert result.exit_code == 2
        assert message in line
        assert not result.stdout

    refused("svm", "4")
    refused("is a synthesize", "2")
    refused("no run '77'", "77")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as where it is not installed
    refused("pip install 'cxr[onnx]'", "3", "--format", "onnx")
    monkeypatch.setattr(export, "TOLERANCE", -1)
    refused("nothing was written", "3")
    assert not list((study / "runs").glob("*-export"))
