"""Which settings fit some volumes and a machine, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from connectomics.errors import VolumeError
from connectomics.geometry import ZYX, Spacing
from connectomics.planning.facts import CleftFacts, ImageFacts
from connectomics.planning.machine import Machine

USUAL_THICKNESS_NM = 36.0
"""Thickness of a cleft where none is annotated: about that of CREMI's annotations."""

ENOUGH_STEPS = 600
"""A training of fewer steps takes smaller batches, if it can."""

BRIEF = 1_000
"""A training of fewer steps takes a smaller learning rate, and sees no elastic deformation."""

LONG = 20_000
"""Training steps from which on a training is long: the tutorial's rates and augmentation are for one of 150,000."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings of a training; each with its reason, for the file."""

    pooling: ZYX
    filters: tuple[int, ...]
    down_factors: tuple[ZYX, ...]
    depth_2d: int
    patch: ZYX
    pad: ZYX
    batch: int
    size_thres: int
    min_size: int
    held_out: int
    """Sections at the end of each training volume that validation looks at."""
    reasons: dict[str, str]
    """Why each of these is as it is, by field."""

    @property
    def factor(self) -> ZYX:
        """What patches are divisible by."""
        z, y, x = (prod(f[axis] for f in (self.pooling, *self.down_factors)) for axis in range(3))
        return z, y, x


