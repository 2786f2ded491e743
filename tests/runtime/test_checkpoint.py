"""State comes back from disk as it was, and nothing else is taken for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from runtime import checkpoint
from runtime.files import Record


def test_state_comes_back_as_it_was(tmp_path: Path) -> None:
    state = {"weights": {"w": torch.randn(3, 4)}, "step": 7, "names": ["a", "b"]}
    checkpoint.save(tmp_path / "x.pt", "thing", state)
    loaded = checkpoint.load(tmp_path / "x.pt", "thing")
    assert torch.equal(loaded["weights"]["w"], state["weights"]["w"])
    assert (loaded["step"], loaded["names"]) == (7, ["a", "b"])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_named(tmp_path: Path, share: float) -> None:
    path = tmp_path / "x.pt"
    checkpoint.save(path, "thing", {"w": torch.randn(100, 100)})
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"x\.pt cannot be read as a thing"):
        checkpoint.load(path, "thing")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "x.pt", "thing", {})
    with pytest.raises(ValueError, match="is thing, expected a generator"):
        checkpoint.load(tmp_path / "x.pt", "generator")


@pytest.mark.parametrize("content", [{"state": 1}, [1, 2]], ids=["dict", "list"])
def test_a_file_of_others_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ValueError, match="is no cxr file"):
        checkpoint.load(tmp_path / "x.pt", "thing")


def test_a_file_that_lacks_a_value_is_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "x.pt", "thing", {"step": 1})
    with pytest.raises(ValueError, match=r"x\.pt lacks 'weights'"):
        checkpoint.load(tmp_path / "x.pt", "thing", weights=dict)


def test_a_file_with_a_value_of_another_type_is_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "x.pt", "thing", {"step": "one"})
    with pytest.raises(ValueError, match="step is 'one', expected int"):
        checkpoint.load(tmp_path / "x.pt", "thing", step=int)


def test_an_absent_file_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        checkpoint.load(tmp_path / "absent.pt", "thing")


class Harmful:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("executed"),))


def test_code_in_a_file_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"cxr": "thing", "version": 1, "harm": Harmful()}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"x\.pt"):
        checkpoint.load(tmp_path / "x.pt", "thing")
    assert not (tmp_path / "executed").exists()


def test_a_network_is_built_with_the_weights_of_a_file() -> None:
    weights = nn.Linear(3, 2).state_dict()
    network = checkpoint.build_with_weights(lambda: nn.Linear(3, 2), weights, Path("x.pt"))
    assert torch.equal(network.weight, weights["weight"])


@pytest.mark.parametrize(
    ("weights", "first"),
    [
        pytest.param({"weight": torch.zeros(2, 3)}, "bias", id="absent"),
        pytest.param({"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, "weight", id="shape"),
        pytest.param({"weight": "many", "bias": torch.zeros(2)}, "weight", id="no tensor"),
        pytest.param(nn.Linear(3, 2).state_dict() | {"more": torch.zeros(1)}, "more", id="more"),
    ],
)
def test_weights_of_another_network_are_refused(weights: dict[str, Any], first: str) -> None:
    with pytest.raises(ValueError, match=f"x.pt holds other weights .* first {first};"):
        checkpoint.build_with_weights(lambda: nn.Linear(3, 2), weights, Path("x.pt"))


def test_tensors_and_networks_are_restored_in_place() -> None:
    network, tensor = nn.Linear(3, 2), torch.zeros(4)
    saved = {"network": nn.Linear(3, 2).state_dict(), "tensor": torch.ones(4)}
    checkpoint.restore({"network": network, "tensor": tensor}, Record(Path("x.pt"), saved))
    assert torch.equal(network.weight, saved["network"]["weight"])
    assert torch.equal(tensor, torch.ones(4))


@pytest.mark.parametrize("saved", [{}, {"part": 3}, {"part": torch.ones(5)}])
def test_a_part_that_does_not_fit_is_named(saved: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"x\.pt has a part that does not fit"):
        checkpoint.restore({"part": nn.Linear(3, 2)}, Record(Path("x.pt"), saved))


def test_shapes_are_had_without_loading_the_compiler() -> None:
    """To draw random numbers on the meta device does, which takes each command two seconds."""
    code = (
        "import sys; from torch import nn; from runtime.checkpoint import shapes_alone\n"
        "with shapes_alone():\n"
        "    layers = [nn.Conv2d(1, 2, 3), nn.Linear(3, 4), nn.Embedding(5, 6)]\n"
        "    nn.init.kaiming_normal_(layers[0].weight, a=0.2)\n"
        "print([tuple(layer.weight.shape) for layer in layers], 'torch._dynamo' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[(2, 1, 3, 3), (4, 3), (5, 6)] False"
