"""A small web server for one folder: it shows what lies there to browsers on this machine, and changes nothing.

Only what ``gather`` finds is served, whatever an address says. Pages from the folder run in a sandbox, so one that
edgekit did not write reads nothing of the others. The server answers to its own name alone, so a page elsewhere cannot
reach it by a name that it has pointed here (DNS rebinding).
"""

from __future__ import annotations

import mimetypes
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from edgekit.errors import BadInput, EdgekitError
from edgekit.pipeline.making.run import read_log
from edgekit.reports.gathering import Kind, gather
from edgekit.reports.kit.page import policy
from edgekit.reports.pages import folder as listing
from edgekit.reports.pages import training

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.reports.gathering import Item
    from edgekit.reports.graph import Graphs

HOST: Final = "127.0.0.1"
_NAMES: Final = (HOST, "localhost")
_HTML: Final = "text/html; charset=utf-8"
_SANDBOX: Final = f"sandbox allow-scripts; {policy()}"


class Server(ThreadingHTTPServer):
    """Serves a folder.

    Attributes:
        folder: whose contents are shown.
        graphs: draws graphs of files.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int, graphs: Graphs) -> None:
        """Listen; ``serve_forever`` answers.

        Args:
            folder: whose contents are shown.
            port: to listen at; 0 for any that is free.
            graphs: draws graphs of files.

        Raises:
            BadInput: there is no such folder, or the port is taken.
        """
        gather(folder)
        self.folder, self.graphs = folder, graphs
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise BadInput(f"port {port} cannot be used ({error.strerror}): choose another one, --port 0") from error

    @property
    def address(self) -> str:
        """What a browser opens."""
        return f"http://{HOST}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    """Answers one request. What lies in the folder is looked up anew, so a page that is loaded again is up to date."""

    server: Server

    def do_GET(self) -> None:
        """Give a page, a picture, or the way to a graph."""
        if self.headers.get("Host", "").rpartition(":")[0] not in _NAMES:
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        address = unquote(urlsplit(self.path).path).removeprefix("/")
        try:
            items = gather(self.server.folder)
            if not address:
                page = listing.render(self.server.folder, items, self.server.graphs.suffix)
                self._give(page.encode(), _HTML, policy())
                return
            found = {listing.address_of(item): item for item in items}.get(address)
            if found is not None:
                self._show(found)
                return
            self.send_error(HTTPStatus.NOT_FOUND)
        except (EdgekitError, OSError) as error:
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, explain=str(error))

    def _show(self, item: Item) -> None:
        if item.kind is Kind.TRAINING:
            self._give(training.render(item.title, read_log(item.path)).encode(), _HTML, policy())
        elif item.kind is Kind.EXPORTED:
            self.send_response(HTTPStatus.SEE_OTHER)
            self.send_header("Location", self.server.graphs.address_of(item.path))
            self.end_headers()
        else:
            kind = mimetypes.guess_type(item.path)[0] or "application/octet-stream"
            self._give(item.path.read_bytes(), _HTML if kind == "text/html" else kind, _SANDBOX)

    def _give(self, content: bytes, kind: str, allowed: str) -> None:
        self.send_response(HTTPStatus.OK)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(content))),
            ("Content-Security-Policy", allowed),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing: the terminal belongs to the command."""
