"""Tables: the study's own, those of synthetic sets, and those of sources."""

from __future__ import annotations

from dataclasses import fields

from hypothesis import strategies as st

from pipelines.study.manifest import Row, fingerprint
from pipelines.study.synthetic import SyntheticRow
from tests.hostile.damage import NASTY_TEXTS, damaged


@st.composite
def hostile_tables(draw: st.DrawFn, columns: tuple[str, ...], good: tuple[str, ...]) -> bytes:
    """Draw CSV bytes: rows like a good one, with faults.

    Cells are nasty, columns absent or double, rows cut short, bytes of any kind.
    """
    header = list(columns)
    if draw(st.integers(0, 4)) == 0:
        header = draw(
            st.one_of(
                st.permutations(header),
                st.lists(st.sampled_from(header), max_size=len(header)),
                st.just(header + [""] * 50_000),
            )
        )
    cells = st.one_of(st.sampled_from(NASTY_TEXTS), st.text(max_size=20))
    lines = [",".join(header)]
    for number in range(draw(st.integers(0, 4))):
        row = [cell.replace("#", str(number)) for cell in good]
        for place in draw(st.lists(st.integers(0, len(good) - 1), max_size=3)):
            row[place] = draw(cells)
        line = [
            '"' + cell.replace('"', '""') + '"' if draw(st.integers(0, 5)) else cell
            for cell in row[: draw(st.sampled_from((len(row),) * 8 + (0, 1, 3)))]
        ]
        lines.append(",".join(line))
    content = (
        draw(st.sampled_from(("\n", "\n", "\r\n", "\r")))
        .join(lines)
        .encode("utf-8", "surrogatepass")
        + b"\n"
    )
    content = draw(st.sampled_from((b"", b"", b"", b"\xef\xbb\xbf", b"\xff\xfe"))) + content
    return draw(damaged(content)) if draw(st.integers(0, 2)) == 0 else content


def hostile_manifests() -> st.SearchStrategy[bytes]:
    """Draw data/manifest.csv, damaged or forged."""
    good = (
        "images/covid/#.png",
        "covid",
        "p#",
        "train",
        "",
        "clinic",
        "PA",
        "0" * 64,
        "0" * 64,
        "256",
        "256",
    )
    return hostile_tables(tuple(field.name for field in fields(Row)), good)


def hostile_sets() -> st.SearchStrategy[bytes]:
    """Draw the manifest.csv of a synthetic set, damaged or forged."""
    return hostile_tables(
        tuple(field.name for field in fields(SyntheticRow)),
        (
            "images/covid/synthetic-#.png",
            "covid",
            "#",
            "0",
            "yes",
            "0001-gan-train",
            fingerprint(["manifest.csv"]),
        ),
    )


# The files that make a folder a source of each kind, with their columns and a good row.
SOURCE_TABLES = {
    "table.csv": (
        ("file_name", "label", "patient", "view", "split"),
        ("#.png", "covid", "p#", "PA", ""),
    ),
    "metadata.csv": (
        ("patientid", "finding", "view", "modality", "filename", "imagename"),
        ("p#", "COVID-19", "PA", "X-ray", "#.png", "#.png"),
    ),
    "Data_Entry_2017.csv": (
        ("Image Index", "Finding Labels", "Patient ID", "View Position"),
        ("#.png", "No Finding", "#", "PA"),
    ),
    "train.txt": (("p0 0.png COVID-19 a",), ("p# #.png normal b",)),
}


@st.composite
def hostile_sources(draw: st.DrawFn) -> tuple[str, bytes]:
    """Draw (name, content) of the table of a source."""
    name = draw(st.sampled_from(sorted(SOURCE_TABLES)))
    return name, draw(hostile_tables(*SOURCE_TABLES[name]))
