"""Records of any source into the workspace: decoded, checked, split, written, and accounted for.

Everything is prepared in a folder of its own and moved into place at the end, the manifest last, so a
failure leaves the workspace as it was.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipelines.data.manifest import Row, read_manifest, write_manifest
from pipelines.data.reading import pixel_hash, write_gray
from pipelines.data.sources import Listing, Record
from pipelines.data.splitting import assign_splits, join_groups
from pipelines.workspace import Workspace
from runtime.files import write_json
from runtime.progress import progress


@dataclass(frozen=True)
class Decoded:
    """What became of one record: the file written for it, or why there is none."""

    file: Path | None
    sha256: str = ""
    height: int = 0
    width: int = 0
    problem: str = ""


def import_listings(
    workspace: Workspace,
    listings: Sequence[Listing],
    *,
    ratios: tuple[float, float, float],
    seed: int,
    skip_unreadable: bool = False,
) -> dict:
    """Add the listings' images to the workspace; returns what import.json says.

    An image that is there already is passed over; one that stands under two labels, or that ties patients
    of two splits together, is left out with its reason. Raises ValueError when a file cannot be read
    (unless `skip_unreadable`) or when nothing new is left.
    """
    records = [record for listing in listings for record in listing.records]
    existing = read_manifest(workspace.manifest_path) if workspace.manifest_path.exists() else []
    created = not workspace.data.exists()
    staging = workspace.data / ".incoming"
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        decoded = _decode_all(records, staging)
        unreadable = [result.problem for result in decoded if result.problem]
        if unreadable and not skip_unreadable:
            more = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
            raise ValueError(f"{unreadable[0]}{more}; remove it, or leave such files out with --skip-unreadable")
        left_out = _left_out(records, decoded, existing)
        kept = [index for index in range(len(records)) if index not in left_out]
        if not kept:
            raise ValueError(f"nothing to import: {', '.join(f'{n} {why}' for why, n in _counts(left_out).items())}")
        rows = existing + _rows([records[index] for index in kept], [decoded[index] for index in kept], existing, ratios, seed)
        for row, index in zip(rows[len(existing) :], kept):
            target = workspace.data / row.file_name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(decoded[index].file, target)
        summary = _summary(listings, records, left_out, rows, len(existing), ratios, seed)
        write_json(workspace.data / "import.json", summary)
        write_manifest(workspace.manifest_path, rows)
    except BaseException:
        if created:
            shutil.rmtree(workspace.data, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return summary


def _decode_all(records: Sequence[Record], staging: Path) -> list[Decoded]:
    """Decode and write every record in parallel; results in the order of the records."""
    tasks = [(record, staging / f"{index}.png") for index, record in enumerate(records)]
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 16)) as pool, progress(len(tasks), "import", "image") as bar:
        results = []
        for result in pool.map(_decode, tasks, chunksize=max(1, min(16, len(tasks) // 8))):
            results.append(result)
            bar.update()
    return results


def _decode(task: tuple[Record, Path]) -> Decoded:
    record, target = task
    try:
        gray = record.load()
    except (ValueError, FileNotFoundError) as error:
        return Decoded(None, problem=str(error))
    write_gray(target, gray, **({"Comment": record.note} if record.note else {}))
    return Decoded(target, pixel_hash(gray), *gray.shape)


def _left_out(records: Sequence[Record], decoded: Sequence[Decoded], existing: Sequence[Row]) -> dict[int, str]:
    """Record number → reason, for every record that is not imported."""
    reasons = {index: f"unreadable: {result.problem}" for index, result in enumerate(decoded) if result.problem}
    labels: dict[str, set[str]] = defaultdict(set)
    for row in existing:
        labels[row.sha256].add(row.label)
    known = {(row.sha256, row.patient) for row in existing}
    for index, (record, result) in enumerate(zip(records, decoded)):
        if index not in reasons:
            if (result.sha256, record.patient) in known:
                reasons[index] = "already in the study"
            labels[result.sha256].add(record.label)
    for index, result in enumerate(decoded):
        if index not in reasons and len(labels[result.sha256]) > 1:
            reasons[index] = f"the same picture under two labels: {', '.join(sorted(labels[result.sha256]))}"

    # A newcomer that ties together what is already in two splits cannot join either.
    while True:
        fresh = [index for index in range(len(records)) if index not in reasons]
        ties = [(row.patient, row.sha256) for row in existing] + [(records[i].patient, decoded[i].sha256) for i in fresh]
        groups = join_groups(ties)
        splits: dict[int, set[str]] = defaultdict(set)
        for row, group in zip(existing, groups):
            splits[group].add(row.split)
        torn = [index for index, group in zip(fresh, groups[len(existing) :]) if len(splits[group]) > 1]
        if not torn:
            return reasons
        reasons |= {index: "ties patients of two splits together" for index in torn}


def _rows(
    records: Sequence[Record], decoded: Sequence[Decoded], existing: Sequence[Row], ratios: tuple[float, float, float], seed: int
) -> list[Row]:
    """Manifest rows of the new images; whoever shares a patient or the same pixels shares the split."""
    patients = [row.patient for row in existing] + [record.patient for record in records]
    hashes = [row.sha256 for row in existing] + [result.sha256 for result in decoded]
    labels = [row.label for row in existing] + [record.label for record in records]
    known = [row.split for row in existing] + [None] * len(records)
    splits = assign_splits(labels, join_groups(list(zip(patients, hashes))), known, ratios, seed)[len(existing) :]
    names = Counter(row.file_name for row in existing)
    rows = []
    for record, result, split in zip(records, decoded, splits):
        stem = f"images/{record.label}/{record.name or result.sha256[:16]}"
        names[stem] += 1
        suffix = f"-{names[stem]}" if names[stem] > 1 else ""
        while f"{stem}{suffix}.png" in names:
            names[stem] += 1
            suffix = f"-{names[stem]}"
        names[f"{stem}{suffix}.png"] += 1
        rows.append(
            Row(
                file_name=f"{stem}{suffix}.png",
                label=record.label,
                patient=record.patient,
                split=split,
                source=record.source,
                view=record.view,
                sha256=result.sha256,
                width=result.width,
                height=result.height,
            )
        )
    return rows


def _summary(listings: Sequence[Listing], records: Sequence[Record], left_out: dict[int, str], rows: Sequence[Row], before: int, ratios: tuple[float, float, float], seed: int) -> dict:
    return {
        "sources": [
            {"source": listing.source, "kind": listing.kind, "images": len(listing.records), "passed_over": listing.passed_over}
            for listing in listings
        ],
        "kept": len(rows) - before,
        "left_out": [{"image": records[index].origin, "reason": reason} for index, reason in sorted(left_out.items())],
        "left_out_counts": _counts(left_out),
        "images_in_study": len(rows),
        "split": "/".join(f"{100 * ratio:.0f}" for ratio in ratios),
        "split_seed": seed,
    }


def _counts(left_out: dict[int, str]) -> dict[str, int]:
    return dict(Counter(reason.split(":")[0] for reason in left_out.values()))
