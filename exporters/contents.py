"""Everything that a finished file says, in the same words for every format, and how two files differ.

A file and the one that edgekit's own writer would write say the same, or the first ``ContentDifference`` names the
layer of the checkpoint and what is wrong there. No image is needed for that, and no number can hide behind others: a
wrong scale in a channel that is always zero is found as any other.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from edgekit.exporters.metadata import KEY, Head, IoDtype, Precision
from edgekit.exporters.origins import ORIGINS, of_metadata
from edgekit.exporters.vocabulary import Does

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.exporters.origins import Origin

# A string is also how an operator names another's result, which it reads. None says that there is nothing.
Value: TypeAlias = "str | int | float | NDArray[Any] | tuple[Value, ...] | None"

OPERATOR: Final = "operator"  # the field with the operator's own name
CLAMP: Final = "clamp"  # the field of a fused clamp
LABELS: Final = "labels"  # the fact that is the labels as the format itself stores them, where it does

_FLOATS: Final = frozenset({"float16", "float32", "float64", "bfloat16"})
_MOST_DIGITS: Final = 17  # a float64 has no more


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Operator:
    """One operator of a file.

    Attributes:
        name: of what it makes, unique in the file.
        fields: what it says, by name: ``OPERATOR``, attributes, what it reads, and the parameters of what it makes.
        constants: what the file calls those that it reads; a matter of taste, so two files may differ in it.
        does: what it does, in the words of all formats.
        origin: where it comes from; None where the file does not say so.
    """

    name: str
    fields: Mapping[str, Value]
    constants: tuple[str, ...] = ()
    does: Does = Does.OTHER
    origin: Origin | None = None

    @property
    def kind(self) -> str:
        """Its own name in its format ("CONV_2D")."""
        return str(self.fields[OPERATOR])


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Contents:
    """Everything that a file says.

    Attributes:
        operators: in the order of execution.
        facts: about the file as a whole: endpoints, versions, labels, metadata.
        io_dtype: what crosses the boundary.
        options: of the format's writer, that make it write such a file.
        channels_last: its feature maps are [N, H, W, C].
        suppresses: what it says of its outputs is what suppression leaves, where it has any, and not what it reads.
        boundary: names of the operators between what callers see and the network (``Summary.boundary``), as far as they
            would be held against rules that concern the network; of .onnx files those that suppress boxes.
    """

    operators: tuple[Operator, ...]
    facts: Mapping[str, Value]
    io_dtype: IoDtype
    options: Mapping[str, Any] = field(default_factory=dict)
    boundary: frozenset[str] = frozenset()
    channels_last: bool = False
    suppresses: bool = True

    @property
    def nodes(self) -> dict[str, str]:
        """The node of the graph that an operator comes from, by the operator's name; of those that come from one."""
        return {o.name: o.origin.node for o in self.operators if o.origin is not None and o.origin.node}

    @property
    def quantizing(self) -> frozenset[str]:
        """The nodes of the graph whose operators quantize the reals that they read, as in a dynamic file."""
        found = (self.nodes.get(o.name) for o in self.operators if o.does is Does.QUANTIZE_AND_COMPUTE)
        return frozenset(node for node in found if node is not None)

    @property
    def precision(self) -> Precision:
        """What the metadata says of a float file; float32 where it says nothing."""
        said = self.facts.get(f"{KEY}.precision")
        known = isinstance(said, str) and said in set(Precision) - {Precision.INT8}
        return Precision(str(said)) if known else Precision.FLOAT32


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class ContentDifference:
    """One thing that a file says otherwise than it has to.

    Attributes:
        layer: of the checkpoint (``Node.name``); None where it concerns the input or the file as a whole.
        field: what is wrong ("scale").
        found: what the file says; None for nothing.
        wanted: what it has to say; None for nothing.
        text: the same in words ("scale of features.3.conv.1: 0.0123 instead of 0.0118").
    """

    layer: str | None
    field: str
    found: Value
    wanted: Value
    text: str

    def __str__(self) -> str:
        return self.text if self.layer is None or self.layer in self.text else f"{self.text} (layer {self.layer})"


