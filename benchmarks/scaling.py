"""Memory and speed of what a test does with a large volume, step by step, and the cost of blocks.

    python benchmarks/scaling.py memory                                 # 250, 500, 1000 sections of 500 x 500
    python benchmarks/scaling.py memory --depths 27 --planes 500 1000 2000
    python benchmarks/scaling.py blocks                                 # claiming and finishing 10 to 10,000 blocks

The image is made of noise, the network is a copy: what is measured is all but the network. Every figure comes from a
process of its own. Memory is the most that a process held, less what it held before the step began.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from connectomics.config import Config
from connectomics.geometry import ZYX, Box
from connectomics.inference import SAVED_TYPES, Lane, plan_inference, predict_into
from connectomics.metrics.matching import MatchRule
from connectomics.metrics.slabs.slab_scores import measure_slabs
from connectomics.metrics.slabs.survey import SlabVolume, survey
from connectomics.volumes.chunks import CHUNK
from connectomics.volumes.intensity import measure_intensity
from connectomics.volumes.pieces import Note, Pieces, write_note
from connectomics.volumes.read import open_volume
from connectomics.volumes.sections import Sections
from connectomics.volumes.source import VolumeSource
from connectomics.volumes.stage import StagedVolume
from connectomics.volumes.write import VolumeWriter

SAVED = SAVED_TYPES["uint8"]
PERIOD = 54
"""Sections after which a volume repeats itself, mirrored."""
GRID: Mapping[str, object] = {"resolution": np.array([40.0, 4.0, 4.0])}


def make(folder: Path, depth: int, plane: int) -> None:
    """Write an image and a label: blobs in one percent of the voxels, a part of them in both."""
    rng = np.random.default_rng(0)
    noise = [gaussian_filter(rng.normal(size=(PERIOD, plane, plane)).astype(np.float32), (1, 6, 6)) for _ in range(2)]
    noise[1] = 0.7 * noise[0] + 0.7 * noise[1]
    for name, one in zip(("image", "label"), noise, strict=True):
        voxels = np.where(one > np.quantile(one, 0.99), 255, 40).astype(np.uint8)
        voxels = voxels if name == "image" else (voxels > 100).astype(np.uint8)
        with VolumeWriter(folder / f"{name}.h5", 1, (depth, plane, plane), np.uint8, GRID) as writer:
            for z in range(0, depth, PERIOD):
                part = voxels if z // PERIOD % 2 == 0 else voxels[::-1]
                writer.write(z, part[np.newaxis, : min(PERIOD, depth - z)])


def predict(folder: Path) -> None:
    """Predict with a network that copies the image, into pieces and then into the file."""
    config = Config()
    config.inference.window.window_size, config.inference.test_time_augmentation.enabled = (18, 250, 250), False
    config.inference.model.channel_activations[0].activation = "none"
    plan = plan_inference(config.inference, config.data, config.model)
    image = open_volume(str(folder / "image.h5"))
    grey = measure_intensity(image, "0-1", 0.0, 1.0)
    lanes = [Lane(lambda windows: windows, torch.device("cpu"))]
    with StagedVolume(folder / "prediction.h5", 1, image.shape, SAVED.dtype, {"scale": SAVED.scale, **GRID}, {}) as to:
        for _ in predict_into(to, SAVED, image, grey, plan, lanes):
            pass


def grey_values(folder: Path) -> None:
    """Find the percentiles of the image."""
    measure_intensity(open_volume(str(folder / "image.h5")), "0-1", 0.01, 0.99)


def _volume(folder: Path) -> SlabVolume:
    prediction, label = (open_volume(str(folder / f"{name}.h5")) for name in ("prediction", "label"))

    def sections(source: VolumeSource, start: int, stop: int) -> np.ndarray:
        return source.read(Box.sections(start, stop, source.shape))[0]

    return SlabVolume(
        prediction.shape, (40.0, 4.0, 4.0), CHUNK[0],
        predicted=lambda a, b: sections(prediction, a, b) > 127,
        truth=lambda a, b: sections(label, a, b) > 0,
        probability=lambda a, b: SAVED.restore(sections(prediction, a, b)),
    )  # fmt: skip


def objects(folder: Path) -> None:
    """Find the objects of prediction and label, and write their ids."""
    volume = _volume(folder)
    found = survey(volume, MatchRule())
    with VolumeWriter(folder / "instances.h5", 1, volume.shape, np.uint32, GRID) as writer:
        for slab, (start, stop) in enumerate(volume.slabs):
            numbers = found.joined.again(slab, volume.predicted(start, stop))
            writer.write(start, found.ids[numbers].astype(np.uint32)[np.newaxis])


def scores(folder: Path) -> None:
    """Find the objects, and all distances between prediction and label."""
    measure_slabs(survey(_volume(folder), MatchRule()))


STEPS: Mapping[str, Callable[[Path], None]] = {
    "grey values": grey_values, "prediction": predict, "objects, ids": objects, "objects, distances": scores,
}  # fmt: skip


def measure(step: str, folder: Path) -> None:
    """Print what a step takes, as JSON."""
    if step == "make":
        make(folder, *json.loads((folder / "shape.json").read_text()))
        return
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    STEPS[step](folder)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"MiB": (most - held) / 1024, "s": time.process_time() - begun}))


def memory(depths: list[int], planes: list[int]) -> None:
    """Print a table of all steps."""
    print("| step | volume | MiB | bytes a pixel of the plane | million voxels / CPU second |\n|---|---|---|---|---|")
    for depth in depths:
        for plane in planes:
            with tempfile.TemporaryDirectory() as name:
                (Path(name) / "shape.json").write_text(json.dumps([depth, plane]))
                for step in ("make", *STEPS):
                    command = [sys.executable, __file__, "measure", "--step", step, "--folder", name]
                    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                    if told:
                        _row(step, (depth, plane, plane), json.loads(told))


def _row(step: str, shape: ZYX, found: Mapping[str, float]) -> None:
    each = found["MiB"] * 2**20 / prod(shape[1:])
    rate = prod(shape) / found["s"] / 1e6
    print(f"| {step} | {' x '.join(map(str, shape))} | {found['MiB']:.0f} | {each:.0f} | {rate:.3g} |", flush=True)


def blocks(counts: list[int]) -> None:
    """Print what one process takes to claim and finish blocks that are predicted in no time."""
    print("| blocks | s | ms a block | files |\n|---|---|---|---|")
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            folder, boxes = Path(name), [Box((z, 0, 0), (z + 1, 4, 4)) for z in range(count)]
            write_note(folder, Note({}, {}))
            pieces, begun = Pieces(folder, {}, np.uint8), time.perf_counter()
            for box in boxes:
                _finish(pieces, box, folder.with_suffix(".lock"))
            seconds = time.perf_counter() - begun
            print(
                f"| {count} | {seconds:.2f} | {1e3 * seconds / count:.2f} | {len(list(folder.iterdir()))} |", flush=True
            )


def _finish(pieces: Pieces, box: Box, whole: Path) -> None:
    with pieces.claim(box, whole) as missing:
        assert missing is not None
        pieces.write(Sections(box.start[0], np.zeros((1, *box.shape), np.uint8)))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["memory", "blocks", "measure"])
    parser.add_argument("--depths", type=int, nargs="+", default=[250, 500, 1000])
    parser.add_argument("--planes", type=int, nargs="+", default=[500])
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    parser.add_argument("--step")
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    run = {
        "memory": partial(memory, args.depths, args.planes),
        "blocks": partial(blocks, args.counts),
        "measure": partial(measure, args.step, args.folder),
    }
    run[args.command]()


if __name__ == "__main__":
    main()
