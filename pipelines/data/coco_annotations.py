"""Lungs in a COCO file, which is of many pictures.

Lin et al. 2014 (arXiv 1405.0312); the format: https://cocodataset.org/#format-data. A segmentation
is polygons, which add up, or run lengths, as numbers or compressed to a text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

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
    read_whole,
)
from pipelines.data.rasterising import parse_runs


def read_coco(path: Path, content: Mapping[str, object]) -> LungAnnotations:
    """Read the lungs of a COCO file. Raises ValueError that names it when something is amiss."""
    where = str(path)
    pictures = _read_pictures(where, content)
    categories = {}
    for entry in read_list(content.get("categories"), where, "categories"):
        category = read_object(entry, where, "categories")
        key = _read_key(category.get("id"), where)
        categories[key] = read_text(category.get("name"), where, "name")
    other_names: Counter[str] = Counter()
    for entry in read_list(content["annotations"], where, "annotations"):
        annotation = read_object(entry, where, "annotations")
        picture, category_id = (
            _read_key(annotation.get(name), where) for name in ("image_id", "category_id")
        )
        if picture not in pictures or category_id not in categories:
            raise ValueError(
                f"{where}: an annotation of image {picture} and category {category_id}; one of "
                "them is not in the file"
            )
        name, lungs = categories[category_id], pictures[picture]
        if is_lung(name):
            lungs.regions.extend(_read_segmentation(annotation.get("segmentation"), name, lungs))
        else:
            other_names[name] += 1
    return LungAnnotations([lungs for lungs in pictures.values() if lungs.regions], other_names)


def _read_pictures(where: str, content: Mapping[str, object]) -> dict[int | str, AnnotatedLungs]:
    pictures: dict[int | str, AnnotatedLungs] = {}
    names: set[str] = set()
    for entry in read_list(content["images"], where, "images"):
        picture = read_object(entry, where, "images")
        file_name = read_text(picture.get("file_name"), where, "file_name")
        lungs = begin_lungs(f"{where}, {file_name}", [file_name], picture)
        key = _read_key(picture.get("id"), where)
        if key in pictures or lungs.names[0] in names:
            raise ValueError(f"{where} has two images of the name or the id of {file_name}")
        pictures[key] = lungs
        names.update(lungs.names)
    return pictures


def _read_segmentation(segmentation: object, name: str, lungs: AnnotatedLungs) -> list[Region]:
    where = f"{lungs.where}, {name}"
    if not segmentation:
        raise ValueError(f"{where} has no segmentation; a box alone is no mask")
    if isinstance(segmentation, Mapping):
        return [_read_runs(segmentation, where, lungs)]
    regions = []
    for part in read_list(segmentation, where, "segmentation"):
        values = [
            read_number(value, where, "segmentation")
            for value in read_list(part, where, "segmentation")
        ]
        if len(values) % 2:
            raise ValueError(f"{where}: a polygon of {len(values)} numbers; expected x, y in turn")
        points = list(zip(values[::2], values[1::2], strict=True))
        regions.append(Region(paths=[check_path(points, lungs)]))
    return regions


def _read_runs(segmentation: Mapping[str, object], where: str, lungs: AnnotatedLungs) -> Region:
    size = segmentation.get("size")
    if size != [lungs.height, lungs.width]:
        raise ValueError(
            f"{where}: run lengths of size {size!r:.40}, its image has "
            f"[{lungs.height}, {lungs.width}]"
        )
    counts = segmentation.get("counts")
    if not isinstance(counts, str):
        return Region(
            runs=[
                read_whole(count, where, "counts") for count in read_list(counts, where, "counts")
            ]
        )
    try:
        return Region(runs=parse_runs(counts))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _read_key(value: object, where: str) -> int | str:
    if not isinstance(value, (int, str)):
        raise ValueError(f"{where}: an id is {value!r:.40}; expected a number or a text")
    return value
