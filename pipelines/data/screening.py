"""Who comes into a study and who is left out, and who must share a split with whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pipelines.data.alterations import find_altered_pairs
from pipelines.data.candidates import AlikePair, Candidate, places_alike, ties_of_row
from pipelines.data.cleaning import SAME_BITS
from pipelines.study.manifest import EXTERNAL, SPLITS, Row
from pipelines.study.persons import find_near_pairs
from pipelines.study.splitting import Groups

IN_STUDY = "already in the study"
DUPLICATE = "exact duplicate"
TWO_LABELS = "the same picture under two labels"
TIES_SPLITS = "ties patients of two splits together"
UNKNOWN_LABEL = "label not in the study"

Reasons = dict[int, str]  # by the number of a candidate, as "kind: details"


@dataclass(frozen=True)
class Screening:
    """What is to happen to the candidates.

    Attributes:
        reasons: Why candidates are left out, in their order.
        kept: The numbers of all others.
        groups: Who must share a split.
        members: The number in `groups` of each place: the study's rows first, then candidates.
        near: Pairs that look alike and are both in the study.
        held_out: The numbers of candidates who are put aside for the external test set, since they
            or images of the same person are to be.
        moved: The places of the study's rows that would have to go there too and are elsewhere.
    """

    reasons: Reasons
    kept: list[int]
    groups: Groups
    members: dict[int, int]
    near: list[AlikePair]
    held_out: frozenset[int] = frozenset()
    moved: tuple[int, ...] = ()

    def tied_patients(self, known: Collection[str]) -> list[list[str]]:
        """Return which of the known patients must share a split with another."""
        tied = []
        for ties in self.groups.ties():
            pairs = [tie for tie in ties if isinstance(tie, tuple)]
            names = [name for kind, name in pairs if kind == "patient" and name in known]
            if len(names) > 1:
                tied.append(names)
        return tied


def screen(
    candidates: Sequence[Candidate],
    existing: Sequence[Row],
    *,
    matching: Collection[int] = (),
    held_rows: Collection[int] = (),
) -> Screening:
    """Decide which candidates come into a study that has these rows already.

    matching: the numbers of candidates that are to be held out, with all images of their persons.
    held_rows: the places of rows that were held out before, whose persons' new images are too.
    """
    reasons = {
        number: candidate.decoded.problem
        for number, candidate in enumerate(candidates)
        if candidate.decoded.problem
    }
    reasons |= _find_unknown_labels(candidates, existing, reasons)
    comparable = [number for number in range(len(candidates)) if number not in reasons]
    reasons |= _find_two_labels(candidates, existing, comparable)
    pairs = list(_find_alike(candidates, existing, comparable))
    for number, reason in _find_alike_of_two_labels(candidates, existing, pairs):
        reasons.setdefault(number, reason)
    alike = places_alike(pairs, len(existing))
    held_out, moved = _hold_out(candidates, existing, alike, matching, held_rows)
    settled = [
        replace(candidate, external=candidate.external or number in held_out)
        for number, candidate in enumerate(candidates)
    ]
    groups, members = _group(settled, existing, reasons, alike)
    return Screening(
        reasons=dict(sorted(reasons.items())),
        kept=[number for number in range(len(candidates)) if number not in reasons],
        groups=groups,
        members=members,
        near=_both_in_study(pairs, len(existing), members),
        held_out=held_out,
        moved=moved,
    )


def _find_unknown_labels(
    candidates: Sequence[Candidate], existing: Sequence[Row], reasons: Reasons
) -> Reasons:
    """Leave out external images whose labels the study has not."""
    fine = [
        (number, candidate) for number, candidate in enumerate(candidates) if number not in reasons
    ]
    labels = {row.label for row in existing}
    labels |= {candidate.image.label for _, candidate in fine if not candidate.external}
    return {
        number: f"{UNKNOWN_LABEL}: {candidate.image.label}"
        for number, candidate in fine
        if candidate.external and candidate.image.label not in labels
    }


def _find_two_labels(
    candidates: Sequence[Candidate], existing: Sequence[Row], comparable: Sequence[int]
) -> Reasons:
    """Leave out pictures that come under two labels."""
    labels_of: dict[str, set[str]] = defaultdict(set)
    for row in existing:
        labels_of[row.sha256].add(row.label)
    for number in comparable:
        labels_of[candidates[number].decoded.sha256].add(candidates[number].image.label)
    reasons = {}
    for number in comparable:
        labels = labels_of[candidates[number].decoded.sha256]
        if len(labels) > 1:
            reasons[number] = f"{TWO_LABELS}: {', '.join(sorted(labels))}"
    return reasons


def _find_alike(
    candidates: Sequence[Candidate], existing: Sequence[Row], comparable: Sequence[int]
) -> Iterator[AlikePair]:
    """Yield the pairs that look alike, one of them a candidate; phantoms have no hash for it.

    First those that are alike as they are, then those that are when one of them is altered.
    """
    places = [place for place, row in enumerate(existing) if row.near_hash]
    hashes = [existing[place].near_hash for place in places]
    hashed = [number for number in comparable if candidates[number].decoded.near_hash]
    places += [len(existing) + number for number in hashed]
    hashes += [candidates[number].decoded.near_hash for number in hashed]
    altered = [""] * (len(places) - len(hashed))
    altered += [candidates[number].decoded.altered_hashes for number in hashed]
    known = set()
    for first, second, bits in find_near_pairs(hashes, len(hashed)):
        known.add((first, second))
        yield AlikePair(places[first], places[second], bits)
    for first, second, bits in find_altered_pairs(hashes, altered):
        if (first, second) not in known:
            yield AlikePair(places[first], places[second], bits)


def _find_alike_of_two_labels(
    candidates: Sequence[Candidate], existing: Sequence[Row], pairs: Sequence[AlikePair]
) -> Iterator[tuple[int, str]]:
    """Leave out candidates that are one picture beyond doubt with one of another label."""
    for pair in pairs:
        numbers = [place - len(existing) for place in (pair.first, pair.second)]
        labels = {
            candidates[number].image.label if number >= 0 else existing[place].label
            for number, place in zip(numbers, (pair.first, pair.second), strict=True)
        }
        if pair.bits <= SAME_BITS and len(labels) > 1:
            reason = f"{TWO_LABELS}: {', '.join(sorted(labels))}"
            yield from ((number, reason) for number in numbers if number >= 0)


def _hold_out(
    candidates: Sequence[Candidate],
    existing: Sequence[Row],
    alike: Mapping[int, Sequence[int]],
    matching: Collection[int],
    held_rows: Collection[int],
) -> tuple[frozenset[int], tuple[int, ...]]:
    """Return the candidates who are the same person as one to hold out, themselves included.

    Whoever shares a patient or a picture, or looks alike, directly or through others, is; what is
    left out of the study ties as well. Also returns the places of rows in other splits that are the
    same person as a matching candidate.
    """
    if not matching and not held_rows:
        return frozenset(), ()
    persons = Groups()
    for place, row in enumerate(existing):
        persons.add([*ties_of_row(row), ("image", place)], SPLITS)
    for number, candidate in enumerate(candidates):
        places = [len(existing) + number, *alike.get(number, ())]
        persons.add([*candidate.ties, *(("image", place) for place in places)], SPLITS)
    matched = {persons.root(len(existing) + number) for number in matching}
    held = matched | {persons.root(place) for place in held_rows}
    return (
        frozenset(
            number
            for number in range(len(candidates))
            if persons.root(len(existing) + number) in held
        ),
        tuple(
            place
            for place, row in enumerate(existing)
            if row.split != EXTERNAL and persons.root(place) in matched
        ),
    )


def _group(
    candidates: Sequence[Candidate],
    existing: Sequence[Row],
    reasons: Reasons,
    alike: Mapping[int, Sequence[int]],
) -> tuple[Groups, dict[int, int]]:
    """Tie images of one patient or picture together, and add to `reasons` who cannot come in.

    The most constrained come first, a given test set before all; an external image gives way to one
    of the study.
    """
    groups = Groups()
    members: dict[int, int] = {}
    for place, row in enumerate(existing):
        member = groups.add([*ties_of_row(row), ("image", place)], [row.split])
        assert member is not None, "every row of the study has a split"
        members[place] = member
    known = {(row.sha256, row.patient) for row in existing}
    seen = {row.sha256 for row in existing}
    waiting = [number for number in range(len(candidates)) if number not in reasons]
    for number in sorted(waiting, key=lambda number: _constraint(candidates[number])):
        candidate, place = candidates[number], len(existing) + number
        sha256, patient = candidate.decoded.sha256, candidate.patient.name
        ties = candidate.ties
        if any((sha256, name) in known for name in (patient, *candidate.patient.also)):
            reasons[number] = IN_STUDY
        elif sha256 in seen:
            reasons[number] = f"{DUPLICATE}: of {sha256[:16]}.png"
            # A picture of two patients makes them one.
            groups.add(ties, (EXTERNAL,) if candidate.external else SPLITS)
        else:
            ties.append(("image", place))
            ties += [("image", other) for other in alike.get(number, ()) if other in members]
            member = groups.add(ties, candidate.splits)
            if member is None:
                reasons[number] = TIES_SPLITS
            else:
                members[place] = member
                seen.add(sha256)
    return groups, members


def _constraint(candidate: Candidate) -> tuple[bool, int, bool]:
    splits = candidate.image.splits
    return candidate.external, len(splits), "test" not in splits


def _both_in_study(
    pairs: Sequence[AlikePair], n_existing: int, members: Mapping[int, int]
) -> list[AlikePair]:
    """Return the pairs of which both came in, by candidate as they were first compared."""
    ordered: dict[int, list[AlikePair]] = defaultdict(list)
    for pair in pairs:
        ordered[pair.second].append(pair)
        if pair.first >= n_existing:
            ordered.setdefault(pair.first, [])
    return [
        pair
        for pairs_of_one in ordered.values()
        for pair in pairs_of_one
        if pair.first in members and pair.second in members
    ]
