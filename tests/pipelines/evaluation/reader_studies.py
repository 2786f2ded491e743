"""Reader studies of noise images, for tests: their making, and files of answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from click.testing import Result

from pipelines.study.image_io import pixel_hash, write_gray
from pipelines.study.manifest import Row, fingerprint, write_manifest
from pipelines.study.synthetic import SyntheticRow, write_synthetic_manifest
from pipelines.study.workspace import Workspace
from tests.conftest import cxr, ok

SIZE = 16
LABELS = ("covid", "quite-well")


class ReaderStudy(NamedTuple):
    """A study, and the page of its newest reader study with what key.json says."""

    workspace: Workspace
    page: Path
    key: dict[str, Any]


def make_study(root: Path, *, test: tuple[int, int] = (6, 6), leak: bool = False) -> Workspace:
    """Make a study of noise images of two labels, and a set of 20 synthetic ones.

    test: how many patients of each label are in the test split, with two images each. leak: let the
    generator have seen them.
    """
    workspace, rng, rows = Workspace(root), np.random.default_rng(0), []
    for place, label in enumerate(LABELS):
        for number in range(4 + 2 * test[place]):
            gray = rng.integers(0, 256, (40, 30), np.uint8)
            name = f"images/{label}/{rng.bytes(8).hex()}.png"
            (workspace.data / name).parent.mkdir(parents=True, exist_ok=True)
            write_gray(workspace.data / name, gray, Comment="a note")
            split = "train" if number < 4 else "test"
            about = {
                "source": "clinic",
                "view": "PA",
                "sha256": pixel_hash(gray),
                "fold": None,
                "near_hash": "",
                "width": 30,
                "height": 40,
            }
            rows.append(
                Row(
                    file_name=name,
                    label=label,
                    patient=f"patient-{place}-{number // 2}",
                    split=split,
                    **about,
                )
            )
    write_manifest(workspace.manifest_path, rows)
    seen = [row.sha256 for row in rows if row.split == "train" or leak]
    made = workspace.create_run("synthesize", {"image_size": SIZE, "trained_on": seen})
    listed = []
    for index in range(20):
        label = LABELS[index % 2]
        name = f"images/{label}/synthetic-{index:06d}.png"
        (made.folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_gray(
            made.folder / name, np.full((SIZE, SIZE), 10 * index, np.uint8), Comment="synthetic"
        )
        listed.append(
            SyntheticRow(
                file_name=name,
                label=label,
                index=index,
                seed=0,
                synthetic="yes",
                generator="0009-gan-train",
                trained_on=fingerprint(seen),
            )
        )
    write_synthetic_manifest(made.folder / "manifest.csv", listed)
    made.finish({})
    return workspace


def make_page(workspace: Workspace, *options: object) -> tuple[Path, dict]:
    """Make a reader study of 8 images; return its page and its key."""
    ok(cxr("reader-study", "--n", 8, *options, folder=workspace.root))
    folder = sorted(workspace.runs.glob("*-reader-study"))[-1]
    return folder / "reader.html", json.loads((folder / "key.json").read_text())


def write_answers(path: Path, key: dict, wrong: int = 0, **changes: object) -> Path:
    """Write a file of answers, the first few wrong; image i (from 0) took i seconds."""
    other = {"real": "synthetic", "synthetic": "real"}
    answers = [
        {
            "image": one["image"],
            "answer": other[one["answer"]] if place < wrong else one["answer"],
            "ms": 1000 * place,
        }
        for place, one in enumerate(key["images"])
    ]
    path.write_text(
        json.dumps({"study": key["study"], "reader": path.stem, "answers": answers} | changes)
    )
    return path


def score(workspace: Workspace, *files: Path) -> str:
    return ok(
        cxr(
            "reader-study",
            *(part for file in files for part in ("--score", file)),
            folder=workspace.root,
        )
    )


def one_line(result: Result) -> str:
    """The one line of a refusal."""
    assert result.exit_code == 2, result.output
    assert result.output.startswith("cxr: ")
    assert result.output.count("\n") == 1
    return result.output
