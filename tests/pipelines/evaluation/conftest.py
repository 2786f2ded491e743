"""What tests of reader studies share."""

from __future__ import annotations

import pytest

from tests.pipelines.evaluation.reader_studies import ReaderStudy, make_page, make_study


@pytest.fixture(scope="module")
def reader_study(tmp_path_factory: pytest.TempPathFactory) -> ReaderStudy:
    """A reader study of 8 images."""
    workspace = make_study(tmp_path_factory.mktemp("reader") / "study")
    return ReaderStudy(workspace, *make_page(workspace))
