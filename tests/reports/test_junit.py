"""JUnit XML, held against what its consumers accept."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from edgekit.reports import junit
from edgekit.words import printable

if TYPE_CHECKING:
    from edgekit.pipeline.proving.verdicts import VerifyResult

# junit-10.xsd of Jenkins's xUnit plugin, as far as it concerns us: what an element holds, and its attributes, with "!"
# those that are required.
SCHEMA = {
    "testsuites": (("testsuite",), ("name", "time", "tests", "failures", "errors")),
    "testsuite": (
        ("properties", "testcase"),
        (
            "name!",
            "tests!",
            "failures!",
            "errors!",
            "skipped",
            "time",
            "timestamp",
            "hostname",
            "id",
            "package",
            "file",
        ),
    ),
    "properties": (("property",), ()),
    "property": ((), ("name!", "value!")),
    "testcase": (("skipped", "error", "failure", "system-out", "system-err"), ("name!", "classname", "time", "group")),
    "failure": ((), ("message", "type")),
    "skipped": ((), ("message", "type")),
    "system-out": ((), ()),
}


def parsed(result: VerifyResult) -> ET.Element:
    """The document, which satisfies the schema, with numbers that add up."""
    text = junit.render(result)
    root = ET.fromstring(text.encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        children, attributes = SCHEMA[element.tag]
        assert {child.tag for child in element} <= set(children)
        assert set(element.attrib) <= {name.removesuffix("!") for name in attributes}
        assert {name.removesuffix("!") for name in attributes if name.endswith("!")} <= set(element.attrib)
        if "time" in element.attrib:
            assert re.fullmatch(r"[0-9]+(\.[0-9]+)?", element.attrib["time"])
    for suite in root:
        cases = suite.findall("testcase")
        assert int(suite.get("tests", "")) == len(cases)
        assert int(suite.get("failures", "")) == len(suite.findall("testcase/failure"))
        assert int(suite.get("skipped", "")) == len(suite.findall("testcase/skipped"))
        assert len({case.get("name") for case in cases}) == len(cases), "a name is unique in its suite"
        assert {case.get("classname") for case in cases} == {suite.get("name")}
    for kind in ("tests", "failures", "errors"):
        assert int(root.get(kind, "")) == sum(int(suite.get(kind, "")) for suite in root)
    return root


def test_consumers_accept_it(any_result: VerifyResult) -> None:
    root = parsed(any_result)
    assert (int(root.get("failures", "")) > 0) == (not any_result.passed)


def test_a_suite_a_file_and_a_case_a_gate(failing: VerifyResult) -> None:
    root = parsed(failing)
    assert root.attrib == {"name": "edgekit verify", "time": "1.500", "tests": "12", "failures": "3", "errors": "0"}
    assert [suite.get("name") for suite in root] == [file.path.name for file in failing.files]
    suite = root[2]
    assert [case.get("name") for case in suite.findall("testcase")] == [
        "well-formed: readable",
        "integer parity: identical integers [ONNX Runtime 1.31.1, ALL]",
        "integer parity: identical integers [ONNX Runtime 1.31.1, EXTENDED]",
        "integers may differ [ONNX Runtime without VNNI]",
        "no emulated Raspberry Pi on this machine: edgekit emulate aarch64",
    ]
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == (
        "3 of 12 logits differ, by up to 40 LSB: features.4 (Conv2d): 3 LSB at most, on 2 of 96 channels; scale: it is "
        "twice as large"
    )
    assert failure.get("type") == "integer parity"
    assert failure.text == "measured: 9 of 12 logits identical, 40 LSB at most\nlimit: 0 LSB"
    assert [skipped.get("message") for skipped in suite.iter("skipped")] == [
        "83.33 % identical, 2 LSB at most: it clamps sums to 16 bits",
        "no emulated Raspberry Pi on this machine: edgekit emulate aarch64",
    ]
    facts = {p.get("name"): p.get("value") for p in suite.iter("property")}
    assert facts["sha256"] == "a" * 64
    assert facts["integers against"] == "net.int8.edgekit"


def test_what_was_not_compared_is_skipped(failing: VerifyResult) -> None:
    (case,) = [case for case in parsed(failing)[4].findall("testcase") if case.find("skipped") is not None]
    assert (case.get("name"), case[0].get("message")) == ("something was compared", "nothing to compare with")


def test_nothing_compared_is_a_failure(uncompared: VerifyResult) -> None:
    """Or a pipeline without a failure is taken for one that passed."""
    root = parsed(uncompared)
    assert [suite.get("name") for suite in root] == ["net.float32.tflite", "edgekit verify"]
    failure = root[1].find("testcase/failure")
    assert failure is not None
    assert (failure.get("message") or "").startswith("nothing was compared: name the trained network")


def test_evil_names_are_only_text(hostile: VerifyResult) -> None:
    root = parsed(hostile)
    evil = printable(hostile.network)
    assert root[0].get("name") == printable(hostile.files[0].path.name)
    assert [failure.get("message") for failure in root.iter("failure")] == [evil]


def test_equal_findings_give_equal_documents_but_for_the_time(failing: VerifyResult) -> None:
    later = junit.render(replace(failing, seconds=9.0))
    assert later.replace('time="9.000"', 'time="1.500"') == junit.render(failing)
