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

from connectomics.metrics import LabelPair
from connectomics.metrics.judged import judge
from connectomics.metrics.matching import MatchRule
from connectomics.phantom import make_phantom
from connectomics.reports.page import ReportHead, write_report
from connectomics.reports.reported import ReportedVolume
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.labels import read_label
from connectomics.volumes.read import open_volume
from connectomics.volumes.source import VolumeSource
from connectomics.volumes.write import write_volume

SEED_SHAPE = (24, 256, 256)
SPACING_NM = (40.0, 4.0, 4.0)


def write_case(folder: Path, shape: tuple[int, int, int], rng: np.random.Generator) -> dict[str, VolumeSource]:
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
    return {name: open_volume(str(folder / f"{name}.h5")) for name in volumes}


def judged_volume(opened: dict[str, VolumeSource]) -> ReportedVolume:
    """Read and label the masks, as test mode does once for the scores, the tables and the page."""
    mask, label = opened["mask"].read_all()[0], read_label(opened["label"])
    judged = judge(LabelPair(mask, label.ids, SPACING_NM), MatchRule())
    return ReportedVolume("phantom", opened["image"], IntensityRange(0, 255), judged, opened["probability"])


def measure(folder: Path, opened: dict[str, VolumeSource]) -> None:
    head, shape = ReportHead("benchmark", {}, 0.5), opened["image"].shape
    begun, cpu = time.monotonic(), time.process_time()
    volume = judged_volume(opened)
    labelled = time.process_time() - cpu
    write_report(folder / "report.html", head, {"volumes": {}, "mean": {}}, [volume], [shape])
    size = (folder / "report.html").stat().st_size / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    seconds = f"{time.monotonic() - begun:.0f} s ({time.process_time() - cpu:.0f} s of processor time, of which "
    seconds += f"{labelled:.0f} s read and label the masks, which the scores need anyway)"
    print(f"{shape}: {size:.1f} MB in {seconds}; peak memory with making the case {peak:.1f} GiB")


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
