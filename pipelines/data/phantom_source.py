"""Phantom chest X-rays as a source of images."""

from __future__ import annotations

from functools import partial

from pipelines.data.listing import Listing, SourceImage
from pipelines.data.phantom import PhantomCase, draw, list_cases
from pipelines.study.image_io import Picture

PHANTOM_NOTE = "PHANTOM: drawn by cxr, not a radiograph of a patient"


def list_phantoms(n: int, seed: int) -> Listing:
    """List n phantom chest X-rays; every one says so in its name and in its file."""
    images = [
        SourceImage(
            origin=f"phantom {seed}-{case.label}-{case.patient}, image {case.image}",
            load=partial(_draw_picture, case, seed),
            label=case.label,
            source="phantom",
            patient=f"{seed}-{case.label}-{case.patient}",
            name=f"PHANTOM-{seed}-{case.label}-{case.patient:05d}-{case.image}",
            note=PHANTOM_NOTE,
        )
        for case in list_cases(n, seed)
    ]
    return Listing("phantom", f"drawn, seed {seed}", images)


def _draw_picture(case: PhantomCase, seed: int) -> Picture:
    gray = draw(case, seed)
    height, width = gray.shape
    return Picture(gray, height, width)
