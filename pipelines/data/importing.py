"""Records of any source into the workspace: decoded, checked, split, written, and accounted for.

Decoding goes to a staging folder with a journal, so that an import which was interrupted goes on where it was. What is in the study
already is never touched; the new images come into it at the end, all or none (`pipelines.data.commit`).
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pipelines.data.cleaning import SAME, near_pairs
from pipelines.data.commit import commit, take_back, write_private
from pipelines.data.decoding import Decoded, decode_all
from pipelines.data.sources import Listing, Record, readable
from pipelines.study.manifest import EXTERNAL, SPLITS, Row, read_manifest
from pipelines.study.splitting import Groups, distribute
from pipelines.study.workspace import Workspace
from runtime.lock import held
from runtime.run import Interrupted

MIN_SIDE = 64  # pixels, of the shorter side
KEY = "patients.key"
IN_STUDY, DUPLICATE, ABSENT = (
    "already in the study",
    "exact duplicate",
    "named in a table, file absent",
)
TWO_LABELS, TORN = "the same picture under two labels", "ties patients of two splits together"


def import_listings(
    workspace: Workspace,
    listings: Sequence[Listing],
    *,
    external: Sequence[Listing] = (),
    ratios: tuple[float, float, float],
    seed: int,
    folds: int | None = None,
    min_side: int = MIN_SIDE,
    strict: bool = False,
) -> dict:
    """Add the listings' images to the workspace; returns what import.json says of this import.

    external: listings whose images make the external test set. folds: also deal the images outside of the test split into so many parts.
    What is not imported, and why, stands in import.json, by number; data/originals.csv tells which file a number is.
    Raises ValueError when nothing new is left, with `strict` when anything else than what the study has already would be left out, on another
    number of folds than the study has, and Interrupted after a signal, when the same call goes on.
    """
    if min_side < 1:
        raise ValueError(f"--min-side {min_side}: expected a number of pixels, at least 1")
    records = [record for listing in listings for record in listing.records]
    held_apart = len(records)
    records += [record for listing in external for record in listing.records]
    with _at_work(workspace) as staging:
        existing = (
            read_manifest(workspace.manifest_path) if workspace.manifest_path.exists() else []
        )
        folds = _folds(folds, workspace, existing)
        key = _patient_key(workspace, bool(existing))
        decoded = decode_all(records, staging, min_side)
        patients = [_patient(record, result, key) for record, result in zip(records, decoded)]
        reasons, groups, near = _sort_out(records, decoded, patients, held_apart, existing)
        lost = {
            reason: count
            for reason, count in _counts(reasons.values()).items()
            if reason != IN_STUDY
        }
        absent = [path for listing in (*listings, *external) for path in listing.absent]
        if strict and (lost or absent):
            first = (
                next(
                    (
                        f"{readable(records[index].origin)}: {reason}"
                        for index, reason in reasons.items()
                        if not reason.startswith(IN_STUDY)
                    ),
                    None,
                )
                or f"{absent[0]} is absent"
            )
            raise ValueError(
                f"--strict: {sum(lost.values()) + len(absent)} files would be left out; first {first}"
            )
        kept = [index for index in range(len(records)) if index not in reasons]
        if not kept:
            raise ValueError(
                f"nothing to import: {', '.join(f'{count} {reason}' for reason, count in _counts(reasons.values()).items())}"
            )
        fresh = _rows(records, decoded, patients, kept, groups, existing, ratios, seed, folds)
        names = {index: row.file_name for index, row in zip(kept, fresh)}
        originals = [
            {
                "id": _keyed(key, record.origin)[:12],
                "file_name": names.get(index, ""),
                "origin": readable(record.origin),
                "source": record.source,
                "patient": readable(patients[index][1]),
                "label": record.label,
                "reason": reasons.get(index, ""),
            }
            for index, record in enumerate(records)
        ] + [
            {"id": _keyed(key, path)[:12], "origin": readable(path), "reason": ABSENT}
            for path in absent
        ]
        summary = {
            "sources": [_about(listing, listing in external) for listing in (*listings, *external)],
            "kept": len(fresh),
            "left_out_counts": _counts(reasons.values())
            | ({ABSENT: len(absent)} if absent else {}),
            "left_out": [
                {"id": row["id"], "reason": row["reason"]} for row in originals if row["reason"]
            ],
            "near_duplicates": [
                {"images": [names.get(one, one), names[other]], "bits": bits}
                for one, other, bits in near
                if other in names
            ],
            "may_show_text": sum(decoded[index].may_show_text for index in kept),
            "images_in_study": len(existing) + len(fresh),
            "split": "/".join(f"{100 * ratio:.0f}" for ratio in ratios),
            "split_seed": seed,
            "folds": folds,
            "min_side": min_side,
        }
        commit(
            workspace,
            staging,
            [decoded[index].file for index in kept],
            existing,
            fresh,
            summary,
            originals,
        )
    return summary


@contextlib.contextmanager
def _at_work(workspace: Workspace) -> Iterator[Path]:
    """The staging folder of an import, which alone works on the data. After a failure the study is as it was; what is decoded stays after a signal or a kill."""
    staging, key = workspace.data / ".incoming", workspace.data / KEY
    workspace.data.mkdir(parents=True, exist_ok=True)
    with held(workspace.data):
        take_back(workspace, staging)  # of an import that was killed
        keyed = key.exists()
        staging.mkdir(exist_ok=True)
        try:
            yield staging
        except Interrupted:
            raise
        except BaseException:
            take_back(workspace, staging)
            if not keyed:
                key.unlink(missing_ok=True)
            shutil.rmtree(staging, ignore_errors=True)
            if [path.name for path in workspace.data.iterdir()] == [".lock"]:
                shutil.rmtree(workspace.data)
            raise
        shutil.rmtree(staging, ignore_errors=True)


# --- who comes in, and where to ---


def _patient_key(workspace: Workspace, needed: bool) -> bytes:
    """The secret that patient numbers are hashed with, made where there is none. Raises FileNotFoundError when the study has images and its key is gone."""
    path = workspace.data / KEY
    if path.exists():
        try:
            return bytes.fromhex(path.read_text().strip())
        except ValueError as error:
            raise ValueError(
                f"{path} is damaged; expected 64 hexadecimal digits: bring it back from a copy, or begin a new study in another folder"
            ) from error
    if needed:
        raise FileNotFoundError(
            f"{path} is gone, with which the patients' numbers were hashed: without it nobody can tell who is in the study already; begin a new study in another folder"
        )
    key = secrets.token_bytes(32)
    write_private(path, f"{key.hex()}\n")
    return key


def _patient(record: Record, result: Decoded, key: bytes) -> tuple[str, str]:
    """The patient as the manifest names it, and as the source does. Phantoms are nobody, and keep their names."""
    number = record.patient or result.patient or f"file {record.origin}"
    if record.note:
        return f"{record.source}:{number}", number
    return _keyed(key, f"{record.source}:{number}")[:16], number


def _keyed(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(errors="surrogateescape"), "sha256").hex()


def _sort_out(
    records: Sequence[Record],
    decoded: Sequence[Decoded],
    patients: Sequence[tuple[str, str]],
    held_apart: int,
    existing: Sequence[Row],
) -> tuple[dict[int, str], tuple[Groups, dict[int, int]], list[tuple[int | str, int, int]]]:
    """Who is left out and why; the groups of all others; and the pairs that look alike, as (record or file name, record, bits)."""
    reasons = {index: result.problem for index, result in enumerate(decoded) if result.problem}
    fine = [index for index in range(len(records)) if index not in reasons]
    if held_apart < len(records):  # an external set is judged by the study's labels
        labels = {row.label for row in existing} | {
            records[index].label for index in fine if index < held_apart
        }
        reasons |= {
            index: f"label not in the study: {records[index].label}"
            for index in fine
            if index >= held_apart and records[index].label not in labels
        }
        fine = [index for index in fine if index not in reasons]

    labels_of: dict[str, set[str]] = defaultdict(set)
    for row in existing:
        labels_of[row.sha256].add(row.label)
    for index in fine:
        labels_of[decoded[index].sha256].add(records[index].label)
    reasons |= {
        index: f"{TWO_LABELS}: {', '.join(sorted(labels_of[decoded[index].sha256]))}"
        for index in fine
        if len(labels_of[decoded[index].sha256]) > 1
    }

    # Places below zero are those of the study's rows, −1 for the first; phantoms have no perceptual hash.
    places = [-1 - number for number, row in enumerate(existing) if row.near_hash] + [
        index for index in fine if decoded[index].near_hash
    ]
    hashes = [
        existing[-1 - place].near_hash if place < 0 else decoded[place].near_hash
        for place in places
    ]
    alike: dict[int, list[tuple[int, int]]] = defaultdict(list)  # record → (place, bits)
    for one, other, bits in near_pairs(hashes, sum(place >= 0 for place in places)):
        i, j = places[one], places[other]
        alike[j].append((i, bits))
        if i >= 0:
            alike[i].append((j, bits))
        labels = {records[j].label, existing[-1 - i].label if i < 0 else records[i].label}
        if bits <= SAME and len(labels) > 1:
            reasons |= {
                index: f"{TWO_LABELS}: {', '.join(sorted(labels))}"
                for index in (i, j)
                if index >= 0 and index not in reasons
            }

    groups, numbers = Groups(), {}
    known = {(row.sha256, row.patient) for row in existing}
    seen = {row.sha256 for row in existing}
    for row_number, row in enumerate(existing):
        numbers[-1 - row_number] = groups.add(
            [("patient", row.patient), ("pixels", row.sha256), ("image", -1 - row_number)],
            [row.split],
        )
    # The most constrained first, a given test set before all; an external image gives way to one of the study.
    for index in sorted(
        (index for index in fine if index not in reasons),
        key=lambda index: (
            index >= held_apart,
            len(records[index].splits),
            "test" not in records[index].splits,
        ),
    ):
        record, result = records[index], decoded[index]
        ties = [("patient", patients[index][0]), ("pixels", result.sha256), ("image", index)]
        if (result.sha256, patients[index][0]) in known:
            reasons[index] = IN_STUDY
        elif result.sha256 in seen:
            reasons[index] = f"{DUPLICATE}: of {result.sha256[:16]}.png"
            groups.add(
                ties[:2], SPLITS if index < held_apart else [EXTERNAL]
            )  # a picture of two patients makes them one
        else:
            ties += [("image", other) for other, _ in alike[index] if other in numbers]
            number = groups.add(ties, record.splits if index < held_apart else [EXTERNAL])
            if number is None:
                reasons[index] = TORN
            else:
                numbers[index] = number
                seen.add(result.sha256)
    pairs = [
        (i if i >= 0 else existing[-1 - i].file_name, j, bits)
        for j, others in alike.items()
        for i, bits in others
        if i < j and i in numbers and j in numbers
    ]
    return dict(sorted(reasons.items())), (groups, numbers), pairs


def _rows(
    records: Sequence[Record],
    decoded: Sequence[Decoded],
    patients: Sequence[tuple[str, str]],
    kept: Sequence[int],
    grouping: tuple[Groups, dict[int, int]],
    existing: Sequence[Row],
    ratios: tuple[float, float, float],
    seed: int,
    folds: int | None,
) -> list[Row]:
    """Manifest rows of the new images; whoever shares a patient or a picture shares the split and the fold."""
    groups, numbers = grouping
    everyone = [*(-1 - number for number in range(len(existing))), *kept]
    labels = [row.label for row in existing] + [records[index].label for index in kept]
    roots = [groups.root(numbers[index]) for index in everyone]
    splits = distribute(
        labels,
        roots,
        [groups.allowed(numbers[index]) for index in everyone],
        dict(zip(SPLITS, ratios)),
        seed,
    )
    fold_of = dict.fromkeys(range(len(everyone)))
    if folds:
        dealt = [place for place, split in enumerate(splits) if split in SPLITS[:2]]
        had = {roots[place]: str(existing[place].fold) for place in dealt if place < len(existing)}
        parts = [str(fold + 1) for fold in range(folds)]
        may = [[had[roots[place]]] if roots[place] in had else parts for place in dealt]
        fold_of |= zip(
            dealt,
            map(
                int,
                distribute(
                    [labels[place] for place in dealt],
                    [roots[place] for place in dealt],
                    may,
                    dict.fromkeys(parts, 1 / folds),
                    seed,
                ),
            ),
        )
    names = {row.file_name for row in existing}
    rows = []
    for place, index in enumerate(kept, start=len(existing)):
        record, result = records[index], decoded[index]
        file_name = f"images/{record.label}/{record.name or result.sha256[:16]}.png"
        if (
            file_name in names
        ):  # two different pictures never share 64 bits of a hash; phantoms have names of their own
            file_name = f"images/{record.label}/{result.sha256}.png"
        names.add(file_name)
        rows.append(
            Row(
                file_name=file_name,
                label=record.label,
                patient=patients[index][0],
                split=splits[place],
                fold=fold_of[place],
                source=record.source,
                view=record.view or result.view,
                sha256=result.sha256,
                near_hash=result.near_hash,
                width=result.width,
                height=result.height,
            )
        )
    return rows


def _folds(asked: int | None, workspace: Workspace, existing: Sequence[Row]) -> int | None:
    """The number of folds of the study: what its first import said, or what is asked for now."""
    if asked is not None and asked < 2:
        raise ValueError(f"--folds {asked}: expected at least 2")
    if not existing:
        return asked
    imports = workspace.imports()
    had = (
        imports[0]["folds"]
        if imports
        else max((row.fold or 0 for row in existing), default=0) or None
    )
    if asked not in (None, had):
        raise ValueError(
            f"--folds {asked}: the study was made with {had or 'no folds'}; begin a new study in another folder"
        )
    return had


# --- what import.json says ---


def _about(listing: Listing, external: bool) -> dict:
    about = {
        "source": listing.source,
        "kind": listing.kind,
        "images": len(listing.records),
        "passed_over": dict(listing.passed_over),
        "absent": len(listing.absent),
    }
    return about | ({"external": True} if external else {})


def _counts(reasons: Iterable[str]) -> dict[str, int]:
    return dict(Counter(reason.split(":")[0] for reason in reasons))
