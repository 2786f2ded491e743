from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.randomness import batch_indices, key, torch_generator


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 40), batch=st.integers(1, 50), seed=st.integers(0, 2**31))
def test_every_image_is_seen_once_before_any_is_seen_twice(n: int, batch: int, seed: int) -> None:
    steps = -(-3 * n // batch)
    stream = torch.cat([batch_indices(n, batch, step, seed) for step in range(steps)])
    for epoch in range(3):
        assert sorted(stream[epoch * n : (epoch + 1) * n].tolist()) == list(range(n))


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 30), seed=st.integers(0, 1000))
def test_the_order_does_not_depend_on_the_batch_size(n: int, seed: int) -> None:
    streams = [
        torch.cat([batch_indices(n, batch, step, seed) for step in range(60 // batch)])
        for batch in (1, 3, 20)
    ]
    assert all(torch.equal(streams[0], stream) for stream in streams)


def test_keys_tell_all_their_parts_apart() -> None:
    keys = [
        key(0, "a", 1),
        key(0, "a", 2),
        key(1, "a", 1),
        key(0, "b", 1),
        key(0, "a", 1, 0),
        key(0, "a1"),
    ]
    assert len(set(keys)) == len(keys)
    assert all(0 <= value < 2**63 for value in keys)


def test_epochs_and_ranks_differ() -> None:
    assert not torch.equal(batch_indices(50, 50, 0, 0), batch_indices(50, 50, 1, 0))
    assert not torch.equal(batch_indices(50, 50, 0, 0, rank=0), batch_indices(50, 50, 0, 0, rank=1))
    assert torch.equal(
        torch.rand(3, generator=torch_generator(5, "x")),
        torch.rand(3, generator=torch_generator(5, "x")),
    )
