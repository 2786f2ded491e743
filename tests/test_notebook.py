"""The notebook of examples/ runs from its first cell to its last, with smaller settings."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import ROOT

SMALLER = {
    "PHANTOMS": 48,
    "GAN": {"image_size": 32, "steps": 4, "width": 4, "batch_size": 8, "sample_every": 4},
    "SYNTHETIC": 24,
    "CLASSIFIER": {"steps": 4, "batch_size": 8, "evaluate_every": 4},
}
NOTEBOOK = json.loads((ROOT / "examples" / "study.ipynb").read_text(encoding="utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def run_cell(source: str, names: dict[str, Any]) -> object:
    """Run a cell, and return the value of its last expression, which Jupyter shows."""
    *statements, last = ast.parse(source).body
    if not isinstance(last, ast.Expr):
        statements, last = [*statements, last], None
    exec(compile(ast.Module(statements, []), "a cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "a cell", "eval"), names) if last else None


def test_the_notebook_runs_and_shows_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    shown = []
    for cell in CODE:
        shown.append(run_cell("".join(cell["source"]), names))
        if "parameters" in cell["metadata"].get("tags", []):
            assert names.keys() >= SMALLER.keys()
            names |= SMALLER
    pictures = [value for value in shown if isinstance(value, Image.Image)]
    assert len(pictures) == 6
    for picture in pictures:
        picture.load()
    assert names["comparison_run"].folder.joinpath("report.html").exists()
    printed = capsys.readouterr().out
    assert names["summary"].sentence in printed
    assert "train_synthetic_test_real" in printed or "frechet" in printed


def test_the_notebook_is_kept_without_outputs() -> None:
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in CODE)
