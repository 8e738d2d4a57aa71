"""How near the files are to what they have to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from edgekit.reports import findings
from edgekit.reports.kit.markup import Markup, element, join, scrolling, table
from edgekit.reports.kit.pieces import badge, code, note
from edgekit.reports.pages.verify import charts
from edgekit.reports.pages.verify.signs import mark
from edgekit.tasks.values import measured_as
from edgekit.verification.class_parity import ClassParity
from edgekit.verification.detection_parity import DetectionParity
from edgekit.verification.float_parity import FloatParity
from edgekit.verification.integer_parity import IntegerParity
from edgekit.words import NOTHING, count, decibels, percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgekit.pipeline.proving.verdicts import FileVerdict, VerifyResult
    from edgekit.tasks.values import Measured, Metric
    from edgekit.verification.compare import Parity

    P = TypeVar("P", IntegerParity, FloatParity, DetectionParity, ClassParity)

_SQNR = "sqnr_db"  # which alone says nothing of a task


def accuracy(result: VerifyResult) -> Markup | None:
    """How good each network is at its task, and how near to the float one."""
    measured = [file for file in result.files if any(one.metric.name != _SQNR for one in file.measured)]
    if not measured:
        return None
    names = findings.short_names(result)
    drops = [found for file in measured if (found := measured_as(findings.DROP, file.measured))]
    rows = [
        [code(names[file.path]), file.measured_in or NOTHING, *_values(result, file.measured, drops)]
        for file in measured
    ]
    if result.float_measured and result.float_reference is not None:
        name = join("float: ", code(result.float_reference.name))
        rows.insert(0, [name, NOTHING, *_values(result, result.float_measured, drops)])
    numbers = [f">{title}" for metric in result.metrics for title in _titles(metric)]
    paired = "Intervals are paired by image: only images on which the two networks differ make them uncertain."
    return join(
        table(["network", "measured in", *numbers], rows, f"Accuracy on {findings.images(result)}"),
        note(paired) if drops else None,
        _by_class(result, measured),
    )


def _by_class(result: VerifyResult, measured: Sequence[FileVerdict]) -> Markup | None:
    """What the first metric is the mean of, network by network."""
    names = findings.short_names(result)
    each = {f">{names[file.path]}": file.by_class for file in measured if file.by_class}
    if result.float_by_class:
        each = {">float": result.float_by_class, **each}
    classes = dict.fromkeys(label for of in each.values() for label in of)
    rows = [
        [label, *(percent(of[label] / 100) if label in of else NOTHING for of in each.values())] for label in classes
    ]
    return table(["class", *each], rows, "Class by class, what the first metric is the mean of") if rows else None


def _titles(metric: Metric) -> list[str]:
    """The columns of a metric: a change has a picture beside it."""
    return [f"{metric.title} (95 % interval)", f"in {metric.unit}"] if metric.name == findings.DROP else [metric.title]


def _values(result: VerifyResult, found: Sequence[Measured], drops: Sequence[Measured]) -> list[str]:
    """What stands in these columns."""
    cells: list[str] = []
    for metric in result.metrics:
        cells.append(findings.value(metric, found))
        if metric.name == findings.DROP:
            own = measured_as(metric.name, found)
            cells.append(NOTHING if own is None else charts.interval(own, drops) or NOTHING)
    return cells


def integers(result: VerifyResult) -> Markup | None:
    """LSB for LSB, in every runtime."""
    rows = [
        [
            *ran,
            f"{found.differences.get(0, 0):,} of {found.values:,}",
            f"{found.max_lsb} LSB",
            f"{found.images_identical:,} of {found.images:,}",
            charts.histogram(found.differences),
        ]
        for ran, found in _of(result, IntegerParity)
    ]
    columns = [
        "runtime and file",
        "verdict",
        ">identical values",
        ">largest difference",
        ">identical images",
        "differences",
    ]
    return join(
        table(columns, rows, "Integers of each runtime against the integer model's, in LSB"),
        note("Bars are logarithmic: a single value among a million is seen."),
        *(note(f"{text}.") for text in findings.only_near(result.files)),
    ) if rows else None  # fmt: skip


def floats(result: VerifyResult) -> Markup | None:
    """Errors of outputs, in every runtime."""
    rows = [
        [
            *ran,
            f"{found.max_rel_error:.1e}",
            f"{found.tolerance:.1e}",
            f"{found.max_abs_error:.1e}",
            f"{found.max_ulp:,.1f} ULP",
            NOTHING if found.agreement is None else found.agreement.metric.text(found.agreement.value),
        ]
        for ran, found in _of(result, FloatParity)
    ]
    columns = [
        "runtime and file",
        "verdict",
        ">of the largest value",
        ">limit",
        ">largest difference",
        ">in ULP",
        ">same answer",
    ]
    return table(columns, rows, "Float outputs of each runtime against the trained network's") if rows else None


def boxes(result: VerifyResult) -> Markup | None:
    """What suppression inside of files leaves, in every runtime."""
    rows = [
        [
            *ran,
            f"{found.again:,} of {found.boxes:,}",
            f"{found.undecided + found.exchanged:,}",
            f"{found.surplus:,}",
            f"{found.images - found.disordered:,} of {found.images:,}",
            f"{found.max_abs_error:.1e}",
        ]
        for ran, found in _of(result, DetectionParity)
    ]
    columns = [
        "runtime and file",
        "verdict",
        ">boxes there again",
        ">decided by last bits",
        ">too many",
        ">images in the same order",
        ">largest difference of a side",
    ]
    return table(columns, rows, "Boxes that suppression leaves, against edgekit's own") if rows else None


def classes(result: VerifyResult) -> Markup | None:
    """Masks, in every runtime."""
    rows = [
        [
            *ran,
            f"{found.values - found.differing:,} of {found.values:,}",
            f"{100 * found.allowed:g} %",
            NOTHING if found.agreement is None else found.agreement.metric.text(found.agreement.value),
        ]
        for ran, found in _of(result, ClassParity)
    ]
    columns = ["runtime and file", "verdict", ">places of the same class", ">may differ", ">same answer"]
    return table(columns, rows, "Classes that files name themselves, place by place") if rows else None


def _of(result: VerifyResult, kind: type[P]) -> Iterator[tuple[tuple[Markup, Markup], P]]:
    """Every parity of a kind, and in what it was found (``_ran``)."""
    names = findings.short_names(result)
    for file in result.files:
        for found in file.parities:
            if isinstance(found, kind):
                yield _ran(file, found, names[file.path]), found


def _ran(file: FileVerdict, found: Parity, name: str) -> tuple[Markup, Markup]:
    """In what a file was run, and whether it did what is claimed of it."""
    reason = file.unclaimed.get(found.runner)
    where = join(
        found.ran(),
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
