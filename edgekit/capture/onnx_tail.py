"""What an ONNX file computes of its logits: soft-max and its like, classes, embeddings of length 1. It is taken off.

Integers of a classifier are its logits. Probabilities are computed of them in float, by edgekit's own files where that
is asked for, and by whoever takes the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from edgekit.capture.onnx_file import OnnxFile, Operator

_LENGTH_LEFT_OUT = (
    "edgekit's files give the embedding before it, whose length is not 1. A cosine between embeddings is the same; "
    "divide by the length where that matters"
)
# What stands behind logits, and what is computed of it in turn.
_OF_LOGITS = {
    "Softmax": "its input, the logits, is what edgekit's files give",
    "LogSoftmax": "its input, the logits, is what edgekit's files give",
    "Sigmoid": "its input, one logit a class, is what edgekit's files give",
    "ReduceMax": "edgekit's files give all that it chooses from",
    "ArgMax": "edgekit's files give all that it chooses from",
    "TopK": "edgekit's files give all that it chooses from",
    "Hardmax": "edgekit's files give all that it chooses from",
    "LpNormalization": _LENGTH_LEFT_OUT,
}
_OF_MAPS = {"Softmax", "Sigmoid"}  # which can also be part of a network
_OF_PROBABILITIES = {"Log", "Exp", "Round", "Greater", "GreaterOrEqual", "Clip", "Mul", "Div", "Add", "Sub"}
_STAYS = {"Cast", "Identity", "Dropout"}
_MOVES = {"Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", *_STAYS}
_LENGTH = {"ReduceL2", "ReduceSumSquare", "ReduceSum"}  # of these one sums up what a vector's length is computed of
_OF_LENGTH = {*_LENGTH, "Mul", "Pow", "Abs", "Sqrt", "Reciprocal", "Div", "Clip", "Max", "Add", "Expand", *_MOVES}


@dataclass(frozen=True, slots=True)
class Ends:
    """A file up to what edgekit's files give.

    Attributes:
        file: it, without what is computed of its outputs; these are the tensors that are given instead.
        given: the same tensors, by the names of the file's outputs.
        logits: names of those of which soft-max or the like was left out.
        notes: what was left out, for people.
    """

    file: OnnxFile
    given: Mapping[str, str]
    logits: frozenset[str]
    notes: tuple[str, ...]


def without_tail(file: OnnxFile) -> Ends:
    """The file up to its logits; of several outputs, those that are computed of the same tensor become one."""
    makers = {output: operator for operator in file.operators for output in operator.outputs}
    found = {output: _logits(output, file, makers) for output in file.outputs}
    by_root: dict[str, list[str]] = {}
    for output, (tensor, _) in found.items():
        by_root.setdefault(_unmoved(tensor, makers), []).append(output)
    given, logits, notes = dict[str, str](), set[str](), list[str]()
    for outputs in by_root.values():
        # Of several ways to the same tensor, that which moves it about least: it is the earliest.
        tensor = min((found[output][0] for output in outputs), key=lambda name: _place(name, file))
        name = next((output for output in outputs if not found[output][1]), outputs[0])
        given[name] = tensor
        notes += [note for output in outputs for note in found[output][1]]
        if any(found[output][1] for output in outputs):
            logits.add(name)
        elif file.shapes.get(tensor, ())[1:] != file.shapes.get(name, ())[1:] and any(
            size > 1 for size in file.shapes.get(tensor, ())[2:]
        ):
            notes.append(f"the output {name!r} as it is before it is moved about: edgekit's files give feature maps")
        if len(outputs) > 1:
            taken = "the logits are taken: all are computed of them"
            other = f"{name} is taken, or what it is computed of: all are computed of that"
            notes.append(f"of the outputs {', '.join(outputs)} {taken if len(by_root) == 1 else other}")
    needed = _needed(given.values(), file.operators, makers)
    ended = replace(file, outputs=tuple(given.values()), operators=needed)
    return Ends(ended, given, frozenset(logits), tuple(dict.fromkeys(notes)))


def _logits(output: str, file: OnnxFile, makers: Mapping[str, Operator]) -> tuple[str, list[str]]:
    """The name of the logits that an output is computed of, and what was computed."""
    logits, name = output, output
    notes: list[str] = []
    pending: list[Operator] = []
    while (operator := makers.get(name)) is not None:
        behind = operator.inputs[0]
        if operator.op_type in _OF_LOGITS and not _is_part(operator, file):
            notes += [_left_out(other, "it works on what is left out, too") for other in pending]
            notes.append(_left_out(operator, _OF_LOGITS[operator.op_type]))
            logits, pending = _unmoved(behind, makers, _STAYS), []
        elif (vector := _of_length_one(operator, file, makers)) is not None:
            notes.append(_left_out(operator, _LENGTH_LEFT_OUT, "L2 normalization"))
            logits = behind = _unmoved(vector, makers, _STAYS)
        elif operator.op_type in _OF_PROBABILITIES and (only := _only_operand(operator, file)) is not None:
            pending.append(operator)
            behind = only
        elif operator.op_type not in _MOVES:
            break
        name = behind
    return logits if notes else _unmoved(output, makers, _STAYS - {"Cast"}), notes[::-1]


def _is_part(operator: Operator, file: OnnxFile) -> bool:
    """Whether it computes numbers for more than one answer, as of every place of a feature map, and edgekit does, too.

    That is no classifier, so it is part of the network.
    """
    _, *sizes = file.shapes.get(operator.inputs[0]) or (1,)
    return operator.op_type in _OF_MAPS and sum(size > 1 for size in sizes) > 1


def _only_operand(operator: Operator, file: OnnxFile) -> str | None:
    """The operand of an operator whose others are single numbers; None if it has more operands."""
    others = [name for name in operator.inputs if name and name not in file.constants]
    single = all(file.constants[name].size == 1 for name in operator.inputs if name in file.constants)
    return others[0] if len(others) == 1 and single else None


def _left_out(operator: Operator, because: str, what: str | None = None) -> str:
    return f"{what or operator.op_type} at the end left out (node {operator.name!r}): {because}"


def _of_length_one(operator: Operator, file: OnnxFile, makers: Mapping[str, Operator]) -> str | None:
    """The vector that an operator divides by its length; None if it does something else."""
    if operator.op_type not in {"Div", "Mul"}:
        return None
    for vector, length in (operator.inputs, operator.inputs[::-1]):
        kinds = _computed_of(length, vector, file, makers)
        divides = operator.op_type == "Div" or (kinds is not None and kinds & {"Reciprocal", "Pow", "Div"})
        if kinds is not None and kinds & _LENGTH and divides:
            return vector
        if operator.op_type == "Div":
            return None
    return None


def _computed_of(length: str, vector: str, file: OnnxFile, makers: Mapping[str, Operator]) -> set[str] | None:
    """The operators by which ``length`` is computed of ``vector``; None if they are not those of a length."""
    kinds: set[str] = set()
    pending = [length]
    while pending:
        name = pending.pop()
        if name in {"", vector} or name in file.constants:
            continue
        if name not in makers or makers[name].op_type not in _OF_LENGTH:
            return None
        kinds.add(makers[name].op_type)
        pending += makers[name].inputs
    return kinds


def _unmoved(name: str, makers: Mapping[str, Operator], moves: Collection[str] = _MOVES) -> str:
    """The tensor whose values ``name`` holds, before they were moved about."""
    while name in makers and makers[name].op_type in moves:
        name = makers[name].inputs[0]
    return name


def _place(name: str, file: OnnxFile) -> int:
    return next((place for place, operator in enumerate(file.operators) if name in operator.outputs), -1)


def _needed(
    outputs: Iterable[str], operators: tuple[Operator, ...], makers: Mapping[str, Operator]
) -> tuple[Operator, ...]:
    """What it takes to compute ``outputs``, in order."""
    needed, pending = set[str](), [*outputs]
    while pending:
        name = pending.pop()
        if name in makers and name not in needed:
            pending += makers[name].inputs
            needed.update(makers[name].outputs)
    return tuple(operator for operator in operators if needed.intersection(operator.outputs))
