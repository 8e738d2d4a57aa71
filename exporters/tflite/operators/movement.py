"""What moves values and computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.exporters.tflite.operators.table import OPERATORS
from edgekit.exporters.tflite.operators.writing import code_of
from edgekit.ir import (
    Pad,
    Padding,
    Rearrange,
)
from edgekit.ir.operators.rearrange import Step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.exporters.tflite.builder import TfliteBuilder
    from edgekit.ir import Node, Tensor
    from edgekit.ir.operators.operator import Shape

_MOST_AXES = 5  # of a TRANSPOSE; of more only the newest runtimes have one
_FEW_AXES = 4  # that every version of TRANSPOSE takes


@OPERATORS.implements(Pad)
def _pad(op: Pad, node: Node, model: TfliteBuilder) -> None:
    source, target = model.activation(node.operand("x")), model.activation(node.output)
    _pad_with_zeros(node, (source, target), op.padding, model, op.channels_around)


@OPERATORS.implements(Rearrange)
def _rearrange(op: Rearrange, node: Node, model: TfliteBuilder) -> None:
    x = node.operand("x")
    source, shape = model.activation(x), model.shape(x)[1:]
    moves = _moves_in_file(op, model.graph.tensors[x], model.graph.tensors[node.output])
    for place, move in enumerate(moves):
        is_last = place == len(moves) - 1
        name = f"{node.name}.move_{place}"
        target = model.activation(node.output) if is_last else _moved(name, Step(move.shape), node, model)
        _write_move(move, (source, target), shape, node, name, model)
        source, shape = target, move.shape


def _moves_in_file(op: Rearrange, x: Tensor, y: Tensor) -> list[Rearrange]:
    """What is moved in a file, where images are [N, H, W, C]: often less, as for the rows of boxes that heads give."""
    moves = [op]
    if x.is_image:
        channels, height, width = x.shape
        moves.insert(0, Rearrange.transpose((height, width, channels), (2, 0, 1)))
    if y.is_image:
        moves.append(Rearrange.transpose(y.shape, (1, 2, 0)))
    merged = moves[:1]
    for move in moves[1:]:
        both = merged[-1].then(move)
        merged[-1:] = [merged[-1], move] if both is None else [both]
    return merged


def padded(node: Node, source: int, padding: Padding, model: TfliteBuilder, value: NDArray[Any] | None = None) -> int:
    """What ``node`` reads with zeros around it, or with a stored ``value``, by an operator of its own."""
    x = node.operand("x")
    _, height, width, channels = model.shape(x)
    shape = (model.batch, height + padding.top + padding.bottom, width + padding.left + padding.right, channels)
    result = model.tensor(f"{node.name}.padded", shape, model.dtype(x), model.params.get(x))
    if value is None:
        _pad_with_zeros(node, (source, result), padding, model)
        return result
    number = model.constant(f"{node.name}.padding", value, model.params.get(x))
    inputs = [source, model.integers(f"{node.name}.paddings", _rows(padding)), number]
    model.operator(*code_of("PADV2", x, model, 1, 2, 3), inputs, result, ("PadV2Options", {}))
    return result


def _pad_with_zeros(
    node: Node, ends: tuple[int, int], padding: Padding, model: TfliteBuilder, channels: tuple[int, int] = (0, 0)
) -> None:
    """PAD with real zeros; in an integer model those are the zero point, which the kernels see to."""
    source, target = ends
    inputs = [source, model.integers(f"{node.name}.paddings", _rows(padding, channels))]
    model.operator(*code_of("PAD", node.output, model, 1, 2, 3), inputs, target, ("PadOptions", {}))


def _rows(padding: Padding, channels: tuple[int, int] = (0, 0)) -> list[list[int]]:
    return [[0, 0], [padding.top, padding.bottom], [padding.left, padding.right], list(channels)]


def reshape(name: str, source: int, target: int, shape: tuple[int, ...], model: TfliteBuilder) -> None:
    """RESHAPE to any batch of ``shape``, with ``name`` for the tensor that holds it.

    -1 for the batch, whatever it is, keeps XNNPACK in one piece, and a file that is resized whole.
    """
    _reshape_to(name, source, target, (-1, *shape), model)


def _reshape_to(name: str, source: int, target: int, shape: tuple[int, ...], model: TfliteBuilder) -> None:
    inputs = [source, model.integers(name, shape)]
    model.operator("RESHAPE", 1, inputs, target, ("ReshapeOptions", {"newShape": list(shape)}))


def _write_move(  # noqa: PLR0913, PLR0917 - a rearrangement has this many parts
    move: Rearrange, ends: tuple[int, int], shape: Shape, node: Node, name: str, model: TfliteBuilder
) -> None:
    """DEPTH_TO_SPACE where it is one, else RESHAPE and TRANSPOSE."""
    source, target = ends
    if (block := _block_of_space(move, shape)) and model.dtype(node.output) != "int16":
        code = code_of("DEPTH_TO_SPACE", node.output, model, 1, 2, 2)
        model.operator(*code, [source], target, ("DepthToSpaceOptions", {"blockSize": block}))
        return
    *before, last = move.steps(shape, _MOST_AXES)
    for place, step in enumerate((*before, last)):
        result = target if step is last else _moved(f"{name}.step_{place}", step, node, model)
        if not step.order:
            _reshape_to(f"{name}.shape_{place}", source, result, step.of(-1), model)
        else:
            many = len(step.permutation) > _FEW_AXES
            code = code_of("TRANSPOSE", node.output, model, 4 if many else 1, 4 if many else 2, 5)
            inputs = [source, model.integers(f"{name}.order_{place}", step.permutation)]
            model.operator(*code, inputs, result, ("TransposeOptions", {}))
        source = result


def _moved(name: str, step: Step, node: Node, model: TfliteBuilder) -> int:
    """A tensor between the operators that one rearrangement takes."""
    return model.tensor(name, step.of(model.batch), model.dtype(node.output), model.params.get(node.output))


def _block_of_space(move: Rearrange, shape: Shape) -> int:
    """The size of the blocks where [H, W, (row, column, C)] become space, as DEPTH_TO_SPACE has it; else 0."""
    if len(shape) != len(move.shape) or len(shape) != 3:
        return 0
    (height, width, _), (rows, columns, channels) = shape, move.shape
    block = rows // height
    if block < 2 or (rows, columns) != (height * block, width * block):
        return 0
    parts = (height, width, block, block, channels)
    return block if move == Rearrange(parts, (0, 2, 1, 3, 4), move.shape) else 0
