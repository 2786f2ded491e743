"""Splits by patient, stratified by label, made once and never revised."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence

from pipelines.data.manifest import SPLITS
from runtime.randomness import numpy_generator


def parse_ratios(text: str) -> tuple[float, float, float]:
    """ "70/10/20" to (0.7, 0.1, 0.2). Raises ValueError unless there are three positive shares that sum to 100."""
    parts = text.split("/")
    if len(parts) != 3 or not all(part.strip().isdigit() for part in parts) or sum(map(int, parts)) != 100 or "0" in parts:
        raise ValueError(f"--split {text}: expected three shares of train/validation/test that sum to 100, as 70/10/20")
    train, validation, test = (int(part) / 100 for part in parts)
    return train, validation, test


def join_groups(keys: Sequence[Iterable[Hashable]]) -> list[int]:
    """A group number per item, such that items which share any key, directly or through others, share the group.

    keys: for each item what ties it to others, such as its patient and the hash of its pixels.
    """
    parent = list(range(len(keys)))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    first: dict[Hashable, int] = {}
    for item, ties in enumerate(keys):
        for tie in ties:
            parent[root(item)] = root(first.setdefault(tie, item))
    return [root(item) for item in range(len(keys))]


def assign_splits(
    labels: Sequence[str],
    groups: Sequence[int],
    known: Sequence[str | None],
    ratios: tuple[float, float, float],
    seed: int,
) -> list[str]:
    """A split for every image, whole groups at a time.

    labels, groups: of each image. known: the split it has already, or None; a group with a known split
    keeps it. The other groups, in seeded order and label by label, go where that label is furthest below its share.
    Raises ValueError when one group is known in two splits.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for image, group in enumerate(groups):
        members[group].append(image)
    chosen: dict[int, str] = {}
    counts: Counter[tuple[str, str]] = Counter()

    def put(group: int, split: str) -> None:
        chosen[group] = split
        for image in members[group]:
            counts[labels[image], split] += 1

    fresh: dict[str, list[int]] = defaultdict(list)
    for group, images in members.items():
        splits = {known[image] for image in images} - {None}
        if len(splits) > 1:
            raise ValueError(f"images of one patient are in two splits: {', '.join(sorted(splits))}")
        if splits:
            put(group, splits.pop())
        else:
            fresh[Counter(labels[image] for image in images).most_common(1)[0][0]].append(group)

    share = dict(zip(SPLITS, ratios))
    for label in sorted(fresh):
        for index in numpy_generator(seed, "split", label).permutation(len(fresh[label])):
            put(fresh[label][index], min(SPLITS, key=lambda split: counts[label, split] / share[split]))
    return [chosen[group] for group in groups]
