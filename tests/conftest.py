"""One tiny study, made once through the command line, and helpers to run commands and to copy it.

Workers that run side by side share the studies that no test may change. Tests that use the same
expensive fixture, such as the browser, run in one worker.

GPUs are hidden from all tests but those that `-m cuda` asks for, and from the processes that they
start: what they test is the same code on a CPU, and to open a GPU in each process takes longer.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from filelock import FileLock
from hypothesis import settings
from PIL import Image

from pipelines.cli import main
from pipelines.data.phantom import draw_lung_mask, list_cases
from pipelines.study.lungs import DOUBTFUL, NETWORK, table_path, write_lungs
from pipelines.study.workspace import Workspace
from tests.support.chromium import Chromium
from tests.support.command_server import ROOT, CommandServer, open_command_server
from tests.support.command_steps import (
    STUDY_COMMANDS,
    TINY_CLASSIFIER,
    TINY_GAN,
    CommandStep,
    run_steps,
)
from tests.support.torchrun_pair import TorchrunPair

PROPERTY_EXAMPLES = 40  # of a property that asks for no other number
EXPENSIVE_FIXTURES = ("torchrun_pair", "command_server", "chromium")  # seconds to start
LUNG_STUDY_IMAGES, LUNGS_IN_DOUBT = 48, 3  # of lung_box_study


settings.register_profile("suite", max_examples=PROPERTY_EXAMPLES)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """Hide GPUs, before anything has looked for one, where no test is to see them.

    One thread, as the processes have that tests start: results are the same for as many.
    """
    torch.set_num_threads(1)
    if config.option.markexpr != "cuda":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none to be seen."""
    if item.get_closest_marker("cuda") is None:
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU here, or not asked for: python -m pytest -m cuda on one")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have tests that share an expensive fixture, or else a file, run in one worker.

    Those with expensive fixtures, of which there are most, begin first.
    """
    groups = {item: _expensive_fixture(item) for item in items}
    items.sort(key=lambda item: groups[item] == "")
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups[item] or item.path.stem))


def pytest_collection_finish() -> None:
    """Keep all that was imported out of later garbage collections, and have fewer of them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_sessionfinish() -> None:
    """Let go of it, or libraries complain of leaks as Python ends."""
    gc.unfreeze()


def _expensive_fixture(item: pytest.Item) -> str:
    names = getattr(item, "fixturenames", ())
    return next((name for name in EXPENSIVE_FIXTURES if name in names), "")


def cxr(*arguments: object, folder: Path) -> Result:
    """Run a command in this process; any exception but an exit fails the test."""
    result = CliRunner().invoke(main, ["-C", str(folder), *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@contextmanager
def signalled(journal: Path, lines: int, number: signal.Signals) -> Iterator[None]:
    """Send this process a signal as soon as a journal has so many lines.

    It never comes after the block has ended.
    """
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
    """Return the output of a command that succeeded."""
    assert result.exit_code == 0, result.output
    return result.output


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that the first worker to need it makes for all."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, new = shared / name, shared / f"{name}.new"
    with FileLock(shared / f"{name}.lock"):
        if not folder.exists():
            shutil.rmtree(new, ignore_errors=True)  # of a worker that failed
            make(new)
            new.rename(folder)
    return folder


@pytest.fixture(scope="session")
def phantom_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 phantom images, imported and split. Not to be changed: copy it."""
    return made_once(
        tmp_path_factory,
        "phantom-study",
        lambda folder: ok(cxr("data", "phantom", "--n", 64, folder=folder)),
    )


@pytest.fixture(scope="session")
def tiny_study(phantom_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a generator, 24 synthetic images and a classifier. Not to be changed: copy it.

    All are far too small to be good.
    """

    def make(folder: Path) -> None:
        shutil.copytree(phantom_study, folder)
        ok(cxr("gan-train", "--steps", 8, *TINY_GAN, folder=folder))
        ok(cxr("synthesize", "--n", 24, folder=folder))
        ok(cxr("classify-train", *TINY_CLASSIFIER, folder=folder))

    return made_once(tmp_path_factory, "tiny-study", make)


@pytest.fixture(scope="session")
def lung_box_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny study whose generator draws lung boxes. Not to be changed: copy it.

    Nobody may trust the lungs of LUNGS_IN_DOUBT of its training images.
    """

    def make(folder: Path) -> None:
        ok(cxr("data", "phantom", "--n", LUNG_STUDY_IMAGES, folder=folder))
        masks = folder / "masks"
        masks.mkdir()
        for case in list_cases(LUNG_STUDY_IMAGES, seed=0):
            name = f"PHANTOM-0-{case.label}-{case.patient:05d}-{case.image}.png"
            Image.fromarray(draw_lung_mask(case, seed=0)).save(masks / name)
        ok(cxr("data", "lungs", "--masks", masks, "--device", "cpu", folder=folder))
        _doubt_some_lungs(folder)
        ok(cxr("gan-train", "--view", "lung-box", "--steps", 4, *TINY_GAN, folder=folder))
        ok(cxr("synthesize", "--n", 8, folder=folder))
        ok(cxr("classify-train", "--with-synthetic", *TINY_CLASSIFIER, folder=folder))

    return made_once(tmp_path_factory, "lung-box-study", make)


def _doubt_some_lungs(folder: Path) -> None:
    """Say of some training images that a network drew their lungs, and doubtful ones."""
    workspace = Workspace(folder)
    training = [row.file_name for row in workspace.rows() if row.split == "train"]
    in_doubt = training[:LUNGS_IN_DOUBT]
    rows = [
        replace(row, quality=DOUBTFUL, source=NETWORK) if row.file_name in in_doubt else row
        for row in workspace.lungs.values()
    ]
    write_lungs(table_path(workspace.data), rows)


@pytest.fixture
def study(tiny_study: Path, tmp_path: Path) -> Path:
    """A copy of the tiny study, to do with as one likes."""
    return Path(shutil.copytree(tiny_study, tmp_path / "study"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real X-rays and weights that lives outside the project."""
    folder = Path(os.environ.get("CXR_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(
            f"no real X-rays at {folder}: "
            "set CXR_SHARED to the folder that holds data/ and weights/"
        )
    return folder.resolve()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A headless browser for tests of pages."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip(
            "neither chromium nor google-chrome is on the PATH: "
            "install one to test pages as a browser shows them"
        )
    browser = Chromium(program, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def command_server() -> Iterator[CommandServer]:
    """Starts commands in processes of their own, at little cost, on disks of any size."""
    with open_command_server() as server:
        yield server


@pytest.fixture(scope="session")
def study_steps(
    command_server: CommandServer, phantom_study: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, CommandStep]:
    """Commands of a study, each with the study before it and after it. Not to be changed."""
    names = (
        "data import",
        "gan-train",
        "synthesize",
        "classify-train",
        "score",
        "compare",
        "reader-study",
    )
    commands = {name: STUDY_COMMANDS[name] for name in names}
    return run_steps(command_server, phantom_study, tmp_path_factory.mktemp("steps"), commands)


@pytest.fixture(scope="session")
def torchrun_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TorchrunPair]:
    """Two processes under torchrun."""
    pair = TorchrunPair(tmp_path_factory.mktemp("torchrun pair"))
    yield pair
    pair.close()
