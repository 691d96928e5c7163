"""`just view`: raw, label, mask and prediction of a test in Neuroglancer, on one grid, with its voxel size."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, final

import numpy as np
import numpy.typing as npt

from connectomics.errors import UserError, VolumeError
from connectomics.geometry import ZYX, Box, Spacing
from connectomics.inference.saved import SAVED_TYPES
from connectomics.volumes.attributes import read_attributes
from connectomics.volumes.labels import split_clefts
from connectomics.volumes.read import open_volume
from connectomics.volumes.source import VolumeSource
from connectomics.volumes.write import WRITERS

if TYPE_CHECKING:
    import neuroglancer

Kind = Literal["raw", "label", "mask", "prediction"]

INSTALL = "pip install neuroglancer"
HEAT = """#uicontrol invlerp normalized(range=[0, 1])
#uicontrol float opacity slider(min=0, max=1, default=0.6)
void main() { float p = normalized(); emitRGBA(vec4(0.75 + 0.25 * p, 0.15 + 0.65 * p * p, 1.0, opacity * p)); }
"""
"""Shader of probabilities: transparent where there is no cleft."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One volume as Neuroglancer shows it."""

    kind: Kind
    source: VolumeSource
    spacing_nm: Spacing

    @property
    def offset(self) -> ZYX:
        """Position of the first voxel along (z, y, x), in voxels."""
        z, y, x = (round(o / s) for o, s in zip(self.source.info.offset_nm, self.spacing_nm, strict=True))
        return z, y, x


@final
class LazyVoxels:
    """Voxels (Z, Y, X) that are read where Neuroglancer looks: ids as uint64 with 0 for none, all else as it means."""

    def __init__(self, layer: Layer) -> None:
        self.shape = layer.source.shape
        self.ndim = self.rank = 3
        self._source, self._kind = layer.source, layer.kind
        self.dtype = self[0:1, 0:1, 0:1].dtype

    def __getitem__(self, part: tuple[slice, slice, slice]) -> npt.NDArray:
        bounds = [at.indices(n) for at, n in zip(part, self.shape, strict=True)]
        z, y, x = ((start, max(start, stop)) for start, stop, _ in bounds)
        voxels = self._source.read(Box((z[0], y[0], x[0]), (z[1], y[1], x[1])))[0]
        if self._kind == "prediction":
            return SAVED_TYPES[str(voxels.dtype)].restore(voxels)
        if self._kind == "label":
            clefts = split_clefts(voxels, self._source.info.layout).foreground
            return np.where(clefts, voxels.astype(np.uint64), np.uint64(0))
        return voxels


def find_volumes(results: Path) -> list[str]:
    """Return the names of the volumes that a test predicted.

    Raises:
        UserError: If the folder holds no prediction.
    """
    names = [p.stem.removeprefix("test_").removesuffix("_mask") for s, _ in WRITERS.values()
             for p in sorted(results.glob(f"test_*_mask{s}"))]  # fmt: skip
    if not names:
        raise UserError(f"{results} holds no test_*_mask file; give the results/ of a run that was tested")
    return list(dict.fromkeys(names))


def find_layers(results: Path, name: str) -> list[Layer]:
    """Open what there is to see of a volume: raw and label where the mask says they lie, prediction, mask.

    Raises:
        VolumeError: If a file is gone or cannot be read.
    """
    suffix = next(s for s, _ in WRITERS.values() if (results / f"test_{name}_mask{s}").exists())
    path = results / f"test_{name}_mask{suffix}"
    mask, stated = open_volume(str(path)), read_attributes(path)
    spacing = mask.info.spacing_nm
    if spacing is None:
        raise VolumeError(f"{path} does not state its voxel size")
    sources: dict[Kind, VolumeSource] = {}
    if "image" in stated:
        sources["raw"] = open_volume(stated["image"], "image", spacing)
    if "label" in stated:
        sources["label"] = open_volume(stated["label"], "label", spacing)
    prediction = results / f"test_{name}_prediction{suffix}"
    if prediction.exists():
        sources["prediction"] = open_volume(str(prediction))
    return [Layer(kind, source, spacing) for kind, source in {**sources, "mask": mask}.items()]


def fill_viewer(state: neuroglancer.ViewerState, layers: Sequence[Layer]) -> None:
    """Show layers, each at its place, and look at the middle of the mask."""
    import neuroglancer as ng

    spacing = layers[0].spacing_nm
    state.dimensions = ng.CoordinateSpace(names=["x", "y", "z"], units="nm", scales=spacing[::-1])
    for layer in layers:
        axes = ng.CoordinateSpace(names=["z", "y", "x"], units="nm", scales=layer.spacing_nm)
        kind = "segmentation" if layer.kind in ("label", "mask") else "image"
        local = ng.LocalVolume(LazyVoxels(layer), axes, volume_type=kind, voxel_offset=layer.offset, downsampling="2d")
        shown: dict[Kind, ng.Layer] = {
            "raw": ng.ImageLayer(source=local),
            "prediction": ng.ImageLayer(source=local, shader=HEAT),
            "label": ng.SegmentationLayer(source=local, selected_alpha=0.35),
            "mask": ng.SegmentationLayer(source=local, selected_alpha=0.35, segment_default_color="#ff8a1f"),
        }
        state.layers[layer.kind] = shown[layer.kind]
    mask = next(layer for layer in layers if layer.kind == "mask")
    middle = [o + n / 2 for o, n in zip(mask.offset, mask.source.shape, strict=True)]
    state.position = middle[::-1]
    state.layout = "xy"


def view(argv: Sequence[str] | None = None) -> int:
    """Show the results of a test in the browser until Enter is pressed, and return the exit status."""
    parser = argparse.ArgumentParser(prog="view.py", description=__doc__)
    parser.add_argument("results", type=Path, help="a run that was tested, or its results/")
    parser.add_argument("--bind", default="127.0.0.1", metavar="ADDRESS", help="who may look; default: this machine")
    args = parser.parse_args(argv)
    results = args.results / "results" if (args.results / "results").is_dir() else args.results
    try:
        viewers = _show(results, args.bind)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, viewer in viewers.items():
        print(f"{name}: {viewer}")
    print("Enter ends")
    sys.stdin.readline()
    return 0


def _show(results: Path, address: str) -> dict[str, neuroglancer.Viewer]:
    """Return a viewer for each volume."""
    layers = {name: find_layers(results, name) for name in find_volumes(results)}
    try:
        import neuroglancer as ng
    except ImportError as error:
        raise UserError(f"Neuroglancer is not installed; {INSTALL}") from error
    ng.set_server_bind_address(address)
    viewers = {name: ng.Viewer() for name in layers}
    for name, viewer in viewers.items():
        with viewer.txn() as state:
            fill_viewer(state, layers[name])
    return viewers
