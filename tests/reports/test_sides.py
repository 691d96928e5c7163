"""Objects in two parts: how they are compared, outlined and pointed at, and what a page holds of them."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from connectomics.drawing.arrows import LONGEST, SHORTEST, place_arrow
from connectomics.metrics import LabelPair
from connectomics.metrics.judged import judge
from connectomics.metrics.matching import MatchRule
from connectomics.reports.listed import KINDS, outline_pair, parted
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
@given(st.integers(0, 2**32 - 1))
def test_parts_without_a_gap_are_the_same_parts_whatever_the_numbers_were(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wild = rng.integers(1, 2**62, 9, dtype=np.uint64)
    ids = 2 * rng.choice(wild, (2, 3, 4)) - rng.integers(0, 2, (2, 3, 4)).astype(np.uint64)
    ids[rng.random(ids.shape) < 0.4] = 0
    synapses = judge(LabelPair(ids, ids, SPACING, sided=True), MatchRule()).both
    own = np.stack(list(parted(synapses.predicted_ids, ids, sided=True)))
    owners, before = (own + 1) // 2, (ids + np.uint64(1)) // np.uint64(2)
    assert np.unique(owners[own > 0]).tolist() == list(range(1, len(synapses.predicted) + 1))
    np.testing.assert_array_equal(synapses.predicted.numbers[owners[own > 0] - 1], before[ids > 0])
    np.testing.assert_array_equal(own == 0, ids == 0)
    np.testing.assert_array_equal(own[own > 0] % 2, ids[own > 0] % np.uint64(2))


def test_what_was_lost_turned_and_invented_is_what_is_listed(case: Sided) -> None:
    listed = outline_pair(case.volume.judged).list()
    number = int(case.truth.max()) // 2
    counts = Counter(one.kind for one in listed)
    assert counts == {"missed": case.lost, "turned": case.turned, "invented": case.invented,
                      "found": number - case.lost - case.turned}  # fmt: skip
    assert all(one.voxels == sum(one.parts) for one in listed)
    assert sum(0 in one.parts for one in listed if one.kind == "turned") == 1


def test_objects_are_listed_by_the_numbers_that_they_have_in_the_file(case: Sided) -> None:
    listed = outline_pair(case.volume.judged).list()
    found = {one.id: one for one in listed if one.kind != "missed"}
    assert set(found) == {int(k) for k in np.unique((case.predicted + 1) // 2)} - {0}
    for number, one in found.items():
        sides = [int((case.predicted == 2 * number - 1).sum()), int((case.predicted == 2 * number).sum())]
        assert list(one.parts) == sides


def test_the_outlines_of_the_parts_enclose_them_and_nothing_else(case: Sided) -> None:
    ids, number = case.truth, int(case.truth.max()) // 2
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
    ids, number = case.truth, int(case.truth.max()) // 2
    objects = outline_objects(ids, number, case.predicted != 0, parts=2)
    for z, arrows in enumerate(objects.arrows):
        both = {k for k in range(1, number + 1) if (ids[z] == 2 * k - 1).any() and (ids[z] == 2 * k).any()}
        assert {one.id for one in arrows} == both
        for one in arrows:
            x0, y0, x1, y1 = (int(n) / UNITS for n in re.findall(r"-?\d+", one.path)[:4])
            pre, post = (np.argwhere(ids[z] == side).mean(axis=0) for side in (2 * one.id - 1, 2 * one.id))
            assert np.dot((y1 - y0, x1 - x0), post - pre) > 0


def test_objects_without_parts_have_no_arrows(case: Sided) -> None:
    ids, number = (case.truth + 1) // 2, int(case.truth.max()) // 2
    objects = outline_objects(ids, number, case.predicted != 0)
    assert not any(objects.arrows)
    assert {one.part for section in objects.sections for one in section} == {0}


def test_a_page_of_sides_holds_parts_arrows_and_the_way_round(case: Sided, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    head = ReportHead("sides", {}, 0.5, classes=CLASSES)
    write_report(page, head, {"volumes": {}, "mean": {}}, [case.volume], [case.truth.shape])
    entries = section_data(page, "entries")
    assert entries["parts"] == list(CLASSES)
    (entry,) = entries["volumes"]
    number = int(case.truth.max()) // 2
    counts = entry["detection"]
    assert (counts["found"], entry["turned"], counts["missed"], counts["invented"]) == (
        number - case.lost, case.turned, case.lost, case.invented)  # fmt: skip
    drawn = [section_data(page, f"outlines-0-{z}") for z in range(case.truth.shape[0])]
    assert {part for one in drawn for *_, part in one["outlines"]} == {0, 1}
    arrows = {(KINDS[kind], id) for one in drawn for kind, id, _ in one["arrows"]}
    assert sum(kind == "missed" for kind, _ in arrows) == case.lost
    assert json.dumps(drawn).count("null") == 0
    assert "pre and post together" in page.read_text(encoding="utf-8")


def test_a_page_of_masks_has_no_parts(case: Sided, tmp_path: Path) -> None:
    page, pair = tmp_path / "report.html", LabelPair(case.predicted, case.truth, SPACING)
    plain = replace(case.volume, judged=judge(pair, MatchRule()))
    write_report(page, ReportHead("masks", {}, 0.5), {"volumes": {}, "mean": {}}, [plain], [case.truth.shape])
    assert section_data(page, "entries")["parts"] == []
    assert "arrows" not in section_data(page, "outlines-0-0")
    assert {len(one) for one in section_data(page, "outlines-0-5")["outlines"]} == {3}
