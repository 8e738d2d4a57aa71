"""docs/operators.md: what is claimed of each operator, and where that was measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.capture.advice import REPLACEMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgekit.benchmarks.claims.found import Found

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "operators.md"

IN_FLOAT: Final = "in float"  # how the names of operators end that integers are left for
_HEAD = """# Operators, and where their integers are the same

Written by `python -m edgekit.benchmarks.claims --draws 8 --emulate --write`, and held against what runtimes give by
[`tests/benchmarks/test_claims.py`](../tests/benchmarks/test_claims.py).

Each operator is tried alone, in each of its forms, as a torch module that is captured, quantized and exported like any
network. Every operand has a scale and a zero point of its own, and each draw has others. Weights have 7 bits, so that
no kernel of an x86 without VNNI clamps; [identity.md](identity.md) has 8 bits. What every runtime gives is compared
with exact integers. **Exact**: identity is claimed, and no runtime differed. **Near**: it is not claimed, for the
reason that stands there; differences are in steps of the output. "In integers" is what a file holds of the operator.

"""

_REFUSED = """## What is refused, and what could stand in its place

An error says the same, with the layer, and how to export what comes before it: of a module, what its `forward` has to
return; of an ONNX file, a command that cuts it. What stands behind the last layer, as a soft-max or the largest class,
is left out of ONNX files, and said; soft-max of a feature map stays in float.

"""

ON_MACHINE: Final = ", emulated "  # what stands between kernels and the machine that they ran on


def page(found: Sequence[Found]) -> str:
    """The whole page, in Markdown."""
    text = _HEAD + "| operator | form | in integers | tried on | claim |\n|---|---|---|---|---|\n"
    for operator in dict.fromkeys(one.operator for one in found):
        for i, row in enumerate(_rows([one for one in found if one.operator == operator])):
            text += f"| {operator if i == 0 else ''} | {' | '.join(row)} |\n"
    return f"{text}\n{_runtimes(found)}\n{_refused()}"


def _refused() -> str:
    """What edgekit does not take, and what could stand in its place."""
    rows = "".join(f"| {known.operators} | {known.instead.replace('|', '&#124;')} |\n" for known in REPLACEMENTS)
    return f"{_REFUSED}| operator | instead |\n|---|---|\n{rows}"


def _rows(found: Sequence[Found]) -> Iterable[tuple[str, str, str, str]]:
    """A row for all forms that are alike but for their names."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for one in found:
        alike.setdefault((one.integers, one.tried, claim(one)), []).append(one.form)
    for (integers, tried, claimed), forms in alike.items():
        yield "; ".join(filter(None, forms)), integers, tried, claimed


def claim(found: Found) -> str:
    """What is claimed of a form, and how far runtimes are off where that is not identity."""
    assert found.holds, f"claimed, and not so: {found}"
    if not found.near:
        return "exact" if not found.integers.endswith(IN_FLOAT) else "the same but for the last bits of float32"
    differing = {name: largest for name, largest in found.largest.items() if largest}
    if not differing:
        return f"near: {found.near}; no runtime differed"
    if len(differing) == len(found.largest) and len(set(differing.values())) == 1:
        return f"near: {found.near}; at most {max(differing.values())}"
    by_runtime: dict[str, int] = {}  # the machines that one runs on, taken together
    for name, largest in differing.items():
        runtime = name.partition(ON_MACHINE)[0]
        by_runtime[runtime] = max(largest, by_runtime.get(runtime, 0))
    told = "; ".join(
        f"at most {largest} in {' and '.join(name for name, off in by_runtime.items() if off == largest)}"
        for largest in sorted(set(by_runtime.values()), reverse=True)
    )
    return f"near: {found.near}; {told}"


def _runtimes(found: Sequence[Found]) -> str:
    """Where all of that was measured, a line a kind of kernels."""
    operators = {one.operator for one in found}
    places: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for one in found for name in one.largest):
        kernels, emulated, machine = name.partition(ON_MACHINE)
        tried = {one.operator for one in found if name in one.largest}
        place = (f"emulated {machine}" if emulated else "x86-64") + (
            f", but for {', '.join(sorted(operators - tried))}" if operators - tried else ""
        )
        places.setdefault(kernels, []).append(place)
    return "Measured in:\n\n" + "".join(f"- {kernels}: {'; '.join(where)}\n" for kernels, where in places.items())
