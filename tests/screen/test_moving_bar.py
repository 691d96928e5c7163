"""The bar says how much time is left, on narrow terminals too."""

import io

import pytest
from rich.console import Console

from connectomics.screen import moving_bar
from connectomics.screen.moving_bar import MovingBar

DETAILS = ("step 30/600", "loss 0.1234", "lr 1.00e-03", "1.2e+03 samples/s")


def bar_on(width: int, terminal: bool, **more: bool) -> tuple[MovingBar, io.StringIO]:
    out = io.StringIO()
    screen = Console(file=out, width=width, force_terminal=terminal, legacy_windows=False, color_system=None)
    return MovingBar("im_A", screen=screen, **more), out


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_time_left_is_seen_at_any_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(moving_bar.time, "monotonic", lambda: float(next(clock)))
    bar, out = bar_on(width, terminal=True)
    with bar:
        bar.update(30, 600, DETAILS)
    shown = out.getvalue()
    assert " left" in shown
    assert all(len(line.split("\r")[-1]) <= width + 12 for line in shown.splitlines())  # and what moves the cursor


def test_without_a_terminal_a_line_is_printed_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(moving_bar.time, "monotonic", lambda: now[0])
    bar, out = bar_on(200, terminal=False)
    with bar:
        for step in range(1, 101):
            now[0] = float(step)
            bar.update(step, 100, (f"step {step}/100",))
    assert out.getvalue().splitlines() == [
        f"im_A: step {step}/100  {left} left" for step, left in ((30, "1 min 10 s"), (60, "40 s"), (90, "10 s"))
    ]


def test_the_end_is_told_where_it_is_wanted() -> None:
    quiet, nothing = bar_on(80, terminal=False)
    quiet.update(10, 10, ("all of it",))
    assert nothing.getvalue() == ""
    bar, out = bar_on(80, terminal=False, tells_end=True)
    bar.update(10, 10, ("all of it",))
    assert out.getvalue().startswith("im_A: all of it")


def test_names_are_printed_without_control_characters() -> None:
    out = io.StringIO()
    bar = MovingBar("a\x1b[31mb", tells_end=True, screen=Console(file=out, width=80))
    bar.update(1, 1, ("x",))
    assert "\x1b" not in out.getvalue()