def metadata_facts(text: str | None) -> dict[str, Value]:
    """Edgekit's metadata as facts, one an entry: the form of the text says nothing. One fact if it is not JSON."""
    if text is None:
        return {}
    try:
        values = json.loads(text)
        if isinstance(values, dict):
            values.pop(ORIGINS, None)  # they stand with the operators
        return dict(flat(KEY, values))
    except ValueError:
        return {KEY: text}


def with_origins(
    operators: Sequence[Operator], text: str | None, units: Sequence[int] | None = None
) -> tuple[tuple[Operator, ...], dict[str, Value]]:
    """Operators with their origins, as far as a file's metadata has them.

    Args:
        operators: of the file, in order.
        text: of edgekit's metadata in it; None where there is none.
        units: which of the things that the writer counted each operator belongs to, where it counted something else.

    Returns:
        The operators; and a fact about the file, that no good one has, where what it says does not fit.
    """
    places = range(len(operators)) if units is None else units
    origins, misfit = of_metadata(text, max(places, default=-1) + 1)
    if not origins:
        return tuple(operators), {} if misfit is None else {ORIGINS: misfit}
    found = zip(operators, places, strict=True)
    return tuple(replace(operator, origin=origins[place]) for operator, place in found), {}


def said_options(facts: Mapping[str, Value]) -> dict[str, Any]:
    """Options of every writer as the metadata has them: what a file gives beside outputs, and the batch it takes."""
    head, batch = facts.get(f"{KEY}.head"), facts.get(f"{KEY}.batch")
    options: dict[str, Any] = {"head": Head(head)} if isinstance(head, str) and head in set(Head) else {}
    return options | ({"batch": batch} if isinstance(batch, int) and batch > 0 else {})


def flat(name: str, value: object) -> Iterator[tuple[str, Value]]:
    """Nested JSON values as facts with names like "edgekit.preprocessing.mean".

    >>> dict(flat("a", {"b": [1, 2], "c": [{"d": None}]}))
    {'a.b': (1, 2), 'a.c.0.d': 'null'}
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(f"{name}.{key}", inner)
    elif isinstance(value, list) and all(isinstance(inner, str | int | float) for inner in value):
        yield name, tuple(value)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from flat(f"{name}.{position}", inner)
    else:
        yield name, value if isinstance(value, str | int | float) else json.dumps(value)


def unique_names(names: Iterable[str]) -> list[str]:
    """The names, those that come again with a number.

    >>> unique_names(["a", "b", "a"])
    ['a', 'b', 'a#2']
    """
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return result


def io_dtype_of(dtype: str) -> IoDtype:
    """What crosses a boundary whose input has a type that a format calls ``dtype``: float32 for images and others."""
    return IoDtype(dtype) if dtype in set(IoDtype) else IoDtype.FLOAT32


def differences(found: Contents, wanted: Contents) -> tuple[ContentDifference, ...]:
    """Compare what a file says with what it has to say.

    Args:
        found: of the file.
        wanted: of a file that edgekit's own writer wrote of the same model, with the origins that name the layers.

    Returns:
        Operators first, in the order of execution, then facts about the file; nothing if both say the same.
    """
    layers = wanted.nodes or found.nodes  # a file of an older version has none
    expected = {operator.name: operator for operator in wanted.operators}
    by_name = _under_own_names({operator.name: operator for operator in found.operators}, expected)
    result: list[ContentDifference] = []
    surplus = _surplus(by_name.values(), expected)
    result += [_superfluous(operator, layers) for operator in surplus.get(None, ())]
    for name, operator in expected.items():
        if name in by_name:
            result += _of_operator(by_name[name], operator, layers.get(name))
        else:
            result.append(_missing(operator, layers.get(name)))
        result += [_superfluous(extra, layers) for extra in surplus.get(name, ())]
    common = [name for name in by_name if name in expected]
    result += _in_another_order(common, [name for name in expected if name in by_name], layers)
    result += of_facts(found.facts, wanted.facts)
    return tuple(result)


def _under_own_names(found: Mapping[str, Operator], expected: Mapping[str, Operator]) -> dict[str, Operator]:
    """Where a clamp or quantization is gone, what stood before it bears its name: here that has its own again."""
    renamed = (replace(operator, name=_own_name(operator, found, expected)) for operator in found.values())
    return {operator.name: operator for operator in renamed}


def _own_name(operator: Operator, found: Mapping[str, Operator], expected: Mapping[str, Operator]) -> str:
    """The name of what is missing before the operator that was to have this one's name, and is of its kind."""
    name: str | None = operator.name
    while name in expected:
        assert name is not None
        if expected[name].kind == operator.kind:
            return name
        name = next((read for read in _reads(expected[name]) if read in expected and read not in found), None)
    return operator.name


