"""Which altered copies of films an import finds, and which films of different kinds it confuses.

    python benchmarks/near_duplicates.py FOLDER... [--films 200]

Films are all pictures below the folders; those of covid-chestxray-dataset and NIH ChestX-ray8 are
told by patient. Of some of them altered copies are made, one by one, and compared with the film: as
they are (`find_near_pairs`), and with altered versions too (`find_altered_pairs`). Then all films
are compared with each other: pairs of two patients that are taken for one film are false alarms,
but for films that stand under two patient numbers, which have to be told by eye.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np
from PIL import Image

from pipelines.data.alterations import altered_hashes, find_altered_pairs
from pipelines.data.cleaning import perceptual_hash
from pipelines.study.image_io import read_gray
from pipelines.study.persons import find_near_pairs
from runtime.randomness import numpy_generator

FRONTAL = ("PA", "AP", "AP Supine")


def crop(gray: np.ndarray, *sides: float) -> np.ndarray:
    """Cut shares of an image (H, W) off above, below, left and right."""
    height, width = gray.shape
    top, bottom, left, right = sides
    return gray[
        round(top * height) : height - round(bottom * height),
        round(left * width) : width - round(right * width),
    ]


def rotate(gray: np.ndarray, degrees: float) -> np.ndarray:
    """Turn an image within its frame; black comes in at the corners."""
    return np.asarray(Image.fromarray(gray).rotate(degrees, Image.Resampling.BILINEAR))


def frame(gray: np.ndarray, share: float, level: int = 0) -> np.ndarray:
    """Add a border of this share of the sides and this gray level."""
    height, width = (round(share * side) for side in gray.shape)
    return np.pad(gray, ((height, height), (width, width)), constant_values=level)


ALTERATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "half the size": lambda gray: np.asarray(
        Image.fromarray(gray).resize((gray.shape[1] // 2, gray.shape[0] // 2))
    ),
    "crop 2 % a side": lambda gray: crop(gray, 0.02, 0.02, 0.02, 0.02),
    "crop 3 % a side": lambda gray: crop(gray, 0.03, 0.03, 0.03, 0.03),
    "crop 3 % above": lambda gray: crop(gray, 0.03, 0, 0, 0),
    "crop 3 % above and left": lambda gray: crop(gray, 0.03, 0, 0.03, 0),
    "crop 5 % a side": lambda gray: crop(gray, 0.05, 0.05, 0.05, 0.05),
    "turned by 2 degrees": lambda gray: rotate(gray, 2),
    "turned by 3 degrees": lambda gray: rotate(gray, -3),
    "turned by 5 degrees": lambda gray: rotate(gray, 5),
    "black frame, 5 %": lambda gray: frame(gray, 0.05),
    "white frame, 10 %": lambda gray: frame(gray, 0.1, 255),
    "mirrored": lambda gray: gray[:, ::-1],
    "inverted": lambda gray: 255 - gray,
    "mirrored, crop 3 % a side": lambda gray: crop(gray, 0.03, 0.03, 0.03, 0.03)[:, ::-1],
}


def list_films(folders: tuple[Path, ...]) -> Iterator[tuple[np.ndarray, str]]:
    """Yield every picture and its patient."""
    for folder in folders:
        table = folder / "metadata.csv"
        if table.exists():
            with open(table, newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    path = folder / "images" / row["filename"]
                    if path.exists() and row["modality"] == "X-ray" and row["view"] in FRONTAL:
                        yield read_gray(path), f"{folder.name} {row['patientid']}"
        else:
            for path in sorted(folder.rglob("*.png")):
                yield read_gray(path), f"nih {path.name.split('_')[0]}"


def is_found(film: np.ndarray, copy: np.ndarray) -> tuple[bool, bool]:
    """Say whether a copy is found as it is, and whether it is found with altered versions too."""
    hashes = [perceptual_hash(film), perceptual_hash(copy)]
    as_it_is = any(True for _ in find_near_pairs(hashes))
    altered = [altered_hashes(film), altered_hashes(copy)]
    return as_it_is, as_it_is or any(True for _ in find_altered_pairs(hashes, altered))


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--films", default=200, help="Of which copies are made.")
def main(folders: tuple[Path, ...], films: int) -> None:
    grays, patients = map(list, zip(*list_films(folders), strict=True))
    chosen = numpy_generator(0, "films").choice(len(grays), min(films, len(grays)), replace=False)
    click.echo(f"{len(grays)} films, copies of {len(chosen)}; found in %: as it is, altered too")
    for name, alter in ALTERATIONS.items():
        copies = [(grays[place], np.ascontiguousarray(alter(grays[place]))) for place in chosen]
        found = np.mean([is_found(*pair) for pair in copies], axis=0)
        click.echo(f"{name:28} {100 * found[0]:6.1f} {100 * found[1]:6.1f}")
    started = time.process_time()
    hashes = [perceptual_hash(gray) for gray in grays]
    plain = {pair[:2]: pair[2] for pair in find_near_pairs(hashes)}
    before = time.process_time()
    altered = [altered_hashes(gray) for gray in grays]
    hashed = time.process_time()
    versions = {pair[:2]: pair[2] for pair in find_altered_pairs(hashes, altered)}
    click.echo(
        f"processor seconds for {len(grays)} films: hashes as they are {before - started:.1f}, of "
        f"altered versions {hashed - before:.1f}, comparison {time.process_time() - hashed:.1f}"
    )
    num_pairs = len(grays) * (len(grays) - 1) // 2
    for kind, same in (("the same patient", True), ("two patients", False)):
        counts = [
            sum((patients[i] == patients[j]) == same for i, j in pairs)
            for pairs in (plain, versions.keys() - plain.keys())
        ]
        click.echo(f"pairs of {kind}: {counts[0]} as they are, {counts[1]} more altered")
    click.echo(f"of {num_pairs} pairs; those of two patients that are found altered alone:")
    for i, j in sorted(versions.keys() - plain.keys()):
        if patients[i] != patients[j]:
            click.echo(f"  {patients[i]}, {patients[j]}: {versions[i, j]} bits")


if __name__ == "__main__":
    main()
