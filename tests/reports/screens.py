"""Pages on screens of some size."""

from pathlib import Path
from typing import Any

from tests.browser import Browser

DESKTOP, WIDE, PHONE = (1440, 900), (1920, 1080), (390, 844)
SHAPE = (14, 96, 128)
"""That of the first volume of the page."""


class Screen:
    """Opens pages on screens of some size; at the end none may have complained."""

    def __init__(self, program: Any) -> None:
        self._program, self._opened = program, list[Browser]()

    def open(self, path: Path, place: str = "", size: tuple[int, int] = DESKTOP, dark: bool = False) -> Browser:
        scheme = "dark" if dark else "light"
        context = self._program.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme,
                                            has_touch=size == PHONE, reduced_motion="reduce")  # fmt: skip
        browser = Browser(context.new_page())
        self._opened.append(browser)
        browser.open(path, place)
        if path.stem == "report":
            browser.wait_for("document.getElementById('stage').dataset.shown !== undefined")
        return browser

    def close(self) -> None:
        complaints = [said for browser in self._opened for said in browser.complaints]
        for browser in self._opened:
            browser.page.context.close()
        assert complaints == []
