"""What a folder's name says of the images in it: a label, a split, masks, or none of these.

Names are judged by their words: "infection masks", lung_masks and LungMasks have the same two.
"""

from __future__ import annotations

import re

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}
# Words that say how images are kept, and not what they show
KEEPING_WORDS = frozenset(
    (
        *("data", "dataset", "datasets", "database", "archive", "files", "file", "set", "sets"),
        *("images", "image", "img", "imgs", "pictures", "picture", "photos", "png", "jpg", "jpeg"),
        *("pngs", "jpgs", "jpegs", "tif", "tiff", "bmp", "dicom", "dicoms", "dcm", "raw", "folder"),
        *("original", "originals", "resized", "cropped", "processed", "preprocessed", "input"),
        *("inputs", "patients", "studies", "version", "small", "xray", "xrays", "ray", "rays"),
        *("chest", "cxr", "cxrs", "radiograph", "radiographs", "radiography"),
        *("frontal", "ap", "pa", "supine", "erect", "view", "views"),
    )
)
# A name with one of these is of a whole collection, whatever diagnosis it names besides.
COLLECTION_WORDS = frozenset(
    (
        *("data", "dataset", "datasets", "database", "db", "collection", "archive"),
        *("repository", "master", "main"),
    )
)
NUMBERED = re.compile(
    r"(patient|pat|pt|p|pid|pa|subject|subj|sub|study|st|s|series|ser|se|visit|exam|case|id|im|img"
    r"|image|images|scan|session|ses|acc|accession|part|batch|folder|dir|disc|disk|cd|vol|volume"
    r"|chunk|shard|fold|v|version)[ _.-]*\d+[a-z]?"
)
PATIENT = re.compile(r"(patient|pat|pt|p|pid|pa|subject|subj|sub)[ _.-]*\d+[a-z]?")
IDENTIFIER = re.compile(
    r"\d+([._-]\d+)*"  # 17, 2020-03-01, 1.2.840.113619
    r"|[a-z]{0,4}[ _-]?\d{5,}[a-z]?"
    r"|[0-9a-f]{16,}"
    r"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
_DIAGNOSIS = re.compile(
    r"\b(covid|n?cov|corona|sars|mers|normal|healthy|control|negative|positive|neg\b|pos\b|pneumo"
    r"|viral|virus|bacteri|fung|tb\b|tubercul|opacit|atelecta|cardiomegal|effusion|infiltrat|mass\b"
    r"|nodul|consolidat|o?edema|emphysema|fibrosis|pleural|hernia|findings?\b|disease|ards"
    r"|influenza|flu\b|cancer|tumou?r|lesion|fracture|sick|infected|abnormal|asthma|copd"
    r"|bronch|others?\b)"
)
_DRAWN_OVER = re.compile(
    r"(mask|segmentation|annotation|annot|heat ?map|overlay|ground ?truth|grad ?cam|saliency)s?\b"
)


def words_of(name: str) -> list[str]:
    """Return the words and numbers of a name in lower case."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word.lower() for word in re.findall(r"[^\W\d_]+|\d+", spaced)]


def is_drawn(name: str) -> bool:
    """Return whether a folder holds masks, segmentations, annotations, heatmaps or overlays."""
    return _DRAWN_OVER.search(" ".join(words_of(name))) is not None


def is_lateral(name: str) -> bool:
    """Return whether a folder holds lateral films."""
    return any(word in ("lateral", "laterals") for word in words_of(name))


def names_collection(name: str) -> bool:
    """Return whether a folder is called a data set, or the like."""
    return not COLLECTION_WORDS.isdisjoint(words_of(name))


def names_diagnosis(name: str) -> bool:
    """Return whether a folder is called as a diagnosis is, and not as a collection of some."""
    return not names_collection(name) and _DIAGNOSIS.search(" ".join(words_of(name))) is not None


def split_of(name: str) -> str | None:
    """Return the split that a folder is called as, such as `train`, "Test set" or val_images."""
    words = [word for word in words_of(name) if word not in KEEPING_WORDS and not word.isdigit()]
    return SPLIT_WORDS.get(words[0]) if len(words) == 1 else None


def patient_of(name: str) -> str | None:
    """Return the name of a folder that is one patient's, as patient00001 and p10000032 are."""
    return name if PATIENT.fullmatch(name.lower()) else None


def is_number(name: str) -> bool:
    """Return whether a name is a short number, which may be that of a class."""
    return re.fullmatch(r"\d{1,2}", name) is not None


def says_nothing(name: str) -> bool:
    """Return whether a name is of a patient, a study or a number, or says only what files are."""
    lower = name.lower()
    if NUMBERED.fullmatch(lower) or IDENTIFIER.fullmatch(lower):
        return True
    words = words_of(name)
    without_numbers = [word for word in words if not word.isdigit()]
    if without_numbers == ["x"]:
        return False
    return bool(without_numbers) and all(
        word in KEEPING_WORDS
        or (word == "x" and "ray" in words)
        or (word == "v" and len(words) > 1)
        for word in without_numbers
    )
