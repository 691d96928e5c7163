"""The scores of a volume, and of several, as they stand in metrics.json."""

from __future__ import annotations

import json

import numpy as np
import pytest

from connectomics.errors import ConfigError
from connectomics.metrics import METRICS, LabelPair, mean_over_volumes, score_volume

CREMI = (40.0, 4.0, 4.0)
STATS = {"mean", "std", "max", "median", "count"}


def draw_pair(seed: int, share: float = 0.2) -> LabelPair:
    rng = np.random.default_rng(seed)
    return LabelPair(rng.random((4, 9, 9)) < share, rng.random((4, 9, 9)) < 0.2, CREMI)


def test_every_metric_can_be_written_as_strict_json_and_read_back() -> None:
    for share in (0.2, 0, 1):
        volumes = {"im_A": score_volume(draw_pair(0, share), METRICS), "im_B": score_volume(draw_pair(1), METRICS)}
        written = {"volumes": volumes, "mean": mean_over_volumes(volumes)}
        assert json.loads(json.dumps(written, allow_nan=False)) == written


def test_the_cremi_distance_has_the_entries_of_the_contract() -> None:
    scores = score_volume(draw_pair(0), ["cremi_distance", "jaccard"])
    assert list(scores) == ["cremi_distance", "jaccard"]
    distance = scores["cremi_distance"]
    assert set(distance) == {
        "score", "adgt", "adf", "fp_count", "fn_count", "false_positive_stats", "false_negative_stats",
    }  # fmt: skip
    assert set(distance["false_positive_stats"]) == set(distance["false_negative_stats"]) == STATS
    assert distance["score"] == (distance["adgt"] + distance["adf"]) / 2


def test_an_undefined_score_is_null_beside_its_reason_and_leaves_the_others_be() -> None:
    scores = score_volume(draw_pair(0, share=0), ["cremi_distance", "precision", "recall"])
    assert scores == {
        "cremi_distance": None,
        "cremi_distance_undefined": "no voxel is predicted",
        "precision": None,
        "precision_undefined": "no voxel is predicted",
        "recall": 0.0,
    }


def test_an_unknown_metric_is_told_with_its_setting_and_the_close_match() -> None:
    with pytest.raises(ConfigError, match=r"evaluation.metrics is 'jacard'.*did you mean 'jaccard'"):
        score_volume(draw_pair(0), ["cremi_distance", "jacard"])


def test_the_mean_weighs_volumes_alike_whatever_their_size() -> None:
    one, other = draw_pair(0), LabelPair(np.ones((1, 1, 3), bool), np.array([[[False, False, True]]]), CREMI)
    volumes = {"im_A": score_volume(one, METRICS), "im_B": score_volume(other, METRICS)}
    mean = mean_over_volumes(volumes)
    for name in ("jaccard", "dice", "precision", "recall", "synapse_f1"):
        assert mean[name] == pytest.approx((volumes["im_A"][name] + volumes["im_B"][name]) / 2)
    assert set(mean["cremi_distance"]) == {"score", "adgt", "adf", "fp_count", "fn_count"}
    for key, value in mean["cremi_distance"].items():
        assert value == pytest.approx(
            (volumes["im_A"]["cremi_distance"][key] + volumes["im_B"]["cremi_distance"][key]) / 2
        )


def test_the_mean_is_undefined_where_a_volume_is_and_names_it() -> None:
    volumes = {"im_A": score_volume(draw_pair(0), ["cremi_distance", "jaccard"])}
    volumes["im_B"] = score_volume(draw_pair(1, share=0), ["cremi_distance", "jaccard"])
    mean = mean_over_volumes(volumes)
    assert mean["cremi_distance"] is None
    assert mean["cremi_distance_undefined"] == "undefined in im_B (no voxel is predicted)"
    assert mean["jaccard"] == pytest.approx(volumes["im_A"]["jaccard"] / 2)


def test_no_volume_has_no_mean_and_one_volume_is_its_own() -> None:
    assert mean_over_volumes({}) == {}
    scores = score_volume(draw_pair(0), ["jaccard"])
    assert mean_over_volumes({"im_A": scores}) == scores


def test_volumes_with_different_metrics_have_no_mean() -> None:
    with pytest.raises(ValueError, match="im_B has no jaccard"):
        mean_over_volumes({"im_A": {"jaccard": 0.5}, "im_B": {"dice": 0.5}})
