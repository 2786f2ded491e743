"""A share of the training images: whole patients, of every label."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.study.manifest import Row
from pipelines.study.splitting import select_training_rows


def make_row(label: str, patient: int, number: int, split: str = "train") -> Row:
    name = f"images/{label}/{patient}-{number}.png"
    return Row(
        file_name=name,
        label=label,
        patient=f"{label}{patient}",
        split=split,
        fold=None,
        source="a",
        view="",
        sha256=name,
        near_hash="",
        width=64,
        height=64,
    )


IMAGES = st.lists(
    st.tuples(st.sampled_from(["covid", "normal"]), st.integers(0, 9), st.integers(0, 3)),
    min_size=1,
    max_size=60,
    unique=True,
)
STUDIES = IMAGES.map(
    lambda images: [make_row(*image) for image in images] + [make_row("covid", 99, 0, "test")]
)
FRACTIONS = st.floats(0.01, 1)


@given(STUDIES, FRACTIONS, FRACTIONS)
def test_a_smaller_fraction_lies_within_a_larger(
    rows: list[Row], first: float, second: float
) -> None:
    small, large = (select_training_rows(rows, fraction) for fraction in sorted((first, second)))
    assert {row.sha256 for row in small} <= {row.sha256 for row in large}


@given(STUDIES, FRACTIONS)
def test_a_fraction_holds_whole_patients(rows: list[Row], fraction: float) -> None:
    part = select_training_rows(rows, fraction)
    patients = {row.patient for row in part}
    assert part == [row for row in rows if row.split == "train" and row.patient in patients]


@given(STUDIES, FRACTIONS)
def test_a_fraction_holds_its_share_of_every_label(rows: list[Row], fraction: float) -> None:
    part = select_training_rows(rows, fraction)
    training = [row for row in rows if row.split == "train"]
    for label in {row.label for row in training}:
        total = sum(row.label == label for row in training)
        assert sum(row.label == label for row in part) >= fraction * total - 1e-6


@given(STUDIES, FRACTIONS)
def test_one_label_is_thinned_and_the_others_stay(rows: list[Row], fraction: float) -> None:
    training = [row for row in rows if row.split == "train"]
    for label in {row.label for row in training}:
        part = select_training_rows(rows, f"{label}={fraction!r}")
        of_all = select_training_rows(rows, fraction)
        of_others = [row for row in training if row.label != label]
        assert [row for row in part if row.label != label] == of_others
        assert [row for row in part if row.label == label] == [
            row for row in of_all if row.label == label
        ]


def test_a_label_without_training_images_is_refused() -> None:
    rows = [make_row("covid", 1, 0), make_row("flu", 2, 0, "test")]
    with pytest.raises(ValueError, match=r"flu=0\.5 .* no training image .* one of covid"):
        select_training_rows(rows, "flu=0.5")


@given(STUDIES)
def test_the_whole_is_the_training_split(rows: list[Row]) -> None:
    assert select_training_rows(rows, 1.0) == [row for row in rows if row.split == "train"]


def test_more_than_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 1"):
        select_training_rows([make_row("covid", 0, 0)], 1.5)
