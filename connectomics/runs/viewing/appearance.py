"""How a result looks in Neuroglancer: colours, controls, layout. Needs the extra `viewer`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any

import neuroglancer as ng

from connectomics.drawing.figures import CHANNEL_COLORS
from connectomics.drawing.outcome_styles import STYLES
from connectomics.geometry import Spacing
from connectomics.metrics.outcomes import Outcome
from connectomics.runs.viewing.shown_layers import Layer
from connectomics.runs.viewing.synapses import TURNED, UNJUDGED, Synapse

STAGE_PIXELS = 640
"""A volume is zoomed so that its section is so many pixels wide or high at first."""

TILTED = (0.42, 0.22, 0.1, 0.87)
"""Orientation of the view in space, a quaternion: the sections are seen from above, at a slant."""

GRAY = """#uicontrol invlerp normalized
#uicontrol float brightness slider(min=-1, max=1, default=0)
#uicontrol float contrast slider(min=-3, max=3, default=0, step=0.01)
void main() { emitGrayscale((normalized() - 0.5) * exp(contrast) + 0.5 + brightness); }
"""

HEAT = """#uicontrol invlerp normalized(range=[0, %s])
#uicontrol vec3 color color(default="%s")
#uicontrol float opacity slider(min=0, max=1, default=0.6)
#uicontrol float threshold slider(min=0, max=1, default=0)
void main() {
  float p = normalized();
  emitRGBA(vec4(mix(color, vec3(1.0), 0.5 * p * p), p < threshold ? 0.0 : opacity * p));
}
"""
"""Shader of probabilities: transparent where they are 0 or below a threshold; the value that stands for 1, and the
colour, go where `%s` stands."""

HEAT_COLOR = "#c026ff"

POINTS = """#uicontrol float size slider(min=2, max=24, default=%d)
#uicontrol float least slider(min=0, max=1, default=0)
void main() {
  if (prop_score() < least) discard;
  vec3 color = vec3(0.7, 0.7, 0.7);
%s
  setColor(color);
  setPointMarkerSize(size);
  setPointMarkerBorderWidth(1.0);
  setLineWidth(size / 3.0);
  setEndpointMarkerSize(0.0, size);
}
"""

OUTCOMES = (
    {UNJUDGED: STYLES["found"].hex} | {str(one): STYLES[one].hex for one in Outcome} | {TURNED: STYLES["turned"].hex}
)
"""Outcome to its colour."""


@dataclass(frozen=True, slots=True)
class PointLayer:
    """Synapses that are one layer."""

    name: str
    synapses: Sequence[Synapse]
    linked: bool
    """Whether their ids are those of the objects."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of one volume."""

    layers: Sequence[Layer]
    points: Sequence[PointLayer]


def dimensions(spacing_nm: Spacing) -> ng.CoordinateSpace:
    """Return the axes of the viewer: a unit is a voxel."""
    return ng.CoordinateSpace(names=["x", "y", "z"], units="nm", scales=spacing_nm[::-1])


def point_layers(found: Sequence[Synapse], missed: Sequence[Synapse]) -> list[PointLayer]:
    """Return what was detected, missed and invented, a layer each; without a label there is one layer."""
    if all(one.outcome == UNJUDGED for one in found) and not missed:
        layers = [PointLayer("synapses", found, linked=True)]
    else:
        detected, invented = ([one for one in found if (one.outcome == "invented") == wrong] for wrong in (False, True))
        layers = [
            PointLayer("detected", detected, linked=True),
            PointLayer("missed", missed, linked=False),
            PointLayer("invented", invented, linked=True),
        ]
    return [layer for layer in layers if layer.synapses]


def as_layer(layer: Layer, source: Any, one: float = 1.0) -> ng.Layer:
    """Return a layer in its colours.

    Args:
        layer: What is shown.
        source: Where Neuroglancer finds its voxels.
        one: What a probability of 1 is stored as there.
    """
    if layer.kind == "raw":
        return ng.ImageLayer(source=source, shader=GRAY)
    if layer.kind == "prediction":
        color = HEAT_COLOR if layer.color is None else _hex(CHANNEL_COLORS[layer.color])
        return ng.ImageLayer(source=source, shader=HEAT % (f"{one:g}", color))
    if layer.kind == "classes":
        hexes = {part: _hex(color) for part, color in enumerate(CHANNEL_COLORS, 1)}
        return ng.SegmentationLayer(source=source, selected_alpha=0.35, segment_colors=hexes)
    if layer.kind == "label":
        return ng.SegmentationLayer(source=source, selected_alpha=0.25, segment_default_color="#ffffff")
    own = {"segment_default_color": "#ff8a1f"} if layer.kind == "mask" else {}
    return ng.SegmentationLayer(source=source, selected_alpha=0.35, **own)


