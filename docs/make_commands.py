"""Write docs/commands.md: every command and option of cxr, taken from the command line itself.

    .venv/bin/python docs/make_commands.py

A test holds the page against what `cxr --help` says, so it cannot fall behind unnoticed.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "commands.md"
HEAD = """# Commands

<!-- Made by docs/make_commands.py from the command line itself. Do not edit this page. -->

Every command and every option, as `cxr COMMAND --help` prints them. `-C DIR` may stand before the
command or after it. A mistake in an option is one line on standard error and exit code 2.
"""


def contexts(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[click.Context]:
    """List the context of a command and of all under it, in the order of `--help`."""
    settings = command.context_settings
    context = click.Context(command, parent=parent, info_name=name, **settings)
    yield context
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            yield from contexts(command.commands[child_name], child_name, context)


def commands_page(main: click.Command) -> str:
    """Return the page as Markdown."""
    return "\n".join([HEAD, *map(command_section, contexts(main, "cxr", None))])


def command_section(context: click.Context) -> str:
    """Return a heading, the usage, the help text and the table of options of one command."""
    command, name = context.command, context.command_path
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    parts = [f"## {name}", f"```text\n{usage}\n```", help_text(command)]
    if isinstance(command, click.Group):
        parts.append(command_list(command, context))
    records = [
        record
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context))
    ]
    rows = [f"| `{cell(flags)}` | {cell(text)} |" for flags, text in records]
    parts.append("\n".join(["| option | what it does |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def command_list(group: click.Group, context: click.Context) -> str:
    """Return the commands of a group, each with a link to its section."""
    lines = []
    for child_name in group.list_commands(context):
        name = f"{context.command_path} {child_name}"
        about = group.commands[child_name].get_short_help_str(limit=200)
        lines.append(f"- [`{name}`](#{anchor(name)}): {about}")
    return "\n".join(lines)


def help_text(command: click.Command) -> str:
    """Return a command's help as Markdown; what click must not wrap becomes a block of code."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(
        f"```text\n{paragraph.removeprefix(chr(8)).strip(chr(10))}\n```"
        if paragraph.startswith("\b")
        else " ".join(paragraph.split())
        for paragraph in paragraphs
    )


def anchor(title: str) -> str:
    """Return the anchor that a heading gets."""
    return re.sub(r"[^a-z0-9-]+", "-", title.lower())


def cell(text: str) -> str:
    """Return text as it may stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from pipelines.cli import main

    PAGE.write_text(commands_page(main), encoding="utf-8")
    print(f"made: {PAGE}")
