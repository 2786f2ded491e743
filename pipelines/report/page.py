"""The report of a comparison: one self-contained HTML page, made from what lies in the study's folder."""

from __future__ import annotations

import base64
import csv
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from classifier.config import ClassifierConfig
from gan.config import GanConfig
from pipelines.data.manifest import EXTERNAL, SPLITS, Row, study_fingerprint
from pipelines.data.reading import read_gray, to_square
from pipelines.data.store import load_images
from pipelines.report.figures import comparison, image_sheet
from pipelines.tables import score_cells
from pipelines.workspace import Workspace
from runtime.files import read_json, write_text
from runtime.run import Run, list_runs

TEMPLATES = Path(__file__).parent / "templates"
SHEET_IMAGES, SHEET_COLUMNS = 8, 4  # of each kind and class
LINE = 76


def write_report(workspace: Workspace, run: Run) -> Path:
    """Write report.html and its figures into the folder of a comparison; returns the page's path.

    Needs the comparison's summary.json and results.csv and the study's images; what else is absent is said to be.
    Raises FileNotFoundError or ValueError that names the file when one of those it needs is missing or damaged.
    """
    summary = read_json(run.folder / "summary.json")
    rows = workspace.rows()
    generator = _generator(workspace, summary["generator"])
    comparison(summary, run.folder / "comparison.png")
    page = _environment().get_template("report.html").render(
        run=run.name,
        summary=summary,
        phantom=sum(row.source == "phantom" for row in rows),
        changed=study_fingerprint(rows) != summary["data_fingerprint"],
        comparison=_picture(run.folder / "comparison.png"),
        results=_results(run.folder / "results.csv"),
        score=_score(workspace),
        sheets=_sheets(workspace, rows, run, summary),
        classifiers=_classifiers(workspace),
        generator=generator,
        data=_data(workspace, rows, summary["classes"]),
        commands=_commands(workspace, summary, generator),
    )
    path = run.folder / "report.html"
    write_text(path, page)
    return path


def _results(path: Path) -> list[dict[str, Any]]:
    """One row per trained classifier, shares and seconds as numbers."""
    measured = ("accuracy", "sensitivity", "specificity", "roc_auc", "seconds")
    with open(path, newline="", encoding="utf-8") as file:
        return [row | {name: float(row[name]) for name in measured} for row in csv.DictReader(file)]


def _score(workspace: Workspace) -> dict[str, Any] | None:
    """The newest score.json, and its scores in tables: one for each extractor and one of pixels, by group."""
    try:
        run = workspace.find_run("score", holding="score.json")
    except FileNotFoundError:
        return None
    summary = read_json(run.folder / "score.json")
    captions = {one["name"]: f"in features of {one['name']} ({one['note']})" for one in summary["extractors"]} | {"pixels": "from pixels"}
    tables: dict[str, dict[str, list[dict[str, Any]]]] = {caption: {} for caption in captions.values()}
    for one in summary["scores"]:
        tables[captions[one["features"]]].setdefault(one["group"], []).append(one | {"cells": score_cells(one)})
    distances = [one for one in summary["scores"] if one["score"] == "frechet" and one["group"] == "overall" and one["floor"] > 0]
    pictures = {"pairs": _picture(run.folder / "nearest_pairs.png"), "map": _picture(run.folder / "feature_map.png")}
    unscored = sorted({f"{one['group']}, {one['features']}: {one['reason']}" for one in summary["unscored"]})
    return summary | {"run": run.name, "tables": {caption: groups for caption, groups in tables.items() if groups}, "distances": distances, "left_out": unscored, **pictures}


def _sheets(workspace: Workspace, rows: Sequence[Row], run: Run, summary: dict[str, Any]) -> list[dict[str, Any]]:
    """For each class a picture of a few training reals above a few synthetic images."""
    size, sheets = summary["image_size"], []
    for label in summary["classes"]:
        of_patients = {row.patient: row for row in rows if row.split == "train" and row.label == label}
        reals = _spread(list(of_patients.values()))
        paths = _spread(sorted((workspace.runs / summary["synthetic"] / "images" / label).glob("*.png")))
        groups = []
        if reals:
            groups.append((f"{label}, real", load_images(workspace, reals, size)))
        if paths:
            groups.append((f"{label}, synthetic", np.stack([to_square(read_gray(path), size) for path in paths])))
        if groups:
            path = run.folder / f"images-{re.sub(r'[^A-Za-z0-9_-]+', '-', label)}.png"
            image_sheet(groups, path, SHEET_COLUMNS)
            sheets.append({"label": label, "reals": len(reals), "synthetic": len(paths), "picture": _picture(path)})
    return sheets


def _spread(items: Sequence[Any]) -> list[Any]:
    """At most SHEET_IMAGES of the items, evenly spaced, so that nobody picked them."""
    chosen = np.linspace(0, len(items) - 1, min(len(items), SHEET_IMAGES)).round().astype(int)
    return [items[index] for index in chosen]


def _classifiers(workspace: Workspace) -> list[dict[str, Any]]:
    """The newest single classifier without and the newest with synthetic images, as far as there are any."""
    newest: dict[bool, Run] = {}
    for run in list_runs(workspace.runs):
        if run.command == "classify-train" and run.finished:
            newest[run.config["synthetic"] is not None] = run
    return [
        {
            "run": run.name,
            "synthetic": run.config["synthetic"],
            "metrics": read_json(run.folder / "metrics.json"),
            "curves": _picture(run.folder / "training_curves.png"),
            "confusion": _picture(run.folder / "confusion_matrix.png"),
        }
        for _, run in sorted(newest.items())
    ]


