"""A web server for an exported folder, which lets Neuroglancer read it from wherever that comes from."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, final

from connectomics.errors import UserError


@final
class _Files(SimpleHTTPRequestHandler):
    """Hands out files, to pages of other sites as well, and says nothing of it."""

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def serve_folder(folder: Path, address: str, port: int) -> ThreadingHTTPServer:
    """Return a server of a folder that has not started yet.

    Args:
        folder: What is handed out, to read only.
        address: Who may look.
        port: 0 takes one that is free.

    Raises:
        UserError: If the address or port cannot be had.
    """
    try:
        return ThreadingHTTPServer((address, port), partial(_Files, directory=str(folder)))
    except OSError as error:
        raise UserError(f"--bind {address} --port {port}: {error.strerror or error}; choose others") from error
