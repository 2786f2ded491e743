"""What README.md prints runs as printed, and what README and docs name exists."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from pipelines.cli import main
from pipelines.cli.data import data
from tests.conftest import ROOT, TINY_CLASSIFIER, TINY_GAN, cxr, ok

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITH_SMALLER_SETTINGS = {  # in seconds: added to what is printed, as far as the command has them
    "gan-train": {"--steps": 4} | dict(zip(TINY_GAN[::2], TINY_GAN[1::2], strict=True)),
    "synthesize": {"--n": 16},
    "classify-train": dict(zip(TINY_CLASSIFIER[::2], TINY_CLASSIFIER[1::2], strict=True)),
    "audit": {"--steps": 2},
    "score": {"--features": "random"},
    "compare": {"--arms": "real,real+gan", "--seeds": 2, "--generators": 1, "--draws": 1}
    | dict(zip(TINY_CLASSIFIER[::2], TINY_CLASSIFIER[1::2], strict=True)),
}


@dataclass(frozen=True)
class Page:
    """A page of Markdown."""

    name: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The lines of its code blocks that call cxr."""
        return [
            line
            for language, block in FENCE.findall(self.text)
            if language == ""
            for line in block.splitlines()
            if line.startswith("cxr ") or "-m pipelines.cli " in line
        ]

    @property
    def python(self) -> list[str]:
        """Its Python that is meant to run; examples of style are marked py."""
        return [block for language, block in FENCE.findall(self.text) if language == "python"]

    @property
    def spans(self) -> list[str]:
        """What it names in its sentences and tables."""
        return re.findall(r"`([^`\n]+)`", FENCE.sub("", self.text))


def read_page(path: Path) -> Page:
    return Page(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))


README = read_page(ROOT / "README.md")
DOCS = [
    read_page(path)
    for path in sorted((ROOT / "docs").rglob("*.md"))
    if path.name != "commands.md"  # see test_docs.py
]
PAGES = [README, read_page(ROOT / "CONTRIBUTING.md"), *DOCS]


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that these words, without `cxr`, name, and the words that follow."""
    command: click.Command = main
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"there is no command {rest[0]!r}"
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


def words_after_cxr(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    return words[words.index("pipelines.cli" if "pipelines.cli" in words else "cxr") + 1 :]


def options_of(*commands: click.Command) -> set[str]:
    return {
        name for command in commands for parameter in command.params for name in parameter.opts
    } | {"-h", "--help"}


@pytest.fixture(scope="module")
def readme_study(phantom_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study made by the README's commands, as printed and in that order.

    The folders of images that they name, in capitals, hold one label's phantoms each.
    """
    folder = tmp_path_factory.mktemp("readme") / "study"
    folder.mkdir()
    for line in README.commands:
        for name, label in re.findall(r"\b([A-Z][A-Z_]+)(?:=([a-z-]+))?", line):
            own_label = label or name.lower().split("_")[0]
            images = phantom_study / "data" / "images" / own_label
            if not (folder / name).exists() and images.is_dir():
                shutil.copytree(images, folder / name if label else folder / name / own_label)
    with contextlib.chdir(folder):
        for line in README.commands:
            words = words_after_cxr(line)
            if "--help" not in words:
                ok(cxr(*words, *smaller_settings(words), folder=folder))
    return folder


def smaller_settings(words: list[str]) -> list[str]:
    command, _ = resolve(words)
    known = options_of(command)
    settings = WITH_SMALLER_SETTINGS.get(command.name or "", {})
    return [
        str(word) for name, value in settings.items() if name in known for word in (name, value)
    ]


def test_the_readmes_commands_run_as_printed_and_in_that_order(readme_study: Path) -> None:
    assert len(README.commands) == 7
    assert list((readme_study / "runs").glob("*-compare/report.html"))


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=f"{page.name}-{number}")
        for page in PAGES
        for number, block in enumerate(page.python, start=1)
    ],
)
def test_python_runs_as_printed(
    block: str, readme_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One folder up, where the study is called study."""
    if "from datasets" in block and importlib.util.find_spec("datasets") is None:
        pytest.skip("needs the package datasets")
    monkeypatch.chdir(readme_study.parent)
    exec(compile(block, "a page's Python", "exec"), {})


def test_readme_and_docs_have_python_to_run() -> None:
    assert README.python
    assert sum(len(page.python) for page in DOCS) >= 2


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, id=f"{page.name}: {line}")
        for page in PAGES
        for line in dict.fromkeys(page.commands)
    ],
)
def test_commands_are_understood_as_printed(line: str) -> None:
    command, rest = resolve(words_after_cxr(line))
    parent = click.Context(main, info_name="cxr", **main.context_settings)
    try:
        command.make_context(command.name, rest, parent=parent)
    except click.UsageError as error:
        pytest.fail(error.format_message())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_named_exists(page: Page) -> None:
    for text in sorted(set(page.spans)):
        check_named(text)


def check_named(text: str) -> None:
    words = [
        word.rstrip(".,;:…")
        for word in re.sub(r"\[|\]", "", text.replace("\\|", "|"))
        .replace("…", "")
        .split("#")[0]
        .split()
    ]
    if not words:
        return
    if words[:2] == ["python", "-m"] and words[2] != "pipelines.cli":
        assert importlib.util.find_spec(words[2]), text
    elif words[0] == "python" and words[1:2] != ["-m"] and len(words) > 1:
        source = (ROOT / words[1]).read_text(encoding="utf-8")
        assert all(f'"{word}"' in source for word in words[2:] if word.startswith("--")), text
    elif words[0] == "cxr" or "pipelines.cli" in words[1:]:
        check_command(
            words[words.index("pipelines.cli" if "pipelines.cli" in words else "cxr") + 1 :]
        )
    elif re.fullmatch(r"--?[a-z][a-z0-9-]*", words[0]):
        everywhere = options_of(main, *main.commands.values(), *data.commands.values()) | {"--n"}
        assert words[0] in everywhere, f"there is no option {words[0]}"
    elif words[0] == "make" and len(words) > 1:
        assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
    elif re.fullmatch(r"(tests|docs|benchmarks|runtime|gan|classifier|pipelines)/[\w./-]*", text):
        assert (ROOT / text).exists(), f"there is no {text}"
    elif re.fullmatch(r"(runtime|gan|classifier|pipelines)(\.(?!pt$)\w+)+", text):
        check_python_name(text)


def check_command(words: list[str]) -> None:
    if words and not words[0].isupper():
        command, rest = resolve(words)
        unknown = [
            word
            for word in rest
            if word.startswith("-") and word.partition("=")[0] not in options_of(command, main)
        ]
        assert not unknown, f"{command.name} has no option {unknown[0]}"


def check_python_name(name: str) -> None:
    """Hold a dotted name against the sources: a package, a module, or a name in one."""
    path = ROOT / name.replace(".", "/")
    module, _, member = name.rpartition(".")
    source = ROOT / (module.replace(".", "/") + ".py")
    if not (path.is_dir() or path.with_suffix(".py").exists()):
        assert source.exists(), f"there is no {name}"
        assert re.search(rf"^(def|class) {member}\b", source.read_text(encoding="utf-8"), re.M)
