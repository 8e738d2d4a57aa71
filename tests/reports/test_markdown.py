"""Markdown: what a parser makes of it, whatever things are called."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from markdown_it import MarkdownIt  # rich brings it

from edgekit.reports import markdown
from edgekit.words import printable

if TYPE_CHECKING:
    from edgekit.pipeline.proving.verdicts import VerifyResult

ALLOWED = {"h2", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "ul", "li", "details", "summary"}


class Rendered(HTMLParser):
    """Markdown as GitHub shows it: tables and strikethrough, and HTML let through."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pieces: dict[str, list[str]] = {}  # texts by the element that they are in
        self.rows: list[list[str]] = []
        self.feed(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED
        assert dict(attrs).keys() <= {"open", "style"}
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.pieces.setdefault(self.open[-1] if self.open else "", []).append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def test_the_whole_text(failing: VerifyResult) -> None:
    assert (
        markdown.render(failing)
        == """\
## ✘ edgekit verify: `net` failed

2 of 5 files failed, 3 of 9 gates. On 4 images, against `net.int8.edgekit` and `net.pth`.

|  | file | gates | logits | top-1 | drop (95 %) | as float |
| --- | --- | ---: | --- | ---: | ---: | ---: |
| ✘ | `net.int8.onnx` | 1 of 3 | 75 % identical, 40 LSB at most in ONNX Runtime 1.31.1, ALL and 1 other runtime \
| 75 % | 25.00 (−17.40 to 67.40) | 75 % |
| ✘ | `net.int8.pt` | 0 of 1 | – | – | – | – |
| ✔ | `net.int8.tflite` | 2 | 100 % identical in LiteRT 2.3.0, XNNPACK | 75 % | 25.00 (−17.40 to 67.40) | 75 % |
| ✔ | `net.float32.pt` | 2 | 1.0e-07 of the largest in torch 2.13.0 | 75 % | – | 100 % |
| – | `net.float16.mlpackage` | 1 | nothing to compare with | – | – | – |
|  | float: `net.pth` |  |  | 100 % |  |  |

<details open><summary>✘ well-formed: readable</summary>

- it ends early: export it again
- `net.int8.pt`

</details>

<details open><summary>✘ integer parity: identical integers</summary>

- 3 of 12 logits differ, by up to 40 LSB: features.4 (Conv2d): 3 LSB at most, on 2 of 96 channels; scale: it is twice \
as large
- export it again
- `net.int8.onnx` in ONNX Runtime 1.31.1, ALL; ONNX Runtime 1.31.1, EXTENDED

</details>

<details><summary>integers may differ</summary>

- `net.int8.onnx` in ONNX Runtime without VNNI: 83.33 % identical, 2 LSB at most: it clamps sums to 16 bits

</details>

<details><summary>not run</summary>

- `net.int8.onnx`: no emulated Raspberry Pi on this machine: edgekit emulate aarch64

</details>
"""
    )


def test_a_table_and_nothing_else_where_all_passed(passing: VerifyResult) -> None:
    text = markdown.render(passing)
    assert text.startswith("## ✔ edgekit verify: `net` passed\n\n2 files passed, 4 gates. On 4 images, against ")
    assert "details" not in text
    assert [row[1] for row in Rendered(text).rows] == ["file", "net.int8.tflite", "net.float32.pt", "float: net.pth"]


def test_nothing_compared_is_said(uncompared: VerifyResult) -> None:
    text = markdown.render(uncompared)
    assert text.startswith("## ✘ edgekit verify: `net` failed\n\nnothing was compared: name the trained network")
    assert "| – | `net.float32.tflite` | 1 | what floats are compared with |" in text


def test_noise_is_said(passing: VerifyResult) -> None:
    assert "On 16 images of noise, because none were named, against" in markdown.render(
        replace(passing, images=16, noise=True)
    )
    assert "4 gates. Nothing was run." in markdown.render(replace(passing, images=0))


def test_it_is_what_was_meant(any_result: VerifyResult) -> None:
    found = Rendered(markdown.render(any_result))
    assert len({len(row) for row in found.rows}) == 1
    assert len(found.rows) >= 1 + len(any_result.files)


def test_evil_names_are_only_text(hostile: VerifyResult) -> None:
    text = markdown.render(hostile)
    text.encode()
    found = Rendered(text)

    def shown(text: str) -> str:
        return " ".join(printable(text).split())

    evil, path = shown(hostile.network), hostile.files[0].path
    assert found.rows[1][1] == shown(path.name)
    names = {path.with_suffix(suffix).name for suffix in (".onnx", ".edgekit", ".pth")}
    assert set(found.pieces["code"]) == {evil, *map(shown, names)}
    assert [text.replace("\N{WORD JOINER}", "") for text in found.pieces["summary"]] == [
        f"✘ integer parity: {evil}",
        "integers may differ",
        "not run",
    ]
    assert "".join(found.pieces["li"]).replace("\N{WORD JOINER}", "").count(evil) >= 4
    assert not re.search(r"@\w", re.sub(r"(`+) ?.*?\1", "", text)), "a name notifies someone"


@pytest.mark.parametrize(
    "text", ["# a", "- a", "+ a", "1. a", "12) a", "===", "---", "a", "* a", "> a", "1.17 a", "    a"]
)
def test_prose_is_taken_literally_where_a_line_begins(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(f"- {markdown.escaped(text)}\n")
    assert [token.type for token in tokens[2:5]] == ["paragraph_open", "inline", "paragraph_close"]
    (children,) = [token.children for token in tokens if token.type == "inline"]
    assert "".join(child.content for child in children or ()) == text.strip()
