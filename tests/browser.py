"""A headless Chromium, driven by playwright: Debian's `chromium` or Chrome, whichever is installed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the extra `test`")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb")
PATIENCE_MS = 30_000


def find_browser() -> str | None:
    """Return the program, or None where none is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page of a browser."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        """Errors and warnings of the console, and requests that left the page."""
        page.set_default_timeout(PATIENCE_MS)
        page.on(
            "console", lambda said: said.type in ("error", "warning", "assert") and self.complaints.append(said.text)
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._note)

    def _note(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "about:", "blob:")):
            self.complaints.append(f"asked for {request.url}")

    def open(self, path: Path, place: str = "") -> None:
        """Show a file, at a place that stands behind # in its address."""
        self.page.goto("about:blank")  # so that an address with another place loads the page anew
        self.page.goto(path.as_uri() + (f"#{place}" if place else ""))

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self.page.evaluate(expression)

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript condition holds; the page's own policy forbids it to evaluate text, so we ask."""
        end = time.monotonic() + PATIENCE_MS / 1000
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"never came true: {condition}"
            time.sleep(0.02)

    def press(self, key: str) -> None:
        """Press and release a key."""
        self.page.keyboard.press(key)

    def middle(self, selector: str) -> tuple[float, float]:
        """Scroll an element into view and return its middle, in pixels of the window."""
        element = self.page.locator(selector).first
        element.scroll_into_view_if_needed()
        box = element.bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def click(self, selector: str) -> None:
        """Click on the middle of an element."""
        self.page.mouse.click(*self.middle(selector))

    def set(self, selector: str, value: float) -> None:
        """Move a slider."""
        self.page.locator(selector).fill(str(value))

    def turn_wheel(self, selector: str, by: float) -> None:
        """Turn the wheel over the middle of an element; more than 0 is towards oneself."""
        self.page.mouse.move(*self.middle(selector))
        self.page.mouse.wheel(0, by)


@contextmanager
def started(program: str) -> Iterator[Any]:
    """Start a browser, and end it."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()
