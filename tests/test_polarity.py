"""What a network would answer at best, decoded and scored, is the label."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.config.data import TargetConfig
from connectomics.data.targets import build_target
from connectomics.decoding.polarity2instance import decode_classes, decode_sides
from connectomics.metrics.polarity import detect_polarity
from connectomics.phantom import make_phantom

SPACING = (40.0, 8.0, 8.0)
BOX = (1, 5, 5)

PERFECT = {"f1": 1.0, "precision": 1.0, "recall": 1.0, "right_way_round": 1.0, "pre_iou": 1.0, "post_iou": 1.0,
           "missed": 0, "invented": 0}  # fmt: skip


def round_trip(label: np.ndarray, exclusive: bool, min_size: int) -> np.ndarray:
    target = build_target(TargetConfig(type="polarity", kwargs={"exclusive": exclusive}))
    decode = decode_classes if exclusive else decode_sides
    return decode(target.channels(target.encode(label[np.newaxis], "main")), 0.5, min_size, BOX)


@pytest.mark.parametrize("exclusive", [False, True])
def test_every_synapse_of_a_clean_label_is_found_with_both_sides_right(exclusive: bool) -> None:
    label = make_phantom((16, 192, 192), np.random.default_rng(3), apart=(3, 17, 17)).polarity
    scores = detect_polarity(round_trip(label, exclusive, 1), label, SPACING).to_json()
    assert scores == {**PERFECT, "matched": len(np.unique((label[label > 0] + np.uint64(1)) // np.uint64(2)))}
    assert scores["matched"] > 5


@st.composite
def clean_labels(draw: st.DrawFn) -> np.ndarray:
    """Blocks of at least 2 voxels a side, never nearer than the box joins, also at the borders, some one-sided."""
    label = np.zeros((3, 3 * 11, 3 * 13), np.uint64)
    numbers = draw(st.permutations(range(1, 2**40, 2**40 // 18)))
    for i in range(draw(st.integers(1, 18))):
        section, row, column = np.unravel_index(i, (2, 3, 3))
        height, width, k = draw(st.integers(1, 6)), draw(st.integers(1, 4)), numbers[i]
        z, y, x = 2 * section, 11 * row, 13 * column
        first, second = draw(st.sampled_from([(2 * k - 1, 2 * k), (2 * k, 2 * k - 1), (2 * k, 0), (0, 2 * k - 1)]))
        label[z, y : y + height, x : x + width] = first
        label[z, y : y + height, x + width : x + 2 * width] = second
    return label


@settings(max_examples=40, deadline=None)
@given(clean_labels(), st.booleans())
def test_decoding_the_target_of_a_clean_label_gives_the_label_but_for_the_numbers(
    label: np.ndarray, exclusive: bool
) -> None:
    decoded = round_trip(label, exclusive, 1)
    scores = detect_polarity(decoded, label, SPACING).to_json()
    assert (scores["f1"], scores["right_way_round"]) == (1, 1)
    assert {scores["pre_iou"], scores["post_iou"]} <= {1, None}
    pairs = np.unique(np.stack([decoded.ravel(), label.ravel()]), axis=1).T
    assert len(pairs) == len(np.unique(label)) == len(np.unique(decoded))
    assert all(ours % 2 == theirs % 2 for ours, theirs in pairs.tolist())
