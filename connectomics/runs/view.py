"""`just view`: raw, label, mask and prediction of a test in Neuroglancer, on one grid, with its voxel size."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
import numpy.typing as npt

from connectomics.drawing.figures import CHANNEL_COLORS
from connectomics.errors import UserError, VolumeError
from connectomics.files import user_path
from connectomics.geometry import ZYX, Box, Spacing
from connectomics.inference.saved import SAVED_TYPES
from connectomics.volumes.attributes import read_attributes
from connectomics.volumes.labels import split_clefts
from connectomics.volumes.read import open_volume
from connectomics.volumes.source import VolumeSource
from connectomics.volumes.write import WRITERS

if TYPE_CHECKING:
    import neuroglancer

Kind = Literal["raw", "label", "mask", "prediction", "classes"]

INSTALL = "pip install neuroglancer"
HEAT = """#uicontrol invlerp normalized(range=[0, 1])
#uicontrol float opacity slider(min=0, max=1, default=0.6)
void main() { float p = normalized(); emitRGBA(vec4(%s, opacity * p)); }
"""
"""Shader of probabilities: transparent where they are 0; its colour goes where `%s` stands."""

HEAT_COLOR = "0.75 + 0.25 * p, 0.15 + 0.65 * p * p, 1.0"
"""Colour of a single channel."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One volume as Neuroglancer shows it."""

    kind: Kind
    source: VolumeSource
    spacing_nm: Spacing
    name: str
    channel: int = 0
    """Index of the channel of a prediction."""
    classes: int = 1
    """How many parts an object of kind "classes" has; id n (k - 1) + c is part c of object k."""
    color: int | None = None
    """Index in `CHANNEL_COLORS` of a channel of a prediction; None has the colour of a single channel."""

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
        self._layer, self._source = layer, layer.source
        self.dtype = self[0:1, 0:1, 0:1].dtype

    def __getitem__(self, part: tuple[slice, slice, slice]) -> npt.NDArray:
        bounds = [at.indices(n) for at, n in zip(part, self.shape, strict=True)]
        z, y, x = ((start, max(start, stop)) for start, stop, _ in bounds)
        voxels = self._source.read(Box((z[0], y[0], x[0]), (z[1], y[1], x[1])))[self._layer.channel]
        kind, classes = self._layer.kind, np.uint64(self._layer.classes)
        if kind == "prediction":
            return SAVED_TYPES[str(voxels.dtype)].restore(voxels)
        if kind == "classes":
            ids = voxels.astype(np.uint64)
            return np.where(ids > 0, (ids - 1) % classes + 1, ids)
        if kind == "label":
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

    A prediction of several channels is one layer for each. Objects with several parts are shown twice, predicted and
    annotated ones: as ids, and as which part each voxel is.

    Raises:
        VolumeError: If a file is gone or cannot be read.
    """
    suffix = next(s for s, _ in WRITERS.values() if (results / f"test_{name}_mask{s}").exists())
    path = results / f"test_{name}_mask{suffix}"
    mask, stated = open_volume(str(path)), read_attributes(path)
    spacing = mask.info.spacing_nm
    if spacing is None:
        raise VolumeError(f"{path} does not state its voxel size")
    parts, layers = stated.get("classes", ""), []
    if "image" in stated:
        layers.append(Layer("raw", open_volume(stated["image"], "image", spacing), spacing, "raw"))
    if "label" in stated:
        layers += _id_layers("label", open_volume(stated["label"], "label", spacing), spacing, parts)
    prediction = results / f"test_{name}_prediction{suffix}"
    if prediction.exists():
        layers += _channel_layers(open_volume(str(prediction)), read_attributes(prediction), spacing, parts)
    return layers + _id_layers("mask", mask, spacing, parts)


def _id_layers(kind: Kind, ids: VolumeSource, spacing: Spacing, parts: str) -> list[Layer]:
    """Return a layer of ids, and one of the parts of objects, such as "pre, post", where they have any."""
    layers = [Layer(kind, ids, spacing, kind)]
    if parts:
        layers.append(Layer("classes", ids, spacing, f"{kind}: {parts}", classes=parts.count(",") + 1))
    return layers


def _channel_layers(prediction: VolumeSource, stated: Mapping[str, Any], spacing: Spacing, parts: str) -> list[Layer]:
    """Return a layer for each channel of a prediction, by its name where the file tells it, in its part's colour."""
    count = prediction.info.channels
    if count == 1:
        return [Layer("prediction", prediction, spacing, "prediction")]
    names = stated["channels"].split(", ") if "channels" in stated else [str(channel) for channel in range(count)]
    known = [part for part in parts.split(", ") if part in names]
    order = known + [name for name in names if name not in known]
    colors = [order.index(name) % len(CHANNEL_COLORS) for name in names]
    return [
        Layer("prediction", prediction, spacing, f"prediction: {name}", channel, color=color)
        for channel, (name, color) in enumerate(zip(names, colors, strict=True))
    ]


def fill_viewer(state: neuroglancer.ViewerState, layers: Sequence[Layer]) -> None:
    """Show layers, each at its place, and look at the middle of the mask."""
    import neuroglancer as ng

    spacing = layers[0].spacing_nm
    state.dimensions = ng.CoordinateSpace(names=["x", "y", "z"], units="nm", scales=spacing[::-1])
    for layer in layers:
        axes = ng.CoordinateSpace(names=["z", "y", "x"], units="nm", scales=layer.spacing_nm)
        kind = "image" if layer.kind in ("raw", "prediction") else "segmentation"
        local = ng.LocalVolume(LazyVoxels(layer), axes, volume_type=kind, voxel_offset=layer.offset, downsampling="2d")
        state.layers[layer.name] = _as_shown(layer, local)
    mask = next(layer for layer in layers if layer.kind == "mask")
    middle = [o + n / 2 for o, n in zip(mask.offset, mask.source.shape, strict=True)]
    state.position = middle[::-1]
    state.layout = "xy"


def _as_shown(layer: Layer, local: neuroglancer.LocalVolume) -> neuroglancer.Layer:
    """Return a layer in its colours."""
    import neuroglancer as ng

    if layer.kind == "raw":
        return ng.ImageLayer(source=local)
    if layer.kind == "prediction":
        color = HEAT_COLOR
        if layer.color is not None:
            color = ", ".join(f"{value / 255:.3f}" for value in CHANNEL_COLORS[layer.color])
        return ng.ImageLayer(source=local, shader=HEAT % color)
    if layer.kind == "classes":
        hexes = {part: "#{:02x}{:02x}{:02x}".format(*color) for part, color in enumerate(CHANNEL_COLORS, 1)}
        return ng.SegmentationLayer(source=local, selected_alpha=0.35, segment_colors=hexes)
    own = {} if layer.kind == "label" else {"segment_default_color": "#ff8a1f"}
    return ng.SegmentationLayer(source=local, selected_alpha=0.35, **own)


def view(argv: Sequence[str] | None = None, prog: str = "view.py") -> int:
    """Show the results of a test in the browser until Enter is pressed, and return the exit status."""
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("results", type=user_path, help="a run that was tested, or its results/")
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
