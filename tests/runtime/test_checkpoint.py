from __future__ import annotations

from pathlib import Path

import pytest
import torch

from runtime import checkpoint
from runtime.files import atomic


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
    with pytest.raises(ValueError, match="x.pt"):
        checkpoint.load(path, "thing")


def test_only_our_own_kind_is_read(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "x.pt", "thing", {})
    with pytest.raises(ValueError, match="expected a generator"):
        checkpoint.load(tmp_path / "x.pt", "generator")
    torch.save({"state": 1}, tmp_path / "foreign.pt")
    with pytest.raises(ValueError, match="no cxr file"):
        checkpoint.load(tmp_path / "foreign.pt", "thing")
    with pytest.raises(FileNotFoundError):
        checkpoint.load(tmp_path / "absent.pt", "thing")


class Harmful:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def test_code_in_a_file_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"cxr": "thing", "version": 1, "harm": Harmful()}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match="x.pt"):
        checkpoint.load(tmp_path / "x.pt", "thing")
    assert not (tmp_path / "executed").exists()


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic(path) as file:
        file.write(b"new and half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
