"""What `--init` sees in an image and in its label."""

from pathlib import Path

import numpy as np
import pytest

from connectomics.config.data import VolumesConfig
from connectomics.planning import facts
from connectomics.planning.facts import look_at_clefts, look_at_image
from connectomics.volumes.labelled import LabelledSource, open_labelled
from connectomics.volumes.write import write_volume

SPACING = {"resolution": np.array([40.0, 4.0, 4.0])}


def opened(folder: Path, image: np.ndarray, label: np.ndarray, mask: np.ndarray | None = None) -> LabelledSource:
    write_volume(folder / "im.h5", image, SPACING)
    write_volume(folder / "syn.h5", label, SPACING)
    if mask is not None:
        write_volume(folder / "mask.h5", mask, SPACING)
    files = VolumesConfig(
        image=[str(folder / "im.h5")],
        label=[str(folder / "syn.h5")],
        mask=[] if mask is None else [str(folder / "mask.h5")],
    )
    return open_labelled(files, "--init", 1, need_label=True)[0]


@pytest.mark.parametrize("width", [3, 5, 6, 9, 14])
@pytest.mark.parametrize("turned", [False, True])
def test_a_band_is_as_thick_as_it_is(tmp_path: Path, width: int, turned: bool) -> None:
    label = np.zeros((4, 60, 80), np.uint16)
    label[:, 20 : 20 + width, 5:75] = 1
    label = label.transpose(0, 2, 1) if turned else label
    found = look_at_clefts(opened(tmp_path, np.zeros(label.shape, np.uint8), label))
    assert found.thickness_px == pytest.approx(width, abs=1)
    assert found.sizes == (4 * 70 * width,)
    assert found.share == pytest.approx(70 * width / 60 / 80)


def test_what_nobody_annotated_is_not_counted(tmp_path: Path) -> None:
    label = np.zeros((6, 40, 40), np.uint8)
    label[1, 2:6, 2:12], label[4, 2:6, 2:12] = 1, 2
    mask = np.ones(label.shape, np.uint8)
    mask[3:] = 0
    found = look_at_clefts(opened(tmp_path, label, label, mask))
    assert (found.sizes, found.annotated) == ((40,), 3 * 40 * 40)


def test_of_a_large_label_the_middle_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    label = np.zeros((8, 64, 64), np.uint8)
    label[0, :8, :8], label[4, 30:34, 30:40] = 1, 1
    monkeypatch.setattr(facts, "MOST_VOXELS", 4 * 32 * 64)
    found = look_at_clefts(opened(tmp_path, label, label))
    assert (found.sizes, found.whole) == ((40,), False)


def test_an_image_is_told_by_its_grey_values(tmp_path: Path) -> None:
    image = np.tile(np.arange(100, dtype=np.uint8), (5, 40, 1))
    image[3] = 7
    image[0, :, :50] = 0
    found = look_at_image(opened(tmp_path, image, np.zeros(image.shape, np.uint8)).image)
    assert found.blank_sections == (3,)
    assert found.empty == pytest.approx((40 * 50 + 3 * 40) / image.size)
    assert found.values == len(np.unique(image[:, ::4, ::4]))
    assert (found.shape, found.spacing_nm, found.dtype) == ((5, 40, 100), (40, 4, 4), "uint8")
