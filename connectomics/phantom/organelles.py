"""What fills the cells of the phantom: vesicles, granules, mitochondria, reticulum."""

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import ZYX, Box
from connectomics.phantom.cells import SECTION_PX, Cells
from connectomics.phantom.draw_synapses import Synapse
from connectomics.phantom.noise import smooth_noise

_STAMP = 5
"""Half the side of the square in which a vesicle or a granule is drawn, in pixels."""


def paint_reticulum(canvas: NDArray[np.float32], cells: Cells, rng: np.random.Generator) -> None:
    """Draw thin winding lines in some places: smooth reticulum and microtubules."""
    shape = canvas.shape
    sheet = smooth_noise(rng, shape, (2.5, 9.0, 9.0))
    where = smooth_noise(rng, shape, (5.0, 40.0, 40.0))
    line = np.exp(-((sheet / 0.16) ** 2)) * np.clip(where - 0.5, 0, 1) * np.clip((cells.depth - 4) / 3, 0, 1)
    canvas -= np.float32(75) * line


def paint_mitochondria(
    canvas: NDArray[np.float32], cells: Cells, free: NDArray[np.bool_], count: int, rng: np.random.Generator
) -> None:
    """Draw up to `count` mitochondria, in cells wide enough, and take their place out of what is `free`."""
    z, y, x = np.nonzero((cells.depth > 13) & free)
    for i in rng.integers(len(z), size=6 * count) if len(z) else []:
        if count and free[z[i], y[i], x[i]]:
            count -= _paint_mitochondrion(canvas, cells, free, (int(z[i]), int(y[i]), int(x[i])), rng)


def _paint_mitochondrion(
    canvas: NDArray[np.float32], cells: Cells, free: NDArray[np.bool_], centre: ZYX, rng: np.random.Generator
) -> bool:
    """Draw one mitochondrion: an ellipsoid that yields to its cell's membrane; return whether there was room."""
    axes = np.array([rng.uniform(28, 55), rng.uniform(11, 20), rng.uniform(11, 20)])
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    reach = (int(55 / SECTION_PX), 55, 55)
    start = [max(0, c - r) for c, r in zip(centre, reach, strict=True)]
    stop = [min(n, c + r + 1) for c, r, n in zip(centre, reach, canvas.shape, strict=True)]
    at = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2])).slices
    z, y, x = np.ix_(*(np.arange(a, b, dtype=np.float32) - c for a, b, c in zip(start, stop, centre, strict=True)))
    own = [u * (z * SECTION_PX) + v * y + w * x for u, v, w in turn.astype(np.float32)]
    radius = np.sqrt(sum((part / axis) ** 2 for part, axis in zip(own, axes, strict=True)))
    inside = np.minimum((1 - radius) * axes.min(), cells.depth[at] - 5)
    inside[cells.body[at] != cells.body[centre]] = -1
    body = inside > 0
    if not free[at][body].all():
        return False
    wave = own[0] + 2.5 * smooth_noise(rng, body.shape, (3.0, 9.0, 9.0))
    crista = (np.cos(wave * (2 * np.pi / 8)) > 0.45) & (inside > 2)
    canvas[at][body] = 118 + rng.uniform(-12, 12)
    canvas[at][crista] -= 34
    canvas[at][body & (inside < 1.6)] = 66
    free[at][body] = False
    return True


def paint_vesicles(
    canvas: NDArray[np.float32],
    cells: Cells,
    synapse: Synapse,
    free: NDArray[np.bool_],
    rng: np.random.Generator,
) -> None:
    """Draw the cluster of vesicles behind the presynaptic membrane; each lies in one section."""
    contact = synapse.contact
    box = contact.box
    room = contact.hinterland() & (cells.depth[box.slices] > 4) & free[box.slices]
    sections = np.flatnonzero(synapse.cleft.any(axis=(1, 2)))
    for z in range(max(sections[0] - 1, 0), min(sections[-1] + 2, box.shape[0])):
        y, x = np.nonzero(room[z])
        for i in _spread(y, x, int(rng.integers(12, 26)), 5.2, rng):
            paint_vesicle(canvas[box.start[0] + z], (y[i] + box.start[1], x[i] + box.start[2]), rng)


def paint_scattered(
    canvas: NDArray[np.float32], cells: Cells, free: NDArray[np.bool_], rng: np.random.Generator
) -> None:
    """Draw lone vesicles and dark granules all over the cells."""
    z, y, x = np.nonzero((cells.depth > 5) & free)
    if len(z) == 0:
        return
    per_voxel = len(z) / (64 * 64)
    for i in rng.integers(len(z), size=rng.poisson(1.6 * per_voxel)):
        paint_vesicle(canvas[z[i]], (y[i], x[i]), rng)
    for i in rng.integers(len(z), size=rng.poisson(1.0 * per_voxel)):
        paint_granule(canvas[z[i]], (y[i], x[i]), rng)


def paint_vesicle(section: NDArray[np.float32], at: tuple[int, int], rng: np.random.Generator) -> None:
    """Draw a small bright disc with a dark rim on one section, (Y, X)."""
    patch, distance = _stamp(section, at, rng)
    size = rng.uniform(2.0, 2.9)
    patch += 12 * (distance < size)
    patch -= rng.uniform(55, 85) * np.exp(-(((distance - size) / 0.75) ** 2))


def paint_granule(section: NDArray[np.float32], at: tuple[int, int], rng: np.random.Generator) -> None:
    """Draw a dark disc on one section, (Y, X): a dense-core vesicle or a speck."""
    patch, distance = _stamp(section, at, rng)
    size = rng.choice([1.2, 2.0, 3.4])
    patch -= rng.uniform(60, 115) * np.clip(size + 0.5 - distance, 0, 1)


def _stamp(
    section: NDArray[np.float32], at: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the square of `section` around a point, and each pixel's distance to a spot near the point."""
    (y0, y1), (x0, x1) = ((max(0, c - _STAMP), min(n, c + _STAMP + 1)) for c, n in zip(at, section.shape, strict=True))
    shift = rng.uniform(-0.5, 0.5, 2)
    y, x = np.ogrid[y0:y1, x0:x1]
    return section[y0:y1, x0:x1], np.hypot(y - at[0] - shift[0], x - at[1] - shift[1])


def _spread(y: NDArray[np.intp], x: NDArray[np.intp], count: int, apart: float, rng: np.random.Generator) -> list[int]:
    """Choose up to `count` of the points (y, x) that keep a distance of `apart` pixels."""
    chosen: list[int] = []
    for i in rng.integers(len(y), size=4 * count) if len(y) else []:
        if len(chosen) < count and all(np.hypot(y[i] - y[j], x[i] - x[j]) >= apart for j in chosen):
            chosen.append(int(i))
    return chosen
