"""The HTML page: what a parser makes of it, whatever things are called, and what a browser may do with it."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from edgekit.pipeline.proving.verdicts import Compared, Picture
from edgekit.reports import markdown
from edgekit.reports.kit import page
from edgekit.reports.pages.verify import document
from edgekit.tasks.detection.answers import Thing, Things
from edgekit.tasks.values import Differences, Disagreement, Point
from edgekit.verification.detection_parity import DetectionParity
from edgekit.verification.gates import Gate, Level
from edgekit.words import printable

if TYPE_CHECKING:
    import pytest

    from edgekit.pipeline.proving.verdicts import VerifyResult

VOID = {"br", "img", "meta"}
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section", "footer", "article", "a"),
    *("h1", "h2", "h3", "p", "div", "span", "strong", "code", "dl", "dt", "dd", "ul", "li", "details", "summary"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "img"),
    *("svg", "rect", "line", "polyline", "circle", "text", "title"),
    "script",
}


class Page(HTMLParser):
    """A page that is well-formed, or an AssertionError."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []  # the element that each is in, and the text
        self.rows: list[list[int]] = []  # of each table, how many cells each row has
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS
        named = {name: value or "" for name, value in attrs}
        assert len(named) == len(attrs)
        assert not any(name.startswith("on") for name in named)
        self.elements.append((tag, named))
        if tag == "table":
            self.rows.append([])
        elif tag == "tr":
            self.rows[-1].append(0)
        elif tag in {"td", "th"}:
            self.rows[-1][-1] += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        """What is read, with single spaces."""
        return " ".join(" ".join(data for where, data in self.texts if where not in {"style", "script"}).split())


def test_it_is_well_formed_and_accessible(any_result: VerifyResult) -> None:
    found = Page(document.render(any_result))
    assert found.all("html") == [{"lang": "en"}]
    assert len(found.all("h1")) == len(found.all("main")) == len(found.all("header")) == 1
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert [link["href"] for link in found.all("a")] == [f"#{name}" for name in ids]
    assert len(set(ids)) == len(ids)
    for cells in found.rows:
        assert len(cells) > 1
        assert len(set(cells)) == 1
    assert len(found.all("caption")) == len(found.rows)
    assert all(heading["scope"] in {"row", "col"} for heading in found.all("th"))
    assert all("alt" in image for image in found.all("img"))
    assert all(picture["role"] == "img" and picture["aria-label"] for picture in found.all("svg"))
    assert not re.search(r"<(th|dt|h\d|caption)\b[^>]*></", document.render(any_result))


