"""What a user should know of a label is told before a run begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from connectomics.config.data import TargetConfig, VolumesConfig
from connectomics.data.targets import build_target
from connectomics.errors import VolumeError
from connectomics.runs.remarks import tell_remarks
from connectomics.volumes.labelled import LabelledSource, open_labelled
from connectomics.volumes.write import write_volume

Open = Callable[..., list[LabelledSource]]
POLARITY = build_target(TargetConfig(type="polarity"))


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Return a function that writes a label of 20 sections with some ids in a section each, and opens it."""

    def write_and_open(*ids: int, dtype: type = np.uint64, crops: tuple[str, ...] = (":",)) -> list[LabelledSource]:
        label = np.zeros((20, 4, 5), dtype)
        label[: len(ids), 0, 0] = ids
        files = {name: tmp_path / f"{name}.h5" for name in ("im", "syn")}
        write_volume(files["im"], np.zeros((20, 4, 5), np.uint8), {"resolution": np.array([40.0, 8.0, 8.0])})
        write_volume(files["syn"], label, {})
        volumes = []
        for crop in crops:
            config = VolumesConfig(image=[str(files["im"])], label=[str(files["syn"])], crop=(crop, ":", ":"))
            volumes += open_labelled(config, "data.train", 1, need_label=True)
        return volumes

    return write_and_open


def test_an_odd_id_without_an_even_partner_is_named_and_so_is_the_reverse(
    opened: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_remarks(opened(1, 2, 7, 12, 2**40 + 1), POLARITY)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert "syn.h5:/main: warning: one side alone is annotated: pre-synaptic ids 7, 1099511627777 without" in out
    assert "their partners 8, 1099511627778 and post-synaptic id 12 without its partner 11" in out


def test_a_label_whose_ids_have_partners_is_passed_over_in_silence(
    opened: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_remarks(opened(1, 2, 7, 8), POLARITY)
    assert capsys.readouterr().out == ""


def test_a_label_of_classes_is_told_to_be_read_as_one(opened: Open, capsys: pytest.CaptureFixture[str]) -> None:
    tell_remarks(opened(1, 2, 1, 2, dtype=np.uint8), POLARITY)
    assert "syn.h5:/main: only 0, 1 and 2 occur: read as classes" in capsys.readouterr().out


def test_a_crop_between_the_sides_raises_no_warning_and_a_file_is_told_once(
    opened: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_remarks(opened(1, 2, 7, 8, crops=(":1", "1:")), POLARITY)
    assert capsys.readouterr().out == ""
    tell_remarks(opened(1, 2, 9, crops=(":1", "1:")), POLARITY)
    assert capsys.readouterr().out.count("9 without its partner 10") == 1


def test_a_label_that_cannot_name_sides_is_refused_by_its_file(opened: Open) -> None:
    with pytest.raises(VolumeError, match=r"syn\.h5:/main: the label is float32"):
        tell_remarks(opened(1, 2, dtype=np.float32), POLARITY)


def test_clefts_have_no_partners_to_miss(opened: Open, capsys: pytest.CaptureFixture[str]) -> None:
    tell_remarks(opened(1, 3), build_target(TargetConfig()))
    assert capsys.readouterr().out == ""
