"""Training patches a second: the tutorial's whole suite, each augmentation alone, MONAI's transforms, several workers.

    python benchmarks/data.py                    # a minute or two; needs the extra `benchmark` for MONAI's columns
    python benchmarks/data.py --samples 400 --workers 1 2 4 8 16

A sample of ours is everything: drawing the position, cutting from the uint8 volume, scaling, target, augmentation.
MONAI's starts from a patch that is already cut and scaled. Both have one thread, whose own time is counted, and take
turns, so that what else the machine does hits them alike. Linux only.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from connectomics.config.load import load_config
from connectomics.config.schema import Config
from connectomics.data.augment import Augmentation, Step, build_augmentation
from connectomics.data.augment.geometric import GeometricStep, Geometry
from connectomics.data.datasets import PatchCutter, TrainingPatches
from connectomics.data.loader import EpochBatches, Progress, Share, TrainingLoader, loader_options
from connectomics.data.positions import Positions, find_positions
from connectomics.data.sampling import PatchSampler
from connectomics.data.targets import TARGETS
from connectomics.data.volume import LearningVolume
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.source import ArraySource

TUTORIAL = Path(__file__).parent.parent / "tutorials" / "syn_cremi.yaml"
CREMI_SHAPE = (125, 1250, 1250)
MIB = 2**20


def make_volume(rng: np.random.Generator) -> LearningVolume:
    """Grey noise at the size of a CREMI volume, and about 1 % of its voxels in flat clefts."""
    image = rng.integers(0, 256, CREMI_SHAPE, dtype=np.uint8)
    codes = np.zeros(CREMI_SHAPE, np.uint8)
    for _ in range(450):
        z, y, x = (int(rng.integers(n)) for n in CREMI_SHAPE)
        codes[z : z + rng.integers(2, 8), y : y + rng.integers(10, 60), x : x + rng.integers(10, 80)] = 1
    return LearningVolume("noise", ArraySource.of(image), ArraySource.of(codes), IntensityRange(0, 255), 0.5)


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    work()
    return clock() - start


def find(config: Config, volume: LearningVolume) -> Positions:
    """Find the positions of the tutorial's sampling, and say what that costs."""
    data = config.data
    arguments = (
        volume.codes, data.dataloader.patch_size, data.data_transform.pad_size, data.data_transform.pad_mode,
        data.dataloader.reject_sampling.size_thres,
    )  # fmt: skip
    best = min(seconds(lambda: find_positions(*arguments)) for _ in range(3))
    found = find_positions(*arguments)
    sampler, rng = PatchSampler([found], data.dataloader.reject_sampling.p), np.random.default_rng(0)
    draws = seconds(lambda: [sampler.draw(rng) for _ in range(10_000)]) / 10_000
    size = (found.rich.nbytes + found.poor.nbytes) / MIB
    print(f"positions of {CREMI_SHAPE}: {best:.2f} s, {size:.1f} MiB; {draws * 1e6:.1f} us a draw\n")
    return found


def certain(step: Step) -> Augmentation:
    """An augmentation of one step that always happens."""
    always = replace(step, **{f.name: 1.0 for f in fields(step) if f.name.endswith("prob")})
    return Augmentation((always,)) if isinstance(always, GeometricStep) else Augmentation(image=(always,))


def monai_steps(config: Config, prob: Callable[[float], float]) -> dict[str, list]:
    """MONAI's counterparts, by the name of the step; it has none for a misalignment or a motion blur.

    The elastic one has the sigma and magnitude that are usual for it, which move voxels by 0.3 to 0.7 pixels: with the
    tutorial's sigma its smoothing in 3-D would take 14 times as long.

    Args:
        config: The tutorial's settings.
        prob: From the chance of the settings to that of the transform.
    """
    from monai import transforms as m

    a, both, modes = config.data.augmentation, ("image", "label"), ("bilinear", "nearest")
    _, height, width = config.data.dataloader.patch_size
    return {
        "Flip": [m.RandFlipd(both, prob(a.flip.prob), axis) for axis in a.flip.spatial_axis],
        "Rotate": [m.RandRotated(both, range_x=math.radians(a.rotate.max_angle), prob=prob(a.rotate.prob), mode=modes)],
        "Elastic": [m.Rand3DElasticd(both, (5, 8), (50, 150), prob=prob(a.elastic.prob), mode=modes)],
        "MissingSection": [
            m.RandCoarseDropoutd(("image",), 1, (1, height, width), fill_value=0, max_holes=2,
                                 prob=prob(a.missing_section.prob))
        ],
        "Intensity": [
            m.RandGaussianNoised(("image",), prob(a.intensity.gaussian_noise_prob), std=a.intensity.gaussian_noise_std),
            m.RandShiftIntensityd(("image",), a.intensity.shift_intensity_offset,
                                  prob=prob(a.intensity.shift_intensity_prob)),
            m.RandAdjustContrastd(("image",), prob(a.intensity.contrast_prob), gamma=a.intensity.contrast_range),
        ],
    }  # fmt: skip


