"""Shares of the reals: folds that test every patient once, and subsets of a fraction."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.study.manifest import Row
from pipelines.study.shares import RealShare, deal_folds
from pipelines.study.splitting import select_training_rows
from pipelines.study.workspace import Workspace
from runtime.files import Record

FILMS = 4  # pictures of the hashes below, which no two others look like


def make_row(label: str, patient: int, number: int, film: int | None, split: str) -> Row:
    """Make the row of an image. film: of the near-duplicates that it is one of."""
    name = f"images/{label}/{patient}-{number}.png"
    return Row(
        file_name=name,
        label=label,
        patient=f"patient {patient}",
        split=split,
        fold=None,
        source="a",
        view="",
        sha256=name,
        near_hash="" if film is None else f"{15 * (film + 1):02x}" * 32,
        width=64,
        height=64,
    )


IMAGES = st.tuples(
    st.sampled_from(["covid", "normal"]),
    st.integers(0, 30),
    st.integers(0, 3),
    st.none() | st.integers(0, FILMS - 1),
    st.sampled_from(["train", "validation", "test", "external"]),
)
STUDIES = st.lists(IMAGES, min_size=1, max_size=50, unique_by=lambda image: image[:3]).map(
    lambda images: tuple(make_row(*image) for image in images)
)
FOLDS = st.integers(2, 6)
FEW = settings(max_examples=50)


@FEW
@given(STUDIES, FOLDS)
def test_every_image_but_external_ones_is_tested_exactly_once(
    rows: tuple[Row, ...], folds: int
) -> None:
    tested = Counter(
        row.file_name for view in deal_folds(rows, folds) for row in view if row.split == "test"
    )
    assert tested == Counter(row.file_name for row in rows if row.split != "external")


@FEW
@given(STUDIES, FOLDS)
def test_nothing_but_splits_differs_between_folds(rows: tuple[Row, ...], folds: int) -> None:
    for view in deal_folds(rows, folds):
        assert [row.file_name for row in view] == [row.file_name for row in rows]
        assert [row.split == "external" for row in view] == [
            row.split == "external" for row in rows
        ]


def torn(rows: list[Row], key: str) -> set[str]:
    """Patients or hashes that stand in several splits."""
    splits: dict[str, set[str]] = {}
    for row in rows:
        if row.split != "external" and getattr(row, key):
            splits.setdefault(getattr(row, key), set()).add(row.split)
    return {name for name, own in splits.items() if len(own) > 1}


@FEW
@given(STUDIES, FOLDS)
def test_no_patient_and_no_near_duplicate_stands_in_two_splits(
    rows: tuple[Row, ...], folds: int
) -> None:
    for view in deal_folds(rows, folds):
        assert torn(view, "patient") == set()
        assert torn(view, "near_hash") == set()


@FEW
@given(STUDIES, FOLDS)
def test_patients_that_an_import_tied_stay_together(rows: tuple[Row, ...], folds: int) -> None:
    tied = frozenset(f"patient {number}" for number in range(10))
    for view in deal_folds(rows, folds, (tied,)):
        own = {row.split for row in view if row.patient in tied and row.split != "external"}
        assert len(own) <= 1


@FEW
@given(STUDIES, FOLDS)
def test_folds_are_the_same_whenever_they_are_asked_for(rows: tuple[Row, ...], folds: int) -> None:
    first = deal_folds(rows, folds)
    deal_folds.cache_clear()
    assert deal_folds(rows, folds) == first


def patients(view: list[Row], split: str, label: str) -> int:
    return len({row.patient for row in view if (row.split, row.label) == (split, label)})


@pytest.mark.parametrize("folds", [2, 3, 5, 10])
def test_folds_are_stratified(folds: int) -> None:
    """Patients differ in their numbers of images, and do not count by them."""
    counts = {"covid": 93, "normal": 200}
    rows = tuple(
        make_row(label, 1000 * place + patient, number, None, "train")
        for place, (label, count) in enumerate(counts.items())
        for patient in range(count)
        for number in range(1 + patient % 7)
    )
    for label, count in counts.items():
        for view in deal_folds(rows, folds):
            tested = patients(view, "test", label)
            assert count // folds <= tested <= count // folds + 1
            chosen = patients(view, "validation", label) / (count - tested)
            assert 1 / 10 <= chosen <= 1 / 8


SUBSETS = st.integers(0, 3)


@FEW
@given(STUDIES, st.floats(0.01, 1), st.floats(0.01, 1), SUBSETS)
def test_a_smaller_fraction_lies_within_a_larger_of_its_subset(
    rows: tuple[Row, ...], first: float, second: float, subset: int
) -> None:
    small, large = (
        {row.file_name for row in select_training_rows(rows, fraction, subset)}
        for fraction in sorted((first, second))
    )
    assert small <= large


def test_subsets_differ_and_are_of_one_size() -> None:
    rows = [make_row("covid", patient, 0, None, "train") for patient in range(100)]
    subsets = [
        {row.patient for row in select_training_rows(rows, 0.1, subset)} for subset in range(3)
    ]
    assert [len(subset) for subset in subsets] == [10, 10, 10]
    assert len(set.union(*subsets)) > 20


PINNED = [f"patient {number}" for number in (4, 6, 7, 12, 17)]


def test_the_first_subset_is_the_fraction_of_old() -> None:
    """Pinned: generators of a fraction that studies have are of these patients."""
    rows = [make_row("covid", patient, 0, None, "train") for patient in range(20)]
    chosen = select_training_rows(rows, 0.25)
    assert chosen == select_training_rows(rows, 0.25, 0)
    assert [row.patient for row in chosen] == PINNED


# Of a study on disk.


@pytest.mark.parametrize("fold", range(3))
def test_a_share_sees_its_own_training_rows_alone(phantom_study: Path, fold: int) -> None:
    workspace = Workspace(phantom_study)
    whole = RealShare(fold=fold, folds=3).rows(workspace)
    part = RealShare(0.5, 1, fold, 3).rows(workspace)
    assert [row for row in part if row.split != "train"] == [
        row for row in whole if row.split != "train"
    ]
    chosen = select_training_rows(whole, 0.5, 1)
    assert [row for row in part if row.split == "train"] == chosen
    assert 0 < len(chosen) < sum(row.split == "train" for row in whole)


def test_the_share_of_everything_is_the_study(phantom_study: Path) -> None:
    workspace = Workspace(phantom_study)
    assert RealShare().rows(workspace) == workspace.rows()


@pytest.mark.parametrize(
    "share",
    [
        RealShare(),
        RealShare(0.5),
        RealShare(0.1, 2),
        RealShare(0.5, 1, 0, 5),
        RealShare("covid=0.1", 2),
    ],
    ids=str,
)
def test_a_share_is_read_from_the_record_of_a_run(share: RealShare) -> None:
    config = Record(Path("config.json"), {"real_fraction": share.fraction, **share.record()})
    assert RealShare.from_record(config) == share


def test_a_share_of_the_study_itself_adds_nothing_to_a_record() -> None:
    assert RealShare(0.5).record() == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"fold": 5, "folds": 5},
        {"fold": -1, "folds": 2},
        {"fold": "first"},
        {"real_subset": None},
        {"real_fraction": "half"},
        {"real_fraction": "covid=2"},
        {"real_fraction": None},
    ],
    ids=str,
)
def test_a_record_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"config\.json"):
        RealShare.from_record(Record(Path("config.json"), {"real_fraction": 1.0, **changes}))
