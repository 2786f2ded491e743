"""Batches hold the share of synthetic images that was asked for, and use every image alike."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.batches import Batches
from classifier.config import ClassifierConfig
from runtime.options import OptionError

REALS, SYNTHETIC, CLASSES = 12, 40, 3
STEPS = 60


def make_batches(labels: torch.Tensor | None = None, **options: object) -> Batches:
    """Make the batches of 12 reals, 40 synthetic images after them, in three classes."""
    labels = torch.arange(REALS + SYNTHETIC) % CLASSES if labels is None else labels
    return Batches(
        ClassifierConfig(**{"steps": STEPS, "batch_size": 8, **options}),
        labels,
        torch.arange(REALS + SYNTHETIC) >= REALS,
        torch.bincount(labels, minlength=CLASSES).clamp(min=1),
    )


def synthetic_counts(batches: Batches) -> list[int]:
    """Return how many images of each step are synthetic."""
    return [int(batches.is_synthetic[batches.draw(step)].sum()) for step in range(STEPS)]


SHARES = st.floats(0, 1)
BALANCES = pytest.mark.parametrize("balance", ["none", "weights", "sampling"])


@settings(max_examples=15, deadline=None)
@given(share=SHARES, size=st.integers(1, 24), seed=st.integers(0, 99))
def test_every_batch_has_its_share_and_it_is_right_on_average(
    share: float, size: int, seed: int
) -> None:
    counts = synthetic_counts(make_batches(synthetic_share=share, batch_size=size, seed=seed))
    assert all(abs(count - share * size) < 1 + 1e-9 for count in counts)
    assert sum(counts) == pytest.approx(share * size * STEPS, abs=0.5 + 1e-6)


@settings(max_examples=15, deadline=None)
@given(share=SHARES, until=st.floats(0.05, 1), size=st.integers(1, 24))
def test_the_share_falls_to_zero(share: float, until: float, size: int) -> None:
    batches = make_batches(synthetic_share=share, synthetic_until=until, batch_size=size)
    counts = synthetic_counts(batches)
    assert all(later <= earlier + 1 for earlier, later in pairwise(counts))
    assert sum(counts) == pytest.approx(share * size * until * STEPS / 2, abs=0.5 + 1e-6)
    first_without = round(until * STEPS + 0.5) + 1
    assert not any(counts[first_without:])


@BALANCES
@settings(max_examples=6, deadline=None)
@given(share=st.floats(0.1, 0.9), seed=st.integers(0, 99))
def test_every_image_is_used_before_any_is_used_twice(
    balance: str, share: float, seed: int
) -> None:
    batches = make_batches(synthetic_share=share, balance=balance, seed=seed)
    stream = torch.cat([batches.draw(step) for step in range(STEPS)])
    times = torch.bincount(stream, minlength=REALS + SYNTHETIC)
    for is_kind in (batches.is_synthetic, ~batches.is_synthetic):
        for label in range(CLASSES) if balance == "sampling" else [None]:
            alike = is_kind if label is None else is_kind & (batches.labels == label)
            assert times[alike].max() - times[alike].min() <= 1


def test_the_whole_synthetic_set_is_seen() -> None:
    batches = make_batches(synthetic_share=0.5)
    seen = torch.cat([batches.draw(step) for step in range(10)])  # 40 synthetic images
    assert sorted(seen[seen >= REALS].tolist()) == list(range(REALS, REALS + SYNTHETIC))


@BALANCES
def test_a_batch_is_a_function_of_seed_and_step(balance: str) -> None:
    first, again, other = (
        make_batches(synthetic_share=0.5, balance=balance, seed=seed).draw(17) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("processes", [2, 4])
def test_each_process_gets_as_many_synthetic_images(processes: int) -> None:
    batches = make_batches(synthetic_share=0.5)
    for step in range(STEPS):
        parts = batches.is_synthetic[batches.draw(step)].chunk(processes)
        assert {int(part.sum()) for part in parts} == {8 // 2 // processes}


def test_by_sampling_the_classes_of_both_kinds_are_drawn_alike() -> None:
    labels = torch.tensor([0] * 10 + [1, 2] + [0] * 30 + [1] * 8 + [2] * 2)
    batches = make_batches(labels, synthetic_share=0.5, balance="sampling")
    stream = torch.cat([batches.draw(step) for step in range(STEPS)])
    for is_kind in (batches.is_synthetic[stream], ~batches.is_synthetic[stream]):
        assert torch.bincount(labels[stream[is_kind]]).tolist() == [80, 80, 80]


def test_by_weights_every_class_of_the_batches_weighs_alike() -> None:
    labels = torch.tensor([0] * 9 + [1, 1, 2] + [0] * 30 + [1] * 8 + [2] * 2)
    batches = make_batches(labels, synthetic_share=0.25, synthetic_until=0.5, balance="weights")
    for step, share in ((0, 0.25), (15, 0.125), (45, 0.0)):
        frequencies = (
            share * torch.tensor([30, 8, 2]) / 40 + (1 - share) * torch.tensor([9, 2, 1]) / 12
        )
        weights = batches.class_weights(step)
        assert weights is not None
        torch.testing.assert_close(weights * frequencies, torch.full((3,), 1 / 3))


@pytest.mark.parametrize(
    ("is_synthetic", "balance", "field"),
    [
        ([False] * 4, "none", "synthetic_share"),
        ([True] * 4, "none", "synthetic_share"),
        ([False, False, False, True], "sampling", "balance"),
    ],
)
def test_a_share_that_cannot_be_had_is_refused(
    is_synthetic: list[bool], balance: str, field: str
) -> None:
    config = ClassifierConfig(synthetic_share=0.5, balance=balance)
    with pytest.raises(OptionError) as refused:
        Batches(config, torch.tensor([0, 1, 0, 1]), torch.tensor(is_synthetic), torch.ones(2))
    assert refused.value.field == field
