"""The shape of a lung mask: its two lungs, its box, and whether it looks like lungs at all."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from pipelines.study.lungs import Box

MIN_LUNG = 0.02  # of the film: a smaller patch is no lung
# Of the 427 films whose lungs were outlined by hand (V7 Labs) one covers less than 15 % and none
# more than 62 %, the smaller lung has at least 0.62 times the area of the other, no lung is wider
# than tall, none is darker than the rest by more than 1.49 times the film's spread of grays, and
# none has an outline 3.4 times as steep as what is around it; of 63 sections of a CT 58 have 3.6.
AREAS = (0.10, 0.70)  # of the film, both lungs together
MIN_SYMMETRY = 0.5  # smaller lung over larger
MIN_ASPECT = 1.0  # height over width of a lung; in axial sections of a CT it is often less
MAX_DARKNESS = 1.5  # of lungs against the rest, in standard deviations of the film; CT has more
MAX_SHARPNESS = 3.6  # of an outline: a film shows lungs through the chest, a section cuts them
SHARPNESS_SIDE = 128  # pixels of the film in which it is measured
OUTLINE, AROUND, FRAME = 1, (3, 12), 3  # of these pixels: how far from the outline, from the edge
MIN_AGREEMENT = 0.88  # Dice of the lungs of a film with those of the film mirrored and shifted


def clean_mask(mask: np.ndarray) -> np.ndarray:
    """Keep the two largest patches of a mask bool (H, W) that could be lungs, without holes."""
    patches, count = ndimage.label(mask)
    areas = np.bincount(patches.ravel(), minlength=count + 1)[1:]  # (count,)
    largest = [i + 1 for i in np.argsort(-areas)[:2] if areas[i] >= MIN_LUNG * mask.size]
    return ndimage.binary_fill_holes(np.isin(patches, largest))


def split_lungs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the patient's right and left lung, bool (H, W) each, of a mask of both.

    Films show the right lung on the left. The two largest patches are the lungs; a single patch
    belongs to the side of the film that its centre is in, the other lung is empty.
    """
    patches, count = ndimage.label(mask)
    areas = np.bincount(patches.ravel(), minlength=count + 1)[1:]
    largest = [int(i) + 1 for i in np.argsort(-areas)[:2]]
    centres = [np.nonzero(patches == i)[1].mean() for i in largest]
    lungs = [patches == i for _, i in sorted(zip(centres, largest, strict=True))]
    empty = np.zeros_like(mask, dtype=bool)
    if not lungs:
        return empty, empty
    if len(lungs) == 1:
        is_right = centres[0] < mask.shape[1] / 2
        return (lungs[0], empty) if is_right else (empty, lungs[0])
    return lungs[0], lungs[1]


def box_of(mask: np.ndarray) -> Box | None:
    """Return the smallest box around a mask (H, W), None where it is empty."""
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if not len(rows):
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def dice(mask: np.ndarray, other: np.ndarray) -> float:
    """Return 2 |A ∩ B| / (|A| + |B|) of two masks bool (H, W); 1 where both are empty."""
    areas = int(mask.sum()) + int(other.sum())
    return 2 * int((mask & other).sum()) / areas if areas else 1.0


def iou(mask: np.ndarray, other: np.ndarray) -> float:
    """Return |A ∩ B| / |A ∪ B| of two masks bool (H, W); 1 where both are empty."""
    union = int((mask | other).sum())
    return int((mask & other).sum()) / union if union else 1.0


def find_doubts(mask: np.ndarray, gray: np.ndarray, agreement: float | None = None) -> list[str]:
    """Say what does not look like two lungs in a mask bool (H, W); nothing where all does.

    gray: the film, uint8 (H, W). agreement: with the mask of the film a little changed, where a
    network drew it.
    """
    if not mask.any():
        return ["no lung found"]
    doubts = []
    area = float(mask.mean())
    if not AREAS[0] <= area <= AREAS[1]:
        doubts.append(f"covers {100 * area:.0f} % of the film")
    lungs = split_lungs(mask)
    smaller, larger = sorted(int(lung.sum()) for lung in lungs)
    if smaller < MIN_LUNG * mask.size:
        doubts.append("one lung only")
    elif smaller < MIN_SYMMETRY * larger:
        doubts.append(f"one lung has {smaller / larger:.2f} times the area of the other")
    elif min(map(_aspect, lungs)) < MIN_ASPECT:
        doubts.append("a lung is wider than tall, as in a section of a CT")
    if not mask.all() and _darkness(mask, gray) > MAX_DARKNESS:
        doubts.append("lungs much darker than the rest, as in a section of a CT")
    if _sharpness(mask, gray) > MAX_SHARPNESS:
        doubts.append("an outline as sharp as in a section of a CT")
    if agreement is not None and agreement < MIN_AGREEMENT:
        doubts.append(f"changes when the film is mirrored and shifted (Dice {agreement:.2f})")
    return doubts


def _aspect(lung: np.ndarray) -> float:
    """Return height over width of a lung, bool (H, W), of which there is some."""
    box = box_of(lung)
    assert box is not None
    return (box.bottom - box.top) / (box.right - box.left)


def _darkness(mask: np.ndarray, gray: np.ndarray) -> float:
    """Return by how much lungs are darker than the rest, in standard deviations of the film."""
    spread = float(gray.std())
    return float(gray[~mask].mean() - gray[mask].mean()) / spread if spread else 0.0


def _sharpness(mask: np.ndarray, gray: np.ndarray) -> float:
    """Return how much steeper the grays are at the outline of lungs than on both sides of it.

    The ratio of the medians of the gradient's size, after a Gaussian of 1.5 pixels.
    """
    size = (SHARPNESS_SIDE, SHARPNESS_SIDE)
    lungs = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    film = np.asarray(Image.fromarray(gray).resize(size, Image.Resampling.BICUBIC))
    steepness = ndimage.gaussian_gradient_magnitude(film.astype(np.float32), 1.5)
    inner = np.zeros(size, bool)
    inner[FRAME:-FRAME, FRAME:-FRAME] = True

    def near_outline(pixels: int) -> np.ndarray:
        side = 2 * pixels + 1
        grown = ndimage.maximum_filter(lungs, side)
        return inner & grown & ~ndimage.minimum_filter(lungs, side)

    outline = near_outline(OUTLINE)
    around = near_outline(AROUND[1]) & ~near_outline(AROUND[0])
    if not outline.any() or not around.any():
        return 0.0
    return float(np.median(steepness[outline]) / (np.median(steepness[around]) + 1e-6))
