"""Only predictions are handed in, and what was predicted is never replaced by nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomics.runs.cremi.cli import main
from connectomics.volumes.labels import CREMI_BACKGROUND
from connectomics.volumes.write import write_volume
from tests.runs.cremi.test_journey import BOX, NARROW, SHAPE, cremi, submitted, write, write_prediction
from tests.tissue import SPACING

FIRST, LAST = BOX[0][0], BOX[0][0] + BOX[1][0] - 1
SUBMISSION = "sample_A_20160501.hdf"


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def prepare_shown(folder: Path, shown: dict[int, int]) -> Path:
    """Prepare a volume in which section `shown[z]` stands in for z, and return its image."""
    volume = write(folder, "sample_A_padded_20160501.hdf", 0)
    rows = [f"{z},0,0,{shown.get(z, z)}" for z in range(SHAPE[0])]
    (folder / "table.csv").write_text("\n".join(["z,y,x,shown", *rows]) + "\n")
    corrected = folder / "corrected"
    assert cremi("prepare", volume.path, "--out", corrected, *NARROW, "--shifts", folder / "table.csv") == 0
    return corrected / "im_A.h5"


def write_part(image: Path, sections: range, dtype: Any = np.float32) -> tuple[Path, np.ndarray]:
    """Write a prediction of these sections (as imaged), each unlike the others; return the file and its mask."""
    extent = (len(sections), BOX[1][1] + 32, BOX[1][2] + 32)
    found = np.random.default_rng(1).random(extent) < 0.3
    offset = np.array([sections[0], BOX[0][1] - 16, BOX[0][2] - 16]) * SPACING
    scale = 255 if dtype == np.uint8 else 1
    path = image.parent.parent / "test_im_A_prediction.h5"
    write_volume(path, found.astype(dtype) * dtype(scale), {
        "resolution": np.array(SPACING), "offset": offset, "image": f"{image}:/main", "scale": float(scale),
        "content": "probability times scale"})  # fmt: skip
    return path, found[:, 16:-16, 16:-16]


LABELLED = range(FIRST, LAST + 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint8])
@pytest.mark.parametrize("shown", [
    {}, {FIRST: FIRST - 1}, {FIRST: FIRST - 1, FIRST + 1: FIRST - 1}, {LAST: LAST + 1},
    {LAST - 1: LAST + 1, LAST: LAST + 1}, {8: 7, 9: 7, 10: 11}, {8: 9, 9: 10}, {9: 8, 8: 7},
    dict.fromkeys(range(SHAPE[0]), FIRST - 1), dict.fromkeys(range(SHAPE[0]), 0), dict.fromkeys(range(SHAPE[0]), 10),
], ids=str)  # fmt: skip
def test_a_cropped_prediction_keeps_its_own_where_the_stand_in_was_not_predicted(
    tmp_path: Path, shown: dict[int, int], dtype: Any
) -> None:
    image = prepare_shown(tmp_path, shown)
    for sections in (LABELLED, range(FIRST - 1, LAST + 2), range(FIRST - 2, LAST + 3)):
        path, found = write_part(image, sections, dtype)
        assert cremi("submit", path, "--out", tmp_path / "out") == 0
        handed_in = submitted(tmp_path / "out", SUBMISSION) != CREMI_BACKGROUND
        for z in LABELLED:
            source = shown.get(z, z) if shown.get(z, z) in sections else z
            np.testing.assert_array_equal(handed_in[z - FIRST], found[source - sections[0]], err_msg=str((z, sections)))


MASK = {"content": "1 where there is a cleft", "threshold": 0.5}


@pytest.mark.parametrize(("voxels", "attributes", "says"), [
    (np.uint8(1), MASK, "is no prediction of probabilities; it holds 1 where there is a cleft"),
    (np.float32(1), MASK, "is no prediction of probabilities; it holds 1 where there is a cleft"),
    (np.uint8(1), {}, "without the attribute `scale`"),
    (np.uint8(7), {}, "a mask or ids, not a prediction"),
    (np.uint64(7), {}, "1 channel(s) of uint64; a prediction of clefts has one"),
    (np.uint32(7), {"content": "2k - 1 for the pre-synaptic, 2k for the post-synaptic side of synapse k"},
     "it holds 2k - 1 for the pre-synaptic"),
    (np.float32(7), {}, "reaches from 0 to 7 in section 0; probabilities lie between 0 and 1"),
    (np.float16(-2), {"scale": 1.0}, "reaches from -2 to 0"),
    (np.float32(np.nan), {"scale": 1.0}, "reaches from nan to nan"),
    (np.uint8(7), {"scale": 1.0}, "reaches from 0 to 7"),
    (np.uint8(7), {"scale": 0.0}, "it is a number above 0"),
    (np.uint8(7), {"scale": "255"}, "it is a number above 0"),
])  # fmt: skip
def test_what_is_no_prediction_is_refused_by_name_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], voxels: Any, attributes: dict[str, Any], says: str
) -> None:
    image = prepare_shown(tmp_path, {})
    path = tmp_path / "test_im_A_mask.h5"
    extent = (BOX[1][0] + 4, BOX[1][1] + 32, BOX[1][2] + 32)
    grid = {"resolution": np.array(SPACING), "offset": (np.array(BOX[0]) - (2, 16, 16)) * SPACING}
    whole = np.zeros(extent, voxels.dtype)
    whole[:, 20:30, 20:30] = voxels
    write_volume(path, whole, {**grid, "image": f"{image}:/main", **attributes})
    line = refused(capsys, "submit", path, "--out", tmp_path / "out")
    assert str(path) in line
    assert says in line
    assert not (tmp_path / "out").exists()


def test_a_prediction_of_the_sides_of_synapses_is_refused_by_its_channels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = prepare_shown(tmp_path, {})
    path = tmp_path / "test_im_A_prediction.h5"
    stated = {"resolution": np.array(SPACING), "image": f"{image}:/main", "scale": 1.0, "channels": "pre, post, union"}
    write_volume(path, np.zeros((3, 4, 8, 8), np.float32), stated | {"content": "probability times scale"})
    assert "holds 3 channel(s) (pre, post, union) of float32" in refused(capsys, "submit", path)


@pytest.mark.parametrize("sections", [range(FIRST - 3, LAST + 1), range(FIRST, LAST + 5), range(FIRST + 1, LAST + 3)])
def test_a_prediction_that_reaches_beyond_its_image_or_not_over_the_labels_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sections: range
) -> None:
    path, _ = write_part(prepare_shown(tmp_path, {}), sections)
    assert "predict the whole image" in refused(capsys, "submit", path, "--out", tmp_path / "out")


@pytest.mark.parametrize("cut", [(slice(None), slice(8, None), slice(None)), (slice(None), slice(None), slice(0, 90))])
def test_a_crop_in_the_plane_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], cut: Any) -> None:
    image = prepare_shown(tmp_path, {})
    start = np.array(BOX[0]) - (2, 16, 16) + [s.start or 0 for s in cut]
    path = tmp_path / "test_im_A_prediction.h5"
    whole = np.zeros((BOX[1][0] + 4, BOX[1][1] + 32, BOX[1][2] + 32), np.float32)
    write_volume(
        path, whole[cut], {"resolution": np.array(SPACING), "offset": start * SPACING, "image": f"{image}:/main"}
    )
    assert "predict the whole image" in refused(capsys, "submit", path, "--out", tmp_path / "out")


def test_labels_that_are_no_prediction_of_prepared_volumes_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The annotated mask and the ids that `prepare` writes lie beside the image, and are easily given by a slip."""
    image = prepare_shown(tmp_path, {})
    for kind in ("mask", "syn", "im"):
        assert str(image.with_name(f"{kind}_A.h5")) in refused(capsys, "submit", image.with_name(f"{kind}_A.h5"))
    path = write_prediction(tmp_path, "A", image.parent)
    assert cremi("submit", path, "--out", tmp_path / "out") == 0
