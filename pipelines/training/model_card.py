"""A model card next to every trained model: what it is, was made of, and is not for.

The sections are those of Mitchell et al. 2019, "Model Cards for Model Reporting". A card says
nothing that differs between two runs of the same command on the same machine, such as times, so
that a resumed run's card is an undisturbed one's. Here is what the cards of classifiers and of
generators have in common.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pipelines.data.sources import SOURCE_KINDS
from pipelines.study.manifest import SPLITS, Row
from pipelines.study.text import one_line
from pipelines.study.view_names import VIEW_TITLES, WHOLE
from pipelines.study.views import view_of
from pipelines.study.workspace import Workspace
from runtime.files import write_text
from runtime.run import Run

CARD_FILE = "model_card.md"
COLLECTION_KINDS = {  # by what import.json calls a published collection, the name of its kind
    "Actualmed-COVID-chestxray-dataset": "actualmed",
    "covid-chestxray-dataset": "covid-chestxray-dataset",
    "Figure1-COVID-chestxray-dataset": "figure1",
    "COVID-19 Radiography Database": "radiography",
    "COVIDx lists": "covidx",
    "NIH ChestX-ray14": "nih",
}
OUT_OF_SCOPE = (
    "- Not for diagnosis, triage, screening or any other decision about a patient, alone or as a "
    "second opinion.",
    "- Not for images of other kinds, other hospitals or other ages than those it was trained on, "
    "without being tested on them.",
)
NO_OPTIONS = ("data", "compute", "positive")  # of a run's configuration


def write_card(run: Run, title: str, sections: Mapping[str, Sequence[str]]) -> None:
    """Write model_card.md into a run's folder. sections: lines of Markdown by heading."""
    parts = [
        f"# {title}",
        *(f"## {name}\n\n" + "\n".join(lines) for name, lines in sections.items()),
    ]
    write_text(run.folder / CARD_FILE, "\n\n".join(parts) + "\n")


def describe_options(config: Mapping[str, Any]) -> list[str]:
    """Say with which options a run was made, and where it was computed."""
    options = ", ".join(
        f"{name.replace('_', '-')} {escape(value)}"
        for name, value in config.items()
        if isinstance(value, bool | int | float | str) and name not in NO_OPTIONS
    )
    return ["", f"Options: {options}. Computed on {config['compute']}."]


def describe_view(config: Mapping[str, Any]) -> str:
    """Say in a sentence what of the images a run saw."""
    view = view_of(config)
    text = f"Of each image it knows {VIEW_TITLES[view]} (`--view {view}`)"
    if view == WHOLE:
        return f"{text}."
    return (
        f"{text}, stretched to a square with grays set by those of the lungs; images whose "
        "lungs cannot be trusted are left out. The lungs are those of `cxr data lungs`, by masks "
        f"that were brought or the network `{config['lung_network'][:12]}`."
    )


def describe_factors(rows: Sequence[Row]) -> list[str]:
    """Say what is known of the study's images beside label and source."""
    views = Counter(row.view or "not stated" for row in rows)
    counts = ", ".join(f"{escape(view)} {count}" for view, count in sorted(views.items()))
    return [
        f"Labels and sources: below. Projection: {counts}. Age, sex and device are not on record."
    ]


def images_table(rows: Iterable[Row]) -> list[str]:
    """Count images and patients by label and source."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.label, row.source), []).append(row)
    lines = ["| label | source | images | patients |", "|---|---|---|---|"]
    for (label, source), group in sorted(groups.items()):
        patients = {row.patient for row in group}
        lines.append(f"| {escape(label)} | {escape(source)} | {len(group)} | {len(patients)} |")
    return lines


def describe_licences(workspace: Workspace) -> list[str]:
    """Say what is known of the terms of each source."""
    known = {kind.name: f"{kind.licence} ({kind.url})" for kind in SOURCE_KINDS if kind.licence}
    licences = {}
    for imported in workspace.imports():
        for source in imported.sources:
            unknown = (
                "drawn by cxr, of nobody"
                if source.source == "phantom"
                else "not known to cxr: ask where they come from"
            )
            kind = COLLECTION_KINDS.get(source.kind, "")
            licences[source.source] = known.get(kind, unknown)
    return [
        "Licences of the images, which bind what is derived from them:",
        *(f"- {escape(source)}: {licence}" for source, licence in sorted(licences.items())),
    ]


def describe_shortcuts(rows: Sequence[Row]) -> list[str]:
    """Say whether the source of an image may give its label away."""
    sources_of: dict[str, set[str]] = {}
    for row in rows:
        if row.split in SPLITS:
            sources_of.setdefault(row.label, set()).add(row.source)
    sources = set.union(*sources_of.values())
    if len(sources) == 1:
        return [
            f"- All images come from one source, {escape(sources.pop())}: within it no source "
            "gives a label away, and beyond it nothing is known."
        ]
    single = sorted(label for label, names in sources_of.items() if len(names) == 1)
    if single:
        return [
            f"- {join_names(single)}: from one source only, so that what tells the sources apart "
            "may pass for the label. High figures prove little here."
        ]
    return ["- The labels share sources; how unequally, `cxr data check` says."]


def join_names(names: Iterable[str]) -> str:
    """Write names with commas between them."""
    return ", ".join(map(escape, names))


def escape(value: object) -> str:
    """Make a text of somebody's file harmless within Markdown."""
    return one_line(value).replace("|", "\\|").replace("`", "'").replace("<", "&lt;")


def package_version(package: str) -> str:
    """Return the version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "(run from a checkout)"
