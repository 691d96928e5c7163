from pathlib import Path

import h5py
import numpy as np
import pytest

from connectomics.config.data import ImageTransformConfig, VolumesConfig
from connectomics.errors import VolumeError
from connectomics.volumes.labelled import LabelledSource, measure_image, open_labelled
from connectomics.volumes.labels import split_clefts

BACKGROUND = 0xFFFFFFFFFFFFFFFF


def challenge_file(folder: Path, offset: tuple[float, float, float], label_shape: tuple[int, int, int]) -> str:
    """Write a padded sample: raw of 8 x 9 x 10 voxels, labels in a box of it that begins at `offset` nm."""
    path = folder / "sample_A_padded.hdf"
    clefts = np.full(label_shape, BACKGROUND, np.uint64)
    clefts[0, 0, 0] = 0
    with h5py.File(path, "w") as file:
        file["volumes/raw"] = np.zeros((8, 9, 10), np.uint8)
        file["volumes/labels/clefts"] = clefts
        for name in ("volumes/raw", "volumes/labels/clefts"):
            file[name].attrs["resolution"] = (40.0, 4.0, 4.0)
        file["volumes/labels/clefts"].attrs["offset"] = offset
    return str(path)


def open_one(path: str, **settings: object) -> LabelledSource:
    config = VolumesConfig(image=[path], label=[path], **settings)  # type: ignore[arg-type]
    return open_labelled(config, "data.train", channels=1, need_label=True)[0]


def test_labels_of_a_padded_challenge_file_lie_where_their_offset_says(tmp_path: Path) -> None:
    opened = open_one(challenge_file(tmp_path, (80.0, 12.0, 16.0), (4, 5, 5)))
    assert opened.label is not None
    label = split_clefts(opened.label.read_all()[0], opened.label.info.layout)
    assert np.argwhere(label.foreground).tolist() == [[2, 3, 4]]
    assert label.annotated is not None
    assert np.argwhere(label.annotated).min(0).tolist() == [2, 3, 4]
    assert label.annotated.sum() == 4 * 5 * 5


def test_a_crop_takes_image_and_label_alike(tmp_path: Path) -> None:
    opened = open_one(challenge_file(tmp_path, (80.0, 12.0, 16.0), (4, 5, 5)), crop=("2:", "3:5", "-6:"))
    assert opened.label is not None
    assert opened.image.shape == opened.label.shape == (6, 2, 6)
    assert opened.image.info.offset_nm == (80.0, 12.0, 16.0)
    label = split_clefts(opened.label.read_all()[0], opened.label.info.layout)
    assert np.argwhere(label.foreground).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("offset", "shape", "says"),
    [((80.0, 12.0, 16.0), (7, 5, 5), "reaches outside"), ((80.0, 13.0, 16.0), (4, 5, 5), "a whole number of voxels")],
)
def test_labels_outside_the_raw_are_refused(
    tmp_path: Path, offset: tuple[float, float, float], shape: tuple[int, int, int], says: str
) -> None:
    with pytest.raises(VolumeError, match=says):
        open_one(challenge_file(tmp_path, offset, shape))


def test_two_images_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    paths = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        paths.append(challenge_file(tmp_path / name, (0.0, 0.0, 0.0), (8, 9, 10)))
    opened = open_labelled(VolumesConfig(image=paths), "data.test", channels=1, need_label=False)
    assert [one.name for one in opened] == ["a_sample_A_padded", "b_sample_A_padded"]
    with pytest.raises(VolumeError, match="would have results of one name"):
        open_labelled(VolumesConfig(image=[paths[0], paths[0]]), "data.test", channels=1, need_label=False)


def test_an_image_without_voxel_size_asks_for_the_setting(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "im.h5", "w") as file:
        file["main"] = np.zeros((2, 3, 4), np.uint8)
    config = VolumesConfig(image=[str(tmp_path / "im.h5")])
    with pytest.raises(VolumeError, match=r"set data\.test\.resolution"):
        open_labelled(config, "data.test", channels=1, need_label=False)
    config.resolution = (40.0, 4.0, 4.0)
    assert open_labelled(config, "data.test", channels=1, need_label=False)[0].image.info.spacing_nm == (40.0, 4.0, 4.0)
    with pytest.raises(VolumeError, match=r"has 1 channel\(s\), model\.in_channels is 2"):
        open_labelled(config, "data.test", channels=2, need_label=False)


def test_grey_values_are_measured_on_the_whole_image_whatever_its_crop(tmp_path: Path) -> None:
    path = tmp_path / "im.h5"
    image = np.zeros((4, 5, 6), np.uint8)
    image[0], image[3] = 10, 250
    with h5py.File(path, "w") as file:
        file.create_dataset("main", data=image).attrs["resolution"] = (40.0, 4.0, 4.0)
    for crop in (None, (":2", ":", ":"), ("2:", ":", ":")):
        opened = open_labelled(VolumesConfig(image=[str(path)], crop=crop), "data.train", channels=1, need_label=False)
        found = measure_image(opened[0], ImageTransformConfig())
        assert (found.low, found.high) == (0, 250)
