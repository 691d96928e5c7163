"""Progress of a prediction: windows done, windows and voxels per second, time left."""

from __future__ import annotations

from types import TracebackType
from typing import Self, final

from connectomics.screen.moving_bar import MovingBar


@final
class PredictionProgress:
    """Tells how far the prediction of a volume is; use it as a context."""

    def __init__(self, name: str, voxels: int) -> None:
        """Prepare to report on a volume with this many voxels."""
        self._voxels, self._bar = voxels, MovingBar(name)

    def __enter__(self) -> Self:
        """Begin to measure the speed."""
        self._bar.__enter__()
        return self

    def update(self, done: int, total: int) -> None:
        """Take note of the windows that are done, of those there are."""
        rate = self._bar.rate(done)
        voxels = rate * self._voxels / max(total, 1)
        speed = f"{rate:.3g} windows/s", f"{voxels / 1e6:.3g} million voxels/s"
        self._bar.update(done, total, (f"{done}/{total} windows", *speed))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        self._bar.stop()
