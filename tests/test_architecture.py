"""The direction of imports, and what must not creep in."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "runtime": {"runtime"},
    "gan": {"gan", "runtime"},
    "classifier": {"classifier", "runtime"},
    "pipelines": {"pipelines", "gan", "classifier", "runtime"},
}
MODULES = sorted(path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every module name that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    ours = {name.split(".")[0] for name in imports(path)} & (
        set(MAY_IMPORT) | {"tests", "benchmarks"}
    )
    assert ours <= MAY_IMPORT[package], (
        f"{path.relative_to(ROOT)} imports {ours - MAY_IMPORT[package]}"
    )


@pytest.mark.parametrize("package", ["runtime", "gan", "classifier"])
def test_libraries_never_print_nor_read_the_command_line(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert "click" not in imports(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", path
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) != ("sys", "argv"), path


def test_runtime_holds_only_what_both_trainers_use() -> None:
    used = {
        package: set().union(*(imports(path) for path in (ROOT / package).rglob("*.py")))
        for package in ("gan", "classifier")
    }
    trainers = {"device", "randomness", "checkpoint", "dataset", "progress", "run"}
    for module in trainers:
        for package, names in used.items():
            assert f"runtime.{module}" in names or any(name == "runtime" for name in names), (
                f"{package} does not use runtime.{module}"
            )


def test_no_drawers() -> None:
    assert not [
        path
        for path in MODULES
        if path.stem in ("utils", "util", "misc", "common", "helpers", "helper")
    ]


COMMANDS = [
    [],
    ["data"],
    ["data", "import"],
    ["data", "check"],
    ["data", "show"],
    ["data", "sources"],
    ["data", "phantom"],
    ["gan-train"],
    ["synthesize"],
    ["classify-train"],
    ["audit"],
    ["export"],
    ["classify"],
    ["score"],
    ["compare"],
    ["report"],
    ["reproduce"],
    ["reader-study"],
    ["demo"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command) or "cxr")
def test_help_is_instant_and_imports_nothing_heavy(command: list[str]) -> None:
    code = (
        "import sys\nfrom pipelines.cli import main\n"
        f"try: main({[*command, '--help']!r})\nexcept SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'torch', 'torchvision', 'numpy', 'scipy', 'sklearn', 'matplotlib', 'PIL'} & set(sys.modules)\nassert not heavy, heavy"
    )
    times = []
    for _ in range(3):
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
        )
        times.append(time.perf_counter() - started)
        assert done.returncode == 0, done.stderr
        assert "Usage:" in done.stdout
        if times[-1] < 0.8:
            break
    assert min(times) < 0.8  # 0.1 s on an idle machine; tests run side by side
