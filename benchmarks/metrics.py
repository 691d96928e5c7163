"""Time and peak memory of the CREMI distance at the size of one challenge volume, on friendly and unfriendly masks.

    python benchmarks/metrics.py                       # every case
    python benchmarks/metrics.py clefts --scipy        # one case, and SciPy's transform beside it: some 10 GB

Each case runs in a process of its own, on one core; seconds are those of the processor, memory is what is taken beyond
the two masks. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt

from connectomics.metrics import MaskPair, distance
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


PLANES_2500 = (20, 2500, 2500)
USUAL = (125, 1250, 1250)


@dataclass(frozen=True, slots=True)
class Case:
    """Two masks that are scored."""

    what: str
    change: Callable[[Mask, Mask, np.random.Generator], None] = lambda predicted, truth, rng: None
    """Changes the predicted and the annotated clefts, in place."""
    shape: tuple[int, int, int] = USUAL
    spacing_nm: tuple[float, float, float] = SPACING_NM


def far_column(predicted: Mask, truth: Mask, rng: np.random.Generator) -> None:
    truth[:, :, truth.shape[2] // 4 :] = False
    predicted[:] = False
    y, x = (round(0.95 * extent) for extent in predicted.shape[1:])
    predicted[:, y : y + 30, x : x + 30] = True


def one_far_object(predicted: Mask, truth: Mask, rng: np.random.Generator) -> None:
    far_column(predicted, truth, rng)
    predicted[:3] = predicted[4:] = False


def corner(predicted: Mask, truth: Mask, rng: np.random.Generator) -> None:
    truth[:, :, truth.shape[2] // 4 :] = False


def everything(predicted: Mask, truth: Mask, rng: np.random.Generator) -> None:
    predicted[:] = True


def one_voxel(predicted: Mask, truth: Mask, rng: np.random.Generator) -> None:
    predicted[:] = True
    truth[:] = False
    truth[3, 5, 5] = True


def two_halves(predicted: Mask, truth: Mask, rng: np.random.Generator) -> None:
    middle = truth.shape[2] // 2
    predicted[:], truth[:] = False, False
    predicted[:, :, :middle] = truth[:, :, middle:] = True


def ball_in_shell(predicted: Mask, truth: Mask, rng: np.random.Generator) -> None:
    axes = np.ogrid[tuple(slice(0, extent) for extent in truth.shape)]
    steps = [axis - extent // 2 for axis, extent in zip(axes, truth.shape, strict=True)]
    away = np.sqrt((10.0 * steps[0]) ** 2 + steps[1] ** 2.0 + steps[2] ** 2.0)  # in pixels
    np.less(np.abs(away - 560), 1.1, out=truth)
    np.less(away, 110, out=predicted)


def speckle(share: float, both: bool) -> Callable[[Mask, Mask, np.random.Generator], None]:
    def draw(predicted: Mask, truth: Mask, rng: np.random.Generator) -> None:
        for mask in (predicted, truth) if both else (predicted,):
            for section in mask:
                section[:] = rng.random(section.shape, np.float32) < share

    return draw


CASES: Mapping[str, Case] = {
    "clefts": Case("clefts against clefts"),
    "corner": Case("annotation in a quarter, clefts predicted everywhere", corner),
    "far": Case("annotation in a quarter, 30 x 30 pixels of every section predicted far from it", far_column),
    "half": Case("a random half of the voxels predicted", speckle(0.5, both=False)),
    "all": Case("all voxels predicted", everything),
    "one": Case("all voxels predicted, one annotated", one_voxel),
    "halves": Case("one half of the volume predicted, the other annotated", two_halves),
    "shell": Case("a ball predicted in the middle of a shell", ball_in_shell),
    "speckle5": Case("random 5 % of the voxels predicted, other 5 % annotated", speckle(0.05, both=True)),
    "speckle50": Case("a random half predicted, another one annotated", speckle(0.5, both=True)),
    "all_4.6": Case("all voxels predicted, voxels of 50 x 4.6 x 4.6 nm", everything, spacing_nm=(50, 4.6, 4.6)),
    "clefts_2500": Case("clefts against clefts", shape=PLANES_2500),
    "far_2500": Case("annotation in a quarter, one object far from it", one_far_object, PLANES_2500),
    "all_2500": Case("all voxels predicted", everything, PLANES_2500),
    "speckle50_2500": Case("a random half predicted, another one annotated", speckle(0.5, both=True), PLANES_2500),
}


def read_peak_mib() -> float:
    """Return the peak memory of this process since `forget_peak`, in MiB; that of its parent does not count."""
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024


def forget_peak() -> None:
    """Let the peak memory begin anew."""
    Path("/proc/self/clear_refs").write_text("5")


def measure(name: str, by_scipy: bool) -> None:
    """Score one case, and print the figures as JSON."""
    case = CASES[name]
    rng = np.random.default_rng(0)
    masks = draw_clefts(case.shape, rng)
    predicted, truth = masks["predicted"], masks["truth"]
    case.change(predicted, truth, rng)
    voxels = [int(mask.sum()) for mask in (predicted, truth)]
    forget_peak()
    before, start = read_peak_mib(), time.process_time()
    score = score_scipy(predicted, truth, case) if by_scipy else score_ours(predicted, truth, case)
    seconds = time.process_time() - start
    print(json.dumps({"score": score, "seconds": seconds, "peak": read_peak_mib() - before, "voxels": voxels}))


def score_ours(predicted: Mask, truth: Mask, case: Case) -> float:
    distance.THREADS = 1
    return measure_cleft_distance(MaskPair(predicted, truth, case.spacing_nm)).score


def score_scipy(predicted: Mask, truth: Mask, case: Case) -> float:
    to_truth = distance_transform_edt(~truth, sampling=case.spacing_nm)[predicted].mean()
    to_predicted = distance_transform_edt(~predicted, sampling=case.spacing_nm)[truth].mean()
    return float(to_truth + to_predicted) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"among {', '.join(CASES)}; default: all")
    parser.add_argument("--scipy", action="store_true", help="score each case with SciPy's transform too")
    parser.add_argument("--one", choices=("ours", "scipy"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        measure(args.cases[0], args.one == "scipy")
        return
    print("| volume | masks | predicted | annotated | s | MiB | score, nm |")
    print("|---|---|---|---|---|---|---|")
    for name in args.cases or CASES:
        for way in ("ours", "scipy") if args.scipy else ("ours",):
            command = [sys.executable, __file__, name, "--one", way]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout
            figures = json.loads(printed)
            volume = " x ".join(map(str, CASES[name].shape))
            cells = [
                volume,
                CASES[name].what + (" (SciPy)" if way == "scipy" else ""),
                *(f"{voxels:,}" for voxels in figures["voxels"]),
                f"{figures['seconds']:.1f}",
                f"{figures['peak']:,.0f}",
                f"{figures['score']:.9f}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
