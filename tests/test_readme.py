"""What README.md prints runs as printed, and what it names exists."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import click
import pytest

from pipelines.cli import main
from pipelines.cli.data import data
from tests.conftest import ROOT, TINY_CLASSIFIER, TINY_GAN, cxr, ok

README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line
    for language, block in FENCED
    if language != "python"
    for line in block.splitlines()
    if line.startswith("cxr ")
]
SPANS = re.findall(
    r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
)
SMALLER = {  # said after what is printed, as far as the command knows them: the same way, in seconds
    "gan-train": {"--steps": 4} | dict(zip(TINY_GAN[::2], TINY_GAN[1::2])),
    "synthesize": {"--n": 16},
    "classify-train": dict(zip(TINY_CLASSIFIER[::2], TINY_CLASSIFIER[1::2])),
    "audit": {"--steps": 2},
    "score": {"--features": "random"},
    "compare": {"--seeds": 2, "--generators": 1, "--draws": 1}
    | dict(zip(TINY_CLASSIFIER[::2], TINY_CLASSIFIER[1::2])),
}


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that these words, without `cxr`, name, and the words that follow."""
    command, rest = main, list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"README names the command {rest[0]!r}"
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


def options_of(*commands: click.Command) -> set[str]:
    return {
        name for command in commands for parameter in command.params for name in parameter.opts
    } | {"-h", "--help"}


@pytest.fixture(scope="module")
def place(phantom_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the folders of images that the commands name, in capitals, each of one label's phantoms."""
    folder = tmp_path_factory.mktemp("readme") / "study"
    folder.mkdir()
    for line in COMMANDS:
        for name, label in re.findall(r"\b([A-Z][A-Z_]+)(?:=([a-z-]+))?", line):
            own = label or name.lower().split("_")[0]
            images = phantom_study / "data" / "images" / own
            if not (folder / name).exists() and images.is_dir():
                shutil.copytree(images, folder / name if label else folder / name / own)
    return folder


def test_every_command_runs_as_printed_and_in_that_order(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On phantoms; then its Python, one folder up, where the study is called study."""
    monkeypatch.chdir(place)
    assert len(COMMANDS) >= 7
    for line in COMMANDS:
        words = shlex.split(line, comments=True)[1:]
        command, _ = resolve(words)
        known = options_of(command)
        smaller = [
            str(word)
            for name, value in SMALLER.get(command.name, {}).items()
            if name in known
            for word in (name, value)
        ]
        if "--help" not in words:
            ok(cxr(*words, *smaller, folder=place))
    monkeypatch.chdir(place.parent)
    ran = 0
    for language, block in FENCED:
        if language == "python" and not (
            "from datasets" in block and importlib.util.find_spec("datasets") is None
        ):
            exec(compile(block, "README.md", "exec"), {})
            ran += 1
    assert ran >= 2


@pytest.mark.parametrize("text", sorted({*SPANS, *COMMANDS}))
def test_what_is_named_exists(text: str) -> None:
    words = [
        word.rstrip(".,;:…")
        for word in re.sub(r"\[|\]", "", text.replace("\\|", "|"))
        .replace("…", "")
        .split("#")[0]
        .split()
    ]
    if not words:
        return
    if words[0] == "python" and len(words) > 1:
        source = (ROOT / words[1]).read_text(encoding="utf-8")
        assert all(f'"{word}"' in source for word in words[2:] if word.startswith("--")), text
    elif words[0] == "cxr" or "pipelines.cli" in words:
        rest = words[words.index("pipelines.cli" if "pipelines.cli" in words else "cxr") + 1 :]
        if rest and not rest[0].isupper():
            command, rest = resolve(rest)
            unknown = [
                word
                for word in rest
                if word.startswith("-") and word.partition("=")[0] not in options_of(command, main)
            ]
            assert not unknown, f"README names {unknown[0]} of {command.name}"
    elif re.fullmatch(r"--?[a-z][a-z0-9-]*", words[0]):
        everywhere = options_of(main, *main.commands.values(), *data.commands.values()) | {"--n"}
        assert words[0] in everywhere, f"README names {words[0]}"
