"""Time and peak memory of decoding and scoring synapses with two sides, at the size of one EM-R50 region.

    python benchmarks/polarity.py                        # 100 x 1000 x 1000
    python benchmarks/polarity.py --shape 20 1000 1000

A phantom's sides, mirrored over the volume; the probabilities are the target of that label, smoothed and noisy, so that
sides overlap, fray and leave specks. Linux only.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from connectomics.config.data import TargetConfig
from connectomics.data.targets import build_target
from connectomics.decoding.polarity2instance import decode_sides, number_synapses
from connectomics.metrics.polarity import detect_polarity
from connectomics.phantom import make_phantom
from connectomics.volumes.side_ids import split_sides

SEED_SHAPE = (24, 256, 256)
SPACING_NM = (30.0, 8.0, 8.0)
BOX = (1, 5, 5)


def make_case(shape: tuple[int, int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a label (Z, Y, X) and probabilities of [pre, post, union], (3, Z, Y, X)."""
    phantom = make_phantom(SEED_SHAPE, rng, apart=(3, 17, 17))
    margins = [(0, n - min(n, m)) for n, m in zip(shape, SEED_SHAPE, strict=True)]
    sides = np.pad(split_sides(phantom.polarity[tuple(slice(n) for n in shape)]), margins, mode="symmetric")
    target = build_target(TargetConfig(type="polarity"))
    probability = np.empty((3, *shape), np.float32)
    for z, section in enumerate(sides):
        for channel, foreground in enumerate(target.channels(section[np.newaxis])):
            noisy = cv2.GaussianBlur(foreground[0], (0, 0), 2) + rng.normal(0, 0.12, section.shape).astype(np.float32)
            probability[channel, z] = cv2.GaussianBlur(noisy, (0, 0), 1).clip(0, 1)
    return number_synapses(sides, sides > 0, BOX), probability


def measured(name: str, run: Callable[[], Any], voxels: int) -> Any:
    """Run, and print how long it took and how far it raised the peak memory of this process."""
    _reset_peak()
    held, begun = _status("VmRSS"), time.monotonic()
    result = run()
    seconds = time.monotonic() - begun
    print(
        f"{name}: {seconds:.1f} s, {(_status('VmHWM') - held) * 1024 / voxels:.0f} bytes a voxel beyond what is given"
    )
    return result


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    """Return a number of /proc/self/status, in KiB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(100, 1000, 1000))
    shape = tuple(parser.parse_args().shape)
    truth, probability = make_case(shape, np.random.default_rng(0))
    voxels = int(np.prod(shape))
    ids = measured("decode_sides", lambda: decode_sides(probability, 0.5, 128, BOX), voxels)
    found = measured("detect_polarity", lambda: detect_polarity(ids, truth, SPACING_NM), voxels).to_json()
    print(f"{shape}: {found['matched']} found, {found['missed']} missed, {found['invented']} invented, "
          f"{found['right_way_round']:.0%} the right way round")  # fmt: skip


if __name__ == "__main__":
    main()
