"""A folder with everything that Neuroglancer shows of a result: any web server that allows it makes it a link."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import neuroglancer as ng
from neuroglancer import write_annotations

from connectomics.errors import UserError
from connectomics.files import write_whole
from connectomics.reports.templates import dump_json, fill
from connectomics.runs.viewing.appearance import (
    PointLayer,
    Shown,
    as_layer,
    as_point_layer,
    dimensions,
    fill_state,
    places,
    properties,
    values,
)
from connectomics.runs.viewing.shown_layers import Layer
from connectomics.runs.viewing.shown_pyramid import PROBABILITY_ONE, write_pyramid

HERE = "https://here"
"""What stands for the address of the folder in a state; the page puts the real one there."""

CLIENT = "https://neuroglancer-demo.appspot.com/"
"""Where Neuroglancer itself comes from: the public one."""


def export(folder: Path, volumes: Mapping[str, Shown], client: str = CLIENT) -> None:
    """Write a folder that shows volumes in Neuroglancer, once a web server hands it out; it appears when it is whole.

    `index.html` leads to the volumes. Each has a folder of its own: the state of the viewer, image, probability and ids
    as OME-Zarr, synapses as precomputed annotations; other programs read these as well.

    Args:
        folder: It must not exist yet.
        volumes: Volume to what is shown of it.
        client: Address of a Neuroglancer, to which `index.html` leads.

    Raises:
        UserError: If the folder exists, a volume cannot be read, or the disk takes no more.
    """
    if folder.exists():
        raise UserError(f"--export {folder} is there already; give a folder that is not")
    with write_whole(folder) as partial:
        partial.mkdir()
        links = {}
        for number, (name, shown) in enumerate(volumes.items()):
            own = f"{number}_{re.sub(r'[^A-Za-z0-9._-]+', '_', name)}"
            state = _export_volume(partial / own, f"{HERE}/{own}", shown)
            (partial / own / "state.json").write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
            links[name] = state
        with (partial / "index.html").open("w", encoding="utf-8") as page:
            states = dump_json(list(links.values()))
            fill(page, "neuroglancer.html", links=list(links), states=states, here=HERE, client=client)


def _export_volume(folder: Path, address: str, shown: Shown) -> dict:
    """Write the volumes and the points, and return the state that shows them."""
    folder.mkdir()
    names = {layer.name: re.sub(r"[^a-z0-9]+", "_", layer.name) for layer in shown.layers}
    for layer in shown.layers:
        write_pyramid(folder / f"{names[layer.name]}.zarr", layer)
    for points in shown.points:
        _write_points(folder / points.name, points, shown.layers[0])
    state = ng.ViewerState()
    fill_state(
        state,
        shown.layers,
        shown.points,
        lambda layer: as_layer(layer, f"zarr3://{address}/{names[layer.name]}.zarr/", PROBABILITY_ONE),
        lambda points: as_point_layer(points, shown.layers[0].spacing_nm, f"precomputed://{address}/{points.name}"),
    )
    return state.to_json()


def _write_points(folder: Path, points: PointLayer, layer: Layer) -> None:
    """Write synapses as precomputed annotations: lines, of no length without a second side, where any has two sides."""
    lines = any(len(one.places_nm) == 2 for one in points.synapses)
    writer = write_annotations.AnnotationWriter(
        coordinate_space=dimensions(layer.spacing_nm),
        annotation_type="line" if lines else "point",
        properties=properties(),
        relationships=["objects"] if points.linked else [],
    )
    for one in points.synapses:
        at, more = places(one, layer.spacing_nm), values(one)
        if points.linked:
            more["objects"] = one.id
        if lines:
            writer.add_line(at[0], at[-1], id=one.id, **more)
        else:
            writer.add_point(at[0], id=one.id, **more)
    writer.write(folder)
