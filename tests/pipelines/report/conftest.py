"""Studies for the tests of the report."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.study.manifest import study_fingerprint
from pipelines.study.workspace import Workspace
from runtime.run import Run
from tests.pipelines.report.html_page import Page, page_of
from tests.pipelines.report.studies import make_study, poor_study, write_comparison
from tests.pipelines.report.summaries import make_summary


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Run]:
    """A study with everything. Not to be changed."""
    return make_study(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="session")
def page(full: tuple[Workspace, Run]) -> Page:
    """The page of the study with everything."""
    return page_of(*full)


@pytest.fixture(scope="session")
def poor_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of a study with next to nothing."""
    return page_of(*poor_study(tmp_path_factory.mktemp("poor")))


def copy_study(full: tuple[Workspace, Run], folder: Path) -> tuple[Workspace, Run]:
    """Copy the study with everything into a folder."""
    shutil.copytree(full[0].root, folder)
    return Workspace(folder), Run(folder / "runs" / full[1].name)


def shrink_comparison(study: tuple[Workspace, Run]) -> tuple[Workspace, Run]:
    """Give a study a comparison of two arms, whose page is drawn faster."""
    summary = make_summary(
        data=study_fingerprint(study[0].rows()),
        arms=("real", "real+gan"),
        fractions=(1.0,),
        ratios=(2.0,),
    )
    write_comparison(study[1], summary)
    return study


@pytest.fixture
def own_study(tmp_path: Path, full: tuple[Workspace, Run]) -> tuple[Workspace, Run]:
    """A copy of the study with everything, to do with as one likes."""
    return copy_study(full, tmp_path / "study")


@pytest.fixture
def small(own_study: tuple[Workspace, Run]) -> tuple[Workspace, Run]:
    """The same with a comparison of two arms."""
    return shrink_comparison(own_study)
