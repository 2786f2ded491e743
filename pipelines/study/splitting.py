"""Splits by patient, stratified by label, made once and never revised."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

from pipelines.study.fractions import RealFraction, split_fraction
from pipelines.study.manifest import Row
from runtime.options import OptionError
from runtime.randomness import numpy_generator

Ratios = tuple[float, float, float]  # of train, validation and test, together 1


def parse_ratios(text: str) -> Ratios:
    """Make (0.7, 0.1, 0.2) of "70/10/20".

    Raises OptionError unless there are three positive shares that sum to 100.
    """
    parts = text.split("/")
    if (
        len(parts) != 3
        or not all(part.strip().isdecimal() for part in parts)
        or sum(map(int, parts)) != 100
        or "0" in parts
    ):
        raise OptionError(
            "split",
            text,
            "expected three shares of train/validation/test that sum to 100, as 70/10/20",
        )
    train, validation, test = (int(part) / 100 for part in parts)
    return train, validation, test


class Groups:
    """Images that must share a split (union-find).

    They share a patient or a picture, directly or through others. Every group knows the splits that
    all its members may go to; an image that would leave a group none cannot join.
    """

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._allowed: list[frozenset[str]] = []
        self._first: dict[Hashable, int] = {}

    def add(self, ties: Iterable[Hashable], allowed: Iterable[str]) -> int | None:
        """Add an image that has these ties and may go to these splits, and return its number.

        Returns None, and changes nothing, when there is no split that it can go to.
        """
        ties = list(ties)
        roots = {self.root(self._first[tie]) for tie in ties if tie in self._first}
        common = frozenset(allowed).intersection(*(self._allowed[root] for root in roots))
        if not common:
            return None
        number = len(self._parent)
        self._parent.append(number)
        self._allowed.append(common)
        for root in roots:
            self._parent[root] = number
        for tie in ties:
            self._first[tie] = number
        return number

    def root(self, number: int) -> int:
        """Return the group of an image, by the number of one of its members."""
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number

    def allowed(self, number: int) -> frozenset[str]:
        """Return the splits that the group of this image may go to."""
        return self._allowed[self.root(number)]

    def ties(self) -> list[list[Hashable]]:
        """Return the ties of each group, in the order in which groups and ties came."""
        of_group: dict[int, list[Hashable]] = defaultdict(list)
        for tie, number in self._first.items():
            of_group[self.root(number)].append(tie)
        return list(of_group.values())


def distribute(
    labels: Sequence[str],
    groups: Sequence[int],
    allowed: Sequence[Collection[str]],
    shares: Mapping[str, float],
    seed: int,
) -> list[str]:
    """Choose a part for every image, whole groups at a time: a split, or a fold.

    A group that may go to one part only goes there. The others, in seeded order and label by label,
    go where that label is furthest below its share.

    labels, groups: of each image.
    allowed: the parts that its group may go to, the same for all images of a group.
    shares: of each part that is filled; a part without a share is only for groups that may go
        nowhere else.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for image, group in enumerate(groups):
        members[group].append(image)
    chosen: dict[int, str] = {}
    counts: Counter[tuple[str, str]] = Counter()

    def put(group: int, part: str) -> None:
        chosen[group] = part
        for image in members[group]:
            counts[labels[image], part] += 1

    free: dict[str, list[int]] = defaultdict(list)
    for group, images in members.items():
        if len(allowed[images[0]]) == 1:
            put(group, next(iter(allowed[images[0]])))
        else:
            free[Counter(labels[image] for image in images).most_common(1)[0][0]].append(group)
    for label in sorted(free):
        for index in numpy_generator(seed, "split", label).permutation(len(free[label])):
            group = free[label][index]
            parts = [part for part in shares if part in allowed[members[group][0]]]
            fill = {part: counts[label, part] / shares[part] for part in parts}
            put(group, min(parts, key=fill.__getitem__))
    return [chosen[group] for group in groups]


def select_training_rows(rows: Sequence[Row], fraction: RealFraction, subset: int = 0) -> list[Row]:
    """Select the training rows of a share of the study's training images, in the order of `rows`.

    Of each label as many whole patients are taken, in one fixed random order, as it needs to have
    that share of its images: so a smaller fraction lies within a larger one of the same subset, and
    every command that asks for a fraction gets the same images. Where one label alone is thinned,
    these are the images of it that the fraction of all has. subset: the number of the order.
    Raises ValueError unless 0 < fraction ≤ 1, and for a label that has no training image.
    """
    thinned, share = split_fraction(fraction)
    if not 0 < share <= 1:
        raise ValueError(
            f"fraction {share:g} of the real images: "
            "expected more than 0, and at most 1 for all of them"
        )
    training = [row for row in rows if row.split == "train"]
    labels = sorted({row.label for row in training})
    if thinned is not None and thinned not in labels:
        raise ValueError(
            f"fraction {fraction} of the real images: no training image has this label, "
            f"expected one of {', '.join(labels)}"
        )
    images: dict[str, list[Row]] = defaultdict(list)
    for row in training:
        images[row.patient].append(row)
    order = (subset,) if subset else ()
    chosen: set[str] = set()
    for label in labels:
        patients = sorted(patient for patient, films in images.items() if films[0].label == label)
        own_share = share if thinned in (None, label) else 1.0
        wanted = own_share * sum(len(images[patient]) for patient in patients)
        count = 0
        for index in numpy_generator(0, "fraction", label, *order).permutation(len(patients)):
            if count >= wanted - 1e-9:
                break
            chosen.add(patients[index])
            count += len(images[patients[index]])
    return [row for row in training if row.patient in chosen]
