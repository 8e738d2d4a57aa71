"""A comment on a pull request, or ``$GITHUB_STEP_SUMMARY``: the verdict, the files, and what failed."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from edgekit.reports import findings, origin
from edgekit.words import NOTHING, printable, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgekit.pipeline.proving.verdicts import FileVerdict, VerifyResult
    from edgekit.reports.findings import Failure
    from edgekit.tasks.values import Metric

# What GitHub Flavored Markdown reads as more than text: anywhere, and where a line begins. Source: its specification,
# chapters 6 and 4. Where tables are split, it looks for bars before anything else, so ``_table`` sees to those.
_SPECIAL = re.compile(r"[\\`*_~\[\]<>&]|^#|^\d*[-+=.)]")


def render(result: VerifyResult) -> str:
    """The text; it ends with a newline."""
    word = "passed" if result.passed else "failed"
    mark = findings.sign(findings.outcome(result))
    parts = [
        f"## {mark} edgekit verify: {code(result.network or 'unreadable files')} {word}",
        f"{escaped(findings.conclusion(result))}. {_basis(result)}.",
        _files(result),
        *(_failure(failure) for failure in findings.failures(result)),
        *_taken_for_true(result),
        *_remarks(result),
    ]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    r"""Text on one line, taken literally. Nobody is notified whose name is in it.

    >>> print(escaped("1. *c*"))
    1\. \*c\*
    """
    literal = _SPECIAL.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", _line(text))
    return _quiet(literal)


def code(text: str) -> str:
    """Text on one line as code, in which nothing is read as more than text.

    >>> code("a`b")
    '`` a`b ``'
    """
    text = _line(text)
    runs = {len(run) for run in re.findall("`+", text)}
    fence = "`" * next(length for length in range(1, len(runs) + 2) if length not in runs)
    space = " " if runs else ""
    return f"{fence}{space}{text}{space}{fence}"


def _quiet(text: str) -> str:
    """Text in which no name is one that GitHub knows."""
    return text.replace("@", "@\N{WORD JOINER}")


def _line(text: str) -> str:
    return " ".join(printable(text).split())


def _basis(result: VerifyResult) -> str:
    if not result.images:
        return "Nothing was run"
    against = [code(path.name) for path in (result.integer_reference, result.float_reference) if path is not None]
    return f"On {findings.images(result)}" + (f", against {' and '.join(against)}" if against else "")


def _files(result: VerifyResult) -> str:
    names = findings.names(result)
    rows = [_row(file, names[file.path], result) for file in findings.failed_first(result)]
    if result.float_measured and result.float_reference is not None:
        of_float = [findings.value(one, result.float_measured).strip(NOTHING) for one in _metrics(result)]
        costs = ["", ""] if result.latencies else []
        rows.append(["", f"float: {code(result.float_reference.name)}", *costs, "", "", *of_float])
    costs = [">size", ">ms"] if result.latencies else []
    return _table(["", "file", *costs, ">gates", "logits", *(f">{title}" for title in _titles(result))], rows)


def _costs(file: FileVerdict, result: VerifyResult) -> list[str]:
    """Size, and the median time of one run, where files were timed."""
    if not result.latencies:
        return []
    taken = findings.latency_ms(result, file.path)
    return [
        "" if file.summary is None else size(file.summary.size_bytes),
        "" if taken is None else f"{taken:.3g}",
    ]


def _metrics(result: VerifyResult) -> list[Metric]:
    """Those that have a column: the one that networks are judged by, its drop, and how near to float a file is."""
    return [findings.metric(result, name) for name in ("first", "drop", "agreement")] if result.metrics else []


def _titles(result: VerifyResult) -> list[str]:
    if not result.metrics:
        return []
    first, dropped, _ = _metrics(result)
    return [first.title, f"{dropped.title.partition(' ')[0]} (95 %)", "as float"]


def _row(file: FileVerdict, name: str, result: VerifyResult) -> list[str]:
    return [
        findings.sign(findings.verdict(file)),
        code(name),
        *_costs(file, result),
        findings.share(file.gates),
        findings.worst_parity(file) or findings.remark(file) or NOTHING,
        *(findings.value(one, file.measured) for one in _metrics(result)),
    ]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns whose title starts with ">" are numbers and end flush."""
    titles = [title.removeprefix(">") for title in columns]
    rules = ["---:" if title.startswith(">") else "---" for title in columns]
    lines = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (titles, rules, *lines))


def _failure(failure: Failure) -> str:
    gate = failure.gate
    where = [
        " in ".join([code(name), *([escaped("; ".join(runners))] if runners else [])])
        for name, runners in failure.where.items()
    ]
    title = f"{findings.mark(passed=False)} {gate.level.title}: {gate.name}"
    said = [escaped(text) for text in (gate.problem, failure.remedy) if text]
    return _details(title, [*said, *where], is_open=True)


def _taken_for_true(result: VerifyResult) -> list[str]:
    """What was not shown: it stays in view."""
    title = "! warnings"
    return [_details(title, [escaped(text) for text in result.warnings], is_open=True)] if result.warnings else []


def _remarks(result: VerifyResult) -> list[str]:
    """What was not judged, and what was not run, each with the reason."""
    names = findings.names(result)
    unclaimed = [
        f"{code(names[file.path])} in {escaped(f'{found.ran()}: {found.said()}: {reason}')}"
        for file in result.files
        for found, reason in findings.unclaimed(file)
    ]
    skipped = [f"{code(names[file.path])}: {escaped(reason)}" for file in result.files for reason in file.skipped]
    facts = [escaped(": ".join(origin.fact(fact))) for fact in result.facts]
    notes = [escaped(text) for text in result.notes]
    titles = {"integers may differ": unclaimed, "not run": skipped, "facts of the network": facts, "notes": notes}
    return [_details(title, lines) for title, lines in titles.items() if lines]


def _details(title: str, lines: Sequence[str], *, is_open: bool = False) -> str:
    """A list that can be folded. The title is HTML, not Markdown."""
    summary = f"<summary>{html.escape(_quiet(_line(title)))}</summary>"
    return "\n".join([
        f"<details{' open' if is_open else ''}>{summary}", "", *(f"- {line}" for line in lines), "", "</details>"
    ])  # fmt: skip
