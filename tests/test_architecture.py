"""The direction of imports, and what must not creep in."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
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
LAYERS = [  # of `pipelines`, from the bottom up: imports go only to layers under one's own
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
LIBRARY_MODULES = [path for path in MODULES if path.relative_to(ROOT).parts[0] != "pipelines"]
PIPELINE_MODULES = sorted((ROOT / "pipelines").rglob("*/*.py"))
USED_BY_BOTH_TRAINERS = ("device", "randomness", "checkpoint", "dataset", "progress", "run")
VAGUE_NAMES = ("utils", "util", "misc", "common", "helpers", "helper")

MAX_LINE_LENGTH = 100
MAX_FUNCTION_LINES = 60
MAX_RECIPE_LINES = 120
RECIPES = {"gan/train.py:train", "classifier/train.py:train"}  # trainings, to be read in one go
MAX_UNTYPED_DICTS = 55  # a falling number: lower it whenever you can

COMMANDS = [
    [],
    ["data"],
    ["data", "import"],
    ["data", "check"],
    ["data", "show"],
    ["data", "sources"],
    ["data", "phantom"],
    ["data", "export"],
    ["data", "lungs"],
    ["gan-train"],
    ["synthesize"],
    ["classify-train"],
    ["lungs-train"],
    ["audit"],
    ["export"],
    ["classify"],
    ["score"],
    ["compare"],
    ["report"],
    ["reproduce"],
    ["study"],
    ["reader-study"],
    ["demo"],
]
MAX_HELP_SECONDS = 0.8  # 0.1 on an idle machine; tests run side by side
HELP_ATTEMPTS = 3
HELP_SCRIPT = """
import contextlib, io, json, sys, time
from pipelines.cli import main
heavy = {'torch', 'torchvision', 'numpy', 'scipy', 'sklearn', 'matplotlib', 'PIL'}
seconds = []
for command in json.loads(sys.argv[1]):
    started, text = time.perf_counter(), io.StringIO()
    try:
        with contextlib.redirect_stdout(text):
            main([*command, '--help'])
    except SystemExit as stop:
        assert stop.code == 0, command
    assert 'Usage:' in text.getvalue(), command
    assert not heavy & set(sys.modules), (command, heavy & set(sys.modules))
    seconds.append(time.perf_counter() - started)
print(json.dumps(seconds))
"""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def of_every(paths: Sequence[Path]) -> Callable[[Callable[[Path], None]], Callable[[], None]]:
    """Make one test of a check that every module has to pass; it names all that do not."""

    def decorate(check: Callable[[Path], None]) -> Callable[[], None]:
        def test() -> None:
            faults = []
            for path in paths:
                try:
                    check(path)
                except AssertionError as fault:
                    faults.append(f"{relative(path)}: {fault}")
            assert not faults, "\n".join(faults)

        return test

    return decorate


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def syntax_tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> set[str]:
    """Return every module name that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(syntax_tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}  # a module, perhaps
    return names