def test_it_loads_nothing_and_runs_only_what_sorts(any_result: VerifyResult) -> None:
    found = Page(document.render(any_result))
    sources = [value for _, named in found.elements for key, value in named.items() if key in {"src", "href"}]
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    (policy,) = [m["content"] for m in found.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy == page.policy()
    css = files("edgekit.reports.kit").joinpath("style.css").read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import|@font-face|</", css)


def test_evil_names_are_only_text(hostile: VerifyResult) -> None:
    text = document.render(hostile)
    text.encode()
    found = Page(text)
    evil = printable(hostile.network)
    assert [data for where, data in found.texts if where == "h1"] == [evil]
    assert [image["alt"] for image in found.all("img")] == [evil]
    assert found.text.count(" ".join(evil.split())) > 20


def test_the_verdict_comes_first(passing: VerifyResult, failing: VerifyResult, uncompared: VerifyResult) -> None:
    for result, verdict in (
        (passing, "✔ Passed 2 files passed, 4 gates"),
        (failing, "✘ Failed 2 of 5 files failed, 3 of 9 gates"),
        (uncompared, "✘ Failed nothing was compared: name the trained network, --checkpoint FILE"),
    ):
        header = Page(document.render(result)).text.partition("Files")[0]
        assert verdict in header
    assert "integers against net.int8.edgekit" in Page(document.render(passing)).text
    assert f"checkpoint sha256 {'c' * 64}" in Page(document.render(passing)).text
    assert f"digest {'d' * 64}, images 256, method percentile" in Page(document.render(passing)).text


def test_what_failed_comes_first_and_once(passing: VerifyResult, failing: VerifyResult) -> None:
    assert "What failed" not in document.render(passing)
    text = Page(document.render(failing)).text
    section = text[text.index("What failed", text.index("Provenance")) : text.index("Each file, and how many gates")]
    assert section.index("it ends early: export it again") < section.index("3 of 12 logits differ, by up to 40 LSB")
    assert section.count("by up to 40 LSB") == 1
    assert "What to do: export it again." in section
    assert "net.int8.onnx in ONNX Runtime 1.31.1, ALL; ONNX Runtime 1.31.1, EXTENDED" in section
    table = text[text.index("Each file, and how many gates") :]  # names in it without the network's
    order = ("int8.onnx", "int8.pt", "int8.tflite", "float32.pt", "float16.mlpackage")
    assert sorted(order, key=table.index) == list(order)
    assert "not run: no emulated Raspberry Pi on this machine: edgekit emulate aarch64" in text
    assert "first layer that parts features.4, Conv2d by 3 LSB at most, 25 % of the values, everywhere; 2 of 96" in text
    assert "likely cause scale: it is twice as large values 0, 7, 1, 2: 5 instead of 4, exactly 4.25" in text
    opened = ["open" in attributes for attributes in Page(document.render(failing)).all("details")]
    assert opened == [False, True, True, False, False, False], "the first holds the layers"


def test_histograms_show_a_single_difference(failing: VerifyResult) -> None:
    found = Page(document.render(failing))
    pictures = [svg["aria-label"] for svg in found.all("svg") if svg["aria-label"].startswith("Histogram")]
    unclaimed = "Histogram: 10 logits off by 0 LSB, 2 logits off by 2 LSB"
    differing = "Histogram: 9 logits off by 0 LSB, 2 logits off by 1 LSB, 1 logit off by 40 LSB"
    assert pictures == ["Histogram: 12 logits off by 0 LSB", differing, differing, unclaimed]
    assert "ONNX Runtime without VNNI int8.onnx it clamps sums to 16 bits may differ 10 of 12 2 LSB" in found.text
    titles = [text for where, text in found.texts if where == "title"][1:]
    assert titles[:4] == ["0 LSB: 12 logits", "0 LSB: 9 logits", "1 to 4 LSB: 2 logits", "37 to 40 LSB: 1 logit"]
    assert [bar["class"] for bar in found.all("rect")[:4]] == ["equal", "equal", "unequal", "unequal"]
    assert all(float(bar["height"]) >= 3 for bar in found.all("rect"))


def test_boxes_that_files_suppress_are_counted(passing: VerifyResult) -> None:
    found = DetectionParity("LiteRT 2.3.0", 4, 10, 9, 0, 1, 0, 0, 2.4e-7, 1e-5, 1.0, "signs_detection_boxes")
    int8, floats = passing.files
    result = replace(passing, files=(replace(int8, parities=(*int8.parities, found)), floats))
    text = Page(document.render(result)).text
    assert "Boxes that suppression leaves, against edgekit's own" in text
    assert "LiteRT 2.3.0: signs_detection_boxes" in text
    assert "9 of 10" in text
    assert "9 of 10 boxes, 1 decided by last bits, in the same order, 2.4e-07 off at most" in markdown.render(result)


def test_layers_are_drawn_and_the_worst_is_named(passing: VerifyResult) -> None:
    found = Page(document.render(passing))
    (chart,) = [svg["aria-label"] for svg in found.all("svg") if "layers" in svg["aria-label"]]
    assert chart == "SQNR of 4 layers; the lowest is features.1: 10.0 dB"
    ticks = [text for where, text in found.texts if where == "text" and text.endswith(" dB")]
    assert ticks == ["10 dB", "20 dB", "30 dB", "features.1: 10.0 dB"]
    (line,) = found.all("polyline")
    heights = [float(point.partition(",")[2]) for point in line["points"].split()]
    assert heights[0] == heights[1] == min(heights), "nothing is lost in the first, and the scale ends at the second"
    assert heights[2] == max(heights)
    assert "All 4 layers" in found.text
    assert "features.1 Conv2d 10.0 dB 1.0e-02" in found.text
    assert 'id="layers"' not in document.render(replace(passing, layers=()))
    lossless = replace(passing, layers=tuple(replace(layer, noise=0.0) for layer in passing.layers))
    assert "the lowest is input: no error" in document.render(lossless)


def test_budgets_are_said_by_file(passing: VerifyResult) -> None:
    assert 'id="cost"' not in document.render(passing)
    slow = Gate(Level.BUDGET, "latency", "LiteRT", False, "1.2 of the baseline's", "1.07 at most", "it is slower")
    file, *others = passing.files
    text = Page(document.render(replace(passing, files=(replace(file, gates=(*file.gates, slow)), *others)))).text
    assert "int8.tflite latency ✘ 1.2 of the baseline's 1.07 at most" in text
    assert "5 budget" in text


def test_what_was_proven_of_a_runtime_is_said(passing: VerifyResult) -> None:
    text = Page(document.render(passing)).text
    assert "LiteRT 2.3.0, XNNPACK identical on x86-64 with VNNI, 24,080 logits of 4 networks torch 2.13.0 –" in text


def test_confusions_are_a_matrix_where_classes_are_few(passing: VerifyResult) -> None:
    found = Page(document.render(passing))
    assert "int8 names another class than float on 1 of 4 images." in found.text
    assert [text for where, text in found.texts if text == "="] == ["="] * 3
    names = tuple(f"c{i}" for i in range(21))
    one = Differences("some", (Disagreement("c1", "c20", ("b.png",) * 5),), names)
    text = Page(document.render(replace(passing, differences=one))).text
    assert "c1 c20 5 b.png , b.png , b.png , …" in text
    pairs = tuple(Disagreement("c1", "c2", (f"{i}.png",)) for i in range(60))
    many = replace(passing, differences=replace(one, disagreements=pairs))
    assert "And 10 other pairs" in Page(document.render(many)).text
    same = replace(passing, differences=Differences("int8 and float say the same.", (), names))
    assert "int8 and float say the same." in Page(document.render(same)).text
    assert 'id="differences"' not in document.render(replace(passing, differences=None))


def test_numbers_are_a_picture_of_int8_over_float(passing: VerifyResult) -> None:
    points = (Point(1.0, 1.0, "a.png"), Point(2.0, 2.5, "b.png"), Point(3.0, 2.9, "c.png"))
    found = Page(document.render(replace(passing, differences=Differences("they differ", (), (), points))))
    (picture,) = [svg for svg in found.all("svg") if svg["aria-label"].startswith("int8 over float")]
    assert picture["aria-label"] == "int8 over float, 3 values; the farthest apart is b.png: float 2, int8 2.5"
    assert "a.png: float 1, int8 1" in found.text
    places = {(c["cx"], c["cy"]) for c in found.all("circle") if c["r"] == "2.5"}
    assert {("34", "286"), ("286", "46.6")} <= places  # float 1 to 3, upwards from 1


def test_pictures_are_what_the_network_sees(passing: VerifyResult) -> None:
    found = Page(document.render(passing))
    for image, picture in zip(found.all("img"), passing.pictures, strict=True):
        data = base64.b64decode(image["src"].partition(",")[2])
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), picture.pixels)
    assert [figure.get("class") for figure in found.all("figure")] == [None, "differs", None, None]
    assert "label, float dog int8 ✘ owl" in found.text
    (file, *_), about = passing.files, passing.files[0].summary
    assert about is not None
    assert about.metadata is not None
    bgr = replace(about.metadata, preprocessing=replace(about.metadata.preprocessing, order="BGR"))
    shown = Page(document.render(replace(passing, files=(replace(file, summary=replace(about, metadata=bgr)),))))
    data = base64.b64decode(shown.all("img")[0]["src"].partition(",")[2])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), passing.pictures[0].pixels[..., ::-1])


