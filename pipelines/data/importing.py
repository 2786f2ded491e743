"""Images of any source into the study: decoded, checked, split, written, and accounted for.

Decoding goes to a staging folder with a journal, so that an import which was interrupted goes on
where it was. What is in the study already is never touched; the new images come into it at the end,
all or none (`pipelines.data.commit`).
"""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.data.alterations import LOOKED_FOR
from pipelines.data.assignment import assign_rows
from pipelines.data.candidates import Candidate
from pipelines.data.commit import commit, take_back
from pipelines.data.decoding import Decoded, decode_all
from pipelines.data.hold_out import HoldOut, HoldOuts, describe_held_out, parse_hold_outs
from pipelines.data.hold_out_checks import (
    check_columns,
    check_earlier_images,
    check_held_out,
    check_matching,
)
from pipelines.data.listing import Listing, SourceImage
from pipelines.data.originals import OriginalRow
from pipelines.data.patient_notes import note_patients
from pipelines.data.patient_numbers import check_numbers
from pipelines.data.patients import (
    KnownPatients,
    identify_patients,
    key_path,
    keyed_hash,
    number_of,
    open_patient_key,
    read_known_patients,
)
from pipelines.data.screening import IN_STUDY, Screening, screen
from pipelines.study.import_log import (
    HeldOut,
    ImportSource,
    ImportSummary,
    LeftOutImage,
    NearDuplicate,
)
from pipelines.study.manifest import Row, read_manifest
from pipelines.study.projections import projection_kind
from pipelines.study.splitting import Ratios
from pipelines.study.text import decode_file_name
from pipelines.study.workspace import Workspace
from runtime.lock import held
from runtime.options import OptionError
from runtime.run import Interrupted

MIN_SIDE = 64  # pixels, of the shorter side
ABSENT = "named in a table, file absent"


@dataclass(frozen=True)
class ImportRules:
    """What may come into a study, and who is who.

    Attributes:
        min_side: Images with a shorter side, in pixels, are left out.
        strict: Whether to stop when a file would be left out that the study has not already.
        same_patients: Whether a patient's number is that of one patient in all sources.
        hold_out: Which images are an external test set, as "location=Hannover*", beside those by
            the rules of earlier imports.
    """

    min_side: int = MIN_SIDE
    strict: bool = False
    same_patients: bool = False
    hold_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise OptionError when the side or a rule is none."""
        parse_hold_outs(self.hold_out)
        if self.min_side < 1:
            raise OptionError("min_side", self.min_side, "expected a number of pixels, at least 1")

    @property
    def hold_outs(self) -> tuple[HoldOut, ...]:
        """The rules by which images are put aside."""
        return parse_hold_outs(self.hold_out)


def import_listings(
    workspace: Workspace,
    listings: Sequence[Listing],
    *,
    external: Sequence[Listing] = (),
    ratios: Ratios,
    seed: int,
    folds: int | None = None,
    rules: ImportRules | None = None,
) -> ImportSummary:
    """Add the listings' images to the workspace; return what import.json says of it.

    What is not imported, and why, stands in import.json, by number; data/originals.csv tells which
    file a number is.

    external: listings whose images make the external test set.
    folds: also deal the images outside of the test split into so many parts.
    rules: what may come in; ImportRules() where there are none.

    Raises ValueError when nothing new is left, when anything is left out and the rules are strict,
    when all images have one patient's number, on another number of folds than the study has, or
    when images cannot be held out, and Interrupted after a signal, when the same call goes on.
    """
    rules = rules or ImportRules()
    absent = [path for listing in (*listings, *external) for path in listing.absent]
    with _staging_folder(workspace) as staging:
        path = workspace.manifest_path
        existing = read_manifest(path) if path.exists() else []
        folds = _settle_folds(folds, workspace, existing)
        key = open_patient_key(workspace, has_images=bool(existing))
        imports = workspace.imports()
        hold_outs = HoldOuts.settle(rules.hold_outs, imports, existing)
        check_columns(hold_outs, listings)
        known = read_known_patients(existing, imports)
        images = _join_images(listings, external)
        own = [image for image, is_external in images if not is_external]  # they come first
        matching = hold_outs.find_matching(own)
        check_matching(matching, hold_outs, own)
        decoded = decode_all([image for image, _ in images], staging, rules.min_side)
        candidates = _name_patients(images, decoded, key, known, rules.same_patients)
        check_earlier_images(hold_outs, candidates, existing, imports)
        screening, held_out = _screen(candidates, existing, hold_outs, matching)
        if rules.strict:
            _check_nothing_left_out(candidates, screening, [*listings, *external])
        if not screening.kept:
            raise ValueError(f"nothing to import: {_explain_none(candidates, screening)}")
        fresh = assign_rows(candidates, screening, existing, ratios, seed, folds)
        notes = note_patients([candidates[number] for number in screening.kept], key, known)
        outcome = _Outcome(candidates, screening, existing, fresh, absent, notes, held_out)
        originals = _list_originals(outcome, key)
        sources = _describe_sources(listings, external)
        summary = _summarize(sources, outcome, originals, ratios, seed, folds, rules)
        files = [candidates[number].decoded.file for number in screening.kept]
        commit(workspace, staging, files, existing, fresh, summary, originals)
    return summary


@dataclass(frozen=True)
class _Outcome:
    """What came of an import: the study's rows before it, the new ones, and what is left out."""

    candidates: list[Candidate]
    screening: Screening
    existing: list[Row]
    fresh: list[Row]
    absent: list[str]
    patient_notes: list[str]
    held_out: HeldOut | None

    def new_names(self) -> dict[int, str]:
        """Return the file names of the candidates that came in, by their numbers."""
        names = [row.file_name for row in self.fresh]
        return dict(zip(self.screening.kept, names, strict=True))


