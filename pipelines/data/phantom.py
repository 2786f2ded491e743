"""Phantom chest X-rays: labelled frontal radiographs drawn from an attenuation model.

What is modelled.  Every structure adds (tissue, bone) or removes (air) attenuation along the ray
through a point of the film; the sum passes quantum noise, a film curve and a little blur.  Since
attenuations add, ribs show through the heart and vessels through haze, as in radiographs.

What tells the classes apart.  Wong et al., 'Frequency and Distribution of Chest Radiographic
Findings in Patients Positive for COVID-19', Radiology 2020, report ground-glass opacities and
consolidation, mostly bilateral, peripheral and in the lower zones, on some films hardly visible.
"covid" phantoms carry patchy opacities of that distribution, "normal" ones none.  All else (build,
breasts, vessels, inspiration, exposure, noise, markers, leads) has one distribution for both.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from scipy import ndimage

from pipelines.data import thorax
from runtime.options import OptionError

LABELS = ("covid", "normal")
MAX_FILMS = 1_000_000

_MULTI_IMAGE_SHARE = 0.25  # share of patients with more than one film
LUNG_AIR = 0.15  # depth of lung along the ray, 0 to 1, from which a pixel is one of lung
_AIR_CONTRAST = 0.62  # attenuation that a full depth of lung takes away
_GLYPHS = {
    "L": ("1000", "1000", "1000", "1000", "1111"),
    "R": ("1110", "1001", "1110", "1010", "1001"),
}


@dataclass(frozen=True)
class PhantomCase:
    """One film: its label, its patient (from 0, unique over both labels), its number (from 0)."""

    label: str
    patient: int
    image: int


def list_cases(n: int, seed: int) -> list[PhantomCase]:
    """Name n films, labels in turn; about a quarter of the patients have 2 to 4 films.

    A shorter list is the beginning of a longer one.  Raises OptionError for n < 2 or above
    MAX_FILMS, and for a seed below 0.
    """
    if not 2 <= n <= MAX_FILMS:
        raise OptionError(
            "n", n, f"expected at least 2, one film of each label, and at most {MAX_FILMS:,}"
        )
    if seed < 0:
        raise OptionError("seed", seed, "expected 0 or more")
    rng = default_rng(SeedSequence((seed, len(LABELS))))
    waiting: dict[str, list[PhantomCase]] = {label: [] for label in LABELS}
    films, patients = [], 0
    for i in range(n):
        label = LABELS[i % len(LABELS)]
        if not waiting[label]:
            count = int(rng.integers(2, 5)) if rng.random() < _MULTI_IMAGE_SHARE else 1
            waiting[label] = [PhantomCase(label, patients, image) for image in range(count)]
            patients += 1
        films.append(waiting[label].pop(0))
    return films


def draw(case: PhantomCase, seed: int, size: int = 256) -> np.ndarray:
    """Draw one film as uint8 (size, size), bright where the body attenuates.

    The same arguments give the same bytes.  Raises ValueError for an unknown label.
    """
    mu, _, film_rng = _attenuate(case, seed, size)
    return _develop(mu, film_rng)


def draw_lung_mask(case: PhantomCase, seed: int, size: int = 256) -> np.ndarray:
    """Return where the lungs of that film are, bool (size, size).

    They are what air fills: not behind the heart, and as far down as the domes of the diaphragm.
    """
    return _attenuate(case, seed, size)[1] > LUNG_AIR


def _attenuate(case: PhantomCase, seed: int, size: int) -> tuple[np.ndarray, np.ndarray, Generator]:
    """Return attenuation and depth of lung, (size, size) each, and the film's random numbers."""
    if case.label not in LABELS:
        raise ValueError(f"label is {case.label!r}; expected one of {LABELS}")
    key = (seed, LABELS.index(case.label), case.patient)
    # SeedSequence ignores trailing zeros: the last word keeps patient and film streams apart.
    rng = default_rng(SeedSequence((*key, 0)))
    film_rng = default_rng(SeedSequence((*key, case.image + 1)))

    severity = max(rng.beta(1.8, 0.9) + film_rng.normal(0, 0.05), 0.1) * (case.label == "covid")
    body = thorax.draw_anatomy(rng, film_rng)
    grid = thorax.place_patient(body, rng, film_rng, size)
    mu = (
        thorax.draw_trunk(grid, body, rng)
        + thorax.draw_breasts(grid, rng)
        + thorax.draw_spine(grid, body)
    )
    mu += thorax.draw_ribs(grid, body, rng) + thorax.draw_shoulder_girdle(grid, body, rng)
    air, vessels = thorax.draw_lung_air(grid, body, rng), thorax.draw_vessels(grid, rng)
    haze = thorax.draw_opacities(grid, rng, severity) if severity > 0 else 0.0
    mu += np.sqrt(air) * (1 - 0.8 * haze) * vessels - _AIR_CONTRAST * air * (1 - haze)
    mu -= thorax.draw_airway_and_stomach(grid, body, rng)
    return mu + thorax.draw_leads(grid, film_rng), air, film_rng


def _develop(mu: np.ndarray, rng: Generator) -> np.ndarray:
    """Attenuation to grey levels: uneven beam, quantum noise, film curve, side marker, blur."""
    size = mu.shape[0]
    ticks = np.linspace(-1, 1, size, dtype=np.float32)
    heel, roll, vignette = rng.normal(0, 0.03, 3).tolist()
    mu = mu + (heel * ticks + vignette * ticks**2)[:, None] + (roll * ticks + vignette * ticks**2)
    # The fewer quanta arrive, the noisier is the logarithm of their number.
    mu += rng.uniform(0.005, 0.015) * np.exp(mu) * rng.standard_normal(mu.shape, np.float32)
    # Automatic exposure control: the denser the patient, the longer the exposure.
    level = 0.75 + 0.6 * (float(mu.mean()) - 0.72) + rng.normal(0, 0.03)
    latitude, gamma = rng.uniform(0.17, 0.23), rng.uniform(0.85, 1.15)
    density = (1 + np.exp((level - mu) * (1 / latitude))) ** -gamma

    letter, marked = "LR"[int(rng.integers(2))], rng.random() < 0.5
    glyph = np.kron(
        [[int(c) for c in line] for line in _GLYPHS[letter]], np.ones((size // 64, size // 96))
    )
    row, margin = (size * rng.uniform((0.04, 0.03), (0.2, 0.1))).astype(int)
    column = margin if letter == "R" else size - margin - glyph.shape[1]
    if marked:
        corner = density[row : row + glyph.shape[0], column : column + glyph.shape[1]]
        np.maximum(corner, 0.93 * glyph, out=corner)

    density = ndimage.gaussian_filter(density, rng.uniform(0.5, 1.0) * size / 256)
    return np.rint(density * 255).astype(np.uint8)