def _reads(operator: Operator) -> Iterator[str]:
    """Names that can be those of operators that are read."""
    return (value for key, value in operator.fields.items() if key != OPERATOR and isinstance(value, str))


def _surplus(operators: Iterable[Operator], expected: Mapping[str, Operator]) -> dict[str | None, list[Operator]]:
    """Operators that should not be there, by the expected one that they stand behind."""
    before: str | None = None
    surplus: dict[str | None, list[Operator]] = {}
    for operator in operators:
        if operator.name in expected:
            before = operator.name
        else:
            surplus.setdefault(before, []).append(operator)
    return surplus


def _of_operator(found: Operator, wanted: Operator, layer: str | None) -> Iterator[ContentDifference]:
    name = wanted.name
    if found.kind != wanted.kind:
        text = f"{found.kind} instead of {wanted.kind}"
        clamp = wanted.does is Does.CLAMP and found.does is not Does.CLAMP
        text = f"clamp of {name}: missing, there is {text}" if clamp else f"operator of {name}: {text}"
        yield ContentDifference(layer, CLAMP if clamp else OPERATOR, found.kind, wanted.kind, text)
        return  # fields of another operator mean something else
    for key in dict.fromkeys((*wanted.fields, *found.fields)):
        a, b = found.fields.get(key), wanted.fields.get(key)
        if not same(a, b):
            yield ContentDifference(layer, key, a, b, f"{key} of {name}: {describe(a, b)}")
    if found.origin is not None and wanted.origin not in {None, found.origin}:
        assert wanted.origin is not None
        a, b = found.origin.node, wanted.origin.node
        yield ContentDifference(layer, "origin", a, b, f"origin of {name}: {describe(a, b)}")


def _missing(wanted: Operator, layer: str | None) -> ContentDifference:
    text, key = f"{wanted.kind} of {wanted.name} is missing", OPERATOR
    if wanted.does is Does.CLAMP:
        text, key = f"clamp of {wanted.name}: missing ({wanted.kind})", CLAMP
    elif wanted.does is Does.QUANTIZE:
        text += ": what it is to quantize stays float"
    return ContentDifference(layer, key, None, wanted.kind, text)


def _superfluous(found: Operator, layers: Mapping[str, str]) -> ContentDifference:
    """An operator that should not be there; one with a name of its own belongs to the layer that it reads from."""
    layer = next((of for name in (found.name, *_reads(found)) if (of := layers.get(name)) is not None), None)
    kind = "a float operator" if found.fields.get("dtype") in _FLOATS else "an operator"
    text = f"{found.kind} of {found.name}: {kind} that should not be there"
    return ContentDifference(layer, OPERATOR, found.kind, None, text)


def _in_another_order(found: list[str], wanted: list[str], layers: Mapping[str, str]) -> Iterator[ContentDifference]:
    moved = next(((a, b) for a, b in zip(found, wanted, strict=True) if a != b), None)
    if moved is not None:
        a, b = moved
        yield ContentDifference(layers.get(b), "order", a, b, f"order of operators: {a} where {b} should be")


def of_facts(found: Mapping[str, Value], wanted: Mapping[str, Value]) -> Iterator[ContentDifference]:
    """Where facts about a file or a network are not those that are wanted."""
    for key in dict.fromkeys((*wanted, *found)):
        a, b = found.get(key), wanted.get(key)
        if not same(a, b):
            yield ContentDifference(None, key, a, b, f"{key}: {describe(a, b)}")