def imported_modules(path: Path, known: set[str]) -> set[str]:
    """Return which of the known modules a file imports.

    `from package import module` imports the module; that its package comes first is no arrow, or
    no `__init__` could offer what its modules hold.
    """
    modules: set[str] = set()
    for node in ast.walk(syntax_tree(path)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules |= {name if name in known else str(node.module) for name in names}
    return modules & known


def called_names(path: Path) -> set[str]:
    """Return every plain name that a file calls."""
    return {
        node.func.id
        for node in ast.walk(syntax_tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def attribute_names(path: Path) -> set[str]:
    """Return every attribute of a plain name in a file, such as `sys.argv`."""
    return {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(syntax_tree(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


def functions(path: Path) -> Iterator[Function]:
    """Yield every function of a file, methods and inner functions too."""
    for node in ast.walk(syntax_tree(path)):
        if isinstance(node, Function):
            yield node


def public_definitions(path: Path) -> Iterator[Function | ast.ClassDef]:
    """Yield the public functions and classes of a file."""
    for node in syntax_tree(path).body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node


def constants(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the value, as source text, of each constant of a module."""
    for node in syntax_tree(path).body:
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name) and target.id.isupper():
                yield target.id, ast.unparse(node.value)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def tracked_python_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\n") if name and (ROOT / name).exists()]


# --- imports ---


@of_every(MODULES)
def test_imports_go_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    packages = {name.split(".")[0] for name in imports(path)}
    own = packages & (set(MAY_IMPORT) | {"tests", "benchmarks"})
    assert own <= MAY_IMPORT[package]


@of_every(PIPELINE_MODULES)
def test_pipelines_import_only_from_the_layers_under_their_own(path: Path) -> None:
    heights = {package: height for height, layer in enumerate(LAYERS) for package in layer}
    own = path.relative_to(ROOT / "pipelines").parts[0]
    imported = {name.split(".")[1] for name in imports(path) if name.startswith("pipelines.")}
    upwards = {package for package in imported - {own} if heights[package] >= heights[own]}
    assert not upwards


def test_every_package_of_pipelines_has_a_layer() -> None:
    packages = {path.parent.name for path in (ROOT / "pipelines").glob("*/__init__.py")}
    assert packages == set().union(*LAYERS)


def test_no_modules_import_each_other_in_a_circle() -> None:
    known = {module_name(path) for path in MODULES}
    graph = {module_name(path): imported_modules(path, known) for path in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("module", USED_BY_BOTH_TRAINERS)
@pytest.mark.parametrize("package", ["gan", "classifier"])
def test_runtime_holds_only_what_both_trainers_use(package: str, module: str) -> None:
    names = set().union(*(imports(path) for path in (ROOT / package).rglob("*.py")))
    assert f"runtime.{module}" in names


# --- who may do what ---


@of_every(PIPELINE_MODULES)
def test_only_the_command_line_knows_click_and_prints(path: Path) -> None:
    if "cli" not in path.parts:
        assert not imports(path) & {"click", "pipelines.cli"}
        assert "print" not in called_names(path)


@of_every(LIBRARY_MODULES)
def test_libraries_never_print_nor_read_the_command_line(path: Path) -> None:
    assert "click" not in imports(path)
    assert "print" not in called_names(path)
    assert "sys.argv" not in attribute_names(path)


def help_seconds() -> float:
    """Show the help of every command in one process; return how long the slowest would take alone.

    That is what starting takes, and what its help takes once all is imported that others need too.
    """
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", HELP_SCRIPT, json.dumps(COMMANDS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    elapsed = time.perf_counter() - started
    assert done.returncode == 0, done.stderr
    each = json.loads(done.stdout)
    assert len(each) == len(COMMANDS)
    return elapsed - sum(each) + max(each)


def test_help_is_instant_and_imports_nothing_heavy() -> None:
    attempts = (help_seconds() for _ in range(HELP_ATTEMPTS))
    assert any(seconds < MAX_HELP_SECONDS for seconds in attempts)


# --- how it is written ---


@of_every(MODULES)
def test_a_module_is_named_by_what_it_holds(path: Path) -> None:
    assert path.stem not in VAGUE_NAMES


@of_every(MODULES)
def test_no_function_is_too_long(path: Path) -> None:
    too_long = {}
    for function in functions(path):
        assert function.end_lineno is not None
        lines = function.end_lineno - function.lineno + 1
        is_recipe = f"{relative(path)}:{function.name}" in RECIPES
        if lines > (MAX_RECIPE_LINES if is_recipe else MAX_FUNCTION_LINES):
            too_long[function.name] = lines
    assert not too_long


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_a_recipe_that_may_be_longer_is_there(recipe: str) -> None:
    path, name = recipe.split(":")
    assert name in {function.name for function in functions(ROOT / path)}


@pytest.mark.parametrize("package", ["runtime", "gan", "classifier"])
def test_the_errors_of_libraries_name_fields_and_no_flags(package: str) -> None:
    flags = [
        f"{relative(path)}:{node.lineno}"
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and re.search(r"--[a-z]", ast.unparse(node))
    ]
    assert not flags


def test_no_line_of_python_is_too_long() -> None:
    too_long = [
        f"{relative(path)}:{number}"
        for path in tracked_python_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if len(line) > MAX_LINE_LENGTH
    ]
    assert not too_long, "\n".join(too_long)


def test_untyped_dicts_only_become_fewer() -> None:
    texts = [path.read_text(encoding="utf-8") for path in MODULES]
    assert sum(text.count("dict[str, Any]") for text in texts) <= MAX_UNTYPED_DICTS


def test_a_name_of_a_constant_has_one_meaning() -> None:
    values: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for path in MODULES:
        for name, value in constants(path):
            values[name][relative(path)] = value
    ambiguous = [
        f"{name}: {', '.join(sorted(by_module))}"
        for name, by_module in values.items()
        if len(set(by_module.values())) > 1
    ]
    assert not ambiguous, "\n".join(ambiguous)


@of_every(MODULES)
def test_what_is_public_has_a_docstring(path: Path) -> None:
    bare = [node.name for node in public_definitions(path) if ast.get_docstring(node) is None]
    assert not bare
