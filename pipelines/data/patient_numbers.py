"""Patient numbers as people write them: those that are none, and those written in several ways."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pipelines.data.listing import SourceImage

FILE_PREFIX = "file "  # of the number of an image whose patient is not known
MANY_IMAGES = 8  # of a new study, all under one number, which then cannot be a patient's
NAMED_SPELLINGS = 5  # numbers that a message names
PLACEHOLDER = re.compile(
    r"(anon(ymi[sz]ed?|ymous|ym)?|de-?identified|removed|redacted|hidden|unknown|unk|none|null|nan"
    r"|n/?a|no[ _-]?id|patient|test|x+|-+|\?+|0+(\.0+)?)([ _^-]*(patient|id|name))*",
    re.IGNORECASE,
)
_WHOLE_NUMBER = re.compile(r"0*(\d+)(\.0+)?")


def is_placeholder(number: str) -> bool:
    """Return whether a patient number is what stands there when there is none."""
    return PLACEHOLDER.fullmatch(number.strip()) is not None


def is_known(number: str) -> bool:
    """Return whether a number is a patient's, and not made of a file's own name."""
    return not number.startswith(FILE_PREFIX)


def find_spellings(numbers: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return the numbers of one source that differ only in zeros, as 7, 7.0 and 007.

    numbers: pairs of a source and a number of it.
    """
    spellings: dict[tuple[str, str], set[str]] = defaultdict(set)
    for source, number in numbers:
        if match := _WHOLE_NUMBER.fullmatch(number.strip()):
            spellings[source, match.group(1)].add(number.strip())
    return [sorted(names) for names in spellings.values() if len(names) > 1]


def name_spellings(numbers: Iterable[tuple[str, str]]) -> list[str]:
    """Write a line on numbers that are written in several ways; none where there are none."""
    groups = find_spellings(numbers)
    if not groups:
        return []
    named = "; ".join(", ".join(group) for group in groups[:NAMED_SPELLINGS])
    more = f"; and {len(groups) - NAMED_SPELLINGS} more" if len(groups) > NAMED_SPELLINGS else ""
    return [
        f"patient numbers that are written in several ways count as different patients: {named}"
        f"{more}; where they are one, write them in one way and import into a new study"
    ]


def check_numbers(images: Sequence[SourceImage], numbers: Sequence[str], *, is_new: bool) -> None:
    """Raise ValueError when all images of a source have one number, which is no patient's.

    images, numbers: those that can be used, with their patients' numbers.
    is_new: whether the study has no images yet.
    """
    of_source: dict[str, list[str]] = defaultdict(list)
    for image, number in zip(images, numbers, strict=True):
        if not image.note:
            of_source[image.source].append(number)
    for source, values in of_source.items():
        (first, *others) = dict.fromkeys(values)
        is_everything = is_new and len(of_source) == 1 and len(values) >= MANY_IMAGES
        if others or len(values) < 2 or not is_known(first):
            continue
        if is_placeholder(first) or is_everything:
            raise ValueError(
                f"{source}: all {len(values)} images have one patient number, {first!r:.60}, so "
                "that they would count as one patient and could not be split; expected a number "
                "for each patient: import a CSV with file_name,label,patient (where no patient "
                "has several images, the file's name will do as patient)"
            )


def note_placeholders(images: Sequence[SourceImage], numbers: Sequence[str]) -> list[str]:
    """Write a line for each number that is none, and stands for several images of a source."""
    counts = Counter(
        (image.source, number)
        for image, number in zip(images, numbers, strict=True)
        if is_placeholder(number) and not image.note
    )
    return [
        f"{count} images of {source} have the patient number {number!r:.60} and count as one "
        "patient; a CSV with file_name,label,patient tells them apart"
        for (source, number), count in counts.items()
        if count > 1
    ]