def make_plan(images: Sequence[ImageFacts], clefts: Sequence[CleftFacts], machine: Machine) -> Plan:
    """Choose the settings of a training.

    Args:
        images: The images; those that are labelled come first.
        clefts: What is annotated in the first of them; empty where nothing is.
        machine: What trains.

    Raises:
        VolumeError: If a volume is a single section.
    """
    spacing, reasons = images[0].spacing_nm, dict[str, str]()
    thickness = _thickness(clefts, spacing)
    pooling = _pooling(thickness, spacing, machine, reasons, measured=bool(clefts))
    down, depth_2d = _levels(spacing, pooling, machine, reasons)
    filters = (32, 64, 96, 128, 160) if machine.has_gpu else (16, 24, 32, 48)
    reasons["filters"] = "as in the tutorial" if machine.has_gpu else "narrower than the tutorial's: no GPU was found"
    held_out = _held_out(images[: max(1, len(clefts))], reasons)
    smallest = [min(image.shape[axis] for image in images) for axis in range(3)]
    smallest[0] -= held_out  # a patch is cut from what is learnt from
    patch, pad = _patch(spacing, pooling, down, smallest, machine, reasons)
    batch = _batch(patch, pooling, machine, reasons)
    return Plan(
        pooling, filters[: len(down) + 1], down, depth_2d, patch, pad, batch, _size_thres(patch, clefts, reasons),
        _min_size(clefts, reasons), held_out, reasons,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Course:
    """How long a training is, and what depends on it."""

    max_steps: int
    n_steps_per_epoch: int
    lr: float
    min_lr: float
    ema_decay: float
    ema_warmup: int


def plan_course(seconds_per_step: float, hours: float) -> Course:
    """Choose the length of a training from the time that a step takes and the time that there is.

    Longer than the tutorial's 150,000 steps is not planned, nor shorter than 300, in which nothing is learnt. A short
    training takes a higher learning rate, and averages fewer steps: `benchmarks/README.md` has what was measured.
    """
    steps = int(min(150_000, max(300, 0.9 * hours * 3600 / seconds_per_step)))
    steps -= steps % (10 if steps < 1000 else 100)
    is_long = steps >= LONG
    lr = 1e-3 if is_long else 5e-3 if steps >= BRIEF else 3e-3
    epoch = 1280 if is_long else max(50, steps // 80 * 10)
    span = max(50, min(1000, steps // 12))  # steps that the average reaches back
    return Course(steps, epoch, lr, lr / 100, round(1 - 1 / span, 4), min(500, steps // 12))


def _held_out(images: Sequence[ImageFacts], reasons: dict[str, str]) -> int:
    """Return how many sections of each volume validation looks at: a sixth of them, at least 5 and at most 40."""
    thinnest = min(images, key=lambda image: image.shape[0])
    depth = thinnest.shape[0]
    if depth < 2:
        raise VolumeError(f"{thinnest.location} is a single section; a part of it is to be held out, and learnt from")
    held_out = min(max(5, round(depth / 6)), depth // 2, 40)
    reasons["held_out"] = f"the last {held_out} of {depth} sections are never learnt from"
    return held_out


def spend(plan: Plan, seconds_per_step: float, hours: float) -> tuple[Plan, float]:
    """Take smaller batches where the time would allow few steps only: many small steps learn more than few large ones.

    Returns:
        The plan, and the seconds of a step of it.
    """
    batch, seconds = plan.batch, seconds_per_step
    while batch > 2 and hours * 3600 / seconds < ENOUGH_STEPS:
        batch, seconds = batch // 2, seconds / 2
    if batch == plan.batch:
        return plan, seconds
    why = f"{plan.batch} at a time would leave time for fewer than {ENOUGH_STEPS} steps"
    return replace(plan, batch=batch, reasons=plan.reasons | {"batch": why}), seconds


def _thickness(clefts: Sequence[CleftFacts], spacing: Spacing) -> float:
    """Return how thick a cleft is in the section plane, in pixels."""
    known = [one.thickness_px for one in clefts if one.thickness_px]
    return min(known) if known else USUAL_THICKNESS_NM / spacing[1]


def _pooling(thickness: float, spacing: Spacing, machine: Machine, reasons: dict[str, str], measured: bool) -> ZYX:
    wanted = 4.0 if machine.has_gpu else 3.0
    by = max(1, min(4, int(thickness / wanted)))
    is_flat = spacing[0] >= 2 * spacing[1]
    z = 1 if is_flat else by
    known = "an annotated cleft" if measured else "a cleft, as far as one knows without a label,"
    reasons["pooling"] = f"{known} is {thickness:.3g} pixels thick, and {thickness / by:.2g} of the network's"
    return z, by, by


def _levels(spacing: Spacing, pooling: ZYX, machine: Machine, reasons: dict[str, str]) -> tuple[tuple[ZYX, ...], int]:
    """Return by how much each level is coarser than the one above, and how many work within sections."""
    z, y = spacing[0] * pooling[0], spacing[1] * pooling[1]
    levels = 4 if machine.has_gpu else 3
    if spacing[0] >= 5 * spacing[1]:
        reasons["levels"] = f"sections are {spacing[0] / spacing[1]:.3g} times thicker than pixels: never coarser in z"
        flat = sum(z > 1.5 * y * 2**level for level in range(levels))
        return ((1, 2, 2),) * levels, max(1, min(flat, 1 if machine.has_gpu else 2))
    factors, flat_levels = [], 0
    for _ in range(levels):
        pools_z = z <= 1.5 * y
        flat_levels += z > 3 * y
        factors.append((2 if pools_z else 1, 2, 2))
        z, y = z * (2 if pools_z else 1), y * 2
    thick = f"{spacing[0] / spacing[1]:.3g}"
    reasons["levels"] = f"a section is {thick} pixels thick: coarser in z once the plane is as coarse"
    return tuple(factors), flat_levels


def _patch(
    spacing: Spacing, pooling: ZYX, down: Sequence[ZYX], smallest: Sequence[int], machine: Machine,
    reasons: dict[str, str],
) -> tuple[ZYX, ZYX]:  # fmt: skip
    """Return the extent of a patch, and how far volumes are padded, along (z, y, x), in voxels."""
    factor = [prod(f[axis] for f in (pooling, *down)) for axis in range(3)]
    is_flat = spacing[0] >= 2 * spacing[1]
    side = (256 if is_flat else 128) if machine.has_gpu else (96 if is_flat else 64)
    deep_nm = 720 if machine.has_gpu else 480
    wanted = [deep_nm / spacing[0] if is_flat else side * pooling[0], side * pooling[1], side * pooling[2]]
    margin = [0 if is_flat else wanted[0] / 8, wanted[1] / 8, wanted[2] / 8]
    patch, pad = [], []
    for n, f, m, extent in zip(wanted, factor, margin, smallest, strict=True):
        beyond = min(int(m), extent - 1)
        room = extent + 2 * beyond
        patch.append(max(f, min(round(n / f), room // f) * f))
        pad.append(max(beyond, -(-(patch[-1] - extent) // 2)))
    nm = " x ".join(f"{n * s / 1000:.2g}" for n, s in zip(patch, spacing, strict=True))
    reasons["patch"] = f"{nm} um; divisible by {' x '.join(map(str, factor))}, and no larger than the volumes"
    return (patch[0], patch[1], patch[2]), (pad[0], pad[1], pad[2])


def _batch(patch: ZYX, pooling: ZYX, machine: Machine, reasons: dict[str, str]) -> int:
    """Return how many patches go together: 8 of the tutorial's take 24 GiB of a GPU."""
    working = prod(patch) / prod(pooling)
    if machine.has_gpu:
        most = 0.9 * machine.gpu_gib / 24 * 8 * 18 * 256 * 256
        batch = max(2, min(16, int(most / working)))
        reasons["batch"] = f"what fits into {machine.gpu_gib:.0f} GiB; batch normalisation wants at least 4"
        return batch
    reasons["batch"] = "more of them make a step slower and better; without a GPU, time is short"
    return max(1, min(4, round(220_000 / working)))


def _size_thres(patch: ZYX, clefts: Sequence[CleftFacts], reasons: dict[str, str]) -> int:
    """Return how many voxels of clefts a patch holds that is always taken."""
    sizes = [size for one in clefts for size in one.sizes]
    if not sizes:
        reasons["size_thres"] = "one voxel in a thousand, as in the tutorial"
        return max(1, round(0.00085 * prod(patch)))
    middle = sorted(sizes)[len(sizes) // 2]
    reasons["size_thres"] = f"a third of an annotated synapse, the middle one of {len(sizes)} having {middle} voxels"
    return max(1, min(middle // 3, round(0.003 * prod(patch))))


def _min_size(clefts: Sequence[CleftFacts], reasons: dict[str, str]) -> int:
    """Return from how many voxels on an object counts: half of what all but the smallest annotated ones have."""
    sizes = sorted(size for one in clefts for size in one.sizes)
    if len(sizes) < 5:
        reasons["min_size"] = "too few synapses are annotated to tell"
        return 0
    small = sizes[len(sizes) // 20]
    reasons["min_size"] = f"half of {small} voxels, which 19 of 20 annotated synapses reach"
    return small // 2
