"""The page in a real browser: Debian's `chromium`, or Chrome; skipped where none is installed."""

import re
from collections.abc import Iterator
from dataclasses import replace
from math import ceil, log
from pathlib import Path
from typing import Any

import pytest

from connectomics.metrics.judged import list_objects
from connectomics.metrics.matching import MatchRule
from connectomics.metrics.outcomes import Outcome
from connectomics.reports.page import ReportHead, write_report
from tests.browser import Browser
from tests.reports.corrupted import SPACING, corrupted_phantom, scores_of
from tests.reports.sided import CLASSES, sided_phantom

DEPTH = 14
ENTRIES = "JSON.parse(document.getElementById('entries').textContent)"
EVIL = "im_<script>alert(1)</script>&\"'"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page of two volumes, one with a name that is no HTML."""
    cases = [corrupted_phantom((DEPTH, 96, 128), seed=0, invented=6), corrupted_phantom((5, 64, 64), EVIL, seed=1)]
    path = tmp_path_factory.mktemp("page") / "report.html"
    head = ReportHead("a test", {"checkpoint": "runs/<b>last.ckpt"}, 0.5)
    volumes = [case.volume for case in cases]
    write_report(path, head, scores_of(*cases), volumes, [one.image.shape for one in volumes])
    return path


@pytest.fixture(scope="module")
def started(program: Any) -> Iterator[Browser]:
    context = program.new_context(viewport={"width": 1400, "height": 1100})
    yield Browser(context.new_page())
    context.close()


@pytest.fixture
def browser(started: Browser, page: Path) -> Iterator[Browser]:
    """Return a browser with the page freshly opened; at the end nothing may have been complained about."""
    started.complaints.clear()
    started.open(page)
    started.wait_for("document.getElementById('stage').dataset.shown !== undefined")
    yield started
    started.evaluate("new Promise(done => setTimeout(done, 50))")
    assert started.complaints == []


@pytest.fixture(scope="module")
def sided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page of synapses with two sides."""
    path = tmp_path_factory.mktemp("sided") / "report.html"
    head, volume = ReportHead("sides", {}, 0.5, classes=CLASSES), sided_phantom().volume
    write_report(path, head, {"volumes": {}, "mean": {}}, [volume], [volume.image.shape])
    return path


@pytest.fixture
def sides(started: Browser, sided: Path) -> Iterator[Browser]:
    """Return a browser with the page of two sides freshly opened, as `browser` does."""
    started.complaints.clear()
    started.open(sided)
    started.wait_for("document.getElementById('stage').dataset.shown !== undefined")
    yield started
    started.evaluate("new Promise(done => setTimeout(done, 50))")
    assert started.complaints == []


def shown(browser: Browser) -> int:
    """Return the section that is drawn, after those that were asked for are."""
    browser.wait_for(
        "document.getElementById('stage').dataset.shown.split('-')[1] === document.getElementById('section').value"
    )
    return int(browser.evaluate("document.getElementById('section').value"))


def test_a_section_is_drawn_with_its_outlines_as_soon_as_the_page_is_open(browser: Browser) -> None:
    assert browser.evaluate("document.getElementById('raw').naturalWidth") == 128
    assert browser.evaluate("document.querySelectorAll('#outlines path').length") > 0


