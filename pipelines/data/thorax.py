"""The structures of a drawn thorax: what each adds to or takes from the attenuation along the ray.

Coordinates: x to the image right (the patient's left), y down; an unscaled film spans [-1, 1].
Attenuation is in units of that of a mean trunk without lungs.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy import ndimage

_SIDES = (-1, 1)  # image left, image right
_HILUM = {-1: 0.02, 1: -0.03}  # y; the left hilum lies higher


@dataclass(frozen=True)
class Anatomy:
    """Measures that several structures share; lengths in half-widths of the film."""

    apex: float  # y of the lung apices
    base: float  # y of the costophrenic angles
    width: float  # largest inner half-width of the rib cage
    obesity: float  # 0 to 1
    dome: float  # y of the right diaphragm dome on this film
    rib_spacing: float


@dataclass(frozen=True)
class Grid:
    """Patient coordinates of the pixels, (size, size) float32, and the way back to the film."""

    x: np.ndarray
    y: np.ndarray
    reach: np.ndarray  # |x| over the inner half-width of the rib cage at this y
    to_film: np.ndarray  # (2, 3): patient (x, y, 1) to film (x, y)


def draw_anatomy(rng: Generator, film_rng: Generator) -> Anatomy:
    """Draw a patient's measures; what differs between films comes from `film_rng`."""
    return Anatomy(
        apex=rng.normal(-0.74, 0.035),
        base=rng.normal(0.62, 0.04),
        width=rng.normal(0.72, 0.035),
        obesity=rng.beta(1.5, 4),
        # Films are rarely at full inspiration.
        dome=rng.normal(0.42, 0.04) - film_rng.gamma(1.5, 0.045),
        rib_spacing=rng.normal(0.145, 0.009),
    )


def place_patient(body: Anatomy, rng: Generator, film_rng: Generator, size: int) -> Grid:
    """Place the patient on the film: scale, shift and a tilt of up to a few degrees."""
    tilt, scale = film_rng.normal(0, 0.025), film_rng.normal(1.15, 0.05)
    shift = film_rng.normal((0, 0.02), (0.03, 0.035))
    to_film = (
        np.array([[math.cos(tilt), -math.sin(tilt)], [math.sin(tilt), math.cos(tilt)]]) * scale
    )
    (a, b), (c, d) = np.linalg.inv(to_film).tolist()
    ticks = ((np.arange(size) + 0.5) * 2 / size - 1).astype(np.float32)
    u, v = ticks[None, :] - float(shift[0]), ticks[:, None] - float(shift[1])
    straight = Grid(a * u + b * v, c * u + d * v, u, np.column_stack((to_film, shift)))
    # No border of a body is a clean curve: bend all of them slightly.
    x, y = (axis + 0.015 * _noise(straight, rng, 0.2) for axis in (straight.x, straight.y))
    rest = np.clip((body.base - y) * (1 / (body.base - body.apex)), 0, 1)
    cage = 0.27 + (body.width - 0.27) * np.sqrt(1 - rest * rest * np.sqrt(rest))
    return Grid(x, y, np.abs(x) / cage, straight.to_film)


def _noise(grid: Grid, rng: Generator, scale: float) -> np.ndarray:
    """Draw Gaussian noise fixed to the patient, of about unit variance, smooth over `scale`."""
    nodes = round(6 / scale)  # two nodes per `scale` over [-1.5, 1.5]: enough for shifted films
    field = 7.1 * ndimage.gaussian_filter(
        rng.standard_normal((nodes, nodes), np.float32), 2, mode="wrap"
    )
    # One row and column will do: the tilt is too small to matter here.
    middle = grid.x.shape[0] // 2
    for axis in (grid.y[:, middle], grid.x[middle]):
        at = (axis + 1.5) * ((nodes - 1) / 3)
        low = np.clip(np.floor(at), 0, nodes - 2)
        part, low = (at - low)[:, None], low.astype(np.intp)
        field = (field[low] * (1 - part) + field[low + 1] * part).T
    return field


