"""Time and peak memory of a sweep over 99 thresholds at the size of one challenge volume, as `--mode tune` does it.

    python -m benchmarks.tune                       # about 1.6 % of the voxels are annotated, 5.7 % reach 0.01
    python -m benchmarks.tune --min-sizes 0 100 400

The probabilities are the masks of `benchmarks/metrics.py`, blurred, with noise; they are on the disk before the clock
begins, and reading them belongs to the sweep. A few thresholds are scored by the plain metrics too, and must agree.
Memory is what the sweep takes beyond the annotated mask. Linux only.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks.metrics import SPACING_NM, draw_clefts, read_peak_mib
from connectomics.decoding import remove_small
from connectomics.geometry import Box
from connectomics.metrics import LabelPair, score_volume
from connectomics.metrics.matching import MatchRule
from connectomics.metrics.sweep.levels import measure_levels
from connectomics.metrics.sweep.swept_scores import open_sizes, sweep_levels

THRESHOLDS = [round(0.01 * i, 2) for i in range(1, 100)]


def write_case(folder: Path, shape: tuple[int, int, int], rng: np.random.Generator) -> None:
    """Write the probabilities section by section, and the truth."""
    masks = draw_clefts(shape, rng)
    np.save(folder / "truth.npy", masks["truth"])
    probability = np.lib.format.open_memmap(folder / "probability.npy", "w+", np.float32, shape)
    for z, section in enumerate(masks["predicted"]):
        noise = cv2.GaussianBlur(rng.standard_normal(section.shape, np.float32), (0, 0), 3)
        noise /= noise.std()
        soft = cv2.GaussianBlur(section.astype(np.float32), (0, 0), 2.5)
        probability[z] = np.clip(1.03 * soft * (1 + 0.1 * noise) + 0.004 * np.maximum(noise - 1.5, 0) ** 3, 0, 1)
    probability.flush()


def read_parts(probability: np.ndarray) -> Iterator[tuple[Box, np.ndarray]]:
    """Yield nine sections at a time, as they come from a saved prediction."""
    depth, height, width = probability.shape
    for z in range(0, depth, 9):
        part = np.array(probability[z : z + 9])
        yield Box.at((z, 0, 0), (len(part), height, width)), part


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(125, 1250, 1250))
    parser.add_argument("--min-sizes", type=int, nargs="+", default=[0])
    parser.add_argument("--check", type=int, nargs="*", default=[10, 50, 90], help="thresholds, in percent")
    args = parser.parse_args()
    shape = tuple(args.shape)
    with tempfile.TemporaryDirectory() as name:
        write_case(Path(name), shape, np.random.default_rng(0))
        probability = np.load(Path(name) / "probability.npy", mmap_mode="r")
        truth = np.load(Path(name) / "truth.npy")
        before, begun, cpu = read_peak_mib(), time.perf_counter(), time.process_time()
        levels = measure_levels(read_parts(probability), shape, THRESHOLDS)
        opened = open_sizes(levels, args.min_sizes)
        swept = sweep_levels(opened, truth, SPACING_NM, THRESHOLDS, args.min_sizes, MatchRule())
        seconds, used = time.perf_counter() - begun, time.process_time() - cpu
        shares = [f"{(levels >= k).mean():.2%} reach {THRESHOLDS[k - 1]:g}" for k in (1, 50, 99)]
        print(f"{shape}: {truth.mean():.2%} of the voxels annotated; {', '.join(shares)}")
        print(f"{len(swept)} settings in {seconds:.1f} s ({used:.1f} s of processor time), "
              f"{read_peak_mib() - before:,.0f} MiB beyond the annotated mask")  # fmt: skip
        for row in swept:
            if round(100 * row.threshold) in args.check:
                mask = remove_small(np.asarray(probability) >= np.float32(row.threshold), row.min_size)
                plain = score_volume(LabelPair(mask, truth, SPACING_NM), ["cremi_distance", "jaccard", "synapse_f1"])
                apart = abs(plain["cremi_distance"]["score"] - row.scores["cremi_distance"])
                same = plain["synapse_f1"] == row.scores["synapse_f1"] and plain["jaccard"] == row.scores["jaccard"]
                score = row.scores["cremi_distance"]
                setting = f"threshold {row.threshold:g}, size {row.min_size}"
                agree = "equal" if same else "DIFFER"
                print(f"{setting}: CREMI {score:.9f} nm, {apart:.1e} nm from the plain metric; Jaccard and F1 {agree}")


if __name__ == "__main__":
    main()
