"""What the page is made of, without a browser."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from connectomics.errors import UserError
from connectomics.metrics import LabelPair, score_volume
from connectomics.metrics.judged import judge, list_objects
from connectomics.metrics.matching import MatchRule
from connectomics.metrics.outcomes import Outcome
from connectomics.reports.listed import outline_pair
from connectomics.reports.outlines import MAX_CHARACTERS, MAX_OUTLINES, UNITS, outline_objects, trace
from connectomics.reports.page import ReportHead, write_report
from connectomics.reports.pictures import MAX_PIXELS, choose_size, encode_gray, encode_probability
from connectomics.reports.thresholds import ThresholdSweep
from connectomics.volumes.source import ArraySource
from tests.reports.corrupted import SPACING, corrupted_phantom, scores_of

HEAD = ReportHead("a test", {}, 0.5)
PATIENT = settings(deadline=None)


def filled(path: str, shape: tuple[int, int]) -> np.ndarray:
    """Return the voxels (Y, X) whose centre a path encloses."""
    rings = []
    for ring in re.findall(r"M(\d+) (\d+)([lh][^z]*)z", path):
        start = np.array([int(ring[0]), int(ring[1])])
        steps = [int(n) for n in re.findall(r"-?\d+", ring[2])] if ring[2][0] == "l" else []
        rings.append(np.cumsum([start, *np.reshape(steps, (-1, 2))], axis=0))
    canvas = np.zeros([n * UNITS for n in shape], np.uint8)
    cv2.fillPoly(canvas, [np.asarray(ring, np.int32) for ring in rings], 1)
    return canvas[UNITS // 2 :: UNITS, UNITS // 2 :: UNITS] > 0


def section_data(page: Path, name: str) -> dict:
    (found,) = re.findall(f'id="{name}">(.*?)</script>', page.read_text(encoding="utf-8"))
    return json.loads(found)


def written(folder: Path, *cases, **more) -> Path:  # type: ignore[no-untyped-def]
    path = folder / "report.html"
    volumes = [case.volume for case in cases]
    write_report(path, HEAD, scores_of(*cases), volumes, [one.image.shape for one in volumes], **more)
    return path


@pytest.mark.parametrize("corner", [(0, 0), (3, 7)])
def test_an_outline_encloses_its_object_and_leaves_its_holes(corner: tuple[int, int]) -> None:
    mask = np.zeros((40, 50), bool)
    mask[5:30, 8:40] = True
    mask[12:20, 15:25] = False
    shape = (mask.shape[0] + corner[0], mask.shape[1] + corner[1])
    np.testing.assert_array_equal(filled(trace(mask, corner), shape)[corner[0] :, corner[1] :], mask)


@PATIENT
@given(arrays(np.bool_, (6, 7)))
def test_every_object_has_an_outline_however_small(mask: np.ndarray) -> None:
    assert (trace(mask) == "") == (not mask.any())
    assert trace(mask).count("M") >= cv2.connectedComponents(mask.astype(np.uint8))[0] - 1


@PATIENT
@given(st.integers(0, 2**32 - 1), st.sampled_from([6, 18, 26]), st.booleans())
def test_listed_objects_are_those_that_were_judged(seed: int, near: int, partly: bool) -> None:
    rng = np.random.default_rng(seed)
    predicted, truth = rng.random((2, 4, 9, 11)) < 0.2
    annotated = rng.random(truth.shape) < 0.8 if partly else None
    judged = judge(LabelPair(predicted, truth, SPACING, annotated), MatchRule(connectivity=near))
    outlined = outline_pair(judged)
    outcomes, listed = judged.outcomes, outlined.list()
    assert outcomes is not None
    for word in Outcome:
        own = outcomes.annotated if word == Outcome.MISSED else outcomes.predicted
        expected = {k for k, one in enumerate(own, 1) if one == word}
        assert {one.id for one in listed if one.kind == word} == expected
    for one in listed:
        ids = judged.both.truth_ids if one.kind == "missed" else judged.both.predicted_ids
        assert one.voxels == (ids == one.id).sum()
        assert one.peak_voxels == (ids[one.z] == one.id).sum()
        assert (one.kind, one.id) in {(kind, number) for kind, number, _ in outlined.section(one.z)}
    sizes = [one.voxels for one in listed]
    assert sizes == sorted(sizes, reverse=True)
    pair = judged.pair.masks
    assert outlined.predicted.outlined.voxels[1:].sum() == pair.predicted.sum()
    assert outlined.predicted.outlined.shared.sum() == (pair.predicted & pair.truth).sum()


def test_an_object_is_shown_where_most_of_it_is() -> None:
    truth = np.zeros((5, 20, 20), bool)
    truth[1, 3, 3:5] = truth[2, 2:5, 3:8] = truth[3, 3, 3] = True
    (one,) = outline_pair(judge(LabelPair(np.zeros_like(truth), truth, SPACING), MatchRule())).list()
    assert (one.kind, one.z, one.y, one.x) == ("missed", 2, 3, 5)
    assert (one.voxels, one.peak_voxels, one.shared) == (18, 15, 0)


def test_noise_does_not_swell_the_page() -> None:
    noise = np.random.default_rng(0).random((1, 300, 300)) < 0.1
    ids, number = ndimage.label(noise[0], structure=np.ones((3, 3)))
    objects = outline_objects(ids[np.newaxis], number, noise)
    assert len(objects.sections[0]) <= MAX_OUTLINES
    assert sum(len(one.path) for one in objects.sections[0]) <= MAX_CHARACTERS
    assert objects.left_out[0] == len(objects.voxels) - 1 - len(objects.sections[0]) > 0


@PATIENT
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.99), st.booleans())
def test_a_sweep_gives_at_each_threshold_the_scores_of_that_mask(seed: int, threshold: float, partly: bool) -> None:
    rng = np.random.default_rng(seed)
    probability = rng.random((4, 6, 5)).astype(np.float32).round(2)
    truth = rng.random(probability.shape) < 0.3
    counts = rng.random(probability.shape) < 0.8 if partly else None
    sweep = ThresholdSweep((0.2, threshold, 0.7))
    for half in (slice(0, 1), slice(1, 4)):
        sweep.add(probability[half], truth[half], None if counts is None else counts[half])
    pair = LabelPair(probability >= np.float32(threshold), truth, SPACING, counts)
    names = ["jaccard", "precision", "recall"]
    scores = score_volume(pair, names)
    assert sweep.curves()[threshold] == {name: scores[name] for name in names}


@pytest.mark.parametrize("shape", [(125, 1250, 1250), (5, 40, 60), (3, 1, 4000), (2000, 4096, 4096)])
def test_sections_are_scaled_down_to_fit(shape: tuple[int, int, int]) -> None:
    size = choose_size(shape, [shape])
    assert shape[0] * shape[1] * shape[2] * size.scale**2 <= MAX_PIXELS * 1.001
    assert max(shape[1:]) * size.scale <= 900
    assert (size.scale == 1) == (max(shape[1:]) <= 900)
    picture = cv2.imdecode(
        np.frombuffer(base64.b64decode(encode_gray(np.zeros(shape[1:], np.uint8), size)), np.uint8), -1
    )
    assert max(picture.shape) <= 900


def test_a_picture_of_probabilities_is_true_to_its_levels() -> None:
    probability = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    coded = base64.b64decode(encode_probability(probability, choose_size((1, 20, 20), [(1, 20, 20)])))
    picture = cv2.imdecode(np.frombuffer(coded, np.uint8), -1) / 255
    np.testing.assert_allclose(picture, probability, atol=0.5 / 15 + 1e-6)
    assert picture[0, 0] == 0


def test_a_page_holds_every_section_and_the_same_numbers_as_the_metrics(tmp_path: Path) -> None:
    case = corrupted_phantom((6, 64, 80))
    page = written(tmp_path, case)
    for z in range(6):
        raw = base64.b64decode(section_data(page, f"pictures-0-{z}")["raw"])
        shown = cv2.imdecode(np.frombuffer(raw, np.uint8), -1).astype(float)
        assert shown.shape == (64, 80)
        assert np.abs(shown - case.volume.image.read_all()[0, z]).mean() < 20
        assert section_data(page, f"outlines-0-{z}")["left_out"] == 0
    (entry,) = section_data(page, "entries")["volumes"]
    assert entry["detection"] == scores_of(case)["volumes"][case.volume.name]["synapse_detection"]
    for one in entry["objects"]:
        expected = None
        if one["kind"] != "missed":
            inside = case.volume.judged.both.predicted_ids == one["id"]
            expected = pytest.approx(case.volume.probability.read_all()[0][inside].mean(), abs=1e-4)
        assert one["probability"] == expected
    assert f"{scores_of(case)['mean']['jaccard']:.4g}" in page.read_text(encoding="utf-8")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_excluded_voxels_are_marked_and_nothing_becomes_of_what_lies_there(tmp_path: Path) -> None:
    case = corrupted_phantom((4, 64, 80), invented=0)
    pair = LabelPair(case.pair.predicted, case.pair.truth, SPACING, np.zeros((4, 64, 80), bool))
    page = written(tmp_path, replace(case, volume=replace(case.volume, judged=judge(pair, MatchRule()))))
    (entry,) = section_data(page, "entries")["volumes"]
    assert (entry["predicted"], entry["detection"]["annotated"], entry["objects"]) == (0, 0, [])
    assert section_data(page, "pictures-0-0")["excluded"].startswith("M")


def test_a_page_without_a_label_says_what_was_found_and_nothing_of_scores(tmp_path: Path) -> None:
    case, page = corrupted_phantom((4, 64, 80)), tmp_path / "report.html"
    alone = replace(case.volume, judged=list_objects(case.pair.predicted, SPACING, False, MatchRule()))
    write_report(page, HEAD, None, [alone], [case.pair.truth.shape])
    entries, text = section_data(page, "entries"), page.read_text(encoding="utf-8")
    (entry,) = entries["volumes"]
    assert not entries["labelled"]
    assert [kind["key"] for kind in entries["kinds"]] == ["found"]
    assert f"<b>{entry['predicted']}</b> synapses found" in text
    assert {one["kind"] for one in entry["objects"]} == {"found"}
    assert len(entry["objects"]) == entry["predicted"] > 0
    for absent in ("scores-title", "curves-title", "are annotated", "intersection over union"):
        assert absent not in text


def test_a_page_without_probabilities_says_so(tmp_path: Path) -> None:
    case = corrupted_phantom((3, 48, 48))
    bare = replace(case, volume=replace(case.volume, probability=None))
    assert "probabilities were not saved" in written(tmp_path, bare).read_text(encoding="utf-8")
    assert "probability" not in section_data(tmp_path / "report.html", "pictures-0-0")


def test_a_page_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    case = corrupted_phantom((3, 48, 48))
    before = written(tmp_path, case).read_bytes()
    shallow = ArraySource.of(np.zeros((2, 48, 48), np.uint8), SPACING)  # not the grid of the labels
    broken = replace(case.volume, probability=shallow)
    with pytest.raises(UserError, match="reaches outside"):
        write_report(tmp_path / "report.html", HEAD, scores_of(case), [broken], [(3, 48, 48)])
    assert (tmp_path / "report.html").read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
