"""What the report page shows of a study beside the comparison itself, section by section."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.figures.style import image_sheet
from pipelines.metrics.names import score_cells
from pipelines.report.contents import Found, Study
from pipelines.report.embedding import picture
from pipelines.results.audit_result import AuditResult
from pipelines.results.classifier_result import ClassifierResult
from pipelines.study.image_cache import load_images
from pipelines.study.image_io import read_gray, to_square
from pipelines.study.manifest import EXTERNAL, SPLITS, Row, fingerprint
from runtime.run import Run

SHEET_IMAGES, SHEET_COLUMNS = 8, 4  # of each kind and class


def score_section(score: Found[dict[str, Any]] | None) -> dict[str, Any] | None:
    """A score.json, and its scores in tables, overall and by class: one for each extractor and one of pixels."""
    if score is None:
        return None
    says, folder = score.says, score.run.folder
    captions = {
        one["name"]: f"in features of {one['name']} ({one['note']})" for one in says["extractors"]
    } | {"pixels": "from pixels"}
    tables: dict[str, dict[str, dict[str, list[dict[str, Any]]]]] = {
        which: {caption: {} for caption in captions.values()} for which in ("overall", "by_class")
    }
    for one in says["scores"]:
        of_caption = tables["overall" if one["group"] == "overall" else "by_class"][
            captions[one["features"]]
        ]
        cells = {
            name: text if name == "name" else text.replace("-", "−")
            for name, text in score_cells(one).items()
        }
        of_caption.setdefault(one["group"], []).append(one | {"cells": cells})
    tables = {
        which: {caption: groups for caption, groups in found.items() if groups}
        for which, found in tables.items()
    }
    distances = [
        one
        for one in says["scores"]
        if one["score"] == "frechet" and one["group"] == "overall" and one["floor"] > 0
    ]
    unscored = sorted(
        {f"{one['group']}, {one['features']}: {one['reason']}" for one in says["unscored"]}
    )
    pictures = {
        "pairs": picture(folder / "nearest_pairs.png"),
        "map": picture(folder / "feature_map.png"),
    }
    return says | {
        "run": score.run.name,
        **tables,
        "distances": distances,
        "left_out": unscored,
        **pictures,
    }


@dataclass(frozen=True)
class AuditSection:
    """The newest shortcut audit as the page shows it."""

    run: str
    result: AuditResult
    picture: Picture | None
    of_these_data: bool


def audit_section(study: Study) -> AuditSection | None:
    """Collect what the page shows of the newest shortcut audit; None where there is none."""
    if study.audit is None:
        return None
    run = study.audit.run
    return AuditSection(
        run=run.name,
        result=study.audit.says,
        picture=picture(run.folder / "audit.png"),
        of_these_data=run.config.get("data") == study.fingerprint,
    )


def sheets(study: Study) -> list[dict[str, Any]]:
    """For each class a picture of a few training reals above a few synthetic images."""
    size, found = study.summary["image_size"], []
    for label in study.summary["classes"]:
        of_patients = {
            row.patient: row for row in study.rows if row.split == "train" and row.label == label
        }
        reals = _spread(list(of_patients.values()))
        folder = study.workspace.folder_of(study.sets[0]) if study.sets else None
        paths = _spread(sorted((folder / "images" / label).glob("*.png"))) if folder else []
        groups = []
        if reals:
            groups.append((f"{label}, real", load_images(study.workspace, reals, size)))
        if paths:
            groups.append(
                (
                    f"{label}, synthetic",
                    np.stack([to_square(read_gray(path), size) for path in paths]),
                )
            )
        if groups:
            path = study.run.folder / f"images-{re.sub(r'[^A-Za-z0-9_-]+', '-', label)}.png"
            image_sheet(groups, path, SHEET_COLUMNS)
            found.append(
                {
                    "label": label,
                    "reals": len(reals),
                    "synthetic": len(paths),
                    "picture": picture(path),
                }
            )
    return found


def single_classifiers(study: Study) -> list[dict[str, Any]]:
    """The newest single classifier without and the newest with synthetic images, as far as there are any."""
    newest = {run.config["synthetic"] is not None: run for run in study.singles}
    return [
        {
            "run": run.name,
            "synthetic": run.config["synthetic"],
            "result": ClassifierResult.load(run),
            "curves": picture(run.folder / "training_curves.png"),
            "confusion": picture(run.folder / "confusion_matrix.png"),
        }
        for _, run in sorted(newest.items())
    ]


def generators(study: Study) -> list[dict[str, Any]]:
    """The comparison's generators, the first one first: what trained each and how it went; only their names where the folder is gone."""
    asked = {one["run"]: one for one in study.summary["generators"]}
    names = dict.fromkeys(
        ([study.summary["generator"]] if study.summary["generator"] else []) + list(asked)
    )
    found = []
    for name in names:
        config = study.config_of(name)
        run = Run(study.workspace.folder_of(name))
        grids = sorted((run.folder / "samples").glob("step-*.png"))
        found.append(
            {
                "run": name,
                "fraction": asked.get(name, {}).get("fraction", 1.0),
                "config": config,
                "result": run.result if config and run.finished else None,
                "losses": picture(run.folder / "curves.png"),
                "grid": picture(grids[-1]) if grids else None,
                "grid_step": int(grids[-1].stem.removeprefix("step-")) if grids else None,
            }
        )
    return found


