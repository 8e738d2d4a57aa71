"""JUnit XML: a test suite a file, a test case a gate, so that any pipeline shows them beside its own tests.

JUnit never wrote down what consumers accept. This keeps to the schema of Jenkins's xUnit plugin, which takes what
Maven's Surefire writes. Source: junit-10.xsd of github.com/jenkinsci/xunit-plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from edgekit.reports import findings
from edgekit.words import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.pipeline.proving.verdicts import FileVerdict, VerifyResult
    from edgekit.verification.gates import Gate


_ALL: Final = "edgekit verify"  # the name of what is about no single file


def render(result: VerifyResult) -> str:
    """The document; it ends with a newline."""
    names = findings.names(result)
    suites = [_of_file(file, names[file.path], result) for file in findings.judged(result)]
    if result.unmeasured:
        suites.append(_suite(_ALL, [], [_warning(_ALL, text) for text in result.unmeasured]))
    if not result.passed and not any(file.failed for file in findings.judged(result)):
        # No gate says so, and a pipeline that shows no failure is taken for one that passed.
        failure = _element("failure", message=findings.conclusion(result), type=findings.NOT_COMPARED)
        suites.append(_suite(_ALL, [], [_case(_ALL, "something was compared", [failure])]))
    root = _element("testsuites", name=_ALL, time=f"{result.seconds:.3f}")
    root.extend(suites)
    for kind in ("tests", "failures", "errors"):
        root.set(kind, str(sum(int(suite.get(kind, "0")) for suite in suites)))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _of_file(file: FileVerdict, name: str, result: VerifyResult) -> ET.Element:
    cases = [_of_gate(gate, name) for gate in file.gates]
    cases += [
        _skipped(name, f"integers may differ [{found.ran()}]", f"{found.said()}: {reason}")
        for found, reason in findings.unclaimed(file)
    ]
    cases += [_skipped(name, reason, reason) for reason in dict.fromkeys(file.skipped)]
    cases += [_warning(name, text) for text in file.warnings]
    if not file.passed and not file.failed:
        cases.append(_skipped(name, "something was compared", findings.remark(file)))
    facts = [("path", str(file.path)), ("sha256", file.sha256), ("network", result.network), *findings.facts(result)]
    return _suite(name, facts, cases)


def _of_gate(gate: Gate, name: str) -> ET.Element:
    title = f"{gate.level.title}: {gate.name}{f' [{gate.runner}]' if gate.runner else ''}"
    measured = f"measured: {gate.measured}\nlimit: {gate.limit}"
    if gate.passed:
        return _case(name, title, [_element("system-out", measured)])
    return _case(name, title, [_element("failure", measured, message=gate.problem, type=gate.level.title)])


def _warning(name: str, text: str) -> ET.Element:
    return _skipped(name, f"warning: {text}", f"warning: {text}")


def _skipped(name: str, title: str, reason: str) -> ET.Element:
    return _case(name, title, [_element("skipped", message=reason)])


def _suite(name: str, facts: Sequence[tuple[str, str]], cases: Sequence[ET.Element]) -> ET.Element:
    failures, skipped = (sum(case.find(kind) is not None for case in cases) for kind in ("failure", "skipped"))
    numbers = {"tests": len(cases), "failures": failures, "errors": 0, "skipped": skipped}
    suite = _element("testsuite", name=name, time="0", **{kind: str(number) for kind, number in numbers.items()})
    properties = _element("properties")
    properties.extend(_element("property", name=key, value=value) for key, value in facts)
    suite.extend([properties, *cases])
    return suite


def _case(of: str, name: str, outcome: Sequence[ET.Element]) -> ET.Element:
    """Single gates are not timed; there are reporters that take a case without a time for no number."""
    case = _element("testcase", classname=of, name=name, time="0")
    case.extend(outcome)
    return case


def _element(tag: str, text: str | None = None, /, **attributes: str) -> ET.Element:
    made = ET.Element(tag, {key: printable(value) for key, value in attributes.items()})
    made.text = None if text is None else printable(text)
    return made
