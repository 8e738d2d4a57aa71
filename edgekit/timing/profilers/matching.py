"""Which operators of a file each kernel of its runtime computes.

Runtimes fuse operators, add conversions of their own, and call one operator by several kernels. ONNX Runtime names its
kernels after the operators. XNNPACK and torch tell what a kernel is and keep the order of the file: there the longest
sequence of pairs that fit is taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgekit.exporters.contents import Operator

# How kernels of XNNPACK are called (src/operator-utils.c, xnn_operator_type_to_string_v2) that compute an operator of
# TFLite; whoever is left to TFLite itself is called by its own name.
_XNNPACK: Final = {
    "ADD": ("Add",),
    "AVERAGE_POOL_2D": ("Average Pooling",),
    "CONV_2D": ("Convolution", "Fully Connected"),
    "DEPTHWISE_CONV_2D": ("Convolution",),
    "DEQUANTIZE": ("Convert",),
    "FULLY_CONNECTED": ("Fully Connected", "Convolution"),
    "HARD_SWISH": ("HardSwish",),
    "MAXIMUM": ("Maximum",),
    "MEAN": ("Mean", "Global Average Pooling"),
    "MINIMUM": ("Minimum",),
    # x (x + 3) with both clamps is one table of 256 entries, which is called a unary operator without a name.
    "MUL": ("Multiply", "Invalid Unary Op"),
    "PAD": ("Constant Pad",),
    "QUANTIZE": ("Convert",),
    "RESHAPE": ("Static Reshape", "Copy"),
    "SOFTMAX": ("Softmax",),
}
# What the methods of an int8 TorchScript file call first: edgekit/exporters/torch/integer.py
_METHODS: Final = {"crop": "aten::slice", "mean": "aten::int_repr", "pad": "aten::empty"}
# What ONNX Runtime puts around the name of a node that it rewrote.
_REWRITTEN: Final = re.compile(r"^InsertedPrecisionFreeCast_|(_nchwc|_token_\d+)+$")
# Operators that are fused into the last one that they read; others into the first that reads them.
_BEHIND: Final = {"Add", "Clip", "Flatten", "HardSigmoid", "HardSwish", "Mul", "QuantizeLinear", "RESHAPE", "Relu"}


@dataclass(frozen=True, slots=True)
class Work:
    """What is computed in one go.

    Attributes:
        kernels: positions in the run; several where one operator takes several.
        operators: positions in the file, the one that it is named after first; none for a conversion of the runtime's.
    """

    kernels: tuple[int, ...]
    operators: tuple[int, ...]


def match(form: str, kernels: Sequence[str], operators: Sequence[Operator]) -> tuple[Work, ...]:
    """Match the kernels of a run with the operators of a file.

    Args:
        form: the format of the file, by its name.
        kernels: names of the kernels, in the order of execution.
        operators: of the file, in the order of execution.

    Returns:
        In the order of execution. Every kernel and every operator is in one of them.
    """
    named = _by_name if form == "onnx" else _by_order
    main = dict(named(kernels, operators))
    works: list[tuple[list[int], list[int]]] = []
    for kernel in range(len(kernels)):
        if kernel in main:
            works.append(([kernel], [main[kernel]]))
        elif form == "torch" and works:  # a method goes on
            works[-1][0].append(kernel)
        else:
            works.append(([kernel], []))
    for operator, work in _fused(operators, {ours[0]: work for work, (_, ours) in enumerate(works) if ours}):
        works[work][1].append(operator)
    return tuple(Work(tuple(of_run), tuple(of_file)) for of_run, of_file in works)


def reads(operator: Operator, names: Iterable[str]) -> tuple[str, ...]:
    """The operators, by name, that an operator reads."""
    known = set(names)
    values = (value if isinstance(value, tuple) else (value,) for value in operator.fields.values())
    return tuple(value for several in values for value in several if isinstance(value, str) and value in known)


def _by_name(kernels: Sequence[str], operators: Sequence[Operator]) -> Iterator[tuple[int, int]]:
    places = {operator.name: place for place, operator in enumerate(operators)}
    for kernel, name in enumerate(kernels):
        place = places.pop(name if name in places else _REWRITTEN.sub("", name), None)
        if place is not None:
            yield kernel, place


def _by_order(kernels: Sequence[str], operators: Sequence[Operator]) -> Iterator[tuple[int, int]]:
    """The longest common subsequence, by the table of its lengths; of several, the one whose pairs come first."""
    length = [[0] * (len(operators) + 1) for _ in range(len(kernels) + 1)]
    fit = [[_fits(name, operator.kind) for operator in operators] for name in kernels]
    for i in reversed(range(len(kernels))):
        for j in reversed(range(len(operators))):
            skipped = max(length[i + 1][j], length[i][j + 1])
            length[i][j] = max(skipped, length[i + 1][j + 1] + 1) if fit[i][j] else skipped
    i = j = 0
    while i < len(kernels) and j < len(operators):
        if fit[i][j] and length[i][j] == length[i + 1][j + 1] + 1:
            yield i, j
            i, j = i + 1, j + 1
        elif length[i + 1][j] < length[i][j]:
            j += 1
        else:
            i += 1


def _fits(kernel: str, kind: str) -> bool:
    return kernel in {kind, _METHODS.get(kind)} or any(kernel.startswith(name) for name in _XNNPACK.get(kind, ()))


def _fused(operators: Sequence[Operator], works: dict[int, int]) -> Iterator[tuple[int, int]]:
    """The other operators with the work that each is fused into: that of a neighbour."""
    names = {operator.name: place for place, operator in enumerate(operators)}
    before = {place: [names[name] for name in reads(o, names)] for place, o in enumerate(operators)}
    behind: dict[int, list[int]] = {place: [] for place in before}
    for place, sources in before.items():
        for source in sources:
            behind[source].append(place)
    left = [place for place in before if place not in works]
    for wanted in (True, False):  # on its own side first, then on the other
        grown = True
        while grown:
            grown = False
            for place in left:
                is_behind = (operators[place].kind in _BEHIND) is wanted
                near = [n for n in (before if is_behind else behind)[place] if n in works]
                if place not in works and near:
                    works[place], grown = works[max(near) if is_behind else min(near)], True
                    yield place, works[place]
