"""Predict one row: all windows of one place in z, blended in the plane."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import final

import torch
from torch import Tensor

from connectomics.errors import DeviceError
from connectomics.inference.memory import is_out_of_memory
from connectomics.inference.plan import InferencePlan
from connectomics.inference.views import Ensemble, View
from connectomics.inference.window_grid import AxisWindows, WindowGrid

Forward = Callable[[Tensor], Tensor]
"""The network: maps windows (B, C, Z, Y, X), float32 in [0, 1] on its device, to logits (B, O, Z, Y, X)."""


@final
class Lane:
    """A device, and the network on it; several lanes share the rows of a volume."""

    def __init__(self, forward: Forward, device: torch.device) -> None:
        self.forward, self.device = forward, device
        self.batch: int | None = None
        """How many views of windows fit into the memory at a time, once fewer fitted than asked for; None before
        that."""
        self._weights: tuple[WindowGrid, tuple[Tensor, Tensor, Tensor]] | None = None

    def weights(self, grid: WindowGrid) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the windows of a grid count along (z, y, x), on the device; moved there once for all its rows."""
        if self._weights is None or self._weights[0] is not grid:
            z, y, x = (torch.from_numpy(axis.weights).to(self.device) for axis in (grid.z, grid.y, grid.x))
            self._weights = grid, (z, y, x)
        return self._weights[1]


@dataclass(frozen=True, slots=True)
class WindowView:
    """One view of one window of a row."""

    place: tuple[int, int]
    """Number of the window along (y, x)."""
    view: View
    is_last: bool
    """Whether it is the last view of its window."""


@torch.inference_mode()
def predict_row(
    image: Tensor,
    row: int,
    plan: InferencePlan,
    grid: WindowGrid,
    lane: Lane,
    tick: Callable[[int], None],
    notice: Callable[[str], None],
) -> Tensor:
    """Predict the windows of a row, and blend them.

    Args:
        image: What the row's windows see, float32 (C, Z, Y, X) on the lane's device.
        row: Number of the row in `grid.z`.
        plan: How the volume is predicted.
        grid: The windows.
        lane: The network.
        tick: Called with the number of windows that were finished; may raise, to stop.
        notice: Called with a sentence when the device's memory is too small for a whole batch.

    Returns:
        The row's share of the sections `grid.sections_of_row(row)`, float32 (C, n, Y, X) on the same device; the shares
        of the rows that cover a section add up to its prediction.

    Raises:
        DeviceError: If the device's memory is too small for a single window.
    """
    canvas, most = _Canvas(row, plan, grid, lane), plan.batch_of(grid.window)
    waiting = deque(_views_of_windows(row, plan, grid))
    joined: dict[tuple[int, int], Ensemble] = {}
    while waiting:
        batch = _next_batch(waiting, min(most, lane.batch or most), grid.window)
        try:
            predictions = _predict_batch(image, batch, plan, canvas, lane)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            lane.batch = _halved(len(batch), grid, lane, error)
            notice(f"{lane.device} is out of memory with sw_batch_size={len(batch)}; going on with {lane.batch}")
            continue
        for one, prediction in zip(batch, predictions, strict=True):
            ensemble = joined.setdefault(one.place, Ensemble(plan.ensemble))
            ensemble.add(one.view.undo(prediction))
            if one.is_last:
                canvas.add(joined.pop(one.place).result(), one.place)
            waiting.popleft()
        tick(sum(one.is_last for one in batch))
    return canvas.share()


@final
class _Canvas:
    """What the windows of a row see, and the plane that their predictions are blended into."""

    def __init__(self, row: int, plan: InferencePlan, grid: WindowGrid, lane: Lane) -> None:
        sections, first = grid.sections_of_row(row), grid.z.starts[row]
        self._inside = slice(sections.start - first, sections.stop - first)  # the part of a window that has sections
        weights_z, self._weights_y, self._weights_x = lane.weights(grid)
        self._weights_z = weights_z[row, self._inside]
        self._grid, self._corner = grid, grid.seen_by_row(row).start
        self._blended = torch.zeros((plan.channels, len(sections), *grid.region.shape[1:]), device=lane.device)

    def window(self, image: Tensor, place: tuple[int, int]) -> Tensor:
        """Return the window at a place, (C, Z, Y, X), of what the row sees."""
        y = self._grid.y.starts[place[0]] - self._corner[1]
        x = self._grid.x.starts[place[1]] - self._corner[2]
        return image[:, :, y : y + self._grid.y.size, x : x + self._grid.x.size]

    def add(self, prediction: Tensor, place: tuple[int, int]) -> None:
        """Add the weighted prediction of a window, (C, Z, Y, X); what lies outside the region is dropped."""
        (_, y0, x0), (_, y1, x1) = self._grid.region.start, self._grid.region.stop
        ys, inside_y = _clipped(self._grid.y, place[0], y0, y1)
        xs, inside_x = _clipped(self._grid.x, place[1], x0, x1)
        weights = self._weights_y[place[0], inside_y, None] * self._weights_x[place[1], inside_x]
        self._blended[:, :, ys, xs].addcmul_(prediction[:, self._inside, inside_y, inside_x], weights)

    def share(self) -> Tensor:
        """Return the blended plane, weighted along z."""
        return self._blended.mul_(self._weights_z[:, None, None])


def _clipped(axis: AxisWindows, number: int, low: int, high: int) -> tuple[slice, slice]:
    """Return the part of a region from `low` to `high` that a window covers, and the same counted in the window."""
    start = axis.starts[number]
    first, last = max(low, start), min(high, start + axis.size)
    return slice(first - low, last - low), slice(first - start, last - start)


def _views_of_windows(row: int, plan: InferencePlan, grid: WindowGrid) -> Iterator[WindowView]:
    for y, x in grid.plane():
        views = sorted(plan.views_at(row, y, x), key=lambda view: view.turned)
        for i, view in enumerate(views, start=1):
            yield WindowView((y, x), view, i == len(views))


def _next_batch(waiting: deque[WindowView], size: int, window: tuple[int, int, int]) -> list[WindowView]:
    """Return the next looks that may go together; a window that is not square changes its shape when it is turned."""
    batch = islice(waiting, size)
    if window[1] == window[2]:
        return list(batch)
    return list(takewhile(lambda one: one.view.turned == waiting[0].view.turned, batch))


def _predict_batch(image: Tensor, batch: list[WindowView], plan: InferencePlan, canvas: _Canvas, lane: Lane) -> Tensor:
    """Return the activated predictions of a batch, (B, O, Z, Y, X), float32, each as its view lies.

    Raises:
        ValueError: If the network gives another shape.
    """
    windows = torch.stack([one.view.of(canvas.window(image, one.place)) for one in batch])
    logits = lane.forward(windows)
    expected = (len(batch), plan.channels, *windows.shape[2:])
    if logits.shape != expected:
        raise ValueError(f"the network gave {tuple(logits.shape)} for windows {tuple(windows.shape)}, not {expected}")
    return plan.activations(logits)


def _halved(batch: int, grid: WindowGrid, lane: Lane, error: RuntimeError) -> int:
    if batch == 1:
        size = " x ".join(str(n) for n in grid.window)
        raise DeviceError(
            f"{lane.device} has too little memory for one window of {size} voxels; lower inference.window.max_voxels "
            "(whole planes) or inference.window.window_size"
        ) from error
    if lane.device.type == "cuda":
        torch.cuda.empty_cache()  # what is held in pieces of the old size is of no use for the new one
    return batch // 2
