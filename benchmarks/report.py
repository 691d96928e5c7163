"""Time, peak memory and size of `report.html` at the size of one challenge volume.

    python benchmarks/report.py                        # 125 x 1250 x 1250, read from compressed HDF5 as in test mode
    python benchmarks/report.py --shape 20 1250 1250 --keep report.html

A phantom, mirrored over the volume, with new noise everywhere; the prediction is its label with a sixth of the synapses
lost, what is left shifted by two pixels, and plates invented. Linux only.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path

import cc3d
import cv2
import numpy as np
from numpy.typing import NDArray

from connectomics.phantom import make_phantom
from connectomics.reports.page import ReportHead, write_report
from connectomics.reports.reported import ReportedVolume
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.read import open_volume
from connectomics.volumes.write import write_volume

SEED_SHAPE = (24, 256, 256)
SPACING_NM = (40.0, 4.0, 4.0)


def write_case(folder: Path, shape: tuple[int, int, int], rng: np.random.Generator) -> ReportedVolume:
    phantom = make_phantom(SEED_SHAPE, rng, synapses_per_um3=20.0)
    margins = [(0, n - min(n, m)) for n, m in zip(shape, SEED_SHAPE, strict=True)]
    crop = tuple(slice(n) for n in shape)
    image = np.pad(phantom.image[crop], margins, mode="symmetric").astype(np.float32)
    image += rng.normal(0, 9, shape).astype(np.float32)
    label = cc3d.connected_components(np.pad(phantom.label[crop] > 0, margins, mode="symmetric")).astype(np.uint64)
    kept = rng.random(int(label.max()) + 1) > 1 / 6
    predicted = np.roll(kept[label] & (label > 0), 2, axis=1)
    for corner in rng.integers(0, np.maximum(1, np.subtract(shape, (4, 14, 44))), (90, 3)):
        z, y, x = corner.tolist()
        predicted[z : z + 4, y : y + 14, x : x + 44] = True
    probability = np.stack([cv2.GaussianBlur(section.astype(np.float32), (0, 0), 2) for section in predicted])
    probability = (probability + rng.normal(0, 0.015, shape).astype(np.float32)).clip(0, 1)
    volumes: dict[str, NDArray] = {
        "image": image.clip(0, 255).astype(np.uint8),
        "label": label,
        "probability": probability,
        "mask": (probability >= np.float32(0.5)).astype(np.uint8),
    }
    for name, voxels in volumes.items():
        write_volume(folder / f"{name}.h5", voxels, {"resolution": np.array(SPACING_NM)})
    opened = {name: open_volume(str(folder / f"{name}.h5")) for name in volumes}
    return ReportedVolume("phantom", opened["image"], IntensityRange(0, 255), opened["mask"], opened["label"],
                          probability=opened["probability"])  # fmt: skip


def measure(folder: Path, volume: ReportedVolume) -> None:
    head = ReportHead("benchmark", {}, 0.5)
    begun, cpu = time.monotonic(), time.process_time()
    write_report(folder / "report.html", head, {"volumes": {}, "mean": {}}, [volume])
    size = (folder / "report.html").stat().st_size / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    seconds = f"{time.monotonic() - begun:.0f} s ({time.process_time() - cpu:.0f} s of processor time)"
    print(f"{volume.image.shape}: {size:.1f} MB in {seconds}; peak memory with making the case {peak:.1f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(125, 1250, 1250))
    parser.add_argument("--keep", type=Path, help="where to copy the page")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure(folder, write_case(folder, tuple(args.shape), np.random.default_rng(0)))
        if args.keep:
            shutil.copy(folder / "report.html", args.keep)


if __name__ == "__main__":
    main()
