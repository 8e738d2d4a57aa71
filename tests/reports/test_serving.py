"""The server of a folder, asked as a browser asks it."""

from __future__ import annotations

import threading
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest

from edgekit.errors import BadInput
from edgekit.reports.graph import Graphs
from edgekit.reports.serving import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOG = "epoch,lr,loss,top1,best,seconds\n1,0.1,2.0,40,1,3\n2,0.01,1.5,62.5,1,3\n3,0.001,1.4,61,0,3\n"
REPORT = "<!DOCTYPE html><html><head><title>net: passed &amp; done</title></head></html>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shown = tmp_path / "runs"
    for name, text in {
        "a b/log.csv": LOG,
        "a b/curve.svg": "<svg/>",
        "verify.html": REPORT,
        "net.int8.tflite": "x" * 1000,
        ".hidden.html": REPORT,
        "notes.txt": "private",
    }.items():
        (shown / name).parent.mkdir(parents=True, exist_ok=True)
        (shown / name).write_text(text, encoding="utf-8")
    (tmp_path / "outside.html").write_text(REPORT, encoding="utf-8")
    (shown / "link.html").symlink_to(tmp_path / "outside.html")
    return shown


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with Graphs() as graphs, Server(folder, 0, graphs) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def asked(server: Server, address: str, host: str | None = None) -> tuple[int, str, str]:
    """Status, text and policy."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request("GET", address, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.getheader("Content-Security-Policy", "")


def test_the_first_page_lists_what_the_folder_holds(server: Server) -> None:
    status, text, _ = asked(server, "/")
    assert status == 200
    assert "1 training, 1 report, 1 picture, 1 exported file." in text
    assert "net: passed &amp; done" in text
    assert 'href="/training/a%20b/log.csv"' in text
    assert "private" not in text
    assert "hidden" not in text
    assert "link.html" not in text


def test_each_thing_is_shown(server: Server) -> None:
    status, text, policy = asked(server, "/verify.html")
    assert (status, text) == (200, REPORT)
    assert policy.startswith("sandbox allow-scripts;")
    status, text, _ = asked(server, "/training/a%20b/log.csv")
    assert status == 200
    assert "The best of 3 epochs is epoch 2, with top1 62.5." in text
    assert asked(server, "/a%20b/curve.svg")[:2] == (200, "<svg/>")


@pytest.mark.parametrize(
    "address",
    [
        "/notes.txt",
        "/../outside.html",
        "/%2e%2e/outside.html",
        "/link.html",
        "/.hidden.html",
        "/a%20b",
        "/graph/no.tflite",
    ],
)
def test_nothing_else_is_served(server: Server, address: str) -> None:
    assert asked(server, address)[0] == 404


def test_a_log_that_is_broken_is_told_and_a_new_file_is_found(server: Server, folder: Path) -> None:
    (folder / "a b" / "log.csv").write_text("epoch,lr\n1,x\n", encoding="utf-8")
    status, text, _ = asked(server, "/training/a%20b/log.csv")
    assert status == 500
    assert "is no log of edgekit train" in text
    (folder / "new.html").write_text(REPORT, encoding="utf-8")
    assert "new.html" in asked(server, "/")[1]


def test_another_name_of_this_machine_is_refused(server: Server) -> None:
    assert asked(server, "/", f"localhost:{server.server_port}")[0] == 200
    assert asked(server, "/", f"evil.example:{server.server_port}")[0] == 403


def test_a_port_that_is_taken_and_a_folder_that_is_none_are_refused(server: Server, folder: Path) -> None:
    with Graphs() as graphs:
        with pytest.raises(BadInput, match="choose another one, --port 0"):
            Server(folder, server.server_port, graphs)
        with pytest.raises(BadInput, match="is no folder"):
            Server(folder / "none", 0, graphs)
