import io

import numpy as np
import pytest
from rich.console import Console

from connectomics.drawing.figures import (
    CHANNEL_COLORS,
    FALSE_COLOR,
    MISSED_COLOR,
    TRUE_COLOR,
    TURNED_COLOR,
    compared,
    heat,
    outlined,
    sections_side_by_side,
    stacked,
    to_gray,
)
from connectomics.reports.scores import print_scores
from connectomics.screen.durations import describe_seconds


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
    picture = outlined(np.full((7, 7), 9, np.uint8), mask, TRUE_COLOR)
    line = (picture == TRUE_COLOR).all(-1)
    assert line.sum() == 16
    assert not (line & mask).any()
    assert (picture[mask] == 9).all()


def test_found_invented_and_missed_clefts_have_their_own_colours() -> None:
    predicted, truth = np.zeros((2, 20, 20), bool)
    predicted[2:4, 2:4] = truth[3:5, 2:4] = True
    predicted[2:4, 12:14] = True
    truth[12:14, 2:4] = True
    picture = compared(np.zeros((20, 20), np.uint8), predicted, truth)
    seen = {tuple(color) for color in picture.reshape(-1, 3).tolist()}
    assert seen == {(0, 0, 0), TRUE_COLOR, FALSE_COLOR, MISSED_COLOR}
    assert tuple(picture[1, 12]) == FALSE_COLOR
    assert tuple(picture[11, 2]) == MISSED_COLOR


def two_sided(pre: int, post: int, at: int = 20) -> np.ndarray:
    """Return a section with one synapse, upright, of two bands."""
    ids = np.zeros((40, 60), np.uint64)
    ids[10:30, at : at + 6], ids[10:30, at + 6 : at + 12] = pre, post
    return ids


def test_a_synapse_whose_sides_are_the_wrong_way_round_has_its_own_colour() -> None:
    gray = np.full((40, 60), 90, np.uint8)
    truth = two_sided(1, 2)
    for predicted, color in ((two_sided(7, 8), TRUE_COLOR), (two_sided(8, 7), TURNED_COLOR)):
        picture = compared(gray, predicted, truth, parts=2)
        assert tuple(picture[9, 24]) == color
        assert tuple(picture[9, 28]) == color
    assert tuple(compared(gray, two_sided(8, 7), truth)[9, 24]) == TRUE_COLOR  # without parts there is no way round


def test_the_sides_are_tinted_in_the_colours_of_their_channels_and_the_arrow_leads_to_the_post_side() -> None:
    gray = np.full((40, 60), 90, np.uint8)
    picture = compared(gray, two_sided(1, 2), None, parts=2).astype(int)
    for x, color in ((22, CHANNEL_COLORS[0]), (30, CHANNEL_COLORS[1])):
        np.testing.assert_allclose(picture[12, x], 0.7 * 90 + 0.3 * np.array(color), atol=1)
    bright = np.argwhere((picture > 235).all(axis=-1))
    rows = {x: np.ptp(bright[bright[:, 1] == x, 0]) for x in np.unique(bright[:, 1])}
    assert max(rows, key=rows.__getitem__) > 26  # the barbs spread on the post side


def test_a_missed_synapse_shows_its_sides_too() -> None:
    picture = compared(np.full((40, 60), 90, np.uint8), 0 * two_sided(1, 2), two_sided(1, 2), parts=2).astype(int)
    assert tuple(picture[9, 24]) == MISSED_COLOR
    assert (picture[12, 22] != picture[12, 30]).any()


def test_a_patch_becomes_a_column_for_each_section() -> None:
    patch = np.random.default_rng(0).random((6, 10, 12))
    picture = sections_side_by_side(patch, patch[np.newaxis] > 0.9, patch[np.newaxis], num_sections=3)
    assert picture.shape == (3 * 10 + 2 * 4, 3 * 12 + 2 * 4, 3)
    np.testing.assert_array_equal(picture[:10, :12, 0], to_gray(patch[0]))
    np.testing.assert_array_equal(picture[:10, -12:, 0], to_gray(patch[5]))


def test_each_channel_of_a_patch_has_its_outlines_and_its_row_of_probabilities() -> None:
    image, label = np.zeros((1, 10, 12)), np.zeros((2, 1, 10, 12))
    label[0, 0, 2:4, 2:4] = label[1, 0, 6:8, 7:9] = 1
    picture = sections_side_by_side(image, label, np.stack([image, image + 1]), num_sections=1)
    _, outlines, first, second = (picture[14 * row : 14 * row + 10] for row in range(4))
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
