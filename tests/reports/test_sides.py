"""Objects in two parts: how they are compared, outlined and pointed at, and what a page holds of them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from connectomics.drawing.arrows import LONGEST, SHORTEST, place_arrow
from connectomics.metrics.matching import MatchRule
from connectomics.metrics.polarity import detect_polarity
from connectomics.reports.mistakes import KINDS, compare_sides, renumber
from connectomics.reports.outlines import UNITS, outline_objects
from connectomics.reports.page import ReportHead, write_report
from tests.reports.sided import CLASSES, SPACING, Sided, sided_phantom
from tests.reports.test_page import filled, section_data

PATIENT = settings(deadline=None)
PLACES = st.tuples(st.floats(-50, 50), st.floats(-50, 50))


@pytest.fixture(scope="module")
def case() -> Sided:
    return sided_phantom()


@PATIENT
@given(PLACES, PLACES)
def test_an_arrow_runs_through_both_middles_and_its_tip_lies_beyond_the_last(
    first: tuple[float, float], last: tuple[float, float]
) -> None:
    way = np.subtract(last, first)
    corners = place_arrow(first, last)
    if np.hypot(*way) < 1e-6:
        assert corners == []
        return
    tail, tip, *barbs = np.array(corners)
    assert SHORTEST - 1e-6 <= np.hypot(*(tip - tail)) <= LONGEST + 1e-6
    np.testing.assert_allclose((tail + tip) / 2, np.add(first, last) / 2, atol=1e-6)
    assert np.dot(tip - tail, way) == pytest.approx(np.hypot(*(tip - tail)) * np.hypot(*way))
    for barb in (barbs[0], barbs[2]):
        assert np.dot(barb - tip, way) < 0
    np.testing.assert_array_equal(barbs[1], tip)


@PATIENT
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 3]))
def test_renumbered_objects_are_the_same_objects_without_a_gap(seed: int, parts: int) -> None:
    rng = np.random.default_rng(seed)
    wild = rng.integers(1, 2**63, 9, dtype=np.uint64) // np.uint64(parts) * np.uint64(parts)
    ids = (rng.choice(wild, (2, 3, 4)) + rng.integers(1, parts + 1, (2, 3, 4)).astype(np.uint64)).astype(np.uint64)
    ids[rng.random(ids.shape) < 0.4] = 0
    own, number = renumber(ids, parts)
    owners, before = (own.astype(np.int64) + parts - 1) // parts, (ids + np.uint64(parts - 1)) // np.uint64(parts)
    assert np.unique(owners[own > 0]).tolist() == list(range(1, number + 1))
    assert len({(int(a), int(b)) for a, b in zip(before.ravel(), owners.ravel(), strict=True) if a}) == number
    np.testing.assert_array_equal(own == 0, ids == 0)
    np.testing.assert_array_equal(own[own > 0] % parts, ids[own > 0] % np.uint64(parts))


def test_what_was_lost_turned_and_invented_is_what_the_comparison_finds(case: Sided) -> None:
    compared = compare_sides(case.predicted, case.truth, SPACING, MatchRule())
    number = int(case.truth.max()) // 2
    assert compared.count("missed") == case.lost
    assert compared.count("turned") == case.turned
    assert compared.count("invented") == case.invented
    assert compared.count("found") == number - case.lost - case.turned
    assert compared.count("annotated") == number - case.lost
    assert [m.kind for m in compared.mistakes].count("turned") == case.turned
    assert all(m.voxels == sum(m.parts) for m in compared.mistakes)
    assert sum(0 in m.parts for m in compared.mistakes if m.kind == "turned") == 1


def test_a_page_counts_as_the_metric_does(case: Sided) -> None:
    detected = detect_polarity(case.predicted, case.truth, SPACING)
    compared = compare_sides(case.predicted, case.truth, SPACING, MatchRule())
    right = sum(sides.right_way_round for sides in detected.sides)
    assert compared.count("found") == right
    assert compared.count("turned") == len(detected.sides) - right
    assert compared.count("missed") == len(detected.synapses.missed)
    assert compared.count("invented") == len(detected.synapses.invented)


def test_the_outlines_of_the_parts_enclose_them_and_nothing_else(case: Sided) -> None:
    ids, number = renumber(case.truth, 2)
    objects = outline_objects(ids, number, case.predicted != 0, parts=2)
    for z, outlines in enumerate(objects.sections):
        shown = {divmod(int(i) - 1, 2) for i in np.unique(ids[z]) if i}
        assert {(one.id - 1, one.part) for one in outlines} == shown
        for one in outlines:
            inside = filled(one.path, ids.shape[1:])
            part = ids[z] == 2 * (one.id - 1) + one.part + 1
            assert not (inside & ~ndimage.binary_dilation(part)).any()
            assert not (~inside & ndimage.binary_erosion(part)).any()
    sides = np.where(case.truth > 0, 2 - case.truth % 2, 0)
    assert objects.voxels[1:].sum(axis=0).tolist() == [int((sides == side).sum()) for side in (1, 2)]


def test_arrows_lead_from_the_first_part_to_the_last_wherever_a_section_shows_both(case: Sided) -> None:
    ids, number = renumber(case.truth, 2)
    objects = outline_objects(ids, number, case.predicted != 0, parts=2)
    for z, arrows in enumerate(objects.arrows):
        both = {k for k in range(1, number + 1) if (ids[z] == 2 * k - 1).any() and (ids[z] == 2 * k).any()}
        assert {one.id for one in arrows} == both
        for one in arrows:
            x0, y0, x1, y1 = (int(n) / UNITS for n in re.findall(r"-?\d+", one.path)[:4])
            pre, post = (np.argwhere(ids[z] == side).mean(axis=0) for side in (2 * one.id - 1, 2 * one.id))
            assert np.dot((y1 - y0, x1 - x0), post - pre) > 0


def test_objects_without_parts_have_no_arrows(case: Sided) -> None:
    ids, number = renumber((case.truth + 1) // 2, 1)
    objects = outline_objects(ids, number, case.predicted != 0)
    assert not any(objects.arrows)
    assert {one.part for section in objects.sections for one in section} == {0}


def test_a_page_of_sides_holds_parts_arrows_and_the_way_round(case: Sided, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_report(page, ReportHead("sides", {}, 0.5, CLASSES), {"volumes": {}, "mean": {}}, [case.volume])
    entries = section_data(page, "entries")
    assert entries["parts"] == list(CLASSES)
    (entry,) = entries["volumes"]
    number = int(case.truth.max()) // 2
    assert (entry["found"], entry["turned"], entry["missed"], entry["invented"]) == (
        number - case.lost, case.turned, case.lost, case.invented)  # fmt: skip
    drawn = [section_data(page, f"outlines-0-{z}") for z in range(case.truth.shape[0])]
    assert {part for one in drawn for *_, part in one["outlines"]} == {0, 1}
    arrows = {(KINDS[kind], id) for one in drawn for kind, id, _ in one["arrows"]}
    assert sum(kind == "missed" for kind, _ in arrows) == case.lost
    assert json.dumps(drawn).count("null") == 0
    assert "pre and post together" in page.read_text(encoding="utf-8")


def test_a_page_of_masks_has_no_parts(case: Sided, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_report(page, ReportHead("masks", {}, 0.5), {"volumes": {}, "mean": {}}, [case.volume])
    assert section_data(page, "entries")["parts"] == []
    assert "arrows" not in section_data(page, "outlines-0-0")
    assert {len(one) for one in section_data(page, "outlines-0-5")["outlines"]} == {3}
