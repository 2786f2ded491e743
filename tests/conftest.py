"""One tiny study, made once through the command line, and helpers to run commands and to copy it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipelines.cli import main
from tests.chromium import Chromium
from tests.desk import ROOT, Desk, open_desk
from tests.ranks import Ranks

TINY_GAN = ["--image-size", "32", "--width", "4", "--batch-size", "8", "--sample-every", "4"]
TINY_CLASSIFIER = ["--steps", "6", "--batch-size", "8", "--evaluate-every", "3"]


def cxr(*arguments: object, folder: Path) -> Result:
    """Run a command in this process; on an unexpected exception the test fails with its traceback."""
    result = CliRunner().invoke(main, ["-C", str(folder), *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def cxr_process(*arguments: object, folder: Path, **options: object) -> subprocess.Popen:
    """Start a command in a process of its own, with two threads, whose order must not matter."""
    options.setdefault("env", os.environ | {"OMP_NUM_THREADS": "2"})
    command = [sys.executable, "-m", "pipelines.cli", "-C", str(folder), *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@contextmanager
def signalled(journal: Path, lines: int, number: signal.Signals) -> Iterator[None]:
    """Send this process a signal as soon as a journal has so many lines; never after the block has ended."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.005):
            if journal.exists() and journal.read_bytes().count(b"\n") >= lines:
                os.kill(os.getpid(), number)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def ok(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="session")
def phantom_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 phantom images, imported and split. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("phantom") / "study"
    ok(cxr("data", "phantom", "--n", 64, folder=folder))
    return folder


@pytest.fixture(scope="session")
def tiny_study(phantom_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a generator, 24 synthetic images and a classifier, all far too small to be good. Copy it."""
    folder = tmp_path_factory.mktemp("tiny") / "study"
    shutil.copytree(phantom_study, folder)
    ok(cxr("gan-train", "--steps", 8, *TINY_GAN, folder=folder))
    ok(cxr("synthesize", "--n", 24, folder=folder))
    ok(cxr("classify-train", *TINY_CLASSIFIER, folder=folder))
    return folder


@pytest.fixture
def study(tiny_study: Path, tmp_path: Path) -> Path:
    """A copy of the tiny study, to do with as one likes."""
    return Path(shutil.copytree(tiny_study, tmp_path / "study"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real X-rays and weights that lives outside the project."""
    folder = Path(os.environ.get("CXR_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real X-rays at {folder}: set CXR_SHARED to the folder that holds data/ and weights/")
    return folder.resolve()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A headless browser for tests of pages."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("neither chromium nor google-chrome is on the PATH: install one to test pages as a browser shows them")
    browser = Chromium(program, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def desk() -> Iterator[Desk]:
    """Starts commands in processes of their own, at little cost, on disks of any size."""
    with open_desk() as opened:
        yield opened


@pytest.fixture(scope="session")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ranks]:
    """Two processes under torchrun."""
    both = Ranks(tmp_path_factory.mktemp("ranks"))
    yield both
    both.close()
