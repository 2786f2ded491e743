"""Random numbers are a function of names; batches see every image equally often."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.randomness import batch_indices, key, torch_generator

NAMES = [(0, "a", 1), (0, "a", 2), (1, "a", 1), (0, "b", 1), (0, "a", 1, 0), (0, "a1")]


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 40), batch_size=st.integers(1, 50), seed=st.integers(0, 2**31))
def test_every_image_is_seen_once_before_any_is_seen_twice(
    n: int, batch_size: int, seed: int
) -> None:
    steps = math.ceil(3 * n / batch_size)
    stream = torch.cat([batch_indices(n, batch_size, step, seed) for step in range(steps)])
    for epoch in range(3):
        assert sorted(stream[epoch * n : (epoch + 1) * n].tolist()) == list(range(n))


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 30), seed=st.integers(0, 1000))
def test_the_order_does_not_depend_on_the_batch_size(n: int, seed: int) -> None:
    streams = [
        torch.cat([batch_indices(n, batch_size, step, seed) for step in range(60 // batch_size)])
        for batch_size in (1, 3, 20)
    ]
    assert all(torch.equal(streams[0], stream) for stream in streams)


def test_keys_tell_all_their_parts_apart() -> None:
    assert len({key(*names) for names in NAMES}) == len(NAMES)


@pytest.mark.parametrize("names", NAMES, ids=str)
def test_a_key_has_63_bits(names: tuple) -> None:
    assert 0 <= key(*names) < 2**63


@pytest.mark.parametrize(
    ("step", "rank"), [pytest.param(1, 0, id="epoch"), pytest.param(0, 1, id="rank")]
)
def test_another_epoch_or_rank_has_another_order(step: int, rank: int) -> None:
    first = batch_indices(50, 50, 0, 0)
    assert not torch.equal(first, batch_indices(50, 50, step, 0, rank=rank))


def test_the_same_names_draw_the_same_numbers() -> None:
    first, again = (torch.rand(3, generator=torch_generator(5, "x")) for _ in range(2))
    assert torch.equal(first, again)
