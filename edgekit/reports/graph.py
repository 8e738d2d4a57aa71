"""Graphs of exported files with the range, the SQNR and the latency of each node, drawn by Google's Model Explorer.

It is a web server of its own, which is started when somebody asks for the first graph, and stops with this process.
"""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from edgekit.errors import ArtifactError, EdgekitError, MissingDependency
from edgekit.reports import node_data

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

HOST: Final = "localhost"
_MODULE: Final = "model_explorer"
_SUFFIX: Final = ".tflite"  # of the files that it reads
_STARTS_WITHIN_S: Final = 60


class Graphs:
    """Draws graphs as long as it is open.

    Attributes:
        suffix: of files whose graph it draws; empty where Model Explorer is not installed.
    """

    def __init__(self) -> None:
        self.suffix = _SUFFIX if importlib.util.find_spec(_MODULE) else ""
        self._server: subprocess.Popen[bytes] | None = None
        self._port = 0

    def __enter__(self) -> Self:
        self._scratch = tempfile.TemporaryDirectory(prefix="edgekit-view-")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait()
        self._scratch.cleanup()

    def address_of(self, path: Path) -> str:
        """Where a browser sees the graph of a file.

        Raises:
            MissingDependency: Model Explorer is not installed.
            ArtifactError: it reads no such file, or does not start.
        """
        if not self.suffix:
            raise MissingDependency("Model Explorer draws graphs, and is not installed: pip install 'edgekit[view]'")
        if path.suffix != _SUFFIX:
            raise ArtifactError(f"{path} cannot be drawn: Model Explorer reads {_SUFFIX} files")
        if self._server is None or self._server.poll() is not None:
            self._start()
        data = [str(one) for one in self._values(path)]
        shown = {"models": [{"url": str(path.resolve())}], "nodeData": data, "nodeDataTargets": [""] * len(data)}
        return f"http://{HOST}:{self._port}/?data={quote(json.dumps(shown))}"

    def _start(self) -> None:
        with socket.socket() as free:
            free.bind((HOST, 0))
            self._port = free.getsockname()[1]
        command = [sys.executable, "-m", _MODULE, "--host", HOST, "--port", str(self._port), "--no_open_in_browser"]
        self._server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ends = time.monotonic() + _STARTS_WITHIN_S
        while time.monotonic() < ends and self._server.poll() is None:
            with socket.socket() as trial:
                if trial.connect_ex((HOST, self._port)) == 0:
                    return
            time.sleep(0.1)
        raise ArtifactError(f"Model Explorer does not start: try it alone, {_MODULE.replace('_', '-')}")

    def _values(self, path: Path) -> list[Path]:
        """Files of what is known of each node."""
        written: list[Path] = []
        for name, values, high_is_bad in (
            ("range of the tensor (real)", node_data.ranges, True),
            ("SQNR, dB", node_data.sqnr_db, False),
            ("latency, µs", node_data.latency_us, True),
        ):
            try:
                found = values(path)
            except EdgekitError:
                continue  # a file of another tool, or no profiler: its graph is drawn without
            if found:
                place = Path(self._scratch.name) / f"{path.name}.{len(written)}.json"
                place.write_text(node_data.document(name, found, high_is_bad=high_is_bad), encoding="utf-8")
                written.append(place)
        return written
