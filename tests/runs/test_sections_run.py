"""A run on sections as PNG is the run on the same voxels in HDF5."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from connectomics.runs.cli import main
from connectomics.runs.export_files import export
from connectomics.runs.viewing.shown_layers import find_layers
from connectomics.volumes.read import open_volume, read_volume
from tests.runs.reading import only_run


def as_png(file: str, folder: Path) -> str:
    """Write a volume as sections, and return the pattern of their names."""
    folder.mkdir(parents=True)
    for z, section in enumerate(open_volume(file).read_all()[0]):
        Image.fromarray(section).save(folder / f"s{z + 8}.png")
    return str(folder / "*.png")


def test_a_run_on_png_sections_is_that_on_hdf5(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = yaml.safe_load(small.read_text())
    other = {**settings, "save_path": str(small.parent / "png"), "data": {}}
    for name, files in settings["data"].items():
        other["data"][name] = {
            role: [as_png(file, small.parent / "sections" / Path(file).stem) for file in files[role]]
            for role in ("image", "label")
        } | {"resolution": [40.0, 4.0, 4.0]}
    (small.parent / "png.yaml").write_text(yaml.safe_dump(other))
    found = []
    for config, runs in ((small, "runs"), (small.parent / "png.yaml", "png")):
        assert main(["--config", str(config)]) == 0
        run = only_run(small.parent / runs)
        checkpoint = str(run / "checkpoints" / "last.ckpt")
        assert main(["--config", str(config), "--mode", "test", "--checkpoint", checkpoint]) == 0
        found.append(read_volume(str(run / "results" / "test_im_test_prediction.h5")))
    files = sorted(str(path) for path in (run / "results").glob("test_im_test_*.h5"))
    assert export([*files, "--as", "ome-tiff"]) == 0
    kinds = dict(
        re.findall(r"test_im_test_(\w+)\.ome\.tif: (ids|grey values or probabilities), ", capsys.readouterr().out)
    )
    assert kinds == {"instances": "ids", "mask": "ids", "prediction": "grey values or probabilities"}
    raw = next(layer for layer in find_layers(run / "results", "im_test") if layer.kind == "raw")
    np.testing.assert_array_equal(raw.source.read_all(), open_volume(settings["data"]["test"]["image"][0]).read_all())
    assert found[1].info.spacing_nm == (40.0, 4.0, 4.0)
    np.testing.assert_array_equal(found[0].voxels, found[1].voxels)
