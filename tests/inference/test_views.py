from __future__ import annotations

import pytest
import torch

from connectomics.errors import ConfigError
from connectomics.inference.views import Ensemble, all_views, share_views


def turns(window: torch.Tensor, quarters: int) -> torch.Tensor:
    return torch.rot90(window, quarters, (-2, -1))


def test_all_axes_have_eight_views_the_unchanged_one_first() -> None:
    views = all_views("all")
    assert len(set(views)) == 8
    assert views[0].flips == ()


def test_naming_an_axis_twice_adds_no_view() -> None:
    assert all_views([2, 1, 1]) == all_views([1, 2])
    assert len(all_views([])) == 1


@pytest.mark.parametrize("quarter_turns", [False, True])
def test_every_view_is_undone(quarter_turns) -> None:
    window = torch.randn(2, 3, 4, 5)
    for view in all_views("all", quarter_turns):
        torch.testing.assert_close(view.undo(view.of(window)), window, rtol=0, atol=0)


@pytest.mark.parametrize(("axes", "count"), [([], 4), ([0], 8), ([2], 8), ([1, 2], 8), ("all", 16)])
def test_quarter_turns_of_all_mirrorings_come_once_each(axes, count) -> None:
    window = torch.randn(1, 3, 4, 4)
    seen = [view.of(window) for view in all_views(axes, quarter_turns=True)]
    wanted = [view.of(turns(window, k)) for view in all_views(axes) for k in range(4)]
    assert len(seen) == count
    assert all(any(torch.equal(a, b) for b in seen) for a in wanted)
    assert all(any(torch.equal(a, b) for b in wanted) for a in seen)
    assert not any(torch.equal(a, b) for i, a in enumerate(seen) for b in seen[:i])


@pytest.mark.parametrize("quarter_turns", [False, True])
def test_each_half_of_the_views_mirrors_every_axis_in_half_of_its_members(quarter_turns) -> None:
    views = all_views("all", quarter_turns)
    for half in share_views(views, len(views) // 2):
        for axis in range(3):
            assert sum(axis in view.flips for view in half) == len(half) / 2


@pytest.mark.parametrize("per_window", [3, 5, 16])
def test_views_that_cannot_be_shared_out_evenly_are_refused(per_window) -> None:
    with pytest.raises(ConfigError, match="a divisor of the number of views, which is 8"):
        share_views(all_views("all"), per_window)


@pytest.mark.parametrize(("mode", "expected"), [("mean", 3.0), ("min", 1.0), ("max", 6.0)])
def test_views_are_joined_one_by_one(mode, expected) -> None:
    ensemble = Ensemble(mode)
    for value in (2.0, 1.0, 6.0):
        ensemble.add(torch.full((1, 2, 2, 2), value))
    assert (ensemble.result() == expected).all()


def test_an_ensemble_keeps_its_hands_off_the_first_prediction() -> None:
    first, ensemble = torch.zeros(1, 1, 1, 1), Ensemble("mean")
    ensemble.add(first)
    ensemble.add(torch.ones(1, 1, 1, 1))
    assert first.item() == 0
