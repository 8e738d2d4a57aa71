"""A float ONNX file -> Graph: simplified by onnxsim and checked by it, then one function an operator.

What a file does before the network (arithmetic on pixels, another order of the colours) and behind its logits (soft-max
and its like) is taken off, and said: ``onnx_head`` and ``onnx_tail``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.capture import num_classes
from edgekit.capture.advice import replacement
from edgekit.capture.builder import AS_VECTOR, GraphBuilder
from edgekit.capture.onnx_call import LOWERINGS, Call, Channels, View
from edgekit.capture.onnx_cut import ends, way_out
from edgekit.capture.onnx_file import read, readable
from edgekit.capture.onnx_head import Arithmetic, without_head
from edgekit.capture.onnx_operators import on_channels  # which registers all of them
from edgekit.capture.onnx_tail import without_tail
from edgekit.errors import CheckpointError, UnsupportedOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgekit.capture.onnx_call import Value
    from edgekit.capture.onnx_file import OnnxFile, Operator
    from edgekit.ir import Graph

_TURNED = "the output {called!r} as it is before it is moved about: edgekit's files give feature maps"
_CHOOSING = (
    "Concat",
    "Expand",
    "Gather",
    "Slice",
    "Split",
    "Tile",
    "Unsqueeze",
)  # what they take may be some channels of a tensor


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Captured:
    """What was captured from a file.

    Attributes:
        graph: takes [N, C, H, W] and gives logits or feature maps, whatever the file does before and after.
        arithmetic: what the file computes of its input by itself, if it does. That is left out of the graph, and so
            belongs into the preprocessing.
        order: of the channels that the graph takes, as ``Preprocessing.order`` has it, where the file takes another
            order and exchanges them by itself; else None.
        notes: what was left out, for people.
    """

    graph: Graph
    arithmetic: Arithmetic | None
    order: str | None
    notes: tuple[str, ...]


def capture(path: Path, size: tuple[int, int] | None = None) -> Captured:
    """The inference graph of a float MobileNet in an .onnx file.

    Args:
        path: the file; one image input, and outputs that are logits, feature maps, or what is computed of them.
        size: (height, width) of the image in pixels, for a file that leaves them open.

    Raises:
        CheckpointError: the file is missing, damaged or quantized, has other inputs or outputs than that, leaves the
            image's size open, or onnxsim fails on it.
        ConfigError: ``size`` is another one than the file's.
        UnsupportedOperator: the network uses an operator, or an attribute of one, that edgekit does not know.
        MissingDependency: onnx or onnxsim is not installed.
    """
    try:
        return _Walk(read(path, size)).captured(path.stem)
    except (CheckpointError, UnsupportedOperator) as error:
        raise type(error)(f"{path}: {error}") from error


class _Walk:
    """What is known while the operators of a file are walked through."""

    def __init__(self, file: OnnxFile) -> None:
        self.ends = without_tail(file)
        self.file = self.ends.file
        sizes = dict(zip(file.layout, file.shapes[file.input], strict=True))
        self.builder = GraphBuilder(readable(file.input) or "input", (sizes["C"], sizes["H"], sizes["W"]))
        self.values: dict[str, Value] = dict(file.constants)
        self.values[file.input] = View(self.builder.input, file.layout)

    def captured(self, name: str) -> Captured:
        refusals: dict[int, UnsupportedOperator] = {}
        beyond: set[str] = set()
        for place, operator in enumerate(self.file.operators):
            if not beyond.isdisjoint(operator.inputs):
                beyond.update(operator.outputs)
                continue
            try:
                result = self._lowered(operator)
            except UnsupportedOperator as error:
                refusals[place] = error
                beyond.update(operator.outputs)
                continue
            results = result if isinstance(result, tuple) else (result,)
            self.values.update(zip(operator.outputs, results, strict=False))
        if refusals:
            raise self._refused(refusals)
        given: dict[str, str] = {}
        turned: list[str] = []
        for called, tensor in self.ends.given.items():
            value = self.values[tensor]
            if isinstance(value, Channels):
                value = value.settled(f"{readable(tensor)}.channels", self.builder)
            if not isinstance(value, View):
                raise self._constant(called)
            if sorted(value.axes) == sorted("NCHW"):
                is_turned = value.axes != "NCHW" and self.builder.shape(value.tensor)[1:] != (1, 1)
                turned += [_TURNED.format(called=called)] if is_turned else []
            else:
                value = value.as_it_is(f"{readable(tensor)}.layout", self.builder)
            given[called] = self.builder.of_rank(value.tensor, len(value.axes))
        finished = self.builder.finish(name, given, self.ends.logits)
        head = without_head(finished, self.file)
        notes = (*self.file.notes, *self.ends.notes, *turned, *self._dropped_axes(finished), *head.notes)
        return Captured(head.graph, head.arithmetic, head.order, notes)

    def _dropped_axes(self, graph: Graph) -> tuple[str, ...]:
        """That the file's output has axes of one element which edgekit's files leave out."""
        (shape, *others) = (self.file.shapes.get(called, ()) for called in self.ends.given)
        if others or graph.logits is None or len(shape) != len("NCHW"):
            return ()
        return (AS_VECTOR.format(classes=num_classes(graph)),)

    def _constant(self, called: str) -> CheckpointError:
        """An error about an output that is always the same."""
        told = f"its output {called!r} does not depend on its input, and is always the same: leave it out"
        if others := [name for name, made in self.ends.given.items() if isinstance(self.values[made], View | Channels)]:
            cut = way_out(self.file.path, self.file.input, others)
            return CheckpointError(f"{told}, and keep it in your application: {cut}")
        return CheckpointError(f"{told}, and let the network return what it computes of the image")

    def _lowered(self, operator: Operator) -> View | Channels | tuple[View | Channels, ...]:
        if operator.op_type not in LOWERINGS:
            raise _unknown(operator)
        call = Call(operator, self.values, self.file)
        if (chosen := on_channels(call, self.builder)) is not None:
            return chosen
        if operator.op_type not in _CHOOSING:
            self._join(operator)
        result = LOWERINGS[operator.op_type](call, self.builder)
        if operator.op_type != "Expand":
            self._check_sizes(operator, result if isinstance(result, tuple) else (result,))
        return result

    def _check_sizes(self, operator: Operator, results: Sequence[View | Channels]) -> None:
        """Refuse what has other sizes than the file says: it was read wrongly, or repeats values.

        Raises:
            UnsupportedOperator: an output has.
        """
        for name, view in zip(operator.outputs, results, strict=False):
            if not isinstance(view, View) or 0 in self.file.shapes.get(name, (0,)):  # nobody knows it
                continue
            said, made = self.file.shapes[name], self.builder.shape(view.tensor)
            if sorted(n for n in said if n != 1) != sorted(n for n in made if n != 1):
                raise UnsupportedOperator(
                    f"node {operator.name!r} ({operator.op_type}) gives {said}, and what edgekit makes of it has the "
                    f"shape {(1, *made)}: repeat or cut values by an operator of their own"
                )

    def _join(self, operator: Operator) -> None:
        """Make channels that an operator reads a tensor of its own."""
        for name in operator.inputs:
            if isinstance(chosen := self.values.get(name), Channels):
                self.values[name] = chosen.settled(f"{readable(name)}.channels", self.builder)

    def _refused(self, refusals: Mapping[int, UnsupportedOperator]) -> UnsupportedOperator:
        """The first refusal, with the way out."""
        operators = self.file.operators
        steps = [(operator.inputs, operator.outputs) for operator in operators]
        names = ends(steps, refusals, self.file.input, [*self.ends.given.values()])
        told = str(next(iter(refusals.values())))
        if self.file.named.issuperset(names):
            return UnsupportedOperator(f"{told}; or {way_out(self.file.path, self.file.input, names)}")
        return UnsupportedOperator(f"{told}; or cut the file before that node, onnx.utils.extract_model")


def _unknown(operator: Operator) -> UnsupportedOperator:
    return UnsupportedOperator(
        f"edgekit does not know the operator {operator.op_type} (node {operator.name!r}), and cannot keep it in "
        f"float: {replacement(operator.op_type)}"
    )
