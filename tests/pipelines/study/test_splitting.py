"""Splits have their shares, and who belongs together stays together."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.study.manifest import SPLITS
from pipelines.study.splitting import Groups, distribute, parse_ratios

SHARES = dict(zip(SPLITS, (0.7, 0.1, 0.2), strict=True))


@settings(max_examples=200, deadline=None)
@given(
    items=st.lists(
        st.tuples(
            st.integers(0, 20),
            st.integers(100, 125),
            st.sampled_from([SPLITS, SPLITS[:2], ("test",), ("train",)]),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_groups_never_break_and_never_lose_their_way(
    items: list[tuple[int, int, tuple[str, ...]]],
) -> None:
    groups = Groups()
    added = []
    for patient, film, allowed in items:
        number = groups.add((patient, film), allowed)
        if number is not None:
            added.append((number, patient, film, allowed))
    splits = distribute(
        ["a"] * len(added),
        [groups.root(number) for number, *_ in added],
        [groups.allowed(number) for number, *_ in added],
        SHARES,
        seed=0,
    )
    splits_of: dict[int, set[str]] = defaultdict(set)  # by patient and by film
    for (_, patient, film, allowed), split in zip(added, splits, strict=True):
        assert split in allowed
        splits_of[patient].add(split)
        splits_of[film].add(split)
    assert all(len(splits) == 1 for splits in splits_of.values())


def split_singles(labels: list[str], seed: int) -> list[str]:
    """Split images that are each of a patient of their own."""
    images = range(len(labels))
    return distribute(labels, list(images), [SPLITS for _ in images], SHARES, seed)


@pytest.mark.parametrize(
    ("label", "count", "expected"),
    [("a", 300, [210, 30, 60]), ("b", 1000, [700, 100, 200]), ("c", 3, [1, 1, 1])],
    ids=["hundreds", "a thousand", "three"],
)
def test_every_label_has_its_shares(label: str, count: int, expected: list[int]) -> None:
    labels = ["a"] * 300 + ["b"] * 1000 + ["c"] * 3
    counts = Counter(zip(labels, split_singles(labels, seed=1), strict=True))
    assert [counts[label, split] for split in SPLITS] == pytest.approx(
        expected, abs=1 if count > 3 else 0
    )


def test_another_seed_makes_another_split() -> None:
    labels = ["a"] * 100
    assert split_singles(labels, seed=1) != split_singles(labels, seed=2)


@pytest.mark.parametrize("text", ["70/30", "70/20/20", "a/b/c", "100/0/0", "-10/60/50"])
def test_shares_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"split {text}: expected three shares"):
        parse_ratios(text)