def _step(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return 0 up to low, 1 from high on, smooth between; falls where high < low."""
    t = np.clip((value - low) * (1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def _bump(value: np.ndarray, centre: float, sigma: float) -> np.ndarray:
    """Return a bell of height 1 around the centre."""
    t = (value - centre) * (1 / sigma)
    return np.exp(np.maximum(-0.5 * t * t, -20))  # subnormal numbers would be slow


def _round_edge(depth: np.ndarray, radius: float) -> np.ndarray:
    """Return the relative path of the ray through a round edge, `depth` inside the silhouette."""
    rest = 1 - np.clip(depth * (1 / radius), 0, 1)
    return np.sqrt(1 - rest * rest)


def _ellipsoid(
    grid: Grid, centre: tuple[float, float], axes: tuple[float, float], tilt: float = 0.0
) -> np.ndarray:
    """Return the relative path of the ray through an ellipsoid."""
    dx, dy, cos, sin = grid.x - centre[0], grid.y - centre[1], math.cos(tilt), math.sin(tilt)
    along, across = (dx * cos + dy * sin) * (1 / axes[0]), (dy * cos - dx * sin) * (1 / axes[1])
    return np.sqrt(np.maximum(1 - along * along - across * across, 0))


def _tube(distance: np.ndarray, radius: float) -> np.ndarray:
    """Return the section of a bone: the cortical shell attenuates more than the marrow."""
    across = distance * (1 / radius)
    across *= across
    return _step(across, 1.4, 0.6) * (0.7 + 0.3 * across)


def _strokes(
    grid: Grid, x: np.ndarray, y: np.ndarray, density: np.ndarray, sigma: float
) -> np.ndarray:
    """Draw soft lines through points (points, lines), `density` at their middle.

    sigma: in pixels at size 256.
    """
    size = grid.x.shape[0]
    sigma_px = sigma * (size / 256)
    column, row = (
        ((m[0] * x + m[1] * y + m[2] + 1) * size / 2 - 0.5).clip(-1, size) for m in grid.to_film
    )
    spacing = np.hypot(np.diff(column, axis=0), np.diff(row, axis=0)).mean(axis=0)
    mass = density * spacing * math.sqrt(2 * math.pi) * sigma_px
    left, top = np.floor(column).astype(np.intp), np.floor(row).astype(np.intp)
    right, bottom = column - left, row - top
    width = size + 3  # the margin takes what lies beside the film
    at = (top + 1) * width + left + 1 + np.array([0, 1, width, width + 1])[:, None, None]
    upper, lower = mass * (1 - bottom), mass * bottom
    share = np.stack((upper * (1 - right), upper * right, lower * (1 - right), lower * right))
    canvas = np.bincount(at.ravel(), share.ravel(), width * width).reshape(width, width)
    canvas = canvas[1 : size + 1, 1 : size + 1].astype(np.float32)
    return ndimage.gaussian_filter(canvas, sigma_px, truncate=3)


def draw_trunk(grid: Grid, body: Anatomy, rng: Generator) -> np.ndarray:
    """Draw the soft tissue of trunk, neck and upper arms, denser below the diaphragm."""
    side, shoulder, axilla = np.abs(grid.x), rng.normal(-0.86, 0.04), rng.normal(0, 0.1)
    wall = 0.08 + 0.16 * body.obesity + rng.uniform(0, 0.03)
    flank = body.width + wall + 0.7 * _step(grid.y, axilla + 0.12, axilla - 0.4)
    neck = 0.5 * _step(side, 0.5, 0.12)
    slope = np.maximum(side - 0.3, 0)
    outline = _round_edge(flank - side, 0.4) * _round_edge(
        grid.y - shoulder - 0.4 * slope + neck, 0.3
    )
    build = 0.93 + 0.2 * body.obesity + rng.normal(0, 0.02)
    tissue = build + 0.1 * _step(grid.y, 0.3, 0.8) - 0.08 * _step(grid.y, -0.3, -0.9)
    return outline * (tissue + 0.02 * _noise(grid, rng, 0.12))


def draw_lung_air(grid: Grid, body: Anatomy, rng: Generator) -> np.ndarray:
    """Return the depth of lung along the ray, 0 to 1.

    It is the rib cage less diaphragm, mediastinum and heart.
    """
    x, y, side = grid.x, grid.y, np.abs(grid.x)
    crest = rng.normal(0.38, 0.03) * body.width
    fall = np.clip((side - crest) * (1 / (body.width - crest)), 0, 1)
    dome = body.dome + rng.normal(0.035, 0.02) * _step(x, -0.1, 0.1)
    falling = (body.base - body.dome) * (1 - np.sqrt(1 - fall * fall))
    floor = dome + falling + 0.25 * np.square(np.minimum(side - crest, 0))
    roof = body.apex + 5 * np.square(np.minimum(side - 0.27, 0))
    cage = _round_edge(1 - grid.reach, 0.5) * _round_edge(y - roof, 0.25)
    # Lung also lies behind the dome, so that the abdomen darkens a little towards it.
    above = 0.88 * _round_edge(floor - y, 0.09) + 0.12 * _step(y - floor, 0.2, 0)

    knob, trunk = rng.uniform(0.02, 0.07), rng.uniform(0.02, 0.05)
    left = 0.115 + knob * _bump(y, -0.34, 0.075) + trunk * _bump(y, -0.13, 0.08)
    right = 0.12 + rng.uniform(0, 0.03) * _bump(y, -0.3, 0.2)
    border = (
        np.where(x > 0, left, right) + 0.06 * _step(y, -0.4, 0.4) + 0.05 * _step(y, -0.4, -0.75)
    )
    length = rng.normal(0.36, 0.03) + 0.04 * body.obesity
    aspect, tilt = rng.normal(0.68, 0.04), rng.normal(0.5, 0.1)
    heart = _ellipsoid(grid, (0.09, body.dome - 0.10), (length, aspect * length), tilt)
    outside = 0.04 + 0.96 * _round_edge(side - border, 0.08)
    return cage * above * outside * (1 - 0.93 * np.minimum(1.3 * heart, 1))


def draw_airway_and_stomach(grid: Grid, body: Anatomy, rng: Generator) -> np.ndarray:
    """Return the attenuation that the air in trachea and stomach takes away."""
    column, axis = rng.uniform(0.1, 0.2), rng.normal(-0.012, 0.008)
    trachea = column * _bump(grid.x, axis, 0.03) * _step(grid.y, -0.2, -0.35)
    gas = rng.uniform(0.1, 0.25) * (rng.random() < 0.5)
    axes = rng.uniform((0.08, 0.05), (0.18, 0.1)).tolist()
    return trachea + gas * np.square(_ellipsoid(grid, (0.32, body.dome + 0.17), axes, -0.2))


def draw_opacities(grid: Grid, rng: Generator, severity: float) -> np.ndarray:
    """Return the share of the lung air lost to ground-glass or consolidation, 0 to 1."""
    patches = _noise(grid, rng, 0.12) + 0.7 * _noise(grid, rng, 0.05)
    zone, sparing, spared = rng.normal(0.0, 0.12), rng.uniform(0, 0.6), _SIDES[int(rng.integers(2))]
    place = 1.1 * _step(grid.reach, 0.2, 0.9) + 1.8 * _step(grid.y, zone - 0.45, zone + 0.35)
    extent = _step(patches + place, 2.3 - 1.1 * severity, 4.3 - 1.1 * severity)
    return (
        min(0.35 + 0.5 * severity, 0.85)
        * extent
        * (1 - sparing * _step(spared * grid.x, -0.1, 0.1))
    )


def draw_vessels(grid: Grid, rng: Generator) -> np.ndarray:
    """Draw hila, the branching vessels that fade to the periphery, and fine lung texture."""
    markings = 0.014 * _noise(grid, rng, 0.03)
    hilum = rng.uniform(0.08, 0.16)
    for side in _SIDES:
        markings += hilum * _bump(grid.x, side * 0.20, 0.05) * _bump(grid.y, _HILUM[side], 0.085)
    # Angle 0 is lateral, pi/2 down.
    angle = np.tile(np.linspace(-1.35, 1.5, 9), 2) + rng.normal(0, 0.12, 18)
    sides = np.repeat(_SIDES, 9)
    x, y = sides * 0.16, np.repeat(list(_HILUM.values()), 9) + 0.07 * np.sin(angle)
    prominence = rng.uniform(0.07, 0.17)
    t = np.linspace(0, 1, 24)[:, None]
    for length, relative_density, sigma in (
        (0.16, 1.0, 1.7),
        (0.14, 0.75, 1.2),
        (0.13, 0.55, 0.9),
        (0.12, 0.35, 0.7),
    ):
        run = length * rng.uniform(0.7, 1.3, angle.size) * t
        bend = rng.normal(0, 0.25, angle.size) * t
        xs, ys = x + sides * run * np.cos(angle + bend), y + run * np.sin(angle + bend)
        density = prominence * relative_density * rng.uniform(0.6, 1.2, angle.size)
        markings += _strokes(grid, xs, ys, density * (1 - 0.25 * t), sigma)
        fork = rng.uniform(0.15, 0.5, angle.size)
        angle, sides = np.concatenate((angle + fork, angle - fork)), np.tile(sides, 2)
        x, y = np.tile(xs[-1], 2), np.tile(ys[-1], 2)
    return markings


def draw_ribs(grid: Grid, body: Anatomy, rng: Generator) -> np.ndarray:
    """Draw ribs as tilted rings around the cage.

    The posterior half descends outward, the anterior inward.
    """
    turn = np.sqrt(np.maximum(1 - np.square(grid.reach * (1 / 1.06)), 0))
    first, drop = body.apex + rng.uniform(-0.5, 0.5) * body.rib_spacing, rng.normal(0.17, 0.03)
    flank = first + drop - 6 * body.rib_spacing
    strength = (rng.uniform(0.05, 0.1) * rng.uniform(0.7, 1.2, (2, 32))).astype(np.float32)
    ribs = 0.0
    for fall, radius, share, medial_end in ((-drop, 0.22, 1.0, 0.0), (1.6 * drop, 0.27, 0.5, 0.45)):
        level = (grid.y - flank - fall * turn) * (1 / body.rib_spacing)
        number = np.clip(np.floor(level), 0, 31)
        each = strength[(grid.x > 0).astype(np.intp), number.astype(np.intp)]
        section = share * each * _tube(level - number - 0.5, radius)
        ribs = ribs + section * _step(grid.reach, medial_end - 0.1, medial_end + 0.2)
    # Where the ring turns, the ray runs in the bone.
    along_the_ray = 1 + 0.5 * _step(grid.reach, 0.8, 1.0)
    ribs = ribs * along_the_ray * _step(grid.reach, 1.06, 0.98)
    return ribs * _step(grid.y, 0.95, 0.3) * _step(grid.y, body.apex - 0.08, body.apex + 0.04)


def draw_spine(grid: Grid, body: Anatomy) -> np.ndarray:
    """Draw the vertebrae and, fainter, the discs between them."""
    discs = 0.5 + 0.5 * np.cos(grid.y * (2 * math.pi / (0.92 * body.rib_spacing)))
    return _round_edge(0.085 - np.abs(grid.x), 0.05) * (0.08 - 0.025 * discs * discs)


def draw_shoulder_girdle(grid: Grid, body: Anatomy, rng: Generator) -> np.ndarray:
    """Draw clavicles across the apices, and the scapulae with their faint medial edges."""
    bones = np.zeros_like(grid.x)
    density = rng.uniform(0.1, 0.17)
    for sign in _SIDES:
        side = sign * grid.x
        axis = (
            body.apex
            + rng.normal(0.33, 0.03)
            - rng.normal(0.27, 0.05) * side
            - 0.035 * np.sin(6 * side)
        )
        bones += (
            density * _tube(grid.y - axis, 0.034) * _step(side, 0.05, 0.1) * _step(side, 0.98, 0.85)
        )
        edge = side - rng.normal(0.6, 0.04) + 0.15 * (grid.y + 0.3)
        blade = _step(edge, 0, 0.025) * _step(edge, 0.3, 0.02)
        bones += 0.07 * (blade * _step(grid.y, 0.2, -0.1) * _step(grid.y, -0.65, -0.4))
    return bones


def draw_breasts(grid: Grid, rng: Generator) -> np.ndarray:
    """Draw breast shadows.

    They brighten the lower lungs of half the patients, much as mild haze does.
    """
    density, level = rng.uniform(0.03, 0.12) * (rng.random() < 0.5), rng.normal(0.22, 0.04)
    right, left = (_ellipsoid(grid, (side * 0.43, level), (0.36, 0.33)) for side in _SIDES)
    return density * (right + left)


def draw_leads(grid: Grid, rng: Generator) -> np.ndarray:
    """Draw one to three ECG leads on a quarter of the films: an electrode and its thin wire."""
    canvas = np.zeros_like(grid.x)
    for _ in range(int(rng.integers(1, 4)) * (rng.random() < 0.25)):
        x, y = rng.uniform(-0.7, 0.7), rng.uniform(-0.5, 0.3)
        end, sag = rng.uniform(-1, 1), rng.normal(0, 0.25)
        t = np.linspace(0, 1, 400)[:, None]
        wire = x + (end - x) * t + sag * np.sin(math.pi * t), y + (1.2 - y) * t
        canvas += _strokes(grid, *wire, np.array([0.3]), 0.6)
        canvas += 0.12 * _step(np.hypot(grid.x - x, grid.y - y), 0.035, 0.02)
    return canvas
