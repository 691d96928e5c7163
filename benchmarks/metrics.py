"""Time and peak memory of the CREMI distance at the size of one challenge volume, against SciPy's transform.

    python benchmarks/metrics.py                       # clefts against clefts, both ways: some 10 GB for SciPy's
    python benchmarks/metrics.py --predict half --ways connectomics

Each way runs in a process of its own; memory is what it takes beyond the two masks. Linux only.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt

from connectomics.metrics import MaskPair
from connectomics.metrics.cleft_distance import measure_cleft_distance
from connectomics.metrics.pair import Mask

SPACING_NM = (40.0, 4.0, 4.0)


def draw_clefts(shape: tuple[int, int, int], rng: np.random.Generator) -> dict[str, Mask]:
    """Draw discs, slightly bent, of 240 to 640 nm across and 20 to 36 nm thick, in random directions.

    The prediction has 85 % of the annotated ones, moved and resized a little, and one in ten of its own.
    """
    masks = {"predicted": np.zeros(shape, bool), "truth": np.zeros(shape, bool)}
    number = round(470 * np.prod(shape) / (125 * 1250 * 1250))
    for i in range(number + number // 10):
        centre, axis = rng.random(3) * shape, rng.normal(size=3)
        axis /= np.linalg.norm(axis)
        radius, half, bend = rng.uniform(120, 320), rng.uniform(10, 18), rng.uniform(-3e-4, 3e-4)
        if i < number:
            _add_disc(masks["truth"], centre, axis, radius, half, bend)
            centre = centre + rng.normal(size=3) * (0.3, 3, 3)
            radius, half = radius * rng.uniform(0.8, 1.1), half * rng.uniform(0.8, 1.2)
        if i >= number or rng.random() < 0.85:
            _add_disc(masks["predicted"], centre, axis, radius, half, bend)
    return masks


def _add_disc(mask: Mask, centre: np.ndarray, axis: np.ndarray, radius: float, half: float, bend: float) -> None:
    reach = (radius + half + 40) / np.asarray(SPACING_NM)
    start = np.maximum(np.floor(centre - reach), 0).astype(int)
    stop = np.minimum(np.ceil(centre + reach) + 1, mask.shape).astype(int)
    grids = np.ogrid[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    z, y, x = ((grid - c) * size for grid, c, size in zip(grids, centre, SPACING_NM, strict=True))
    height = z * axis[0] + y * axis[1] + x * axis[2]
    square = z**2 + y**2 + x**2 - height**2
    inside = (np.abs(height - bend * square) <= half) & (square <= radius**2)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] |= inside


def score_ours(predicted: Mask, truth: Mask) -> float:
    return measure_cleft_distance(MaskPair(predicted, truth, SPACING_NM)).score


def score_scipy(predicted: Mask, truth: Mask) -> float:
    to_truth = distance_transform_edt(~truth, sampling=SPACING_NM)[predicted].mean()
    to_predicted = distance_transform_edt(~predicted, sampling=SPACING_NM)[truth].mean()
    return float(to_truth + to_predicted) / 2


WAYS: Mapping[str, Callable[[Mask, Mask], float]] = {"connectomics": score_ours, "scipy": score_scipy}


def read_peak_mib() -> float:
    """Return the peak memory of this process; `ru_maxrss` would begin with that of the process that started it."""
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024


def measure(way: str, folder: Path) -> None:
    """Score the masks in `folder` one way, and print the figures as JSON."""
    predicted, truth = np.load(folder / "predicted.npy"), np.load(folder / "truth.npy")
    before = read_peak_mib()
    start = time.perf_counter()
    score = WAYS[way](predicted, truth)
    seconds = time.perf_counter() - start
    print(json.dumps({"score": score, "seconds": seconds, "peak": read_peak_mib() - before}))


def compare(shape: tuple[int, int, int], predict: str, ways: list[str]) -> None:
    """Print one line for each way."""
    with tempfile.TemporaryDirectory() as name:
        rng = np.random.default_rng(0)
        masks = draw_clefts(shape, rng)
        if predict != "clefts":
            masks["predicted"] = rng.random(shape, np.float32) < {"half": 0.5, "all": 2.0}[predict]
        for mask, voxels in masks.items():
            np.save(Path(name) / f"{mask}.npy", voxels)
        print(f"{' x '.join(map(str, shape))}; " + ", ".join(f"{m}: {v.sum():,} voxels" for m, v in masks.items()))
        del masks
        print(f"{'way':<14}{'s':>8}{'MiB beyond the masks':>24}{'score, nm':>22}")
        for way in ways:
            command = [sys.executable, __file__, "--one", way, "--folder", name]
            figures = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            print(f"{way:<14}{figures['seconds']:>8.1f}{figures['peak']:>24,.0f}{figures['score']:>22.12f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=[125, 1250, 1250], help="extent along z y x, in voxels")
    parser.add_argument("--predict", choices=["clefts", "half", "all"], default="clefts", help="what is predicted")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--one", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        measure(args.one, args.folder)
    else:
        compare(tuple(args.shape), args.predict, args.ways)


if __name__ == "__main__":
    main()
