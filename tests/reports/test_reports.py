import io
from collections.abc import Iterator

import numpy as np
import pytest
from rich.console import Console

from connectomics.drawing.figures import (
    CHANNEL_COLORS,
    draw_outcomes,
    heat,
    outlined,
    sections_side_by_side,
    stacked,
    to_gray,
)
from connectomics.drawing.legend import draw_legend
from connectomics.drawing.outcome_styles import STYLES
from connectomics.metrics import LabelPair
from connectomics.metrics.judged import judge, list_objects
from connectomics.metrics.matching import MatchRule
from connectomics.metrics.outcomes import Outcome
from connectomics.reports.scores import print_scores
from connectomics.reports.section_picture import draw_sections, legend_entries
from connectomics.screen.durations import describe_seconds

FOUND = STYLES["found"].color


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (60, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (7620, "2 h 07 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_a_length_of_time_reads_as_people_say_it(seconds: float, text: str) -> None:
    assert describe_seconds(seconds) == text


def test_an_outline_lies_around_its_object_and_leaves_it_free() -> None:
    mask = np.zeros((7, 7), bool)
    mask[2:5, 2:5] = True
    picture = outlined(np.full((7, 7), 9, np.uint8), mask, FOUND)
    line = (picture == FOUND).all(-1)
    assert line.sum() == 16
    assert not (line & mask).any()
    assert (picture[mask] == 9).all()


def test_a_dashed_line_is_the_same_line_with_gaps() -> None:
    mask = np.zeros((30, 40), bool)
    mask[5:20, 6:30] = True
    mask[10:14, 12:20] = False
    whole, dashed = (
        (outlined(np.zeros((30, 40), np.uint8), mask, FOUND, dash) == FOUND).all(-1) for dash in ((), (3, 2))
    )
    assert not (dashed & ~whole).any()
    assert 0.5 < dashed.sum() / whole.sum() < 0.7


def simulated(colors: np.ndarray) -> Iterator[np.ndarray]:
    """Yield colours (N, 3) in CIELAB as people see them who lack no cones, or one of the three kinds (Machado 2009)."""
    cones = [
        np.eye(3),
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    shares = colors / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    for matrix in cones:
        xyz = (linear @ np.transpose(matrix)).clip(0, 1) @ to_xyz.T / (0.9505, 1, 1.089)
        x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116).T
        yield np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def test_every_kind_of_object_is_told_apart_by_its_colour_whatever_the_eyes_and_by_its_line() -> None:
    assert list(STYLES) == [*Outcome, "turned", "annotated"]
    for seen in simulated(np.array([style.color for style in STYLES.values()], float)):
        apart = np.linalg.norm(seen[:, np.newaxis] - seen, axis=-1)
        assert apart[np.triu_indices(len(STYLES), 1)].min() > 20
    assert len({style.dash for style in STYLES.values()}) == len(STYLES)


def two_sided(pre: int, post: int, at: int = 20) -> np.ndarray:
    """Return a section with one synapse, upright, of two bands."""
    ids = np.zeros((40, 60), np.uint64)
    ids[10:30, at : at + 6], ids[10:30, at + 6 : at + 12] = pre, post
    return ids


def test_the_sides_are_tinted_in_the_colours_of_their_channels_and_the_arrow_leads_to_the_post_side() -> None:
    gray = np.full((40, 60), 90, np.uint8)
    ids = two_sided(1, 2)
    picture = draw_outcomes(gray, [("found", ids > 0)], [ids], parts=2).astype(int)
    for x, color in ((22, CHANNEL_COLORS[0]), (30, CHANNEL_COLORS[1])):
        np.testing.assert_allclose(picture[12, x], 0.7 * 90 + 0.3 * np.array(color), atol=1)
    bright = np.argwhere((picture > 235).all(axis=-1))
    rows = {x: np.ptp(bright[bright[:, 1] == x, 0]) for x in np.unique(bright[:, 1])}
    assert max(rows, key=rows.__getitem__) > 26  # the barbs spread on the post side


def drawn_colors(picture: np.ndarray) -> set[str]:
    """Return the kinds of objects whose colours a picture has; white lies between pictures, too."""
    seen = {tuple(color) for color in picture.reshape(-1, 3).tolist()}
    return {kind for kind, style in STYLES.items() if style.color in seen} - {"annotated"}


def test_a_picture_shows_every_outcome_in_its_colour_and_its_legend_the_counts() -> None:
    predicted, truth = np.zeros((2, 2, 60, 90), bool)
    truth[0, 4:10, 4:14] = predicted[0, 4:10, 4:14] = True  # found
    truth[0, 4:10, 24:34] = predicted[0, 4:6, 24:28] = True  # poorly outlined
    truth[0, 20:26, 4:10] = truth[0, 20:26, 14:20] = predicted[0, 20:26, 4:20] = True  # merged
    truth[0, 20:26, 30:50] = predicted[0, 20:26, 30:36] = predicted[0, 20:26, 42:50] = True  # split
    truth[0, 40:46, 4:14] = predicted[1, 50:56, 60:70] = True  # missed, invented
    judged = judge(LabelPair(predicted, truth, (40.0, 4.0, 4.0)), MatchRule())
    legend = legend_entries(judged, "clefts")
    assert [text for _, text in legend] == [
        "found 1", "poorly outlined 1", "merged 1", "split 1", "missed 1", "invented 1"]  # fmt: skip
    picture = draw_sections(judged, lambda z: np.full((60, 90), 90, np.uint8), "clefts")
    assert drawn_colors(picture[: 4 * 60 + 3 * 4]) == set(Outcome)
    assert drawn_colors(draw_legend(legend, 300)) == set(Outcome)
    alone = list_objects(predicted, (40.0, 4.0, 4.0), False, MatchRule())
    assert legend_entries(alone, "clefts") == [("found", "6 clefts found")]
    assert drawn_colors(draw_sections(alone, lambda z: np.full((60, 90), 90, np.uint8), "clefts")) == {"found"}


@pytest.mark.parametrize(("turned", "kind"), [(False, "found"), (True, "turned")])
def test_in_a_picture_a_synapse_with_its_sides_the_wrong_way_round_has_its_own_colour(turned: bool, kind: str) -> None:
    truth, predicted = two_sided(1, 2)[np.newaxis], two_sided(*((8, 7) if turned else (7, 8)))[np.newaxis]
    judged = judge(LabelPair(predicted, truth, (40.0, 4.0, 4.0), sided=True), MatchRule())
    picture = draw_sections(judged, lambda z: np.full((40, 60), 90, np.uint8), "synapses")
    assert drawn_colors(picture[: 2 * 40 + 4]) == {kind}
    missed = judge(LabelPair(0 * truth, truth, (40.0, 4.0, 4.0), sided=True), MatchRule())
    picture = draw_sections(missed, lambda z: np.full((40, 60), 90, np.uint8), "synapses").astype(int)
    assert drawn_colors(picture[: 2 * 40 + 4]) == {"missed"}
    assert (picture[44 + 12, 22] != picture[44 + 12, 30]).any()  # its sides are tinted


def test_a_patch_becomes_a_column_for_each_section() -> None:
    patch = np.random.default_rng(0).random((6, 10, 12))
    nothing = np.zeros(patch.shape, np.uint8)
    picture = sections_side_by_side(patch, patch[np.newaxis] > 0.9, patch[np.newaxis], nothing, num_sections=3)
    assert picture.shape == (4 * 10 + 3 * 4, 3 * 12 + 2 * 4, 3)
    np.testing.assert_array_equal(picture[:10, :12, 0], to_gray(patch[0]))
    np.testing.assert_array_equal(picture[:10, -12:, 0], to_gray(patch[5]))


def test_each_channel_of_a_patch_has_its_outlines_and_its_row_of_probabilities() -> None:
    image, label = np.zeros((1, 10, 12)), np.zeros((2, 1, 10, 12))
    label[0, 0, 2:4, 2:4] = label[1, 0, 6:8, 7:9] = 1
    outcomes = np.zeros((1, 10, 12), np.uint8)
    outcomes[0, 2:4, 2:4], outcomes[0, 6:8, 7:9] = 1, 5
    picture = sections_side_by_side(image, label, np.stack([image, image + 1]), outcomes, num_sections=1)
    _, outlines, judged, first, second = (picture[14 * row : 14 * row + 10] for row in range(5))
    assert drawn_colors(judged) == {"found", "missed"}
    assert [tuple(outlines[at]) for at in ((1, 2), (5, 7))] == list(CHANNEL_COLORS[:2])
    np.testing.assert_array_equal(first, heat(image[0]))
    np.testing.assert_array_equal(second, heat(image[0] + 1))


def test_stacking_keeps_every_picture() -> None:
    pictures = [np.full((2, 3, 3), value, np.uint8) for value in (1, 2)]
    assert stacked(pictures, axis=0)[:, 0, 0].tolist() == [1, 1, 255, 255, 255, 255, 2, 2]


def test_the_table_shows_values_and_says_why_one_is_missing() -> None:
    score = {"score": 20.5, "adgt": 30.0, "adf": 11.0}
    scores = {
        "volumes": {
            "im_A": {"cremi_distance": score, "jaccard": 0.5},
            "im_B": {"cremi_distance": None, "cremi_distance_undefined": "no cleft was predicted", "jaccard": 0.0},
        },
        "mean": {"cremi_distance": None, "cremi_distance_undefined": "im_B has none", "jaccard": 0.25},
    }
    screen = Console(file=io.StringIO(), width=100)
    print_scores(screen, scores)
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    for part in ("20.50", "30.00", "11.00", "0.25", "undefined", "im_B: cremi_distance is undefined: no cleft"):
        assert part in text
