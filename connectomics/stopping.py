"""Signals that ask a process to stop, and how it says that it did."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

LISTENED_TO = tuple(s for s in signal.Signals if s.name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"))
"""Ctrl-C, what a scheduler sends before it takes the machine away, and what a terminal sends that closes."""


class Stopped(KeyboardInterrupt):
    """A signal asked this process to stop; what is open is closed, as after Ctrl-C."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


@contextmanager
def signals_answered() -> Iterator[None]:
    """Let each of `LISTENED_TO` raise `Stopped`, once; a later one, or one after the end, changes nothing any more.

    Where nobody inside answers it, or Ctrl-C, the process ends here, with one line and its status. `nohup` goes on
    holding off SIGHUP. It is for a whole process: what was answered before is not put back.
    """
    asked = [s for s in LISTENED_TO if s != signal.SIGINT and signal.getsignal(s) != signal.SIG_IGN]

    def ignore(signum: int, frame: FrameType | None) -> None:
        pass

    def stop(signum: int, frame: FrameType | None) -> None:
        for each in asked:
            signal.signal(each, ignore)
        raise Stopped(signum)

    for signum in asked:
        signal.signal(signum, stop)
    try:
        yield
    except KeyboardInterrupt as stopped:
        print(describe_stop(stopped), file=sys.stderr)
        sys.exit(status_of(stopped))
    finally:
        for each in (*asked, signal.SIGINT):
            signal.signal(each, ignore)


def describe_stop(stop: KeyboardInterrupt, what_now: str = "") -> str:
    """Say what stopped a process, and what becomes of its work."""
    if not isinstance(stop, Stopped):
        return f"stopped{what_now}"
    return f"stopped by {stop}{what_now or ' before there was anything to save; the same command begins again'}"


def status_of(stop: KeyboardInterrupt) -> int:
    """Return the exit status: 130 for Ctrl-C, and for others 143, which tells a job's script that it may go on."""
    return 128 + (signal.SIGTERM if isinstance(stop, Stopped) else signal.SIGINT)
