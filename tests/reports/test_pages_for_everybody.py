"""Pages on three sizes of screen, light and dark, with the keyboard and on paper; axe looks at what people cannot."""

from pathlib import Path

import pytest

from tests.reports.screens import DESKTOP, PHONE, WIDE, Screen

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: the extra `test`")


@pytest.mark.parametrize("size", [DESKTOP, WIDE])
def test_stage_and_slider_are_seen_without_scrolling(screen: Screen, report_page: Path, size: tuple[int, int]) -> None:
    browser = screen.open(report_page, size=size)
    for part in ("#stage", ".slide"):
        box = browser.page.locator(part).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= size[1]
    assert browser.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_on_a_phone_a_tapped_object_brings_the_viewer_into_view_and_nothing_is_cut_off(
    screen: Screen, report_page: Path
) -> None:
    browser = screen.open(report_page, size=PHONE)
    assert browser.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    browser.page.locator("#show-sides").tap()
    assert browser.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    row = browser.page.locator("#objects button").nth(1)
    row.scroll_into_view_if_needed()
    row.tap()
    browser.wait_for(
        "(b => b.top >= -1 && b.bottom <= innerHeight)(document.getElementById('stage').getBoundingClientRect())"
    )


def test_every_control_is_reached_with_the_keyboard_and_shows_where_the_focus_is(
    screen: Screen, report_page: Path
) -> None:
    browser = screen.open(report_page)
    reached: list[str] = []
    for _ in range(60):
        browser.press("Tab")
        focused = browser.evaluate("document.activeElement.id || document.activeElement.tagName")
        if focused == "BODY":
            break
        assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        reached.append(focused)
    wanted = {"show-found", "show-probability", "show-sides", "SUMMARY", "stage", "before", "section", "after", "out",
              "all", "in", "list-missed", "order", "closer", "least-size", "least-probability", "BUTTON"}  # fmt: skip
    assert wanted <= set(reached)


def test_the_page_scrolls_with_the_keyboard_where_the_stage_is_out_of_sight(screen: Screen, report_page: Path) -> None:
    browser = screen.open(report_page)
    section, top = "document.getElementById('section').value", "scrollY"
    browser.evaluate("scrollTo(0, document.body.scrollHeight)")
    before = browser.evaluate(section), browser.evaluate(top)
    browser.press("PageUp")
    browser.wait_for(f"{top} < {before[1]}")
    assert browser.evaluate(section) == before[0]


def test_on_paper_the_numbers_and_the_section_stay_and_the_controls_go(screen: Screen, report_page: Path) -> None:
    browser = screen.open(report_page)
    browser.page.emulate_media(media="print")
    for gone in (".bar", ".filters", "#section", ".keys"):
        assert not browser.page.locator(gone).first.is_visible()
    for stays in ("h1", ".headline", "#stage", "#objects", "table", ".chart svg"):
        assert browser.page.locator(stays).first.is_visible()


@pytest.mark.parametrize("size", [DESKTOP, WIDE, PHONE])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_on_either_page(
    screen: Screen, report_page: Path, tuning_page: tuple[Path, dict], size: tuple[int, int], dark: bool
) -> None:
    for path in (report_page, tuning_page[0]):
        browser = screen.open(path, size=size, dark=dark)
        if path == report_page:
            browser.evaluate("document.getElementById('show-sides').click()")
            browser.evaluate("document.querySelector('.looks').open = true")
            browser.evaluate("document.querySelector('#objects button').click()")
        found = axe.Axe().run(browser.page).response["violations"]
        assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found] == []
        assert browser.evaluate("document.documentElement.scrollWidth") <= size[0]
