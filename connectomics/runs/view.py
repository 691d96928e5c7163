"""The results of a test in Neuroglancer: image, probability, objects, and what was found, missed and invented."""

from __future__ import annotations

import argparse
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from connectomics.errors import UserError
from connectomics.files import user_path
from connectomics.runs.viewing.hosting import serve_folder
from connectomics.runs.viewing.shown_layers import Layer, LazyVoxels, find_layers, find_volumes
from connectomics.runs.viewing.synapses import read_missed, read_synapses

if TYPE_CHECKING:
    from neuroglancer import LocalVolume

    from connectomics.runs.viewing.appearance import Shown

THIS_MACHINE, EVERYBODY = "127.0.0.1", "0.0.0.0"

INSTALL = 'pip install -e ".[viewer]"'

EPILOG = """\
The link works for as long as this program runs: until Ctrl+C. A folder that --export wrote needs a web server only,
such as view.py DIR --serve. Those whom --serve lets in can read what is shown, and no more.
"""


def view(argv: Sequence[str] | None = None, prog: str = "view.py") -> int:
    """Show the results of a test until it is interrupted, or write what shows them; return the exit status."""
    args = _parser(prog).parse_args(argv)
    address = args.bind or (EVERYBODY if args.serve else THIS_MACHINE)
    try:
        if (args.results / "index.html").exists():
            _serve(args.results, address, args.port)
        elif args.export is not None:
            _export(args.results, args.export, args.client)
        else:
            _show(_read(args.results), address, args.port)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=user_path, help="a run that was tested, its results/, or what --export wrote")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--serve", action="store_true", help="let other machines look, not only this one")
    way.add_argument("--export", type=user_path, metavar="DIR", help="write a folder that a web server can hand out")
    parser.add_argument("--client", metavar="URL", help="a Neuroglancer for --export; default: the public one")
    parser.add_argument("--bind", metavar="ADDRESS", help="who may look; default: this machine, with --serve all")
    parser.add_argument("--port", type=int, default=0, help="default: one that is free")
    return parser


def _export(results: Path, folder: Path, client: str | None) -> None:
    volumes = _read(results)
    from connectomics.runs.viewing.shared_folder import CLIENT, export

    export(folder, volumes, client or CLIENT)
    serve = f"connectomics view {shlex.quote(str(folder))} --serve"
    print(f"{folder} can go to any web server that lets other sites read it; or: {serve}")


def _serve(folder: Path, address: str, port: int) -> None:
    """Hand out an exported folder until it is interrupted."""
    with serve_folder(folder, address, port) as server:
        print(f"http://{_reached_at(address)}:{server.server_port}/index.html")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _wait()
        server.shutdown()


def _read(results: Path) -> dict[str, Shown]:
    """Return what is shown of each volume."""
    results = results / "results" if (results / "results").is_dir() else results
    found = {name: find_layers(results, name) for name in find_volumes(results)}
    try:
        import neuroglancer  # noqa: F401
    except ImportError as error:
        raise UserError(f"Neuroglancer is not installed; {INSTALL}") from error
    from connectomics.runs.viewing.appearance import Shown, point_layers

    return {
        name: Shown(layers, point_layers(read_synapses(results, name), read_missed(results, name)))
        for name, layers in found.items()
    }


def _show(volumes: dict[str, Shown], address: str, port: int) -> None:
    """Show each volume until it is interrupted."""
    import neuroglancer as ng

    from connectomics.runs.viewing.appearance import as_layer, as_point_layer, fill_state

    ng.set_server_bind_address(address, port)
    viewers = {name: ng.Viewer() for name in volumes}  # a viewer lives as long as something holds it
    for name, shown in volumes.items():
        points_of = partial(as_point_layer, spacing_nm=shown.layers[0].spacing_nm)
        with viewers[name].txn() as state:
            fill_state(state, shown.layers, shown.points, lambda layer: as_layer(layer, _local(layer)), points_of)
        print(f"{name}: {viewers[name]}")
    _wait()


def _local(layer: Layer) -> LocalVolume:
    """Return a volume that this process hands out, box by box."""
    import neuroglancer as ng

    axes = ng.CoordinateSpace(names=["z", "y", "x"], units="nm", scales=layer.spacing_nm)
    kind = "image" if layer.kind in ("raw", "prediction") else "segmentation"
    return ng.LocalVolume(LazyVoxels(layer), axes, volume_type=kind, voxel_offset=layer.offset, downsampling="2d")


def _reached_at(address: str) -> str:
    """Return the name under which a server is reached."""
    return socket.getfqdn() if address == EVERYBODY else address


def _wait() -> None:
    """Wait for Ctrl+C or a request to end; what standard input does is of no account."""
    ended = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: ended.set())
    print("Ctrl+C ends", flush=True)
    while not ended.wait(3600):
        pass
