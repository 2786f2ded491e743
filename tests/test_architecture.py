"""The direction of imports, and what must not creep in."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "runtime": {"runtime"},
    "gan": {"gan", "runtime"},
    "classifier": {"classifier", "runtime"},
    "pipelines": {"pipelines", "gan", "classifier", "runtime"},
}
LAYERS = [  # of `pipelines`, from the bottom up: a package imports only from the layers under its own
    {"study"},
    {"data"},
    {"metrics"},
    {"results"},
    {"figures"},
    {"report", "training"},
    {"evaluation"},
    {"comparison"},
    {"cli"},
]
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
            names |= {f"{node.module}.{alias.name}" for alias in node.names}  # a module, perhaps
    return names


def called_names(path: Path) -> set[str]:
    """Every plain name that a file calls."""
    return {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def _module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    ours = {name.split(".")[0] for name in imports(path)} & (
        set(MAY_IMPORT) | {"tests", "benchmarks"}
    )
    assert ours <= MAY_IMPORT[package], (
        f"{path.relative_to(ROOT)} imports {ours - MAY_IMPORT[package]}"
    )


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "pipelines").rglob("*/*.py")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_pipelines_import_only_from_the_layers_under_their_own(path: Path) -> None:
    heights = {package: height for height, layer in enumerate(LAYERS) for package in layer}
    own = path.relative_to(ROOT / "pipelines").parts[0]
    imported = {name.split(".")[1] for name in imports(path) if name.startswith("pipelines.")}
    upwards = {package for package in imported - {own} if heights[package] >= heights[own]}
    assert not upwards, f"{path.relative_to(ROOT)} imports {upwards}"


def test_every_package_of_pipelines_has_a_layer() -> None:
    packages = {path.parent.name for path in (ROOT / "pipelines").glob("*/__init__.py")}
    assert packages == set().union(*LAYERS)


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {_module_name(path): imports(path) for path in MODULES}
    with_names = {  # `from package import module` imports the module
        name: {known for known in graph if known in imported} for name, imported in graph.items()
    }
    TopologicalSorter(with_names).prepare()  # raises CycleError


def test_only_the_command_line_knows_click_and_prints() -> None:
    for path in (ROOT / "pipelines").rglob("*.py"):
        if "cli" not in path.parts:
            assert not imports(path) & {"click", "pipelines.cli"}, path
            assert "print" not in called_names(path), path


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
