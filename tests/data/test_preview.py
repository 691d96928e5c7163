from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from connectomics.config.schema import Config
from connectomics.data.augment import AUGMENTATIONS
from connectomics.data.preview import (
    CHANNEL_OUTLINES,
    GAP,
    OUTLINE,
    PROFILE_HEIGHT,
    TITLE_HEIGHT,
    draw_sheet,
    write_preview,
)
from connectomics.errors import UserError
from tests.building import data_of
from tests.data.conftest import enable_all


def test_a_sheet_has_a_row_for_each_patch_and_a_column_for_each_augmentation(
    make_config: Callable[..., Config], tmp_path: Path
) -> None:
    config = make_config((10, 80, 90))
    config.data.dataloader.patch_size = (6, 64, 64)
    enable_all(config)
    write_preview(data_of(config), 2, tmp_path / "new" / "sheet.png")
    sheet = cv2.imread(str(tmp_path / "new" / "sheet.png"))
    profile = 6 * (PROFILE_HEIGHT // 6)
    row = TITLE_HEIGHT + 64 + profile + 2 * 2 + GAP
    assert sheet.shape == (2 * row, (2 + len(AUGMENTATIONS)) * (64 + GAP), 3)
    assert (sheet == OUTLINE).all(axis=-1).any()


@pytest.mark.parametrize("exclusive", [False, True])
def test_both_sides_of_synapses_are_outlined_and_the_background_is_not(
    make_config: Callable[..., Config], exclusive: bool
) -> None:
    config = make_config((10, 80, 90))
    config.data.target.type, config.data.target.kwargs = "polarity", {"exclusive": exclusive}
    config.data.dataloader.patch_size = (6, 64, 64)
    sheet = draw_sheet(data_of(config).training_patches(), 4)
    lines = [(sheet == color).all(axis=-1) for color in CHANNEL_OUTLINES]
    assert lines[0].any()
    assert lines[1].any()
    assert sum(line.mean() for line in lines) < 0.3


def test_without_augmentation_the_network_sees_the_patch_as_it_is(make_config: Callable[..., Config]) -> None:
    sheet = draw_sheet(data_of(make_config()).training_patches(), 1)
    first, second = np.split(sheet, 2, axis=1)
    np.testing.assert_array_equal(first[20:], second[20:])


def test_a_sheet_that_cannot_be_written_is_told(make_config: Callable[..., Config], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/sheet\.png cannot be written"):
        write_preview(data_of(make_config()), 1, tmp_path / "file" / "sheet.png")
