"""The command `cxr`: the only place that knows click, and the only one that prints."""

from pipelines.cli.app import main

__all__ = ["main"]
