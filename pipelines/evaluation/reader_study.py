"""A reader study: can a person tell the synthetic images from real ones?

The page reader.html goes to the reader, alone. The key stays in the run's folder: nothing in the
page tells real from synthetic. Identifiers and order are those of a keyed hash (HMAC-SHA256) whose
key the page does not hold and which cannot be guessed without the study's images; every image has
the same number of bytes, and no notes, those of a synthetic one neither. The study's id, which the
page and the answers carry, is the hash of the whole key: a commitment, so that an alteration after
the answers are in is seen.

What a reader could still do is look for the images elsewhere, or write an answers file by hand: the
page can hold no secret from its reader.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from pipelines.evaluation.reader_images import choose_images, real_name
from pipelines.results.reader_results import REAL_ANSWER, SYNTHETIC_ANSWER, ReaderKey
from pipelines.study.image_cache import load_images
from pipelines.study.image_io import read_exact_square
from pipelines.study.leak_lock import check_leak
from pipelines.study.synthetic import SyntheticSet, read_synthetic
from pipelines.study.views import in_view_of
from pipelines.study.workspace import Workspace
from runtime.files import sha256_of, write_text
from runtime.options import OptionError
from runtime.run import Run

READER_STUDY = "reader-study"  # the command
READER_TEMPLATES = Path(__file__).parent / "templates"


def make_reader_study(workspace: Workspace, *, n: int, synthetic: str | None, seed: int) -> Run:
    """Make reader.html, on which n images are judged, and its key.json; return the finished run.

    Half are real, half of the synthetic set named, or the newest; `choose_images` says which. The
    same seed on the same study and set gives the same page.

    Raises ValueError when n is odd, or more than there are images for, when the study has no test
    images, and on a leak.
    """
    if n < 2 or n % 2:
        raise OptionError(
            "n", n, "expected an even number from 2 on, since half of the images are real"
        )
    added_run = workspace.find_run("synthesize", synthetic)
    workspace, synthetic_set = in_view_of(workspace, added_run), read_synthetic(added_run.folder)
    rows = workspace.rows()
    check_leak(synthetic_set.trained_on, rows, synthetic_set.folder.name)
    secret = _derive_secret(seed, workspace, synthetic_set)
    config = {
        "n": n,
        "seed": seed,
        "synthetic": synthetic_set.folder.name,
        "generator": synthetic_set.rows[0].generator,
        "image_size": synthetic_set.image_size,
        "data_fingerprint": workspace.fingerprint(),
        "view": workspace.view,
    }
    images = choose_images(workspace.root, rows, synthetic_set, n, secret)
    key = ReaderKey.commit(**config, secret=secret.hex(), images=tuple(images))
    page = _render_page(workspace, key)
    run = workspace.create_run(READER_STUDY, config, instead=True)
    write_text(run.folder / "reader.html", page)
    key.save(run.folder)
    run.finish(
        {
            "study": key.study,
            REAL_ANSWER: n // 2,
            SYNTHETIC_ANSWER: n // 2,
            "labels": dict(Counter(image.label for image in images)),
            "patients": len({image.patient for image in images if image.answer == REAL_ANSWER}),
            "caution": synthetic_set.caution,
        }
    )
    return run


def _derive_secret(seed: int, workspace: Workspace, synthetic_set: SyntheticSet) -> bytes:
    """The key of the hashes, 256 bits that follow from the seed and all images."""
    parts = (seed, workspace.fingerprint(), sha256_of(synthetic_set.folder / "manifest.csv"))
    return hashlib.sha256("/".join(map(str, parts)).encode()).digest()


def _render_page(workspace: Workspace, key: ReaderKey) -> str:
    """The page, with the images in it and nothing of the key but its commitment."""
    pixels = {
        file_name: image
        for answer in (REAL_ANSWER, SYNTHETIC_ANSWER)
        for file_name, image in zip(
            key.file_names(answer),
            read_pixels(workspace, key, key.file_names(answer), answer),
            strict=True,
        )
    }
    images = [{"id": image.image, "png": _png_uri(pixels[image.file_name])} for image in key.images]
    script = (READER_TEMPLATES / "reader.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(READER_TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("reader.html").render(
        n=key.n,
        size=key.image_size,
        study={"id": key.study, "images": images},
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def read_pixels(
    workspace: Workspace, key: ReaderKey, file_names: Sequence[str], answer: str
) -> np.ndarray:
    """Read images of a key whose right answer is this one, uint8 (N, image_size, image_size).

    Raises ValueError when a synthetic file has another size, or the study has lost a real one.
    """
    if answer == SYNTHETIC_ANSWER:
        paths = [workspace.root / name for name in file_names]
        return np.stack([read_exact_square(path, key.image_size) for path in paths])
    seen = workspace.in_view(key.view)
    rows = {real_name(row): row for row in seen.rows()}
    absent = [name for name in file_names if name not in rows]
    if absent:
        raise ValueError(
            f"{absent[0]} is no image of the study any more; its reader study showed it"
        )
    return load_images(seen, [rows[name] for name in file_names], key.image_size)


def _png_uri(image: np.ndarray) -> str:
    """A data: URI of a PNG without compression and without notes.

    So neither its length nor its chunks say where it is from.
    """
    written = io.BytesIO()
    Image.fromarray(image).save(written, "PNG", compress_level=0)
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode("ascii")
