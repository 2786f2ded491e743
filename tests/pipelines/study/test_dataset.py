"""A study as a torch Dataset: its splits, its folds, and what is not there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipelines.study.dataset import StudyImages, open_study
from pipelines.study.manifest import SPLITS
from pipelines.study.workspace import Workspace
from tests.pipelines.data.films import import_films

FOLDS = 4


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A study in four folds, of patients with two films each."""
    workspace = Workspace(tmp_path_factory.mktemp("folded"))
    films = [(4 * number, "ab"[number // 2 % 2], f"p{number // 2}", SPLITS) for number in range(80)]
    import_films(workspace, films, folds=FOLDS)
    return workspace


def open_fold(workspace: Workspace, split: str, fold: int) -> StudyImages:
    return open_study(workspace.root, split, image_size=32, fold=fold)


def test_folds_are_of_like_size(folded: Workspace) -> None:
    sizes = Counter(row.fold for row in folded.rows() if row.fold)
    assert set(sizes) == set(range(1, FOLDS + 1))
    assert max(sizes.values()) - min(sizes.values()) <= 6


def test_folds_hold_all_but_the_test_images(folded: Workspace) -> None:
    assert all(bool(row.fold) == (row.split != "test") for row in folded.rows())


def test_every_image_of_the_folds_is_validation_once(folded: Workspace) -> None:
    parts = [open_fold(folded, "validation", fold) for fold in range(1, FOLDS + 1)]
    names = [row.file_name for part in parts for row in part.rows]
    assert sorted(names) == sorted(row.file_name for row in folded.rows() if row.split != "test")


def test_training_and_validation_of_a_fold_share_no_patient(folded: Workspace) -> None:
    train, validation = (open_fold(folded, split, 1) for split in SPLITS[:2])
    assert not {row.patient for row in train.rows} & {row.patient for row in validation.rows}
    assert len(train) + len(validation) == sum(row.split != "test" for row in folded.rows())


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"split": "train", "fold": 9}, "has folds 1 to 4"),
        ({"split": "test", "fold": 1}, "test is the same for all"),
        ({"split": "training"}, "split 'training': expected one of train"),
        ({"split": "external"}, "has no external image"),
    ],
    ids=["absent fold", "fold of the test split", "unknown split", "empty split"],
)
def test_what_is_not_there_is_named(
    folded: Workspace, choice: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        open_study(folded.root, image_size=32, **choice)


def test_a_study_without_folds_says_how_to_get_some(phantom_study: Path) -> None:
    with pytest.raises(ValueError, match="no folds; import with --folds K"):
        open_study(phantom_study, "train", image_size=32, fold=1)


def test_another_number_of_folds_is_refused(folded: Workspace) -> None:
    with pytest.raises(ValueError, match="folds 3: the study was made with 4"):
        import_films(folded, [(800, "a", "new", SPLITS)], folds=3)