def _generator(workspace: Workspace, name: str) -> dict[str, Any] | None:
    """The run that trained the generator; None when its folder is gone."""
    run = Run(workspace.runs / name)
    if not (run.folder / "config.json").exists():
        return None
    grids = sorted((run.folder / "samples").glob("step-*.png"))
    return {
        "run": name,
        "config": run.config,
        "result": run.result if run.finished else None,
        "losses": _picture(run.folder / "curves.png"),
        "grid": _picture(grids[-1]) if grids else None,
        "grid_step": int(grids[-1].stem.removeprefix("step-")) if grids else None,
    }


def _data(workspace: Workspace, rows: Sequence[Row], classes: Sequence[str]) -> dict[str, Any]:
    """Images and patients by label and split, images by source and label, and what the last import left out."""

    def counts(chosen: Sequence[Row]) -> list[dict[str, int]]:
        parts = [[row for row in chosen if row.split == split] for split in SPLITS] + [list(chosen)]
        return [{"images": len(part), "patients": len({row.patient for row in part})} for part in parts]

    rows = [row for row in rows if row.split != EXTERNAL]
    sources = sorted({row.source for row in rows})
    by_source = Counter((row.source, row.label) for row in rows)
    feeding = {label: {source for source in sources if by_source[source, label]} for label in classes}
    labels = {label: counts([row for row in rows if row.label == label]) for label in classes}
    path = workspace.data / "import.json"
    return {
        "labels": labels | {"all": counts(rows)},
        "sources": {source: [by_source[source, label] for label in classes] for source in sources},
        "confounded": len(sources) > 1 and all(len(found) == 1 for found in feeding.values()) and len(set.union(*feeding.values())) == len(classes),
        "last_import": read_json(path)["imports"][-1] if path.exists() else None,
    }


def _commands(workspace: Workspace, summary: dict[str, Any], generator: dict[str, Any] | None) -> list[str]:
    """The commands that make this study again, as far as what is left of it tells them."""
    commands = []
    path = workspace.data / "import.json"
    for imported in read_json(path)["imports"] if path.exists() else []:
        seed = f"--seed {imported['split_seed']}"
        if [source["source"] for source in imported["sources"]] == ["phantom"]:
            commands.append(["cxr data phantom", f"--n {imported['sources'][0]['images']}", seed])
        else:
            commands.append(["cxr data import", *(shlex.quote(f"PATH/{source['source']}") for source in imported["sources"]), seed])
    if generator:
        steps = {"steps": generator["result"]["step"]} if generator["result"] else {}
        commands.append(["cxr gan-train", *_options(GanConfig, generator["config"] | steps)])
    synthesis = workspace.runs / summary["synthetic"] / "config.json"
    if synthesis.exists():
        config = read_json(synthesis)
        labels = [f"--label {shlex.quote(label)}" for label in config["labels"]]
        commands.append(["cxr synthesize", f"--generator {summary['generator']}", f"--n {config['n']}", f"--seed {config['seed']}", *labels, *(["--reject-copies"] if "reject_copies" in config else [])])
    synthetic = f"--synthetic {summary['synthetic']}"
    commands.append(["cxr score", synthetic])
    seeds, positive = f"--seeds {len(summary['budget']['seeds'])}", f"--positive {shlex.quote(summary['positive'])}"
    commands.append(["cxr compare", synthetic, seeds, positive, *_options(ClassifierConfig, summary["config"])])
    return [_folded(words) for words in commands]


def _options(kind: type, config: dict[str, Any]) -> list[str]:
    return [f"--{field.name.replace('_', '-')} {shlex.quote(str(config[field.name]))}" for field in fields(kind) if field.name in config]


def _folded(words: Sequence[str]) -> str:
    """A shell command in lines of at most LINE characters, as far as its words allow."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) + 3 > LINE:
            lines.append("   ")
        lines[-1] += f" {word}"
    return " \\\n".join(lines)


def _picture(path: Path) -> dict[str, Any] | None:
    """A PNG as a data: URI with its size in pixels; None when the file is absent."""
    if not path.exists():
        return None
    try:
        with Image.open(path) as image:
            width, height = image.size
    except OSError as error:
        raise ValueError(f"{path} is damaged ({error}); delete it, or make it anew") from error
    return {"uri": "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii"), "width": width, "height": height}


def _environment() -> Environment:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {form.__name__: form for form in (percent, percent_range, points, points_range, count, plain)}
    return environment


def percent(share: float) -> str:
    """A share in 0..1 as per cent: 94.0 %."""
    return f"{100 * share:.1f}\u00a0%"


def percent_range(bounds: Sequence[float]) -> str:
    """An interval of a share in per cent, cut to what a share can be: 91.0–97.0."""
    low, high = (min(max(bound, 0.0), 1.0) for bound in bounds)
    return f"{100 * low:.1f}–{100 * high:.1f}"


def points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign: +1.0 or −1.0."""
    value = round(100 * difference, 1)
    return f"{value:+.1f}".replace("-", "−") if value else "0.0"


def points_range(bounds: Sequence[float]) -> str:
    return f"{points(bounds[0])} to {points(bounds[1])}"


def count(number: int) -> str:
    """A whole number; groups of three from 10 000 on."""
    return f"{number:,}".replace(",", "\u202f") if number >= 10_000 else str(number)


def plain(value: Any) -> str:
    """A configuration's value for people: lists and tables without brackets, a dash for none."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {plain(one)}" for name, one in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(map(plain, value)) or "–"
    return "–" if value is None else str(value)
