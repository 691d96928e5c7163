"""Progress of a prediction: a moving bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self, final

from rich.progress import BarColumn, Progress, TextColumn

from connectomics.screen.console import console, say
from connectomics.screen.durations import describe_seconds

LINE_EVERY_S = 30.0


@final
class PredictionProgress:
    """Tells windows done, windows per second, voxels per second and time left; use it as a context."""

    def __init__(self, name: str, voxels: int) -> None:
        """Prepare to report on a volume with this many voxels."""
        self._name, self._voxels = name, voxels
        screen = console()
        self._bar = Progress(BarColumn(), TextColumn("{task.description}"), console=screen, transient=True)
        self._moves = screen.is_terminal and not screen.quiet
        self._task = self._bar.add_task(name, total=None)
        self._begun = self._told = time.monotonic()

    def __enter__(self) -> Self:
        self._begun = self._told = time.monotonic()
        if self._moves:
            self._bar.start()
        return self

    def update(self, done: int, total: int) -> None:
        """Take note of the windows that are done, of those there are."""
        now = time.monotonic()
        if self._moves:
            self._bar.update(self._task, completed=done, total=total, description=self._describe(done, total, now))
        elif now - self._told >= LINE_EVERY_S:
            self._told = now
            say(self._describe(done, total, now))

    def _describe(self, done: int, total: int, now: float) -> str:
        rate = done / max(now - self._begun, 1e-9)
        voxels = rate * self._voxels / max(total, 1)
        left = describe_seconds((total - done) / rate) if rate > 0 else "?"
        parts = (
            f"{done}/{total} windows",
            f"{rate:.3g} windows/s",
            f"{voxels / 1e6:.3g} million voxels/s",
            f"{left} left",
        )
        return f"{self._name}: {'  '.join(parts)}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._moves:
            self._bar.stop()
