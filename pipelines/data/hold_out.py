"""Images put aside as an external test set by a column of their source's table.

So a hospital, a scanner or a finding becomes a test set that no training ever sees. All images of
whoever has a matching one go with it: see `screening.screen`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipelines.data.candidates import Candidate
from pipelines.data.listing import SourceImage
from pipelines.data.screening import Screening
from pipelines.data.table_text import plain_name
from pipelines.study.import_log import HeldOut, HoldOutRule, ImportSummary
from pipelines.study.manifest import EXTERNAL, Row
from runtime.options import OptionError


@dataclass(frozen=True)
class HoldOut:
    """A rule such as location=Hannover*, or finding!=COVID*.

    Attributes:
        column: Of a table, whatever its case, spaces and signs.
        pattern: Of a whole cell, whatever its case: * for any text, ? for any one character.
        negated: Whether it holds where a cell has another value. An empty cell never matches.
    """

    column: str
    pattern: str
    negated: bool = False

    def __str__(self) -> str:
        """Write the rule as it is given."""
        return f"{self.column}{'!=' if self.negated else '='}{self.pattern}"

    def cells_of(self, image: SourceImage) -> list[str]:
        """Return what the image's table says in the column."""
        wanted = plain_name(self.column)
        return [
            cell
            for row in image.table_rows
            for name, cell in row.items()
            if cell and plain_name(name) == wanted
        ]

    def matching_cells(self, image: SourceImage) -> list[str]:
        """Return those of the cells that match."""
        regex = _compile_glob(self.pattern)
        return [
            cell for cell in self.cells_of(image) if bool(regex.fullmatch(cell)) != self.negated
        ]

    def is_about(self, columns: Iterable[str]) -> bool:
        """Return whether a table with these columns has the one of the rule."""
        return plain_name(self.column) in {plain_name(name) for name in columns}


def _compile_glob(pattern: str) -> re.Pattern[str]:
    """Make a regular expression of a pattern in which * and ? alone have a meaning."""
    signs = {"*": ".*", "?": "."}
    text = "".join(signs.get(sign) or re.escape(sign) for sign in pattern)
    return re.compile(text, re.IGNORECASE | re.DOTALL)


def parse_hold_outs(texts: Sequence[str]) -> tuple[HoldOut, ...]:
    """Make rules of texts such as "location=Hannover*", each once. Raises OptionError."""
    rules = []
    for text in texts:
        column, equals, pattern = text.partition("=")
        negated = column.endswith("!")
        column, pattern = column.removesuffix("!").strip(), pattern.strip()
        if not equals or not plain_name(column) or not pattern:
            raise OptionError(
                "hold_out",
                text,
                "expected COLUMN=PATTERN or COLUMN!=PATTERN, a column of a source's table and what "
                'stands in it, as in `hold_out` "location=Hannover*"',
            )
        rules.append(HoldOut(column, pattern, negated))
    return tuple(dict.fromkeys(rules))


@dataclass(frozen=True)
class HoldOuts:
    """The rules of an import.

    Attributes:
        rules: Those of earlier imports, which still hold, then the new ones.
        num_kept: How many are of earlier imports.
        held_rows: The places of the study's rows that were held out before.
    """

    rules: tuple[HoldOut, ...]
    num_kept: int
    held_rows: frozenset[int]

    @classmethod
    def settle(
        cls, new: Sequence[HoldOut], imports: Sequence[ImportSummary], existing: Sequence[Row]
    ) -> HoldOuts:
        """Add new rules to those that the study's imports wrote down."""
        texts = [rule.rule for summary in imports for rule in _rules_of(summary)]
        kept = parse_hold_outs(texts)
        given = {source.source for own in imports for source in own.sources if source.external}
        held_rows = frozenset(
            place
            for place, row in enumerate(existing)
            if kept and row.split == EXTERNAL and row.source not in given
        )
        return cls(tuple(dict.fromkeys((*kept, *new))), len(kept), held_rows)

    @property
    def new(self) -> tuple[HoldOut, ...]:
        """The rules that no earlier import had."""
        return self.rules[self.num_kept :]

    def find_matching(self, images: Sequence[SourceImage]) -> dict[HoldOut, list[int]]:
        """Return the numbers of the images of the study's own sources that match each rule."""
        return {
            rule: [number for number, image in enumerate(images) if rule.matching_cells(image)]
            for rule in self.rules
        }


def _rules_of(summary: ImportSummary) -> list[HoldOutRule]:
    return summary.held_out.rules if summary.held_out else []


def held_and_kept(screening: Screening) -> list[int]:
    """Return the numbers of the candidates that came into the study and are held out."""
    return [number for number in screening.kept if number in screening.held_out]


def describe_held_out(
    matching: dict[HoldOut, list[int]], screening: Screening, candidates: Sequence[Candidate]
) -> HeldOut | None:
    """Say what the rules put aside; None where there is none."""
    if not matching:
        return None
    held = [candidates[number] for number in held_and_kept(screening)]
    own = [candidate for candidate in held if not candidate.external]
    kept = frozenset(screening.kept)
    matched = {number for numbers in matching.values() for number in numbers} & kept
    patients: dict[str, set[str]] = defaultdict(set)
    for candidate in own:
        patients[candidate.image.label].add(candidate.patient.name)
    return HeldOut(
        rules=[
            _describe_rule(rule, [candidates[number] for number in numbers if number in kept])
            for rule, numbers in matching.items()
        ],
        images=dict(sorted(Counter(candidate.image.label for candidate in own).items())),
        patients={label: len(names) for label, names in sorted(patients.items())},
        tied_images=len(own) - len(matched),
    )


def _describe_rule(rule: HoldOut, matched: Sequence[Candidate]) -> HoldOutRule:
    """Count what a rule matched; values of one patient alone, which might name it, are not told."""
    images: Counter[str] = Counter()
    patients: dict[str, set[str]] = defaultdict(set)
    for candidate in matched:
        for cell in dict.fromkeys(rule.matching_cells(candidate.image)):
            images[cell] += 1
            patients[cell].add(candidate.patient.name)
    shared = {cell: n for cell, n in images.most_common() if len(patients[cell]) > 1}
    return HoldOutRule(
        rule=str(rule),
        images=len(matched),
        values=shared,
        values_of_one_patient=len(images) - len(shared),
    )
