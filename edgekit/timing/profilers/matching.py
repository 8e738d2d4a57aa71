"""Which operators of a file each kernel of its runtime computes.

Runtimes fuse operators, add conversions of their own, and call one operator by several kernels. ONNX Runtime names its
kernels after the operators. XNNPACK and torch tell what a kernel is and keep the order of the file: there the longest
sequence of pairs that fit is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgekit.exporters.contents import Operator
    from edgekit.runtimes.profilers.profiler import KernelNames


@dataclass(frozen=True, slots=True)
class Work:
    """What is computed in one go.

    Attributes:
        kernels: positions in the run; several where one operator takes several.
        operators: positions in the file, the one that it is named after first; none for a conversion of the runtime's.
    """

    kernels: tuple[int, ...]
    operators: tuple[int, ...]


def match(names: KernelNames, kernels: Sequence[str], operators: Sequence[Operator]) -> tuple[Work, ...]:
    """Match the kernels of a run with the operators of a file.

    Args:
        names: how the runtime calls its kernels.
        kernels: names of the kernels, in the order of execution.
        operators: of the file, in the order of execution.

    Returns:
        In the order of execution. Every kernel and every operator is in one of them.
    """
    main = dict(_by_order(names, kernels, operators) if names.around is None else _by_name(names, kernels, operators))
    works: list[tuple[list[int], list[int]]] = []
    for kernel in range(len(kernels)):
        if kernel in main:
            works.append(([kernel], [main[kernel]]))
        elif names.go_on and works:
            works[-1][0].append(kernel)
        else:
            works.append(([kernel], []))
    for operator, work in _fused(names, operators, {ours[0]: work for work, (_, ours) in enumerate(works) if ours}):
        works[work][1].append(operator)
    return tuple(Work(tuple(of_run), tuple(of_file)) for of_run, of_file in works)


def reads(operator: Operator, names: Iterable[str]) -> tuple[str, ...]:
    """The operators, by name, that an operator reads."""
    known = set(names)
    values = (value if isinstance(value, tuple) else (value,) for value in operator.fields.values())
    return tuple(value for several in values for value in several if isinstance(value, str) and value in known)


def _by_name(names: KernelNames, kernels: Sequence[str], operators: Sequence[Operator]) -> Iterator[tuple[int, int]]:
    assert names.around is not None
    places = {operator.name: place for place, operator in enumerate(operators)}
    for kernel, name in enumerate(kernels):
        place = places.pop(name if name in places else names.around.sub("", name), None)
        if place is not None:
            yield kernel, place


def _by_order(names: KernelNames, kernels: Sequence[str], operators: Sequence[Operator]) -> Iterator[tuple[int, int]]:
    """The longest common subsequence, by the table of its lengths; of several, the one whose pairs come first."""
    length = [[0] * (len(operators) + 1) for _ in range(len(kernels) + 1)]
    fit = [[_fits(names, name, operator.kind) for operator in operators] for name in kernels]
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


def _fits(names: KernelNames, kernel: str, kind: str) -> bool:
    called = (kind, *names.called.get(kind, ()))
    return any(kernel.startswith(name) and not kernel[len(name) :][:1].isidentifier() for name in called)


def _fused(names: KernelNames, operators: Sequence[Operator], works: dict[int, int]) -> Iterator[tuple[int, int]]:
    """The other operators with the work that each is fused into: that of a neighbour."""
    places = {operator.name: place for place, operator in enumerate(operators)}
    before = {place: [places[name] for name in reads(o, places)] for place, o in enumerate(operators)}
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
                is_behind = (operators[place].kind in names.behind) is wanted
                near = [n for n in (before if is_behind else behind)[place] if n in works]
                if place not in works and near:
                    works[place], grown = works[max(near) if is_behind else min(near)], True
                    yield place, works[place]
