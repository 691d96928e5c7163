"""From the displacements of pairs to one position for each section, and which sections are bad."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectomics.alignment.correlate import Displacement
from connectomics.errors import VolumeError

HOLD = 1e-9
"""Weight of the assumption that a section lies where the one before it does; just enough to hold the stack together."""

ROUNDS = 30
"""Rounds of reweighting, after which the positions no longer move."""

TOLERANCE_PX = 3.0
"""By how many pixels a displacement may contradict the others; one that does so by much more ends up with no weight."""

LEAST_SIMILARITY = 0.15
"""Least typical similarity of neighbouring sections in a stack; below it there is nothing to align by."""

RELATIVE_SIMILARITY = 0.4
"""A section is bad if its similarity to its neighbours, beyond chance, is below this share of the usual one."""

LEAST_SIGNAL = 0.2
"""Least similarity, beyond chance, that is usual at the distance of a pair; below it the pair does not tell whether a
section is bad."""

RELATIVE_CONTRAST = 0.5
"""A section is bad if its contrast is below this share of the contrast around it, or above the inverse."""

CONTRAST_REACH = 10
"""How many sections on either side the contrast of a section is compared with."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sections that were compared."""

    first: int
    second: int
    displacement: Displacement

    @property
    def distance(self) -> int:
        """How many sections they lie apart."""
        return self.second - self.first


def solve_positions(count: int, pairs: Sequence[Pair], bad: Mapping[int, str]) -> NDArray[np.float64]:
    """Find the position of each section that the displacements agree on.

    The majority of all pairs of good sections decides, weighted by their similarity: several pairs bridge every gap, so
    that wrong displacements are outvoted. Where no pair bridges a gap the position stays.

    Args:
        count: Number of sections.
        pairs: What was measured.
        bad: Sections whose pairs do not count; they get the position of nothing in particular.

    Returns:
        Positions along (y, x), in pixels, (count, 2), up to a common constant.

    Source:
        Iteratively reweighted least squares: first with the weights of least absolute deviations, then with those of
        Geman and McClure, "Statistical methods for tomographic image reconstruction", 1987.
    """
    used = [pair for pair in pairs if pair.first not in bad and pair.second not in bad]
    chain = np.arange(count - 1)
    first = np.concatenate([[pair.first for pair in used], chain]).astype(np.intp)
    second = np.concatenate([[pair.second for pair in used], chain + 1]).astype(np.intp)
    measured = np.zeros((len(first), 2))
    measured[: len(used)] = np.reshape([(p.displacement.y, p.displacement.x) for p in used], (-1, 2))
    trust = np.full(len(first), HOLD)
    chance = usual_chance(pairs)
    trust[: len(used)] = [max(p.displacement.similarity - chance, 1e-3) ** 3 for p in used]
    positions = np.zeros((count, 2))
    weights = trust
    for step in range(ROUNDS):
        positions = _least_squares(count, first, second, measured, weights)
        residual = np.hypot(*(positions[second] - positions[first] - measured).T)
        # Least absolute deviations first, which find the majority; then what is far from it loses its vote.
        far = residual / TOLERANCE_PX
        doubt = np.maximum(far, 0.2) if step < ROUNDS // 2 else (1 + far**2) ** 2
        weights = trust / np.where(trust > HOLD, doubt, 1.0)
    return positions


def _least_squares(
    count: int, first: NDArray[np.intp], second: NDArray[np.intp], measured: NDArray, weights: NDArray
) -> NDArray[np.float64]:
    """Return positions, the first one 0, with the least weighted sum of squared contradictions."""
    normal, right = np.zeros((count, count)), np.zeros((count, 2))
    for a, b, sign in ((first, first, 1), (second, second, 1), (first, second, -1), (second, first, -1)):
        np.add.at(normal, (a, b), sign * weights)
    np.add.at(right, second, weights[:, np.newaxis] * measured)
    np.add.at(right, first, -weights[:, np.newaxis] * measured)
    positions = np.zeros((count, 2))
    if count > 1:
        positions[1:] = np.linalg.solve(normal[1:, 1:], right[1:])
    return positions


def find_bad_sections(contrasts: Sequence[float], pairs: Sequence[Pair], name: str) -> dict[int, str]:
    """Find the sections that show no tissue to align by, or none that resembles their neighbours.

    Args:
        contrasts: Contrast of each section.
        pairs: What was measured.
        name: Name of the volume, for the message.

    Returns:
        The number of each bad section, and what is wrong with it.

    Raises:
        VolumeError: If the sections do not resemble one another at all.
    """
    bad = {}
    usual, chance = _usual_similarity(pairs), usual_chance(pairs)
    if usual and usual[1] < LEAST_SIMILARITY:
        raise VolumeError(
            f"{name}: its sections do not resemble one another (correlation {usual[1]:.2f}), so nothing says how they "
            "lie; give a table of shifts, or keep the sections as they are (--shifts FILE, --no-align)"
        )
    for z, contrast in enumerate(contrasts):
        around = float(np.median(contrasts[max(0, z - CONTRAST_REACH) : z + CONTRAST_REACH + 1]))
        if contrast < RELATIVE_CONTRAST * around or contrast > around / RELATIVE_CONTRAST:
            bad[z] = f"contrast {contrast:.1f}, around it {around:.1f}"
    for z in range(len(contrasts)):
        shares = sorted(_shares(z, [p for p in pairs if not bad.keys() & {p.first, p.second}], usual, chance))
        # The second best, since two bad sections may resemble each other.
        if shares and (share := shares[max(0, len(shares) - 2)]) < RELATIVE_SIMILARITY:
            bad[z] = f"resembles its neighbours by {max(share, 0.0):.0%} of what is usual"
    return bad


def usual_chance(pairs: Sequence[Pair]) -> float:
    """Return how similar two sections usually look where they have nothing in common."""
    return float(np.median([pair.displacement.chance for pair in pairs])) if pairs else 0.0


def _shares(z: int, pairs: Sequence[Pair], usual: Mapping[int, float], chance: float) -> Iterator[float]:
    """Yield, for the sections that a section was compared with, how much of what is usual it has in common with each.

    Those that lie so far apart that chance looks alike say nothing.
    """
    for pair in pairs:
        expected = usual[pair.distance] - chance
        if z in (pair.first, pair.second) and expected >= LEAST_SIGNAL:
            yield (pair.displacement.similarity - chance) / expected


def _usual_similarity(pairs: Sequence[Pair]) -> dict[int, float]:
    """Return the median similarity of sections, by how far they lie apart."""
    by_distance: dict[int, list[float]] = {}
    for pair in pairs:
        by_distance.setdefault(pair.distance, []).append(pair.displacement.similarity)
    return {distance: max(float(np.median(values)), 1e-6) for distance, values in by_distance.items()}
