"""The documentation keeps up with the program, and holds together."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from PIL import Image

from pipelines.cli import main
from pipelines.report.checklist import PITFALLS
from tests.conftest import ROOT

DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
PICTURES = sorted((DOCS / "pictures").iterdir())
MAX_README_WORDS = 1200
MAX_PICTURE_BYTES = 200_000

spec = importlib.util.spec_from_file_location("make_commands", DOCS / "make_commands.py")
assert spec is not None
assert spec.loader is not None
make_commands = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_commands)
CONTEXTS = list(make_commands.contexts(main, "cxr", None))


def page_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))


def links_of(page: Path) -> list[str]:
    """List the targets of a page's links and pictures that lead to other files or to anchors."""
    text = without_code(page.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'<img src="([^"]+)"', text)
    return [target for target in targets if "://" not in target]


def anchors_of(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", title).strip().lower() for title in titles]
    return {re.sub(r"[\s-]+", "-", title) for title in plain}


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= MAX_README_WORDS


@pytest.mark.parametrize("picture", ["phantoms.png", "verdict.png"])
def test_the_readme_shows_before_it_tells(picture: str) -> None:
    first_screen = README.read_text(encoding="utf-8").partition("\n## ")[0]
    assert f"docs/pictures/{picture}" in first_screen


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links_of(page):
        name, _, anchor = target.partition("#")
        place = page.parent / name if name else page
        assert place.exists(), target
        assert not anchor or anchor in anchors_of(place), target


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_pictures_are_small(picture: Path) -> None:
    assert picture.stat().st_size <= MAX_PICTURE_BYTES
    if picture.suffix == ".png":
        with Image.open(picture) as image:
            assert image.mode == "P"


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_pictures_are_shown(picture: Path) -> None:
    assert any(f"pictures/{picture.name}" in page.read_text(encoding="utf-8") for page in PAGES)


def test_the_page_of_commands_is_that_of_the_command_line() -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert page == make_commands.commands_page(main), "run: python docs/make_commands.py"


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.command_path)
def test_the_page_of_commands_has_what_help_prints(context: click.Context) -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## {context.command_path}\n")[2].partition("\n## ")[0]
    words = context.command_path.split()[1:]
    printed = CliRunner().invoke(main, [*words, "--help"]).output
    options = re.findall(r"^  (-[\w-]+)(?:, (--[\w-]+))?", printed, re.MULTILINE)
    assert options
    for option in {name for pair in options for name in pair if name}:
        assert re.search(rf"^\| `[^`]*(?<![\w-]){option}(?![\w-])", section, re.MULTILINE), option


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = project["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "package", sorted(path.parent.name for path in (ROOT / "pipelines").glob("*/__init__.py"))
)
def test_every_package_is_in_the_design(package: str) -> None:
    assert f"`pipelines.{package}`" in (DOCS / "design.md").read_text(encoding="utf-8")
    assert f">{package}</text>" in (DOCS / "pictures" / "layers.svg").read_text(encoding="utf-8")
    if package != "cli":
        page = (DOCS / "api" / f"{package}.md").read_text(encoding="utf-8")
        assert f"\n::: pipelines.{package}\n" in page


def test_the_number_of_pitfalls_is_the_checklists() -> None:
    page = (DOCS / "how-to" / "comparison.md").read_text(encoding="utf-8")
    assert f"A checklist of {len(PITFALLS)} pitfalls" in page


def test_the_documentation_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    for package in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(package, reason="needs pip install '.[docs]'")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for page in tmp_path.rglob("*.html"):
        fetched = re.findall(
            r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//[^"]*"'
            r'|<link[^>]+rel="(?:stylesheet|preconnect)"[^>]+href="(?:https?:)?//[^"]*"',
            page.read_text(encoding="utf-8"),
        )
        assert not fetched, page