def data_section(study: Study) -> dict[str, Any]:
    """Images and patients by label and split, images by source and label, what the last import left out, and what `cxr data check` found."""

    def counts(chosen: Sequence[Row]) -> list[dict[str, int]]:
        own = [row for row in chosen if row.split != EXTERNAL]
        parts = [[row for row in chosen if row.split == split] for split in splits] + [own]
        return [
            {"images": len(part), "patients": len({row.patient for row in part})} for part in parts
        ]

    splits = [*SPLITS, *([EXTERNAL] if len(study.own) < len(study.rows) else [])]
    labels, sources = (
        sorted({row.label for row in study.rows}),
        sorted({row.source for row in study.rows}),
    )
    by_source = Counter((row.source, row.label) for row in study.rows)
    return {
        "splits": splits,
        "labels": {
            label: counts([row for row in study.rows if row.label == label]) for label in labels
        }
        | {"all": counts(study.rows)},
        "sources": {
            source: {label: by_source[source, label] for label in labels} for source in sources
        },
        "last_import": study.imports[-1] if study.imports else None,
        "check": study.check,
        "checked_all": study.check is not None and study.check["images"] == len(study.rows),
    }


def hashes(study: Study) -> dict[str, str]:
    """SHA-256 of what the study stands on, as recorded by its runs."""
    found = {"Images, labels, patients and splits": study.summary["data_fingerprint"]}
    if trunk := study.run.config.get("trunk_sha256"):
        found[f"Pretrained weights of {study.summary['config']['arch']}"] = trunk
    behind: dict[str, list[str]] = {}
    for name in study.sets:
        config = study.config_of(name)
        if config and config.get("trained_on"):
            behind.setdefault(fingerprint(config["trained_on"]), []).append(name)
    for hash, (first, *others) in behind.items():
        found[
            f"Training images behind {first}"
            + (f" and {len(others)} other set{'s' * (len(others) > 1)}" if others else "")
        ] = hash
    if study.score:
        found |= {
            f"Weights of {one['name']}, for the scores": one["sha256"]
            for one in study.score.says["extractors"]
        }
    if study.audit and study.audit.run.config.get("classifier_sha256"):
        found[f"Audited classifier, {study.audit.says.classifier}"] = study.audit.run.config[
            "classifier_sha256"
        ]
    return found


def configurations(study: Study) -> dict[str, dict[str, Any]]:
    """Every configuration, by what it is of; of further generators and synthetic sets what differs from the first."""
    whole = {
        name: value
        for name, value in study.run.config.items()
        if name not in study.summary["config"]
    }
    found = {"Classifiers": study.summary["config"], "Comparison": whole}
    trained = [
        name
        for name in dict.fromkeys(
            [study.summary["generator"], *(one["run"] for one in study.summary["generators"])]
        )
        if name
    ]
    for names, several in ((trained, "Further generators"), (study.sets, "Further synthetic sets")):
        configs = {
            name: {
                key: value
                for key, value in (study.config_of(name) or {}).items()
                if key != "trained_on"
            }
            for name in names
        }
        there = [name for name, config in configs.items() if config]
        if there:
            first = configs[there[0]]
            found[there[0]] = first
            further = {
                name: {
                    key: value for key, value in configs[name].items() if first.get(key) != value
                }
                for name in there[1:]
            }
            found |= {several: further} if further else {}
    if study.score:
        found[study.score.run.name] = study.score.run.config
    if study.audit:
        found[study.audit.run.name] = study.audit.run.config
    return found | {"Versions": study.summary["versions"] | {"device": study.summary["device"]}}


def _spread(items: Sequence[Any]) -> list[Any]:
    """At most SHEET_IMAGES of the items, evenly spaced, so that nobody picked them."""
    chosen = np.linspace(0, len(items) - 1, min(len(items), SHEET_IMAGES)).round().astype(int)
    return [items[index] for index in chosen]
