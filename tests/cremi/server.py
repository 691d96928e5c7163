"""A server on this machine alone, which can be told to misbehave."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behaviour:
    """What the server does, and what it was asked."""

    files: dict[str, bytes]
    ranges: bool = True
    """Whether it sends parts of files."""
    tags: bool = True
    """Whether it says which version of a file it sends."""
    break_after: list[int] = field(default_factory=list)
    """Bytes after which each of the next answers breaks off."""
    status: int = 0
    """Answer with this instead."""
    asked: list[str | None] = field(default_factory=list)
    """The header `Range` of each request."""


@contextmanager
def serve(behaviour: Behaviour) -> Iterator[str]:
    """Serve files from memory while the context lasts; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, behaviour)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(request: BaseHTTPRequestHandler, behaviour: Behaviour) -> None:
    asked = request.headers.get("Range")
    behaviour.asked.append(asked)
    content = behaviour.files.get(request.path.lstrip("/"))
    if behaviour.status or content is None:
        request.send_error(behaviour.status or 404)
        return
    tag = f'"{hash(content)}"'
    start = 0
    if asked and behaviour.ranges and request.headers.get("If-Range", tag) == tag:
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(content):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(content)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(206)
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    else:
        request.send_response(200)
    if behaviour.tags:
        request.send_header("ETag", tag)
    request.send_header("Content-Length", str(len(content) - start))
    request.end_headers()
    most = behaviour.break_after.pop(0) if behaviour.break_after else len(content)
    request.wfile.write(content[start : start + most])
    request.close_connection = True
