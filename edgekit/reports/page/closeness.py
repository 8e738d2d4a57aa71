"""How near the files are to what they have to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.reports import findings
from edgekit.reports.page import charts
from edgekit.reports.page.markup import Markup, element, join, scrolling, table
from edgekit.reports.page.pieces import badge, code, mark, note
from edgekit.verification.float_parity import FloatParity
from edgekit.verification.integer_parity import IntegerParity
from edgekit.words import NOTHING, count, decibels, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.pipeline.proving.verdicts import FileVerdict, VerifyResult
    from edgekit.tasks.classification.accuracy import Accuracy, Drop


def accuracy(result: VerifyResult) -> Markup | None:
    """How often each network is right, and how near to the float one."""
    measured = [file for file in result.files if file.accuracy is not None or file.agreement is not None]
    if not measured:
        return None
    names = findings.short_names(result)
    drops = [file.drop for file in measured if file.drop is not None]
    rows = [
        [code(names[file.path]), file.measured_in or NOTHING, *_top(file.accuracy), *_drop(file, drops)]
        for file in measured
    ]
    if result.float_accuracy is not None and result.float_reference is not None:
        name = join("float: ", code(result.float_reference.name))
        rows.insert(0, [name, NOTHING, *_top(result.float_accuracy), *[NOTHING] * 4])
    numbers = (">top-1", ">top-5", ">drop (95 % interval)", "in points", ">same class as float", ">SQNR")
    columns = ["network", "measured in", *numbers]
    paired = "The drop is paired: only images on which one of the two is right and the other wrong make it uncertain."
    return join(table(columns, rows, f"Accuracy on {findings.images(result)}"), note(paired) if drops else None)


def _top(found: Accuracy | None) -> list[str]:
    return [NOTHING, NOTHING] if found is None else [percent(found.top1), percent(found.top5)]


def _drop(file: FileVerdict, others: Sequence[Drop]) -> list[str]:
    """How far a file is from the float network."""
    return [
        NOTHING if file.drop is None else findings.drop(file.drop),
        NOTHING if file.drop is None else charts.interval(file.drop, others),
        NOTHING if file.agreement is None else percent(file.agreement),
        NOTHING if file.sqnr_db is None else decibels(file.sqnr_db),
    ]


def integers(result: VerifyResult) -> Markup | None:
    """LSB for LSB, in every runtime."""
    rows = [
        [
            *_ran(file, found, findings.short_names(result)[file.path]),
            f"{found.differences.get(0, 0):,} of {found.values:,}",
            f"{found.max_lsb} LSB",
            f"{found.images_identical:,} of {found.images:,}",
            charts.histogram(found.differences),
        ]
        for file in result.files
        for found in file.parities
        if isinstance(found, IntegerParity)
    ]
    columns = [
        "runtime and file",
        "verdict",
        ">identical logits",
        ">largest difference",
        ">identical images",
        "differences",
    ]
    near = any(isinstance(f, IntegerParity) and not f.exact for file in result.files for f in file.parities)
    return join(
        table(columns, rows, "Integers of each runtime against the integer model's, in LSB"),
        note("Bars are logarithmic: a single logit among a million is seen."),
        note(
            "Some layers are more precise than int8, or scales are rounded to float16: behind them integers are near, "
            "and need not be identical."
        )
        if near else None,
    ) if rows else None  # fmt: skip


def floats(result: VerifyResult) -> Markup | None:
    """Errors of logits, in every runtime."""
    rows = [
        [
            *_ran(file, found, findings.short_names(result)[file.path]),
            f"{found.max_rel_error:.1e}",
            f"{found.tolerance:.1e}",
            f"{found.max_abs_error:.1e}",
            f"{found.max_ulp:,.1f} ULP",
            percent(found.top1_agreement),
        ]
        for file in result.files
        for found in file.parities
        if isinstance(found, FloatParity)
    ]
    columns = [
        "runtime and file",
        "verdict",
        ">of the largest logit",
        ">limit",
        ">largest difference",
        ">in ULP",
        ">same class",
    ]
    return table(columns, rows, "Float logits of each runtime against the trained network's") if rows else None


def _ran(file: FileVerdict, found: IntegerParity | FloatParity, name: str) -> tuple[Markup, Markup]:
    """In what a file was run, and whether it did what is claimed of it."""
    reason = file.unclaimed.get(found.runner)
    where = join(
        found.runner,
        element("div", code(name), class_="where"),
        element("div", reason, class_="where") if reason else None,
    )
    return where, badge("may differ") if reason else mark(passed=found.passed)


def layers(result: VerifyResult) -> Markup | None:
    """What quantization costs in each layer."""
    if not result.layers:
        return None
    rows = [
        [
            code(layer.layer),
            layer.operator or NOTHING,
            decibels(layer.sqnr_db),
            f"{layer.max_difference:.1e}",
        ]
        for layer in result.layers
    ]
    columns = ["layer", "operator", ">SQNR", ">largest difference, of the largest value"]
    return join(
        scrolling(charts.noise(result.layers), "SQNR of each layer"),
        note("What each layer makes in int8 against what it makes in float: the power of the signal over that of the "
              "noise, with the noise of all layers before it."),
        element(
            "details",
            element("summary", f"All {count(len(rows), 'layer')}"),
            table(columns, rows, "Layers in the order of execution"),
        ),
    )  # fmt: skip