@contextlib.contextmanager
def _staging_folder(workspace: Workspace) -> Iterator[Path]:
    """Open the staging folder of an import, which alone works on the data.

    After a failure the study is as it was; what is decoded stays after a signal or a kill.
    """
    staging, key = workspace.data / ".incoming", key_path(workspace)
    workspace.data.mkdir(parents=True, exist_ok=True)
    with held(workspace.data):
        take_back(workspace, staging)  # of an import that was killed
        had_key = key.exists()
        staging.mkdir(exist_ok=True)
        try:
            yield staging
        except Interrupted:
            raise
        except BaseException:
            take_back(workspace, staging)
            if not had_key:
                key.unlink(missing_ok=True)
            shutil.rmtree(staging, ignore_errors=True)
            if [path.name for path in workspace.data.iterdir()] == [".lock"]:
                shutil.rmtree(workspace.data)
            raise
        shutil.rmtree(staging, ignore_errors=True)


def _settle_folds(asked: int | None, workspace: Workspace, existing: Sequence[Row]) -> int | None:
    """Return the number of folds of the study: what its first import said, or what is asked for."""
    if asked is not None and asked < 2:
        raise OptionError("folds", asked, "expected at least 2")
    if not existing:
        return asked
    imports = workspace.imports()
    if imports:
        settled = imports[0].folds
    else:
        settled = max((row.fold or 0 for row in existing), default=0) or None
    if asked not in (None, settled):
        raise OptionError(
            "folds",
            asked,
            f"the study was made with {settled or 'no folds'}; begin a new study in another folder",
        )
    return settled


def _join_images(
    listings: Sequence[Listing], external: Sequence[Listing]
) -> list[tuple[SourceImage, bool]]:
    """Return all images that the listings offer, and whether each is external."""
    return [
        (image, number >= len(listings))
        for number, listing in enumerate([*listings, *external])
        for image in listing.images
    ]


def _name_patients(
    images: Sequence[tuple[SourceImage, bool]],
    decoded: Sequence[Decoded],
    key: bytes,
    known: KnownPatients,
    same_patients: bool,
) -> list[Candidate]:
    """Say whom each image shows. Raises ValueError when one number stands for everybody."""
    usable = [
        (image, number_of(image, result))
        for (image, _), result in zip(images, decoded, strict=True)
        if not result.problem
    ]
    check_numbers(
        [image for image, _ in usable],
        [decode_file_name(number) for _, number in usable],
        is_new=not known.names,
    )
    patients = identify_patients(
        [image for image, _ in images], decoded, key, known, same_patients=same_patients
    )
    return [
        Candidate(image, result, patient, external)
        for (image, external), result, patient in zip(images, decoded, patients, strict=True)
    ]


def _screen(
    candidates: Sequence[Candidate],
    existing: Sequence[Row],
    hold_outs: HoldOuts,
    matching: dict[HoldOut, list[int]],
) -> tuple[Screening, HeldOut | None]:
    """Decide who comes in and who is held out. Raises OptionError when that cannot be."""
    screening = screen(
        candidates,
        existing,
        matching={number for numbers in matching.values() for number in numbers},
        held_rows=hold_outs.held_rows,
    )
    check_held_out(matching, hold_outs, screening, candidates, existing)
    return screening, describe_held_out(matching, screening, candidates)


