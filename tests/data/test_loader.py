import numpy as np
import pytest

from connectomics.data.loader import EpochBatches, Progress, Share


def batches(length: int, share: Share, total: int = 0, this_epoch: int = 0, completed: int = -1) -> EpochBatches:
    done = this_epoch if completed < 0 else completed
    return EpochBatches(length, share, lambda: Progress(total, this_epoch, done))


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_ranks_draw_disjoint_samples_and_together_all_of_them(world_size: int) -> None:
    drawn = [n for rank in range(world_size) for b in batches(5, Share(3, rank, world_size)) for n in b]
    assert sorted(drawn) == list(range(5 * 3 * world_size))


def test_the_next_epoch_goes_on_with_the_next_sample() -> None:
    first, second = batches(5, Share(2)), batches(5, Share(2), total=5)
    assert [n for b in first for n in b] + [n for b in second for n in b] == list(range(20))


def test_in_the_middle_of_an_epoch_the_rest_of_it_follows() -> None:
    whole = list(batches(5, Share(2, 1, 2)))
    assert list(batches(5, Share(2, 1, 2), total=3, this_epoch=3)) == whole[3:]
    assert len(batches(5, Share(2), total=3, this_epoch=3)) == 5  # the length of the epoch, as Lightning counts


def test_of_an_epoch_that_is_over_nothing_follows() -> None:
    assert list(batches(5, Share(2), total=5, this_epoch=5)) == []


def test_after_the_last_batch_of_an_epoch_the_next_one_follows() -> None:
    assert next(iter(batches(5, Share(2), total=5, this_epoch=5, completed=4))) == [10, 11]


def test_a_resume_with_other_ranks_and_batches_neither_repeats_nor_leaves_out() -> None:
    state = batches(10, Share(4, 1, 2), total=6, this_epoch=6).state_dict()
    assert state == {"batches": 6, "patches": 48}
    resumed = batches(10, Share(3), total=6, this_epoch=6)
    resumed.load_state_dict(state)
    assert [n for b in resumed for n in b] == list(np.arange(48, 48 + 4 * 3))
