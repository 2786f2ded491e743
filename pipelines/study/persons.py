"""Whose image each of a study is: patients who share a film count as one person.

A film is known again by its pixels, or by its perceptual hash (see `data.cleaning`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np

from pipelines.study.manifest import Row
from pipelines.study.splitting import Groups

NEAR_BITS = 50  # of 256 that may differ between two versions of one film
_HASH_BLOCK = 2048  # hashes compared at once: 2048 × 2048 × 32 bytes


def group_persons(rows: Sequence[Row], tied: Iterable[Collection[str]] = ()) -> list[int]:
    """Number the person of each row (N,).

    tied: Patients who are one person for a reason that the rows do not show.
    """
    hashed = [place for place, row in enumerate(rows) if row.near_hash]
    ties: dict[int, list[tuple[str, str | int]]] = defaultdict(list)
    for first, second, _ in find_near_pairs([rows[place].near_hash for place in hashed]):
        ties[hashed[second]].append(("image", hashed[first]))
    groups = Groups()
    for patients in tied:
        groups.add([("patient", patient) for patient in patients], ("person",))
    numbers = [
        groups.add(
            [("patient", row.patient), ("pixels", row.sha256), ("image", place), *ties[place]],
            ("person",),
        )
        for place, row in enumerate(rows)
    ]
    return [groups.root(number) for number in numbers if number is not None]


def find_near_pairs(
    hashes: Sequence[str], fresh: int | None = None
) -> Iterator[tuple[int, int, int]]:
    """Yield all (i, j, bits that differ), i < j, that are no more than NEAR_BITS apart.

    fresh: j is among the last so many hashes; any when None.
    """
    words = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64).reshape(-1, 4)
    for start in range(
        len(words) - (len(words) if fresh is None else fresh), len(words), _HASH_BLOCK
    ):
        block = words[start : start + _HASH_BLOCK]
        for other_start in range(0, start + len(block), _HASH_BLOCK):
            other = words[other_start : other_start + _HASH_BLOCK]
            distance = np.zeros((len(block), len(other)), np.uint16)
            for word in range(4):
                distance += np.bitwise_count(block[:, None, word] ^ other[None, :, word])
            for j, i in np.argwhere(distance <= NEAR_BITS).tolist():
                if other_start + i < start + j:
                    yield other_start + i, start + j, int(distance[j, i])
