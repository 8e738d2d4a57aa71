"""What the files are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.reports import findings
from edgekit.reports.kit.markup import Markup, join, table
from edgekit.reports.kit.pieces import code, facts
from edgekit.reports.pages.verify.signs import mark
from edgekit.verification.gates import Level
from edgekit.version import __version__
from edgekit.words import NOTHING, counted

if TYPE_CHECKING:
    from edgekit.pipeline.proving.verdicts import VerifyResult


def operators(result: VerifyResult) -> Markup | None:
    """Of each file, and how many of them compute in integers."""
    names = findings.short_names(result)
    rows = [
        [
            code(names[file.path]),
            found.version,
            f"{sum(found.operators.values()) - len(found.float_operators)} of {sum(found.operators.values())}",
            counted(found.operators),
            counted(Counter(found.boundary)) or NOTHING,
        ]
        for file in result.files
        if (found := file.summary) is not None
    ]
    columns = ["file", "version", ">in integers", "operators", "converted at the boundary"]
    return table(columns, rows, "Operators of each file") if rows else None


def provenance(result: VerifyResult) -> Markup:
    """What was looked at, to the byte, and with what."""
    names = findings.names(result)
    files = [[code(names[file.path]), code(file.sha256)] for file in result.files]
    runners = [[runner, result.proven.get(runner, NOTHING)] for runner in findings.runners(result)]
    return join(
        table(["file", "SHA-256"], files, "The files that this page is about"),
        table(["runtime", "proven before"], runners, "What they were run in, in this very version")
        if runners
        else None,
        facts([("this page", f"written by edgekit {__version__}")]),
    )


def latency(result: VerifyResult) -> Markup | None:
    """What a run of each file takes, and where its operators went."""
    names = findings.short_names(result)
    rows = [
        [
            code(names[Path(found.path)]),
            found.runner,
            f"{found.threads}",
            f"{found.batch}",
            f"{found.p50_ms.value:.3f}",
            f"{found.p50_ms.low:.3f} to {found.p50_ms.high:.3f}",
            *(f"{value:.3f}" for value in (found.p90_ms, found.p99_ms, found.load_ms)),
            NOTHING if found.delegate_pieces is None else f"{found.delegate_pieces}",
            ", ".join(found.outside) or NOTHING,
        ]
        for found in result.latencies
    ]
    numbers = ("threads", "images at once", "p50 ms", "interval", "p90 ms", "p99 ms", "load ms", "delegate pieces")
    columns = ["file", "runtime", *(f">{name}" for name in numbers), "left outside"]
    return table(columns, rows, "Fresh processes of all files, in turns") if rows else None


def cost(result: VerifyResult) -> Markup | None:
    """Size, memory, latency, against a baseline."""
    names = findings.short_names(result)
    rows = [
        [code(names[file.path]), gate.name, mark(passed=gate.passed), gate.measured, gate.limit or NOTHING]
        for file in result.files
        for gate in file.gates
        if gate.level is Level.BUDGET
    ]
    return table(["file", "what", "verdict", "measured", "limit"], rows, "Against the baseline") if rows else None