def test_large_pictures_become_thumbnails(passing: VerifyResult) -> None:
    pixels = np.arange(224 * 224 * 3, dtype=np.uint32).reshape(224, 224, 3).astype(np.uint8)
    found = Page(document.render(replace(passing, pictures=(Picture("a.png", pixels),))))
    data = base64.b64decode(found.all("img")[0]["src"].partition(",")[2])
    means = pixels.reshape(112, 2, 112, 2, 3).mean((1, 3))
    np.testing.assert_allclose(np.asarray(Image.open(io.BytesIO(data)), np.float64), means, atol=0.5)


def test_boxes_are_drawn_as_float_and_int8_see_them(passing: VerifyResult) -> None:
    pixels = np.full((32, 32, 3), 100, np.uint8)
    seen, none = Things((Thing(0, "<cat>", 0.9, (0.25, 0.25, 0.75, 0.75)),), 5), Things((), 5)
    page = Page(document.render(replace(passing, pictures=(), differing=(Compared("b.png", pixels, seen, none),))))
    ours, theirs = page.all("img")
    assert (ours["alt"], theirs["alt"]) == ("float: 1 <cat>", "int8: nothing")
    images = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(one["src"].partition(",")[2])))) for one in (ours, theirs)
    ]
    assert [len(np.unique(image.reshape(-1, 3), axis=0)) > 1 for image in images] == [True, False]


def test_classes_are_listed_one_by_one(passing: VerifyResult) -> None:
    file = replace(passing.files[0], by_class={"cat": 50.0})
    found = Page(document.render(replace(passing, files=(file,), float_by_class={"cat": 75.5, "dog": 100.0})))
    assert "cat 75.5 % 50 % dog 100 % –" in found.text


def test_equal_findings_give_equal_pages(any_result: VerifyResult) -> None:
    assert document.render(any_result) == document.render(replace(any_result, seconds=any_result.seconds + 1))


def test_two_files_of_one_name_are_told_apart(passing: VerifyResult) -> None:
    first, second = passing.files
    other = replace(first, path=second.path.parent / "old" / first.path.name)
    text = Page(document.render(replace(passing, files=(first, other)))).text
    assert "exported/net.int8.tflite" in text
    assert "exported/old/net.int8.tflite" in text


# --- colours


def luminance(colour: str) -> float:
    """Relative luminance. Source: WCAG 2.1, definitions."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_has_enough_contrast_in_light_dark_and_on_paper(subtests: pytest.Subtests) -> None:
    """4.5 : 1 on every ground. Source: WCAG 2.1, 1.4.3."""
    css = files("edgekit.reports.kit").joinpath("style.css").read_text(encoding="utf-8")
    themes = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    assert len(themes) == 3
    for number, theme in enumerate(themes):
        colours = dict(re.findall(r"--([\w-]+): (#\w{6})", theme))
        for ground in ("ground", "raised", "good-ground", "bad-ground"):
            for text in ("text", "quiet", "good", "bad", "accent"):
                with subtests.test(f"{number} {text} on {ground}"):
                    light, dark = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
                    assert (light + 0.05) / (dark + 0.05) >= 4.5
