"""A report page as a browser reads it: its tags, its text."""

from __future__ import annotations

from html.parser import HTMLParser

from pipelines.report.page import write_report
from pipelines.study.workspace import Workspace
from runtime.run import Run

HOSTILE = '<img src=x onerror="alert(1)">&$a$'
VOID_TAGS = {"meta", "link", "img", "br", "wbr"}


class Page(HTMLParser):
    """A page's tags with their attributes, and its visible text; tags must close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.text = html, ""
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []
        self.text = self.text.replace("\n", " ")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID_TAGS:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data

    def attributes(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of every tag of this name."""
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(workspace: Workspace, run: Run) -> Page:
    """Write the report of a comparison, and read it."""
    return Page(write_report(workspace, run).read_text(encoding="utf-8"))
