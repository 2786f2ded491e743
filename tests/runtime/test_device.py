"""A device or precision that cannot be had is refused by its name."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from runtime.device import (
    CUBLAS_WORKSPACE,
    Compute,
    ComputeChoice,
    _say_once,
    choose_compute,
    parse_compute,
)
from runtime.options import OptionError


@pytest.mark.parametrize(
    ("device", "problem"),
    [
        ("tpu", "expected auto, cpu, cuda, cuda:N or mps"),
        ("cuda:x", "expected auto, cpu, cuda, cuda:N or mps"),
        ("cpu:0", "expected auto, cpu, cuda, cuda:N or mps"),
        ("", "expected auto, cpu, cuda, cuda:N or mps"),
        ("cuda:99", "use `device` auto"),
    ],
)
def test_an_absent_device_is_named(device: str, problem: str) -> None:
    with pytest.raises(OptionError) as refused:
        choose_compute(device)
    assert (refused.value.field, refused.value.value) == ("device", device)
    assert problem in refused.value.problem


def test_an_unknown_precision_is_named() -> None:
    with pytest.raises(OptionError, match="precision fp16: expected auto, fp32 or bf16"):
        choose_compute("cpu", "fp16")


def test_the_cpu_is_always_there_in_fp32() -> None:
    assert choose_compute("cpu", "fp32") == Compute(torch.device("cpu"), "fp32")


def test_fp32_is_no_tensorfloat32() -> None:
    choose_compute("cpu", "fp32")
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_a_cpu_is_deterministic_whatever_is_asked_for() -> None:
    assert choose_compute("cpu", "fp32", deterministic=False).deterministic


@pytest.fixture
def one_gpu_without_bf16(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stand-in for a machine with a GPU of before 2020, on which nothing can be computed."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (7, 5))
    for name in ("CUBLAS_WORKSPACE_CONFIG", "TORCHINDUCTOR_DETERMINISTIC"):
        monkeypatch.setenv(name, "")  # so that it is as it was afterwards
        monkeypatch.delenv(name)
    yield
    monkeypatch.undo()
    choose_compute("cpu", "fp32")


@pytest.mark.usefixtures("one_gpu_without_bf16")
def test_cuda_is_deterministic_unless_it_is_not_to_be() -> None:
    assert str(choose_compute("cuda")) == "cuda, fp32"
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.deterministic
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == CUBLAS_WORKSPACE
    assert str(choose_compute("cuda", deterministic=False)) == "cuda, fp32, not deterministic"
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic


@pytest.mark.usefixtures("one_gpu_without_bf16")
def test_a_gpu_without_bf16_trains_in_fp32_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    _say_once.cache_clear()
    assert [choose_compute("auto").precision for _ in range(2)] == ["fp32", "fp32"]
    assert caplog.messages == ["cuda has no native bfloat16; training is in fp32"]
    with pytest.raises(OptionError, match=r"cuda has no native bfloat16 .*use fp32 or auto"):
        choose_compute("cuda", "bf16")


@pytest.mark.usefixtures("one_gpu_without_bf16")
@pytest.mark.parametrize(
    ("device", "problem"),
    [("auto", "this machine has 1; start as many"), ("cuda:0", "expected cuda, cpu or auto")],
)
def test_two_processes_cannot_share_a_gpu(
    monkeypatch: pytest.MonkeyPatch, device: str, problem: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(OptionError, match=problem):
        choose_compute(device)


@pytest.mark.parametrize(
    ("compute", "text"),
    [
        (Compute(torch.device("cpu"), "fp32"), "cpu, fp32"),
        (Compute(torch.device("cuda:1"), "bf16"), "cuda:1, bf16"),
        (Compute(torch.device("cuda:1"), "bf16", 1, 4), "cuda, bf16, 4 processes"),
        (
            Compute(torch.device("cuda"), "bf16", deterministic=False),
            "cuda, bf16, not deterministic",
        ),
        (
            Compute(torch.device("cuda:1"), "bf16", 1, 4, deterministic=False),
            "cuda, bf16, not deterministic, 4 processes",
        ),
    ],
)
def test_a_compute_is_written_as_text(compute: Compute, text: str) -> None:
    assert str(compute) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cpu, fp32", ComputeChoice("cpu", "fp32")),
        ("cuda:1, bf16", ComputeChoice("cuda:1", "bf16")),
        ("cuda, bf16, 4 processes", ComputeChoice("cuda", "bf16")),
        ("cuda, bf16, not deterministic", ComputeChoice("cuda", "bf16", False)),
        ("cuda, bf16, not deterministic, 4 processes", ComputeChoice("cuda", "bf16", False)),
    ],
)
def test_what_led_to_a_compute_is_read_from_text(text: str, expected: ComputeChoice) -> None:
    assert parse_compute(text) == expected


@pytest.mark.parametrize("text", ["", "cpu", "a, b, c, d, e"])
def test_other_text_is_no_compute(text: str) -> None:
    with pytest.raises(ValueError, match="names no device and precision"):
        parse_compute(text)


def test_one_process_agrees_with_itself() -> None:
    alone = Compute(torch.device("cpu"), "fp32")
    assert alone.is_main_process
    assert alone.agree("value") == "value"
    assert alone.gather("value") == ["value"]
    assert alone.any(True)
    assert not alone.any(False)
