"""What a chart shows, and the page of a tuning, without a browser."""

import base64
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectomics.metrics import METRICS
from connectomics.reports.charts import Chart, Line, draw_curves, round_ticks
from connectomics.reports.tried_sections import busiest
from tests.reports.corrupted import corrupted_phantom
from tests.reports.tuned import SIZES, THRESHOLDS, write_tuning_page


def test_curves_break_where_a_number_is_undefined_and_shares_have_their_own_chart() -> None:
    curves = {t: {"recall": t, "cremi_distance": None if t == 0.5 else 90.0} for t in (0.25, 0.5, 0.75)}
    shares, distance = draw_curves("a title", curves, used=0.5)
    assert [line.title for chart in (shares, distance) for line in chart.lines] == ["voxel recall", "CREMI distance"]
    assert [shares.path(shares.lines[0]).count(letter) for letter in "ML"] == [1, 2]
    assert [distance.path(distance.lines[0]).count(letter) for letter in "ML"] == [2, 0]
    assert distance.lines[0].at(0.5) is None


@given(st.floats(1e-6, 1e9))
def test_ticks_are_round_reach_the_top_and_are_few(top: float) -> None:
    ticks = round_ticks(top)
    step = ticks[1]
    assert ticks[0] == 0
    assert 2 <= len(ticks) <= 7
    np.testing.assert_allclose(np.diff(ticks), step, rtol=1e-6)
    assert top * (1 - 1e-8) <= ticks[-1] < top + step * (1 + 1e-6)
    assert float(f"{step:.3e}".split("e")[0]) in (1, 2, 2.5, 5)


def test_a_chart_of_distances_shows_the_good_ones_and_says_that_it_leaves_others_out() -> None:
    values = {0.1: 5000.0, 0.5: 60.0, 0.9: 80.0}
    chart = Chart("a", "nm", [Line("distance", values, 0)], lower_is_better=True)
    assert (chart.top, chart.cut) == (300, True)
    whole = Chart("a", "nm", [Line("distance", values, 0)])
    assert (whole.top, whole.cut) == (5000, False)


@pytest.mark.parametrize("depth", [1, 2, 3, 50])
def test_the_busiest_section_of_each_part_is_shown(depth: int) -> None:
    voxels = np.random.default_rng(depth).permutation(depth)
    shown = busiest(voxels)
    assert len(shown) == min(3, depth) == len(set(shown))
    assert shown == sorted(shown)
    assert int(voxels.argmax()) in shown


def test_a_metric_is_described_in_words() -> None:
    assert METRICS["cremi_distance"].described("cremi_distance") == "CREMI distance, nm; lower is better"
    assert METRICS["jaccard"].described("jaccard") == "Jaccard index; higher is better"
    assert all(metric.title for metric in METRICS.values())


def picture(coded: str) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(base64.b64decode(coded), np.uint8), cv2.IMREAD_UNCHANGED)


def test_the_page_holds_the_mask_of_every_setting_to_the_voxel(tmp_path: Path) -> None:
    best = write_tuning_page(tmp_path / "tune.html", "a <b>title")
    page = (tmp_path / "tune.html").read_text(encoding="utf-8")
    assert "<b>title" not in page
    assert f"minimum size {best['min_size']} voxels" in page
    assert METRICS["jaccard"].meaning in page
    (data,) = re.findall(r'id="tried">(.*?)</script>', page)
    tried = json.loads(data)
    assert (tried["thresholds"], tried["sizes"]) == (THRESHOLDS, SIZES)
    case = corrupted_phantom((6, 60, 80))
    assert case.volume.probability is not None
    probability = case.volume.probability.read_all()[0]
    shown = busiest(case.pair.truth.sum(axis=(1, 2)))
    for z, section in zip(shown, tried["sections"], strict=True):
        np.testing.assert_array_equal(picture(section["truth"]) > 0, case.pair.truth[z])
        level = picture(section["levels"][0])
        for i, threshold in enumerate(THRESHOLDS):
            np.testing.assert_array_equal(level > i, probability[z] >= np.float32(threshold))
    for chart in tried["charts"]:
        assert all(len(line["values"]) == len(THRESHOLDS) for line in chart["lines"])