def _check_nothing_left_out(
    candidates: Sequence[Candidate], screening: Screening, listings: Sequence[Listing]
) -> None:
    """Raise ValueError when files are left out that the study has not already."""
    lost = [
        f"{decode_file_name(candidates[number].image.origin)}: {reason}"
        for number, reason in screening.reasons.items()
        if not reason.startswith(IN_STUDY)
    ]
    lost += [f"{path} is absent" for listing in listings for path in listing.absent]
    for listing in listings:
        for item in listing.passed_over_files:
            lost += [f"{listing.source}: {decode_file_name(item.file)}: {item.reason}"] * item.files
    if lost:
        raise ValueError(f"--strict: {len(lost)} files would be left out; first {lost[0]}")


def _explain_none(candidates: Sequence[Candidate], screening: Screening) -> str:
    """Say how many files are left out by which reasons, and which is the first."""
    counts = _join_counts(screening.reasons.values())
    first = next(iter(screening.reasons.items()), None)
    if first is None:
        return counts
    number, reason = first
    return f"{counts}; first {decode_file_name(candidates[number].image.origin)}: {reason}"


def _list_originals(outcome: _Outcome, key: bytes) -> list[OriginalRow]:
    """Tell of every image that was offered what became of it."""
    names = outcome.new_names()
    offered = [
        OriginalRow(
            id=keyed_hash(key, candidate.image.origin)[:12],
            file_name=names.get(number, ""),
            origin=decode_file_name(candidate.image.origin),
            source=candidate.image.source,
            patient=decode_file_name(candidate.patient.number),
            label=candidate.image.label,
            reason=outcome.screening.reasons.get(number, ""),
        )
        for number, candidate in enumerate(outcome.candidates)
    ]
    missing = [
        OriginalRow(id=keyed_hash(key, path)[:12], origin=decode_file_name(path), reason=ABSENT)
        for path in outcome.absent
    ]
    return offered + missing


def _summarize(
    sources: list[ImportSource],
    outcome: _Outcome,
    originals: Sequence[OriginalRow],
    ratios: Ratios,
    seed: int,
    folds: int | None,
    rules: ImportRules,
) -> ImportSummary:
    reasons = [*outcome.screening.reasons.values(), *[ABSENT] * len(outcome.absent)]
    kept = [outcome.candidates[number] for number in outcome.screening.kept]
    return ImportSummary(
        sources=sources,
        kept=len(kept),
        left_out_counts=_count_kinds(reasons),
        left_out=[LeftOutImage(row.id, row.reason) for row in originals if row.reason],
        near_duplicates=_list_near_duplicates(outcome),
        unknown_views=dict(
            Counter(row.view for row in outcome.fresh if projection_kind(row.view) == "unknown")
        ),
        may_show_text=sum(candidate.decoded.may_show_text for candidate in kept),
        images_in_study=len(outcome.existing) + len(kept),
        split="/".join(f"{100 * ratio:.0f}" for ratio in ratios),
        split_seed=seed,
        folds=folds,
        min_side=rules.min_side,
        same_patients=rules.same_patients,
        patient_aliases={
            name: candidate.patient.name
            for candidate in kept
            for name in candidate.patient.own_names
            if name != candidate.patient.name
        },
        patient_notes=outcome.patient_notes,
        looked_for=LOOKED_FOR,
        tied_patients=outcome.screening.tied_patients(
            {row.patient for row in (*outcome.existing, *outcome.fresh)}
        ),
        held_out=outcome.held_out,
    )


def _list_near_duplicates(outcome: _Outcome) -> list[NearDuplicate]:
    names = dict(enumerate(row.file_name for row in outcome.existing))  # by place
    names |= {len(outcome.existing) + n: name for n, name in outcome.new_names().items()}
    return [
        NearDuplicate((names[pair.first], names[pair.second]), pair.bits)
        for pair in outcome.screening.near
    ]


def _describe_sources(
    listings: Sequence[Listing], external: Sequence[Listing]
) -> list[ImportSource]:
    return [
        ImportSource(
            source=listing.source,
            kind=listing.kind,
            images=len(listing.images),
            passed_over=dict(listing.passed_over),
            absent=len(listing.absent),
            external=number >= len(listings),
            notes=listing.notes,
            passed_over_files=[
                replace(item, file=decode_file_name(item.file))
                for item in listing.passed_over_files
            ],
            columns=listing.columns,
        )
        for number, listing in enumerate([*listings, *external])
    ]


def _count_kinds(reasons: Iterable[str]) -> dict[str, int]:
    """Count reasons, each "kind: details", by their kinds."""
    return dict(Counter(reason.split(":")[0] for reason in reasons))


def _join_counts(reasons: Iterable[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in _count_kinds(reasons).items())
