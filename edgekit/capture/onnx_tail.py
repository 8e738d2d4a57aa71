"""What an ONNX file computes of its logits: soft-max and its like, classes, embeddings of length 1. It is taken off.

Integers of a classifier are its logits. Probabilities are computed of them in float, by edgekit's own files where that
is asked for, and by whoever takes the answer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

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
_OF_PROBABILITIES = {"Log", "Exp", "Round", "Greater", "GreaterOrEqual", "Clip", "Mul", "Div", "Add", "Sub"}
_MOVES = {"Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Cast", "Identity", "Dropout"}
_LENGTH = {"ReduceL2", "ReduceSumSquare", "ReduceSum"}  # of these one sums up what a vector's length is computed of
_OF_LENGTH = {*_LENGTH, "Mul", "Pow", "Abs", "Sqrt", "Reciprocal", "Div", "Clip", "Max", "Add", "Expand", *_MOVES}


def without_tail(file: OnnxFile) -> tuple[OnnxFile, tuple[str, ...]]:
    """The file up to its logits, and what was left out, for people.

    Raises:
        CheckpointError: it has several outputs that are not all computed of the same logits.
    """
    makers = {output: operator for operator in file.operators for output in operator.outputs}
    found = [_logits(output, file, makers) for output in file.outputs]
    roots = {_unmoved(logits, makers) for logits, _ in found}
    if len(roots) != 1:
        names = ", ".join(file.outputs)
        raise CheckpointError(
            f"it has {len(file.outputs)} outputs ({names}), and edgekit wants one, its logits: cut the others off, "
            f"onnx.utils.extract_model(FILE, NEW_FILE, [{file.input!r}], [{file.outputs[0]!r}])"
        )
    # Of several ways to the same logits, that which moves them about least: it is the earliest.
    logits = min((logits for logits, _ in found), key=lambda name: _place(name, file))
    notes = tuple(dict.fromkeys(note for _, notes in found for note in notes))
    if len(file.outputs) > 1:
        notes += (f"of the outputs {', '.join(file.outputs)} the logits are taken: all are computed of them",)
    return replace(file, outputs=(logits,), operators=_needed(logits, file.operators, makers)), notes


def _logits(output: str, file: OnnxFile, makers: Mapping[str, Operator]) -> tuple[str, list[str]]:
    """The name of the logits that an output is computed of, and what was computed."""
    logits, name = output, output
    notes: list[str] = []
    pending: list[Operator] = []
    while (operator := makers.get(name)) is not None:
        behind = operator.inputs[0]
        if operator.op_type in _OF_LOGITS:
            notes += [_left_out(other, "it works on what is left out, too") for other in pending]
            notes.append(_left_out(operator, _OF_LOGITS[operator.op_type]))
            logits, pending = _unmoved(behind, makers), []
        elif (vector := _of_length_one(operator, file, makers)) is not None:
            notes.append(_left_out(operator, _LENGTH_LEFT_OUT, "L2 normalization"))
            logits = behind = _unmoved(vector, makers)
        elif operator.op_type in _OF_PROBABILITIES and (only := _only_operand(operator, file)) is not None:
            pending.append(operator)
            behind = only
        elif operator.op_type not in _MOVES:
            break
        name = behind
    return logits if notes else _unmoved(output, makers, _MOVES - {"Cast"}), notes[::-1]


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


def _needed(output: str, operators: tuple[Operator, ...], makers: Mapping[str, Operator]) -> tuple[Operator, ...]:
    """What it takes to compute ``output``, in order."""
    needed, pending = set[str](), [output]
    while pending:
        name = pending.pop()
        if name in makers and name not in needed:
            pending += makers[name].inputs
            needed.update(makers[name].outputs)
    return tuple(operator for operator in operators if needed.intersection(operator.outputs))