def same(a: Value, b: Value) -> bool:
    """Whether two values are one: arrays in type, shape and every bit of every number."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and not isinstance(a, np.ndarray) and a == b


# --- how two values differ, in words ----------------------------------------------------------------------------------


def describe(found: Value, wanted: Value) -> str:
    """How a value differs from the one that is wanted.

    >>> describe(np.float32(0.0123), 0.0118)
    '0.0123 instead of 0.0118'
    >>> describe(("dog", "cat"), ("cat", "dog"))
    "in another order, 'dog' instead of 'cat' at 0"
    >>> describe(np.eye(3, dtype=np.int8)[[0, 2, 1]], np.eye(3, dtype=np.int8))
    'channels 1 and 2 swapped'
    """
    match found, wanted:
        case None, _:
            return f"missing, it should be {_short(wanted)}"
        case _, None:
            return f"{_short(found)}, where nothing should be"
        case np.ndarray(), np.ndarray() if not found.size == wanted.size == 1:
            return _arrays(found, wanted)
        case tuple(), tuple():
            return _tuples(found, wanted)
        case _:
            return _scalars(found, wanted)


def _scalars(found: Value, wanted: Value) -> str:
    a, b = _number(found), _number(wanted)
    if isinstance(a, float) and isinstance(b, float) and a != b:
        for digits in range(3, _MOST_DIGITS + 1):
            texts = f"{a:.{digits}g}", f"{b:.{digits}g}"
            if texts[0] != texts[1]:
                return f"{texts[0]} instead of {texts[1]}"
    if a is not None and b is not None and a != b:
        return f"{a} instead of {b}"
    return f"{_short(found)} instead of {_short(wanted)}"


def _number(value: Value) -> int | float | None:
    if isinstance(value, np.ndarray | np.generic) and value.size == 1 and value.dtype.kind in "iuf":
        value = value.item()
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _short(value: Value) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.item()!r} ({value.dtype})" if value.size == 1 else f"{value.dtype} {list(value.shape)}"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:76]} ..."


def _tuples(found: tuple[Value, ...], wanted: tuple[Value, ...]) -> str:
    whole = f"{_short(found)} instead of {_short(wanted)}"
    if len(found) != len(wanted):
        return f"{len(found)} entries instead of {len(wanted)}: {whole}"
    if len(wanted) <= 4 and not isinstance(wanted[0], str):  # a stride or padding is best seen at once
        return whole
    index = next(i for i, (a, b) in enumerate(zip(found, wanted, strict=True)) if not same(a, b))
    text = f"{_short(found[index])} instead of {_short(wanted[index])} at {index}"
    return f"in another order, {text}" if sorted(map(repr, found)) == sorted(map(repr, wanted)) else text


def _arrays(found: NDArray[Any], wanted: NDArray[Any]) -> str:
    if found.dtype != wanted.dtype:
        return f"{found.dtype} instead of {wanted.dtype}"
    if found.size == wanted.size:
        for axes in itertools.permutations(range(wanted.ndim)):
            if _flat_equal(found, wanted.transpose(axes)) and not _flat_equal(found, wanted):
                return f"transposed, axes {list(axes)} of {list(wanted.shape)}"
    if found.shape != wanted.shape:
        return f"shape {list(found.shape)} instead of {list(wanted.shape)}"
    return _reordered(found, wanted) or _numbers(found, wanted)


def _flat_equal(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return np.array_equal(a.reshape(-1), b.reshape(-1))


def _reordered(found: NDArray[Any], wanted: NDArray[Any]) -> str | None:
    """Says whether the channels, along any axis, are in another order."""
    for axis in range(wanted.ndim):
        a, b = (np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1) for array in (found, wanted))
        moved = np.flatnonzero((a != b).any(1))
        rows_a, rows_b = (sorted(row.tobytes() for row in array[moved]) for array in (a, b))
        if len(moved) < 2 or rows_a != rows_b:
            continue
        where = f" along axis {axis}" if axis else ""
        if len(moved) == 2:
            return f"channels {moved[0]} and {moved[1]} swapped{where}"
        return f"{len(moved)} channels in another order{where}, the first is {moved[0]}"
    return None


def _numbers(found: NDArray[Any], wanted: NDArray[Any]) -> str:
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    if wanted.dtype.kind in "iu" and len(offsets := np.unique(a - b)) == 1:
        return f"every number off by {offsets[0]:+g}"
    different = np.argwhere(np.atleast_1d(~((a == b) | (np.isnan(a) & np.isnan(b)))))
    if not len(different):
        return "numbers that differ in bits only: a sign of 0, or NaN"
    first = tuple(different[0].tolist())
    text = describe(*(np.atleast_1d(array)[first].item() for array in (found, wanted)))
    return f"{len(different)} of {wanted.size} numbers, the first, at {list(first)}, is {text}"
