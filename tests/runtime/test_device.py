"""A device or precision that cannot be had is refused by its name."""

from __future__ import annotations

import pytest
import torch

from runtime.device import Compute, choose_compute, parse_compute
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


@pytest.mark.parametrize(
    ("compute", "text"),
    [
        (Compute(torch.device("cpu"), "fp32"), "cpu, fp32"),
        (Compute(torch.device("cuda:1"), "bf16"), "cuda:1, bf16"),
        (Compute(torch.device("cuda:1"), "bf16", 1, 4), "cuda, bf16, 4 processes"),
    ],
)
def test_a_compute_is_written_as_text(compute: Compute, text: str) -> None:
    assert str(compute) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cpu, fp32", ("cpu", "fp32")),
        ("cuda:1, bf16", ("cuda:1", "bf16")),
        ("cuda, bf16, 4 processes", ("cuda", "bf16")),
    ],
)
def test_device_and_precision_are_read_from_text(text: str, expected: tuple[str, str]) -> None:
    assert parse_compute(text) == expected


@pytest.mark.parametrize("text", ["", "cpu", "a, b, c, d"])
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