def properties() -> list[ng.AnnotationPropertySpec]:
    """Return what a point says of its synapse; the widest types come first, as the file has them.

    Sizes are no uint32: `AnnotationWriter` of Neuroglancer 2.41 puts these in the wrong place.
    """
    words = list(OUTCOMES)
    numbered = {"enum_values": list(range(len(words))), "enum_labels": words}
    return [
        ng.AnnotationPropertySpec(id="score", type="float32", description="mean probability; 1 for an annotated one"),
        ng.AnnotationPropertySpec(id="voxels", type="float32", description="size in voxels"),
        ng.AnnotationPropertySpec(id="outcome", type="uint8", description="what became of it", **numbered),
    ]  # fmt: skip


def values(synapse: Synapse) -> dict[str, float]:
    """Return the properties of a synapse."""
    score = 1.0 if synapse.score is None else synapse.score
    return {"score": score, "voxels": synapse.voxels, "outcome": list(OUTCOMES).index(synapse.outcome)}


def places(synapse: Synapse, spacing_nm: Spacing) -> list[list[float]]:
    """Return where a synapse lies along (x, y, z), in voxels of the viewer: the first one reaches from 0 to 1."""
    return [[p / s + 0.5 for p, s in zip(place, spacing_nm, strict=True)][::-1] for place in synapse.places_nm]


def as_annotation(synapse: Synapse, spacing_nm: Spacing, linked: bool) -> ng.Annotation:
    """Return a synapse as an annotation that stands in the state of the viewer."""
    at = places(synapse, spacing_nm)
    more: dict[str, Any] = {"segments": [[synapse.id]]} if linked else {}
    more |= {"id": str(synapse.id), "description": f"{synapse.id}: {synapse.outcome}"}
    more |= {"props": list(values(synapse).values())}
    if len(at) == 1:
        return ng.PointAnnotation(point=at[0], **more)
    return ng.LineAnnotation(pointA=at[0], pointB=at[1], **more)


def as_point_layer(points: PointLayer, spacing_nm: Spacing, source: str | None = None) -> ng.Layer:
    """Return synapses as a layer of annotations: from `source`, or in the state itself."""
    lines = [f"  if (prop_outcome() == {i}u) color = vec3({_rgb(color)});" for i, color in enumerate(OUTCOMES.values())]
    shown: dict[str, Any] = {"shader": POINTS % (14 if points.name == "missed" else 9, "\n".join(lines))}
    if points.linked:
        shown["linked_segmentation_layer"] = {"objects": "objects"}
    if source is not None:
        return ng.AnnotationLayer(source=source, **shown)
    return ng.LocalAnnotationLayer(
        dimensions=dimensions(spacing_nm),
        annotations=[as_annotation(one, spacing_nm, points.linked) for one in points.synapses],
        annotation_properties=properties(),
        **({"annotation_relationships": ["objects"]} if points.linked else {}),
        **shown,
    )


def fill_state(
    state: ng.ViewerState,
    layers: Sequence[Layer],
    points: Iterable[PointLayer],
    volume_layer: Callable[[Layer], ng.Layer],
    annotation_layer: Callable[[PointLayer], ng.Layer],
) -> None:
    """Show layers and points, and look at the middle of the objects, which fills the view.

    Args:
        state: What is filled.
        layers: The volumes; the last ones are the objects.
        points: The synapses.
        volume_layer: Makes a layer of a volume.
        annotation_layer: Makes a layer of points.
    """
    spacing = layers[0].spacing_nm
    state.dimensions = dimensions(spacing)
    for layer in layers:
        state.layers[layer.name] = volume_layer(layer)
        state.layers[layer.name].visible = layer.kind in ("raw", "mask", "instances")
    for one in points:
        state.layers[one.name] = annotation_layer(one)
    seen = next(layer for layer in layers if layer.name == "objects")
    state.position = [o + n / 2 for o, n in zip(seen.offset, seen.source.shape, strict=True)][::-1]
    extents = [n * s for n, s in zip(seen.source.shape, spacing, strict=True)]
    unit = min(spacing)  # the unit of both scales: a side of the smallest voxel
    state.cross_section_scale = max(extents[1:]) / unit / STAGE_PIXELS
    state.projection_scale = 1.3 * hypot(*extents) / unit
    state.projection_orientation = TILTED
    state.layout = "xy-3d"
    state.show_slices = True


def _hex(color: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _rgb(color: str) -> str:
    return ", ".join(f"{int(color[i : i + 2], 16) / 255:.3f}" for i in (1, 3, 5))
