"""Predict a whole volume: finished sections stream out in order, while the next ones are computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue
from threading import Event, Lock

import numpy as np
import numpy.typing as npt

from connectomics.errors import PredictionError
from connectomics.geometry import Box
from connectomics.inference.memory import give_back_memory, shortage_told
from connectomics.inference.plan import InferencePlan
from connectomics.inference.rows import Lane, predict_row
from connectomics.inference.slabs import Share, read_slabs, scale_on, to_host
from connectomics.inference.window_grid import WindowGrid
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.sections import Sections, cut_plane
from connectomics.volumes.source import VolumeSource

OnProgress = Callable[[int, int], None]
"""Called with the number of windows that are done and the number of all windows, from the thread that computes them."""

OnNotice = Callable[[str], None]
"""Called with a sentence for the user, from the thread that computes."""


def predict_volume(
    image: VolumeSource,
    intensity: IntensityRange,
    plan: InferencePlan,
    lanes: Sequence[Lane],
    on_progress: OnProgress = lambda done, total: None,
    on_notice: OnNotice = lambda sentence: None,
    regions: Sequence[Box] | None = None,
) -> Generator[Sections]:
    """Predict a volume; every section comes once, in order, as soon as it is finished.

    Each lane computes one row at a time in a thread of its own, and one more row is read ahead, so memory is bounded by
    a few window depths of sections, whatever the depth of the volume. The prediction does not depend, to the last bit,
    on how many lanes there are, nor on where in z a region begins. Closing the iterator stops the lanes after their
    batch.

    Args:
        image: The volume, raw.
        intensity: Which of its grey values become 0 and 1.
        plan: How it is predicted.
        lanes: Devices that share the work, each with the network.
        on_progress: Called after every batch.
        on_notice: Called when a device's memory is too small for a batch, which is then halved.
        regions: What is predicted, one after the other; each is computed with all windows that cover it. None is the
            whole volume, in blocks of `plan.block`.

    Raises:
        VolumeError: If a box of the image cannot be read.
        PredictionError: If the network gives a value that is no finite number.
        DeviceError: If a device's memory is too small for a single window.
    """
    boxes = cut_plane(image.shape, plan.block) if regions is None else regions
    grids = [replace(plan.grid(image.shape), region=box) for box in boxes]
    counter = _Counter(on_progress, total=sum(len(grid.rows()) * len(grid.plane()) for grid in grids))
    idle: SimpleQueue[Lane] = SimpleQueue()
    for lane in lanes:
        idle.put(lane)

    def compute(grid: WindowGrid, row: int, slab: npt.NDArray) -> Share:
        lane = idle.get()
        try:
            with shortage_told(_advice(lane, slab, grid)):
                scaled = scale_on(lane.device, slab, intensity)
                return to_host(predict_row(scaled, row, plan, grid, lane, counter.add, on_notice))
        finally:
            idle.put(lane)
            give_back_memory()

    with ThreadPoolExecutor(len(lanes), thread_name_prefix="lane") as pool:
        try:
            for grid in grids:
                slabs = read_slabs(image, intensity, plan, grid)
                submitted = (
                    pool.submit(compute, grid, row, slab) for row, slab in zip(grid.rows(), slabs, strict=True)
                )
                for sections in _stack(_in_order(submitted, lanes), grid):
                    _require_finite(sections, image)
                    plan.activations.bound(sections.voxels)
                    yield sections
        finally:
            counter.stop.set()
            pool.shutdown(cancel_futures=True)


def _advice(lane: Lane, slab: npt.NDArray, grid: WindowGrid) -> str:
    """Say what a row holds beside the windows that go through the network, and how it becomes smaller."""
    size = " x ".join(str(n) for n in slab.shape[1:])
    return (
        f"{lane.device} has too little memory for {size} voxels at a time, what the windows of one place in z see; set "
        "inference.block_size to predict each plane in blocks, such as [1000, 1000], or lower "
        "inference.window.window_size"
    )


class _Stopped(Exception):
    """Ends a lane whose prediction is no longer needed."""


class _Counter:
    """Counts the windows of all lanes, and stops the lanes."""

    def __init__(self, on_progress: OnProgress, total: int) -> None:
        self._on_progress, self._total, self._done = on_progress, total, 0
        self._lock = Lock()
        self.stop = Event()

    def add(self, windows: int) -> None:
        """Count finished windows."""
        if self.stop.is_set():
            raise _Stopped
        with self._lock:
            self._done += windows
            self._on_progress(self._done, self._total)


def _in_order(submitted: Iterator[Future[Share]], lanes: Sequence[Lane]) -> Iterator[npt.NDArray[np.float32]]:
    """Yield results in order of submission, with one row more submitted than there are lanes."""
    waiting: deque[Future[Share]] = deque()
    for future in submitted:
        waiting.append(future)
        if len(waiting) > len(lanes):
            yield waiting.popleft().result()()
    while waiting:
        yield waiting.popleft().result()()


def _stack(shares: Iterator[npt.NDArray[np.float32]], grid: WindowGrid) -> Iterator[Sections]:
    """Add up the shares that the rows have in each section; yield sections as soon as no later row covers them."""
    rows = grid.rows()
    carried: npt.NDArray[np.float32] | None = None  # (C, n, Y, X), begins where the next share does
    for row, share in zip(rows, shares, strict=True):
        covered = grid.sections_of_row(row)
        if carried is not None:
            share[:, : carried.shape[1]] += carried
        end = grid.sections_of_row(row + 1).start if row + 1 in rows else covered.stop
        finished, carried = share[:, : end - covered.start], share[:, end - covered.start :]
        if finished.shape[1] > 0:
            yield Sections(covered.start, finished, grid.region.start[1:])


def _require_finite(sections: Sections, image: VolumeSource) -> None:
    wrong = ~np.isfinite(sections.voxels)
    if wrong.any():
        first = np.argwhere(wrong)[0]
        z, y, x = (int(i) + start for i, start in zip(first[1:], sections.box.start, strict=True))
        raise PredictionError(
            f"the network gave {sections.voxels[tuple(first)]} at voxel (z, y, x) = {z, y, x} of "
            f"{image.info.location}; its weights are damaged, or inference.precision is too coarse for them"
        )
