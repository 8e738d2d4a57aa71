"""The pages of sweeps and of advice."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")

from edgekit.pipeline.choosing.advise import advise
from edgekit.pipeline.choosing.store import Row, Store
from edgekit.pipeline.choosing.sweep import shown
from edgekit.reports.pages import advise as advice_page
from edgekit.reports.pages import sweep as sweep_page

if TYPE_CHECKING:
    from pathlib import Path


class Read(HTMLParser):
    """The texts of a page by the element that they stand in, and how many points are drawn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {}
        self.points = 0
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":  # it has no end
            self._open.append(tag)
        self.points += tag == "path" and "transform" in dict(attrs)

    def handle_endtag(self, _: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = Store(tmp_path / "s")
    one = Row("", "", None, 1.0, "", None, "int8", "tflite", "here", metric="top1", images=100, agreement=99.0)
    cells = [("fast", 60.0, 4.0, 1), ("<b>even</b>", 65.0, 8.0, 2), ("worse", 61.0, 9.0, 3), ("slow", 68.0, 16.0, 4)]
    rows = [
        replace(one, key=name, network=name, accuracy=top1, latency_ms=ms, latency_low_ms=ms, latency_high_ms=ms,
                size_bytes=size * 10**6)
        for name, top1, ms, size in cells
    ]  # fmt: skip
    store.show([*rows, Row("failed", "broken", device="here", error="no such <thing>")])
    store.close()
    return tmp_path / "s"


def test_a_sweep_is_drawn_with_its_front(folder: Path) -> None:
    found = Read(sweep_page.render(shown(folder)))
    assert found.texts["h2"] == ["Accuracy over latency", "Accuracy over size", "Cells", "What failed"]
    assert found.points == 8, "four cells over latency, and four over size"
    assert "joins the 3 cells that no faster one equals, from fast int8 tflite with 60" in " ".join(found.texts["p"])
    rows = found.texts["th"]
    assert [name for name in rows if name.endswith("int8 tflite")] == [
        "fast int8 tflite", "<b>even</b> int8 tflite", "worse int8 tflite", "slow int8 tflite",
    ]  # fmt: skip
    assert found.texts["td"].count("✔") == 3
    assert "no such <thing>" in found.texts["td"]


def test_advice_is_told_drawn_and_given_as_commands(folder: Path) -> None:
    result = advise("latency=10", sweep=folder)
    found = Read(advice_page.render(result))
    assert found.texts["h2"][:2] == ["What to ship", "Accuracy over latency"]
    assert found.points == 4
    assert result.commands[0] in found.texts["code"]
    assert "<b>even</b> int8 tflite: 8 ms, 20% below the limit" in " ".join(found.texts["p"])
