"""What hands and eyes can do with the pages, in a real browser; skipped where none is installed."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from connectomics.metrics import LabelPair
from connectomics.metrics.judged import judge
from connectomics.metrics.matching import MatchRule
from connectomics.reports.page import ReportHead, write_report
from connectomics.reports.reported import ReportedVolume
from connectomics.volumes.intensity import IntensityRange
from connectomics.volumes.source import ArraySource
from tests.browser import Browser
from tests.reports.corrupted import SPACING
from tests.reports.screens import PHONE, SHAPE, Screen
from tests.reports.tuned import THRESHOLDS

ENTRIES = "JSON.parse(document.getElementById('entries').textContent)"


def settled(browser: Browser) -> None:
    """Wait until the section that was asked for is drawn, and the address holds it."""
    browser.wait_for(
        "document.getElementById('stage').dataset.shown.split('-')[1] === document.getElementById('section').value"
    )
    browser.wait_for(
        "new URLSearchParams(location.hash.slice(1)).get('z') === document.getElementById('section').value"
    )


def largest_of(browser: Browser, kind: str) -> dict:
    return browser.evaluate(f"{ENTRIES}.volumes[0].objects.find(o => o.kind === '{kind}')")


def go_to(browser: Browser, one: dict) -> str:
    """Show the section of an object, and return what its outline is found by."""
    browser.set("#section", one["z"])
    settled(browser)
    return f"#outlines [data-kind={one['kind'].replace(' ', '_')}][data-id='{one['id']}']"


def edge_of(browser: Browser, outline: str) -> tuple[float, float]:
    """Return a place on an outline, in pixels of the window."""
    return browser.evaluate(
        f"(() => {{ const path = document.querySelector({json.dumps(outline)});"
        "const p = path.getPointAtLength(0.4 * path.getTotalLength());"
        "const q = p.matrixTransform(path.getScreenCTM()); return [q.x, q.y]; })()"
    )


def test_what_is_under_the_pointer_tells_its_id_size_probability_and_outcome(screen: Screen, report_page: Path) -> None:
    browser = screen.open(report_page)
    one = largest_of(browser, "invented")
    browser.page.mouse.move(*edge_of(browser, go_to(browser, one)))
    tip = browser.page.locator("#tip")
    assert tip.is_visible()
    told = tip.inner_text()
    assert told.startswith(f"invented · {one['id']}\n{one['voxels']:,} voxels")
    assert f"probability {one['probability']:.2f}" in told
    browser.page.mouse.move(5, 5)
    assert not tip.is_visible()
    phone = screen.open(report_page, size=PHONE)
    outline = go_to(phone, one)
    phone.evaluate("document.getElementById('stage').scrollIntoView()")
    phone.page.touchscreen.tap(*edge_of(phone, outline))
    assert phone.page.locator("#tip").inner_text() == told


def test_a_click_on_an_outline_chooses_its_row_and_one_beside_it_none(screen: Screen, report_page: Path) -> None:
    browser = screen.open(report_page)
    one = largest_of(browser, "found") or largest_of(browser, "poorly outlined")
    kind = one["kind"].replace(" ", "_")
    row = f"#objects button[data-kind={kind}][data-id='{one['id']}'][aria-current]"
    browser.page.mouse.click(*edge_of(browser, go_to(browser, one)))
    assert browser.evaluate(f"document.querySelector({json.dumps(row)}) !== null")  # its kind was not listed before
    assert browser.evaluate(f"document.querySelector('#outlines .{kind} .chosen') !== null")
    browser.press("Escape")
    assert browser.evaluate("document.querySelector('#objects [aria-current]') === null")


def test_dragging_moves_the_section_and_chooses_nothing(screen: Screen, report_page: Path) -> None:
    browser = screen.open(report_page)
    browser.click("#in")
    browser.click("#in")
    x, y = browser.middle("#stage")
    before = browser.evaluate("document.getElementById('scene').getBoundingClientRect().x")
    browser.page.mouse.move(x, y)
    browser.page.mouse.down()
    browser.page.mouse.move(x + 30, y + 10, steps=3)
    browser.page.mouse.up()
    assert browser.evaluate("document.getElementById('scene').getBoundingClientRect().x") == pytest.approx(before + 30)
    assert browser.evaluate("document.querySelector('#objects [aria-current]') === null")


def test_grey_values_and_opacities_follow_their_sliders_and_come_back(screen: Screen, report_page: Path) -> None:
    browser = screen.open(report_page)
    browser.page.locator(".looks summary").click()
    style = "getComputedStyle(document.getElementById('{}')).{}"
    for slider, value in (("brightness", 150), ("contrast", 50), ("outline-opacity", 40), ("overlay-opacity", 30)):
        browser.set(f"#{slider}", value)
    assert browser.evaluate(style.format("raw", "filter")) == "brightness(1.5) contrast(0.5)"
    assert browser.evaluate(style.format("outlines", "opacity")) == "0.4"
    assert browser.evaluate(style.format("probability", "opacity")) == "0.3"
    browser.page.locator("#plain").click()
    assert browser.evaluate(style.format("raw", "filter")) == "brightness(1) contrast(1)"
    assert browser.evaluate(style.format("outlines", "opacity")) == "1"


def test_the_address_shows_a_colleague_the_same_place(screen: Screen, report_page: Path) -> None:
    browser = screen.open(report_page)
    one = largest_of(browser, "invented")
    browser.click(f"#objects button[data-kind=invented][data-id='{one['id']}']")
    browser.click("#show-probability")
    browser.click("#show-sides")
    browser.press("ArrowRight")
    settled(browser)
    state = (
        "[document.getElementById('section').value, document.getElementById('show-probability').checked,"
        "document.querySelector('#objects [aria-current]').dataset.id, document.getElementById('show-sides').checked]"
    )
    browser.evaluate("new Promise(done => setTimeout(done, 400))")
    place = browser.evaluate("location.hash.slice(1)")
    other = screen.open(report_page, place)
    assert other.evaluate(state) == browser.evaluate(state)
    lies = "['x', 'y', 'width'].map(side => document.getElementById('scene').getBoundingClientRect()[side])"
    assert other.evaluate(lies) == pytest.approx(
        browser.evaluate(lies), abs=4
    )  # the address has a digit after the point


@pytest.mark.parametrize(
    "place", ["nonsense", "z=1e9&zoom=-3&volume=77&object=<b>&cross=a,b", "z=NaN&x=1", "volume=1&z=2&y=oops"]
)
def test_an_address_that_makes_no_sense_shows_the_page(screen: Screen, report_page: Path, place: str) -> None:
    browser = screen.open(report_page, place)
    depth = browser.evaluate("Number(document.getElementById('section').max)")
    assert 0 <= browser.evaluate("Number(document.getElementById('section').value)") <= depth


def test_views_from_the_side_show_the_sections_they_cut_and_lead_there(screen: Screen, report_page: Path) -> None:
    browser = screen.open(report_page)
    browser.click("#show-sides")
    browser.wait_for("document.getElementById('sides-read').hidden && document.getElementById('xz').width > 1")
    bright = (
        "(id => {{ const c = document.getElementById(id);"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "return d.reduce((sum, v) => sum + v, 0) / d.length; }})('{}')"
    )
    assert all(40 < browser.evaluate(bright.format(one)) < 240 for one in ("xz", "yz"))
    box = browser.page.locator("#xz").bounding_box()
    assert box is not None
    assert box["width"] / box["height"] == pytest.approx(SHAPE[2] * 8 / (SHAPE[0] * 40), rel=0.02)
    browser.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] * 3.5 / SHAPE[0])
    settled(browser)
    assert browser.evaluate("document.getElementById('section').value") == "3"
    assert browser.evaluate("document.getElementById('yz-is').textContent") in ("yz at x 63", "yz at x 64")
    browser.press("v")
    assert not browser.page.locator("#sides").is_visible()


def test_more_objects_than_the_list_holds_are_turned_over_and_found_by_a_click(screen: Screen, tmp_path: Path) -> None:
    ids = np.zeros((3, 100, 100), np.uint8)
    ids[:, ::2, ::2] = 1
    ids[1] = 0  # 5,000 objects of one voxel
    judged = judge(LabelPair(ids, np.zeros_like(ids), SPACING), MatchRule())
    volume = ReportedVolume("many", ArraySource.of(ids, SPACING), IntensityRange(0, 1), judged)
    path = tmp_path / "report.html"
    write_report(path, ReportHead("many", {}, 0.5), None, [volume], [volume.image.shape])
    browser = screen.open(path)
    rows = "document.querySelectorAll('#objects button').length"
    ids_shown = "[...document.querySelectorAll('#objects button')].map(b => Number(b.dataset.id))"
    assert browser.evaluate(rows) == 1000
    first = browser.evaluate(ids_shown)
    browser.page.locator("#later-rows").click()
    second = browser.evaluate(ids_shown)
    assert len({*first, *second}) == 2000
    assert "here 1,001 to 2,000" in browser.page.locator("#counts").inner_text()
    browser.page.mouse.click(*edge_of(browser, "#outlines [data-id='1']"))
    assert browser.evaluate("document.querySelector('#objects [aria-current]').dataset.id") == "1"


def test_views_from_the_side_show_each_object_in_its_own_colour(screen: Screen, tmp_path: Path) -> None:
    ids = np.zeros((6, 60, 80), np.uint8)
    ids[1:5, 20:40, 20:60] = 1
    judged = judge(LabelPair(ids, np.roll(ids, 3, axis=1), SPACING), MatchRule())  # found, and its annotation over it
    volume = ReportedVolume("one", ArraySource.of(100 + ids, SPACING), IntensityRange(0, 255), judged)
    path = tmp_path / "report.html"
    write_report(path, ReportHead("one", {}, 0.5), None, [volume], [volume.image.shape])
    browser = screen.open(path)
    browser.click("#show-sides")
    browser.wait_for("document.getElementById('sides-read').hidden && document.getElementById('xz').width > 1")
    for view in ("xz", "yz"):
        shot = np.frombuffer(browser.page.locator(f"#{view}").screenshot(), np.uint8)
        blue, _, red = np.moveaxis(cv2.imdecode(shot, cv2.IMREAD_COLOR).astype(int), -1, 0)
        assert (blue - red > 60).mean() > 0.05  # the light blue of found ones
        assert (red - blue > 20).sum() == 0


def test_two_fingers_zoom_about_the_place_between_them_and_one_moves(screen: Screen, report_page: Path) -> None:
    browser = screen.open(report_page, size=PHONE)
    browser.evaluate("document.getElementById('stage').scrollIntoView()")
    x, y = browser.middle("#stage")
    touches = browser.page.context.new_cdp_session(browser.page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": a, "y": b, "id": i} for i, (a, b) in enumerate(places)]
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    width = "document.getElementById('scene').getBoundingClientRect().width"
    before = browser.evaluate(width)
    touch("touchStart", (x - 20, y), (x + 20, y))
    for apart in (30, 40, 50):
        touch("touchMove", (x - apart, y), (x + apart, y))
    touch("touchEnd")
    assert browser.evaluate(width) == pytest.approx(2.5 * before, rel=0.02)
    left = browser.evaluate("document.getElementById('scene').getBoundingClientRect().x")
    touch("touchStart", (x, y))
    touch("touchMove", (x + 20, y))
    touch("touchMove", (x + 30, y))
    touch("touchEnd")
    assert browser.evaluate("document.getElementById('scene').getBoundingClientRect().x") == pytest.approx(
        left + 30, abs=2
    )
    assert browser.evaluate("document.querySelector('#objects [aria-current]') === null")


def test_the_slider_of_a_tuning_shows_the_scores_and_the_mask_of_every_setting(
    screen: Screen, tuning_page: tuple[Path, dict]
) -> None:
    path, best = tuning_page
    browser = screen.open(path)
    said = "[...document.querySelectorAll('.chart [data-line]')].map(b => b.textContent)"

    def shown() -> tuple[list, int]:
        """Return the scores, and how many pixels of the first section have a colour."""
        browser.page.wait_for_timeout(300)
        picture = np.frombuffer(browser.page.locator("canvas").first.screenshot(), np.uint8)
        colors = cv2.imdecode(picture, cv2.IMREAD_COLOR).astype(int)
        return browser.evaluate(said), int((np.ptp(colors, axis=-1) > 8).sum())

    at_best = shown()
    other = len(THRESHOLDS) - 1 if best["threshold"] < 0.5 else 0
    browser.set("#threshold", other)
    assert browser.evaluate("document.getElementById('at').textContent") == f"{THRESHOLDS[other]:g}"
    scores, colored = shown()
    assert scores != at_best[0]
    assert colored != at_best[1]
    browser.page.locator("#min-size").select_option("60")
    browser.page.locator("#back").click()
    assert browser.evaluate("Number(document.getElementById('at').textContent)") == best["threshold"]
    assert shown() == at_best
    browser.page.locator("#show").click()
    assert shown()[1] == 0