def test_the_slider_chooses_the_section(browser: Browser) -> None:
    browser.evaluate("(s => { s.value = 9; s.dispatchEvent(new Event('input')); })(document.getElementById('section'))")
    assert shown(browser) == 9
    browser.click("#section")
    assert shown(browser) in (DEPTH // 2 - 1, DEPTH // 2)
    before = shown(browser)
    browser.press("ArrowRight")
    assert shown(browser) == before + 1


def test_keys_walk_through_the_sections_and_stop_at_the_ends(browser: Browser) -> None:
    browser.click("#stage")
    browser.press("Home")
    assert shown(browser) == 0
    browser.press("ArrowLeft")
    assert shown(browser) == 0
    browser.press("ArrowRight")
    browser.press("ArrowUp")
    assert shown(browser) == 2
    browser.press("ArrowDown")
    assert shown(browser) == 1
    browser.press("PageDown")
    assert shown(browser) == 11
    browser.press("End")
    assert shown(browser) == DEPTH - 1


def test_the_wheel_walks_too(browser: Browser) -> None:
    browser.click("#stage")
    browser.press("Home")
    for expected in (1, 2):
        browser.turn_wheel("#stage", 100)
        browser.wait_for(f"document.getElementById('section').value === '{expected}'")
    browser.turn_wheel("#stage", -100)
    browser.wait_for("document.getElementById('section').value === '1'")


@pytest.mark.parametrize("kind", ["missed", "invented"])
def test_a_click_on_an_object_shows_and_marks_it(browser: Browser, kind: str) -> None:
    entry = browser.evaluate(f"{ENTRIES}.volumes[0].objects.find(m => m.kind === '{kind}')")
    browser.click(f"#objects button[data-kind={kind}]")
    assert shown(browser) == entry["z"]
    browser.wait_for("document.querySelector('#outlines .mark') !== null")
    assert browser.evaluate(f"document.querySelector('#outlines .{kind} .chosen path:not(.under)').dataset.id") == str(
        entry["id"]
    )
    inside = browser.evaluate(
        "(() => { const box = id => document.querySelector(id).getBoundingClientRect();"
        "const m = box('#outlines .mark'), s = box('#stage'), x = m.x + m.width / 2, y = m.y + m.height / 2;"
        "return x > s.x && x < s.right && y > s.y && y < s.bottom; })()"
    )
    assert inside
    assert browser.evaluate("document.querySelectorAll('#objects button[aria-current]').length") == 1


def test_the_list_can_be_walked_with_keys_largest_first(browser: Browser) -> None:
    sizes = browser.evaluate(f"{ENTRIES}.volumes[0].objects.map(m => m.voxels)")
    assert sizes == sorted(sizes, reverse=True)
    first, last = (f"#objects li:{which}-child button[aria-current]" for which in ("first", "last"))
    browser.press("n")
    browser.wait_for(f"document.querySelector('{first}') !== null")
    browser.press("b")
    browser.wait_for(f"document.querySelector('{last}') !== null")


def test_the_list_follows_the_sliders_and_the_order(browser: Browser) -> None:
    browser.evaluate("document.getElementById('list-found').click()")
    entries = browser.evaluate(f"{ENTRIES}.volumes[0].objects")
    listed = "[...document.querySelectorAll('#objects button')].map(b => [b.dataset.kind, Number(b.dataset.id)])"
    told = "document.getElementById('counts').textContent"
    named = [[one["kind"].replace(" ", "_"), one["id"]] for one in entries]
    assert browser.evaluate(listed) == named
    assert browser.evaluate(told) == f"{len(named)} of {len(named)}"

    def move(slider: str, value: float) -> None:
        browser.evaluate(
            f"(s => {{ s.value = {value}; s.dispatchEvent(new Event('input')); }})(document.getElementById('{slider}'))"
        )

    sizes = [one["voxels"] for one in entries]
    place = ceil(100 * log(sizes[len(sizes) // 2]) / log(sizes[0]))
    move("least-size", place)
    size = round(sizes[0] ** (place / 100))
    small = sum(one["voxels"] < size for one in entries)
    assert 0 < small < len(entries)
    assert len(browser.evaluate(listed)) == len(entries) - small
    verb = "is" if small == 1 else "are"
    assert browser.evaluate(told) == f"{len(entries) - small} of {len(entries)}; {small} {verb} below {size} voxels"
    move("least-size", 0)
    sure = sorted(one["probability"] for one in entries if one["probability"] is not None)
    least = round((sure[0] + sure[-1]) / 2, 2)
    move("least-probability", least)
    kept = [one for one in entries if one["probability"] is None or one["probability"] >= least]
    assert 0 < len(kept) < len(entries)
    assert len(browser.evaluate(listed)) == len(kept)
    move("least-probability", 0)
    move("order", "'probability'")
    order = sorted(entries, key=lambda one: -1 if one["probability"] is None else one["probability"], reverse=True)
    assert browser.evaluate(listed) == [[one["kind"].replace(" ", "_"), one["id"]] for one in order]


def test_the_first_thing_that_is_said_is_how_many_there_are(browser: Browser) -> None:
    counts = browser.evaluate(f"{ENTRIES}.volumes[0].detection")
    said = browser.evaluate("document.querySelector('.headline').textContent")
    assert said.startswith(f"{counts['detected']} of {counts['annotated']} annotated synapses detected")
    chips = browser.evaluate("[...document.querySelectorAll('.outcomes')[0].children].map(c => c.textContent)")
    assert chips == [f"{word} {counts[word.key]}" for word in Outcome]


def test_a_page_without_labels_lists_what_was_found_and_a_click_shows_the_place(
    started: Browser, tmp_path: Path
) -> None:
    case = corrupted_phantom((DEPTH, 96, 128))
    alone = replace(case.volume, judged=list_objects(case.pair.predicted, SPACING, False, MatchRule()))
    write_report(tmp_path / "report.html", ReportHead("alone", {}, 0.5), None, [alone], [alone.image.shape])
    started.complaints.clear()
    started.open(tmp_path / "report.html")
    started.wait_for("document.getElementById('stage').dataset.shown !== undefined")
    objects = started.evaluate(f"{ENTRIES}.volumes[0].objects")
    assert visible(started, "#objects button") == len(objects) == len(alone.judged.both.predicted) > 2
    assert visible(started, "#shown-kinds, #listed-kinds, [data-labelled]") == 0
    started.click("#objects li:nth-child(2) button")
    assert shown(started) == objects[1]["z"]
    started.wait_for("document.querySelector('#outlines .found .chosen') !== null")
    assert started.complaints == []


def test_the_probability_can_be_laid_over(browser: Browser) -> None:
    assert browser.evaluate("document.getElementById('probability').hidden")
    browser.click("#show-probability")
    assert not browser.evaluate("document.getElementById('probability').hidden")
    opaque = browser.evaluate(
        "(c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n / (c.width * c.height); })"
        "(document.getElementById('probability'))"
    )
    assert 0 < opaque < 0.5
    browser.press("p")
    assert browser.evaluate("document.getElementById('probability').hidden")


def test_outlines_can_be_hidden_one_kind_at_a_time_or_all(browser: Browser) -> None:
    count = "document.querySelectorAll('#outlines path').length"
    every = browser.evaluate(count)
    kind = browser.evaluate(f"{ENTRIES}.volumes[0].objects[0].kind")  # the page opens where the largest mistake is
    browser.click(f"#show-{kind}")
    assert browser.evaluate(f"document.querySelector('#outlines .{kind}')") is None
    hidden = browser.evaluate(count)
    assert hidden < every
    browser.press("o")
    assert browser.evaluate(count) == 0
    browser.press("o")
    assert browser.evaluate(count) == hidden


def test_zooming_keeps_the_section_on_the_stage(browser: Browser) -> None:
    width = "document.getElementById('scene').getBoundingClientRect().width"
    fitted = browser.evaluate(width)
    browser.press("+")
    assert browser.evaluate(width) == pytest.approx(1.5 * fitted, rel=0.01)
    browser.press("0")
    assert browser.evaluate(width) == pytest.approx(fitted, rel=0.01)


def test_a_name_that_looks_like_html_is_shown_as_it_is(browser: Browser) -> None:
    assert browser.evaluate("document.querySelector('tbody tr:nth-child(2) th').textContent") == EVIL
    assert browser.evaluate("document.getElementById('volume').options[1].text") == EVIL
    browser.evaluate("(s => { s.value = 1; s.dispatchEvent(new Event('change')); })(document.getElementById('volume'))")
    browser.wait_for("document.getElementById('stage').dataset.shown.startsWith('1-')")
    assert browser.evaluate("document.getElementById('raw').alt").endswith(EVIL)
    assert browser.evaluate("document.getElementById('section').max") == "4"


def visible(browser: Browser, selector: str) -> int:
    """Return how many elements are laid out."""
    return browser.evaluate(
        f"[...document.querySelectorAll({selector!r})].filter(e => e.getClientRects().length).length"
    )


def test_a_page_without_parts_offers_none(browser: Browser) -> None:
    assert visible(browser, "[data-parts]") == 0
    assert browser.evaluate("document.querySelectorAll('#outlines .arrow, #outlines [class^=part]').length") == 0
    assert "wrong way" not in browser.evaluate("document.getElementById('counted').textContent")


def test_each_side_has_its_colour_and_each_synapse_its_arrow(sides: Browser) -> None:
    fill = "getComputedStyle(document.querySelector('#outlines .part{}')).fill"
    assert sides.evaluate(fill.format(0)) == "rgb(255, 50, 220)"
    assert sides.evaluate(fill.format(1)) == "rgb(0, 225, 255)"
    assert visible(sides, "#parts label") == 3
    assert sides.evaluate("document.querySelectorAll('#outlines .missed .arrow:not(.under)').length") == 1
    sides.click("#show-arrows")
    assert sides.evaluate("document.querySelectorAll('#outlines .arrow').length") == 0
    sides.click("#show-part-0")
    assert sides.evaluate("document.querySelectorAll('#outlines .part0').length") == 0
    assert sides.evaluate("document.querySelectorAll('#outlines .part1').length") > 0


def test_synapses_that_are_the_wrong_way_round_are_listed_and_shown(sides: Browser) -> None:
    assert "3 the wrong way round" in sides.evaluate("document.getElementById('counted').textContent")
    assert visible(sides, "#objects button[data-kind=turned]") == 3
    assert "no post" in sides.evaluate("document.getElementById('objects').textContent")
    entry = sides.evaluate(f"{ENTRIES}.volumes[0].objects.find(m => m.kind === 'turned')")
    sides.click("#objects button[data-kind=turned]")
    assert shown(sides) == entry["z"]
    sides.wait_for("document.querySelector('#outlines .turned .chosen .arrow') !== null")
    sides.click("#list-turned")
    assert visible(sides, "#objects button[data-kind=turned]") == 0
    sides.press("o")
    assert sides.evaluate("document.querySelectorAll('#outlines .turned').length") == 0


def test_the_page_asks_for_nothing_outside_itself(page: Path) -> None:
    text = re.sub(r"http://www\.w3\.org/2000/svg", "", page.read_text(encoding="utf-8"))
    assert "http://" not in text
    assert "https://" not in text
