"""What there is to see of a result: image, label, probabilities, objects, on one grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt

from connectomics.drawing.figures import CHANNEL_COLORS
from connectomics.errors import UserError, VolumeError
from connectomics.geometry import ZYX, Box, Spacing
from connectomics.inference.saved import SAVED_TYPES
from connectomics.volumes.attributes import read_attributes
from connectomics.volumes.labels import split_clefts
from connectomics.volumes.read import is_there, open_volume
from connectomics.volumes.source import VolumeSource
from connectomics.volumes.write import WRITERS

Kind = Literal["raw", "label", "mask", "instances", "prediction", "classes"]


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
    """Voxels (Z, Y, X) that are read where somebody looks: ids as uint64 with 0 for none, all else as it means."""

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
    names = [p.name.removeprefix("test_").removesuffix(f"_mask{s}") for s, _ in WRITERS.values()
             for p in sorted(results.glob(f"test_*_mask{s}"))]  # fmt: skip
    if not results.is_dir():
        raise UserError(f"{results}: no such folder; give a run that was tested, or its results/")
    if not names:
        raise UserError(f"{results} holds no test_*_mask file; give the results/ of a run that was tested")
    return list(dict.fromkeys(names))


def find_layers(results: Path, name: str) -> list[Layer]:
    """Open what there is to see of a volume: raw and label where the mask says they lie, prediction, objects.

    The objects are the instances, by their ids, where the test wrote them; the mask otherwise. A prediction of several
    channels is one layer for each. Objects with several parts are shown as which part each voxel is, too.

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
        layers.append(Layer("raw", open_volume(_found(stated["image"], results), "image", spacing), spacing, "image"))
    if "label" in stated:
        label = open_volume(_found(stated["label"], results), "label", spacing)
        layers += _id_layers("label", label, spacing, parts, "annotation")
    prediction = results / f"test_{name}_prediction{suffix}"
    if prediction.exists():
        layers += _channel_layers(open_volume(str(prediction)), read_attributes(prediction), spacing, parts)
    instances = results / f"test_{name}_instances{suffix}"
    if not instances.exists():
        return layers + _id_layers("mask", mask, spacing, parts, "objects")
    layers.append(Layer("instances", open_volume(str(instances)), spacing, "objects"))
    return layers + [layer for layer in _id_layers("mask", mask, spacing, parts, "objects") if layer.kind == "classes"]


def _found(location: str, results: Path) -> str:
    """Return where a file lies that a result was made from: as it was written, or from a folder around the results.

    Results of earlier versions name files as the user did, from the folder in which the test began.
    """
    around = (str(folder / location) for folder in results.resolve().parents)
    return location if is_there(location) else next(filter(is_there, around), location)


def _id_layers(kind: Kind, ids: VolumeSource, spacing: Spacing, parts: str, name: str) -> list[Layer]:
    """Return a layer of ids, and one of the parts of objects, such as "pre, post", where they have any."""
    layers = [Layer(kind, ids, spacing, name)]
    if parts:
        layers.append(Layer("classes", ids, spacing, f"{name}: {parts}", classes=parts.count(",") + 1))
    return layers


def _channel_layers(prediction: VolumeSource, stated: Mapping[str, Any], spacing: Spacing, parts: str) -> list[Layer]:
    """Return a layer for each channel of a prediction, by its name where the file tells it, in its part's colour."""
    count = prediction.info.channels
    if count == 1:
        return [Layer("prediction", prediction, spacing, "probability")]
    names = stated["channels"].split(", ") if "channels" in stated else [str(channel) for channel in range(count)]
    known = [part for part in parts.split(", ") if part in names]
    order = known + [name for name in names if name not in known]
    colors = [order.index(name) % len(CHANNEL_COLORS) for name in names]
    return [
        Layer("prediction", prediction, spacing, f"probability: {name}", channel, color=color)
        for channel, (name, color) in enumerate(zip(names, colors, strict=True))
    ]
