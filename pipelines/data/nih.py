"""NIH ChestX-ray14: one table, and images in folders of any number."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

from pipelines.data.folders import NIH_REGISTER, offer_file, pass_over, walk_images
from pipelines.data.listing import FindingLabels, Listing, only_label
from pipelines.data.table_text import read_columns, read_rows

COLUMNS = ("Image Index", "Finding Labels", "Patient ID", "View Position")


def find_nih_table(folder: Path) -> Path | None:
    """Return the Data_Entry_2017*.csv of a folder, if it has one."""
    if not folder.is_dir():
        return None
    return next(iter(sorted(folder.glob("Data_Entry_2017*.csv"))), None)


def list_nih(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    """List NIH ChestX-ray14 by its table; No Finding is normal, others where they are chosen.

    Raises ValueError when there is no table, or it cannot be read.
    """
    table = find_nih_table(folder)
    if table is None:
        raise ValueError(f"{folder} holds no Data_Entry_2017*.csv")
    listing = Listing(
        source,
        "NIH ChestX-ray14",
        tables=[table],
        columns=read_columns(table, COLUMNS),
        is_selective=True,
    )
    labels = FindingLabels({"no finding": "normal"} | chosen, made=listing.label_names)
    present: dict[str, list[Path]] = defaultdict(list)
    for path in walk_images(folder, Counter()):
        present[path.name].append(path)
    for row in read_rows(table, COLUMNS):
        findings = [finding.strip() for finding in row["Finding Labels"].split("|")]
        listing.findings.update(findings)
        label = only_label(listing, labels.labels_of(findings))
        if label is None:
            continue
        files = present.get(row["Image Index"], [])
        if len(files) > 1:
            pass_over(listing, "several files of one name", row["Image Index"])
        elif not files:
            listing.absent.append(str(folder / row["Image Index"]))
        else:
            offered = offer_file(
                files[0],
                label,
                source,
                patient=row["Patient ID"].zfill(8),
                register=NIH_REGISTER,
                view=row["View Position"],
            )
            listing.images.append(replace(offered, table_rows=(row,)))
    return listing
