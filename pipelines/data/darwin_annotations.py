"""Lungs in a V7 Darwin file, one picture each.

Version 1.0 (https://docs.v7labs.com/reference/legacy-darwin-json-10) has `image` and
`polygon.path`, version 2.0 (https://docs.v7labs.com/reference/darwin-json) `item` and
`polygon.paths`. The paths of one polygon are filled by the even-odd rule: one within another is a
hole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipelines.data.lung_annotations import (
    AnnotatedLungs,
    LungAnnotations,
    Region,
    begin_lungs,
    check_path,
    is_lung,
    read_list,
    read_number,
    read_object,
    read_text,
)


def read_darwin(path: Path, content: Mapping[str, object]) -> LungAnnotations:
    """Read the lungs of a Darwin file. Raises ValueError that names it when something is amiss."""
    where = str(path)
    lungs = _read_picture(where, content)
    other_names: Counter[str] = Counter()
    for entry in read_list(content["annotations"], where, "annotations"):
        annotation = read_object(entry, where, "annotations")
        name = read_text(annotation.get("name"), where, "name")
        if is_lung(name):
            lungs.regions.append(_read_polygon(annotation, name, lungs))
        else:
            other_names[name] += 1
    return LungAnnotations([lungs] if lungs.regions else [], other_names)


def _read_picture(where: str, content: Mapping[str, object]) -> AnnotatedLungs:
    if "item" not in content:  # version 1
        picture = read_object(content.get("image"), where, "image")
        names = [picture.get("filename"), picture.get("original_filename")]
        return begin_lungs(where, [name for name in names if name is not None], picture)
    item = read_object(content["item"], where, "item")
    slots = read_list(item.get("slots"), where, "slots")
    if len(slots) != 1:
        raise ValueError(f"{where} is of {len(slots)} pictures; expected one")
    slot = read_object(slots[0], where, "slots")
    sources = [
        read_object(source, where, "source_files").get("file_name")
        for source in read_list(slot.get("source_files", []), where, "source_files")
    ]
    names = [name for name in (item.get("name"), *sources) if name is not None]
    return begin_lungs(where, names, slot)


def _read_polygon(annotation: Mapping[str, object], name: str, lungs: AnnotatedLungs) -> Region:
    where = f"{lungs.where}, {name}"
    polygon = annotation.get("polygon", annotation.get("complex_polygon"))
    if polygon is None:
        raise ValueError(f"{where} has no polygon; a box or a tag is no mask")
    shape = read_object(polygon, where, "polygon")
    if "paths" in shape:  # version 2
        paths = read_list(shape["paths"], where, "paths")
    else:
        more = read_list(shape.get("additional_paths", []), where, "additional_paths")
        paths = [shape.get("path"), *more]
    if not paths:
        raise ValueError(f"{where} has a polygon without paths")
    return Region(paths=[_read_path(path, where, lungs) for path in paths])


def _read_path(path: object, where: str, lungs: AnnotatedLungs) -> np.ndarray:
    points = [read_object(point, where, "path") for point in read_list(path, where, "path")]
    pairs = [
        (read_number(point.get("x"), where, "x"), read_number(point.get("y"), where, "y"))
        for point in points
    ]
    return check_path(pairs, lungs)
