"""A reader study: can a person tell the synthetic images from real ones, and which of them cannot be told?

The page reader.html goes to the reader, alone. The key stays in the run's folder: nothing in the page tells real from synthetic.
Identifiers and order are those of a keyed hash (HMAC-SHA256) whose key the page does not hold and which cannot be guessed without the
study's images; every image has the same number of bytes, and no notes, those of a synthetic one neither. The study's id, which the page
and the answers carry, is the hash of the whole key: a commitment, so that an alteration after the answers are in is seen.

What a reader could still do is look for the images elsewhere, or write an answers file by hand: the page can hold no secret from its reader.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from pipelines.study.image_cache import squares
from pipelines.study.manifest import Row, study_fingerprint
from pipelines.study.synthetic import SyntheticSet, check_leak, read_synthetic
from pipelines.study.workspace import Workspace
from runtime.files import sha256_of, write_json, write_text
from runtime.run import Run

COMMAND = "reader-study"
REAL, SYNTHETIC = "real", "synthetic"
TEMPLATES = Path(__file__).parents[1] / "report" / "templates"


def make_reader_study(workspace: Workspace, *, n: int, synthetic: str | None, seed: int) -> Run:
    """Make reader.html, on which n images are judged real or synthetic, and key.json beside it; returns the finished run.

    Half are real: test images, which had no part in the generator, while it may have copied training images and its snapshot was chosen by
    training and validation images; one of each patient as far as patients go. Half are of the synthetic set named, or the newest. Both halves
    have the same number of each label, spread evenly, so that no label tells. The same seed on the same study and set gives the same page.
    Raises ValueError when n is odd, or more than there are images for, when the study has no test images, and on a leak.
    """
    if n < 2 or n % 2:
        raise ValueError(
            f"--n {n}: expected an even number from 2 on, since half of the images are real"
        )
    added = read_synthetic(workspace.find_run("synthesize", synthetic).folder)
    rows = workspace.rows()
    check_leak(added.trained_on, rows, added.folder.name)
    secret = hashlib.sha256(
        f"{seed}/{study_fingerprint(rows)}/{sha256_of(added.folder / 'manifest.csv')}".encode()
    ).digest()
    chosen = _chosen(workspace, rows, added, n, secret)
    config = {
        "n": n,
        "seed": seed,
        "synthetic": added.folder.name,
        "generator": added.rows[0].generator,
        "image_size": added.image_size,
    }
    config["data_fingerprint"] = study_fingerprint(rows)
    key = {**config, "secret": secret.hex(), "images": chosen}
    study = commitment(key)

    names = {
        kind: [one["file_name"] for one in chosen if one["answer"] == kind]
        for kind in (REAL, SYNTHETIC)
    }
    images = {
        name: image
        for kind in names
        for name, image in zip(
            names[kind], pixels(workspace, names[kind], added.image_size, exact=kind == SYNTHETIC)
        )
    }
    carried = {
        "id": study,
        "images": [{"id": one["image"], "png": _png(images[one["file_name"]])} for one in chosen],
    }
    script = (TEMPLATES / "reader.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("reader.html").render(
        n=n,
        size=added.image_size,
        study=carried,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )
    run = workspace.create_run(COMMAND, config, instead=True)
    write_text(run.folder / "reader.html", page)
    write_json(run.folder / "key.json", {"study": study, **key})
    patients = {one["patient"] for one in chosen if one["answer"] == REAL}
    run.finish(
        {
            "study": study,
            REAL: n // 2,
            SYNTHETIC: n // 2,
            "labels": dict(Counter(one["label"] for one in chosen)),
            "patients": len(patients),
        }
    )
    return run


def commitment(key: dict[str, Any]) -> str:
    """The id of a study: SHA-256 of its key, which hides it, since the key holds a secret of 256 bits, and binds it."""
    return hashlib.sha256(
        json.dumps(
            {name: value for name, value in key.items() if name != "study"}, sort_keys=True
        ).encode()
    ).hexdigest()


def pixels(
    workspace: Workspace, file_names: Sequence[str], size: int, *, exact: bool = False
) -> np.ndarray:
    """uint8 (N, size, size) of files named from the study's folder on, reals and synthetic ones by the one pixel path.

    exact: raise ValueError when a file has another size.
    """
    return np.stack(
        list(squares([workspace.root / name for name in file_names], size, "decode", exact=exact))
    )


def _chosen(
    workspace: Workspace, rows: Sequence[Row], added: SyntheticSet, n: int, secret: bytes
) -> list[dict[str, str]]:
    """The images to judge in the order of the page, as key.json lists them."""

    def keyed(*names: str) -> str:
        return hmac.new(secret, "/".join(names).encode(), hashlib.sha256).hexdigest()

    held_out = sorted(
        (row for row in rows if row.split == "test"), key=lambda row: keyed("choice", row.file_name)
    )
    if not held_out:
        raise ValueError(
            f"{workspace.root.resolve()} has no test images to set beside the synthetic ones; import more with: cxr data import PATH..."
        )
    seen: Counter[str] = Counter()
    reals: dict[str, list[tuple[int, Row]]] = defaultdict(list)
    for row in held_out:
        reals[row.label].append((seen[row.patient], row))
        seen[row.patient] += 1
    made = defaultdict(list)
    for row in sorted(added.rows, key=lambda row: keyed("choice", row.file_name)):
        made[row.label].append(row)
    counts = _even(
        {
            label: min(len(reals[label]), len(made[label]))
            for label in sorted(set(reals) & set(made))
        },
        n // 2,
    )
    if sum(counts.values()) < n // 2:
        there = "; ".join(
            f"{label}: {len(reals[label])} test, {len(made[label])} synthetic"
            for label in sorted(set(reals) | set(made))
        )
        raise ValueError(
            f"--n {n}: there are images for at most {2 * sum(counts.values())}, as many real as synthetic of each label ({there})"
        )

    chosen, shelf = [], added.folder.relative_to(workspace.root).as_posix()
    for label, count in counts.items():
        for _, row in sorted(reals[label], key=lambda one: one[0])[
            :count
        ]:  # a patient's second image only after every patient's first
            chosen.append(
                {
                    "answer": REAL,
                    "file_name": f"data/{row.file_name}",
                    "label": label,
                    "patient": row.patient,
                }
            )
        for row in made[label][:count]:
            chosen.append(
                {
                    "answer": SYNTHETIC,
                    "file_name": f"{shelf}/{row.file_name}",
                    "label": label,
                    "patient": "",
                }
            )
    return sorted(
        ({"image": keyed("image", one["file_name"])[:16], **one} for one in chosen),
        key=lambda one: one["image"],
    )


def _even(most: dict[str, int], n: int) -> dict[str, int]:
    """n spread over labels as evenly as they allow; the sum is less where they do not hold n."""
    counts = dict.fromkeys(most, 0)
    while sum(counts.values()) < n and counts != most:
        counts[min((label for label in most if counts[label] < most[label]), key=counts.get)] += 1
    return counts


def _png(image: np.ndarray) -> str:
    """A data: URI of a PNG without compression and without notes, so that neither length nor chunks say where it is from."""
    written = io.BytesIO()
    Image.fromarray(image).save(written, "PNG", compress_level=0)
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode("ascii")
