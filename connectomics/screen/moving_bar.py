"""How far some work is: a moving bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self, final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from connectomics.errors import printable
from connectomics.screen.console import console
from connectomics.screen.durations import describe_seconds

LINE_EVERY_S = 30.0
"""Without a terminal (SLURM, a file) a line is printed this often."""

MOVE_EVERY_S = 0.2
"""On a terminal the bar moves this often at most."""

WIDEST_BAR = 40


@final
class MovingBar:
    """Tells what is done, of how much, and the time that is left; use it as a context.

    The time left stands beside the bar, so that it is seen on a narrow terminal too, where the rest is cut off.
    """

    def __init__(
        self, name: str = "", prints_lines: bool = True, tells_end: bool = False, screen: Console | None = None
    ) -> None:
        """Prepare to report.

        Args:
            name: What is worked on.
            prints_lines: Whether lines are printed where there is no terminal; otherwise nothing is said there.
            tells_end: Whether the last state stays on the screen.
            screen: Where to; the screen of this process when None.
        """
        self._name, self._prints_lines, self._tells_end = printable(name), prints_lines, tells_end
        self._screen = screen or console()
        self.moves = self._screen.is_terminal and not self._screen.quiet
        self._width = min(WIDEST_BAR, max(8, self._screen.width // 5))
        columns = BarColumn(bar_width=self._width), TextColumn("{task.description}", markup=False)
        self._bar = Progress(*columns, console=self._screen, transient=not tells_end)
        self._task = self._bar.add_task("", total=None)
        self._begun = self._told = time.monotonic()
        self._first: float | None = None

    def __enter__(self) -> Self:
        """Begin to measure the time."""
        self._begun = self._told = time.monotonic()
        if self.moves:
            self._bar.start()
        return self

    def update(self, done: float, total: float | None, details: Sequence[str] = (), first: float = 0.0) -> None:
        """Take note of what is done, and show it when it is time.

        Args:
            done: How much, in any unit.
            total: Of how much; None if that is not known.
            details: What else is to be said, most important first.
            first: How much had been done when this work began.
        """
        now = time.monotonic()
        is_due = now - self._told >= (MOVE_EVERY_S if self.moves else LINE_EVERY_S)
        if not is_due and done != total:
            return
        self._told = now
        rate = (done - first) / max(now - self._begun, 1e-9)
        left = f"{describe_seconds((total - done) / rate)} left" if total is not None and rate > 0 else ""
        if self.moves:
            self._bar.update(self._task, completed=done, total=total, description=self._cut([left, *details]))
        elif self._prints_lines and (is_due or self._tells_end):
            self.say([*details, left])

    def say(self, details: Sequence[str]) -> None:
        """Print a line."""
        self._screen.print(self._joined(details), markup=False)

    def rate(self, done: float) -> float:
        """Return how much has been done in a second."""
        return done / max(time.monotonic() - self._begun, 1e-9)

    def stop(self) -> None:
        """Give the terminal back."""
        if self.moves:
            self._bar.stop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        self.stop()

    def _joined(self, details: Sequence[str]) -> str:
        text = "  ".join(part for part in details if part)
        return f"{self._name}: {text}" if self._name else text

    def _cut(self, details: Sequence[str]) -> str:
        """Return what fits beside the bar; the time left is the first of it."""
        room = max(10, self._screen.width - self._width - 2)
        text = "  ".join(part for part in (*details[:1], self._name, *details[1:]) if part)
        return text if len(text) <= room else text[: room - 1] + "…"
