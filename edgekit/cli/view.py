"""``edgekit view``."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from edgekit.cli import console


def view(
    folder: Annotated[
        Path, typer.Argument(help="A run, a folder of exported files, or one of reports.", show_default="this folder")
    ] = Path(),
    *,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Where to listen on this machine; 0 for any free port.")
    ] = 8090,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in the browser.")] = True,
) -> None:
    """Show what a folder holds in the browser: training curves, reports, pictures, and graphs of exported files.

    Nothing is written, and only browsers on this machine are answered. Ctrl-C ends it.
    """
    with console.reporting("view", as_json=False):
        from edgekit.reports.graph import Graphs  # noqa: PLC0415 - see the module app
        from edgekit.reports.serving import Server  # noqa: PLC0415 - likewise

        with Graphs() as graphs, Server(folder, port, graphs) as server:
            console.say(f"{console.escape(str(folder))} is shown at {server.address} (Ctrl-C ends it)")
            if browser:
                webbrowser.open(server.address)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                console.note("ended")