def composed(steps: list) -> Callable[[dict], dict]:
    from monai.transforms import Compose

    transform = Compose(steps)
    transform.set_random_state(seed=0)
    return transform


def compare(training: TrainingPatches, config: Config, samples: int, with_monai: bool) -> None:
    """Print milliseconds a sample: the suite, then each step when it always happens."""
    print(
        "| one thread, ms of CPU time a sample | ours | beyond plain cutting | MONAI | ratio |\n|---|---|---|---|---|"
    )
    plain = TrainingPatches(training.cutter, training.sampler, Augmentation(), training.shape, training.seed)
    suite = [step for steps in monai_steps(config, lambda p: p).values() for step in steps] if with_monai else []
    base = timed(plain, [], samples)[0]
    row("no augmentation", base, 0.0, None)
    ours, theirs = timed(training, suite, samples)
    row("**whole suite, the tutorial's chances**", ours, ours - base, theirs)
    alone = monai_steps(config, lambda p: 1.0) if with_monai else {}
    steps: tuple[Step, ...] = (*training.augmentation.geometric, *training.augmentation.image)
    for step in steps:
        name = type(step).__name__
        one = TrainingPatches(plain.cutter, plain.sampler, certain(step), plain.shape, plain.seed)
        ours, theirs = timed(one, alone.get(name, []), max(5, samples // 8))
        row(f"{name}, always", ours, ours - base, theirs)


def timed(training: TrainingPatches, monai: list, samples: int) -> tuple[float, float | None]:
    """Return milliseconds a sample, ours and MONAI's, the two taking turns."""
    transform = composed(monai) if monai else None
    ours, theirs = [], []
    for number in range(-2, samples):  # two for warming up
        ours.append(seconds(partial(training.draw, number + 2), time.thread_time))
        if transform is not None:
            patch = training.cutter.cut(0, (40, 400, 400), Geometry(training.shape))
            given = {"image": torch.from_numpy(patch.image), "label": torch.from_numpy(patch.label)}
            theirs.append(seconds(partial(transform, given), time.thread_time))
    return 1e3 * float(np.mean(ours[2:])), 1e3 * float(np.mean(theirs[2:])) if theirs else None


def row(name: str, ours: float, beyond: float, theirs: float | None) -> None:
    other = f"{theirs:.0f} | {theirs / ours:.1f}" if theirs is not None else "|"
    print(f"| {name} | {ours:.1f} | {beyond:.1f} | {other} |", flush=True)


def scale_up(training: TrainingPatches, workers: list[int], samples: int, batch_size: int) -> None:
    """Print patches a second, and what memory the workers take."""
    print("\n| workers | patches a second | memory of all processes, MiB | of a worker alone, MiB |\n|---|---|---|---|")
    for count in workers:
        batches = EpochBatches(10**6, Share(batch_size), lambda: Progress(0, 0, 0))
        loader = TrainingLoader(training, batches, **loader_options(count, pin_memory=False))
        iterator = iter(loader)
        for _ in islice(iterator, 2 * count + 1):  # what was fetched in advance does not count
            pass
        wanted = max(2 * count, samples // batch_size)
        rate = wanted * batch_size / seconds(partial(run_through, islice(iterator, wanted)))
        processes = iterator._workers if isinstance(iterator, _MultiProcessingDataLoaderIter) else []
        pids = [worker.pid for worker in processes if worker.pid is not None]
        whole = held("Pss", "self") + sum(held("Pss", pid) for pid in pids)
        own = max((held("Private_", pid) for pid in pids), default=0)
        print(f"| {count} | {rate:.0f} | {whole / MIB:.0f} | {own / MIB:.0f} |", flush=True)
        del iterator, loader


def run_through(batches: Iterator) -> None:
    for _ in batches:
        pass


def held(kind: str, pid: int | str) -> int:
    """Memory in bytes: "Pss" counts a shared page once over all that share it, "Private_" only unshared ones."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith((f"{kind}:", f"{kind}C", f"{kind}D")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2, 4])
    parser.add_argument("--without-monai", action="store_true")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    config = load_config(TUTORIAL)
    volume = make_volume(np.random.default_rng(0))
    print(f"volume: image and codes, {2 * math.prod(CREMI_SHAPE) / MIB:.0f} MiB")
    sampler = PatchSampler([find(config, volume)], config.data.dataloader.reject_sampling.p)
    cutter = PatchCutter([volume], TARGETS["cleft"](), config.data.data_transform.pad_mode)
    augmentation = build_augmentation(config.data.augmentation)
    training = TrainingPatches(cutter, sampler, augmentation, config.data.dataloader.patch_size, seed=0)
    compare(training, config, args.samples, not args.without_monai)
    scale_up(training, args.workers, 2 * args.samples, batch_size=4)


if __name__ == "__main__":
    main()
