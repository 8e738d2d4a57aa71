"""A file held against the model that it has to say: number by number, and by the rules of its format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.formats import format_of
from edgekit.exporters.metadata import Precision
from edgekit.integer_model import IntegerModel
from edgekit.verification import gates
from edgekit.verification.tie_free import broken_conditions
from edgekit.verification.well_formed import well_formed

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.exporters.contents import ContentDifference
    from edgekit.exporters.summary import Summary
    from edgekit.float_model import FloatModel
    from edgekit.verification.gates import Gate

CONTENTS = "contents"  # the gate of what a file says


def hold(
    path: Path, summary: Summary, wanted: IntegerModel | FloatModel | None, whose: str, runtime: str | None
) -> tuple[tuple[ContentDifference, ...], tuple[Gate, ...]]:
    """Hold a file against the model that it has to say; export does that before it publishes, and verify does it again.

    Args:
        path: of the file.
        summary: what was found in it.
        wanted: the model; None where it is not known.
        whose: the numbers are, in words.
        runtime: that it has to run in; None for any.

    Returns:
        What it says otherwise, and its gates.

    Raises:
        ConfigError: the runtime is none that edgekit knows.
    """
    model = wanted if isinstance(wanted, IntegerModel) else None
    rules = well_formed(path, model, runtime=runtime)
    found = [gates.well_formed("rules of the format", list(map(str, rules)), _kept(summary))]
    differences: tuple[ContentDifference, ...] = ()
    if wanted is not None:
        differences = format_of(path).differences(path, wanted)
        same = f"every number, attribute and text is {whose}"
        found.append(gates.well_formed(CONTENTS, list(map(str, differences)), same))
    if model is not None:
        broken = broken_conditions(model)
        found.append(gates.well_formed("tie-free scales", list(map(str, broken)), "every ratio keeps its bound"))
    return differences, tuple(found)


def _kept(summary: Summary) -> str:
    """What is said of a file that keeps the rules."""
    if summary.metadata is None or summary.metadata.precision is not Precision.INT8:
        return "all kept"
    operators = sum(summary.operators.values())
    return f"{operators - len(summary.float_operators)} of {operators} operators in int8"
