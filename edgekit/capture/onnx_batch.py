"""An ONNX file of a fixed batch, made one of a batch of 1, and compared with what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import extras
from edgekit.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_EXTRA = "onnx"
_SHAPED = {"Reshape": 1, "Expand": 1}  # the operand that is a shape
_CLOSE = 1e-4  # of the largest result: another batch may take other kernels
_DTYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 10: np.float16, 11: np.float64}  # TensorProto.DataType


def with_batch_of_one(model: Any, image: Any, shape: Sequence[int]) -> tuple[str, ...]:  # noqa: ANN401 - protobufs
    """Make the fixed batch of ``model`` 1, where it is another; says so.

    Args:
        model: is changed.
        image: the declaration of its input, whose first axis is the batch.
        shape: of the input with a batch of 1.

    Raises:
        CheckpointError: it computes something else then, or nothing at all.
    """
    axis = image.type.tensor_type.shape.dim[0]
    batch = axis.dim_value if axis.HasField("dim_value") else 0
    if batch <= 1:
        return ()
    dtype = _DTYPES.get(image.type.tensor_type.elem_type, np.float32)
    high = 127 if np.issubdtype(dtype, np.integer) else 1
    images = np.random.default_rng(0).uniform(0, high, [batch, *shape[1:]]).astype(dtype)
    before = _run(model, image.name, images)
    axis.dim_value = 1
    for value in model.graph.output:
        if value.type.tensor_type.shape.dim and value.type.tensor_type.shape.dim[0].dim_value == batch:
            value.type.tensor_type.shape.dim[0].dim_value = 1
    del model.graph.value_info[:]
    _rewrite_shapes(model, batch)
    try:
        after = [_run(model, image.name, images[i : i + 1]) for i in range(batch)]
    except Exception as error:  # ONNX Runtime raises nearly anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"its batch is fixed to {batch}, and a batch of 1 fails ({reason}): {_ADVICE}") from error
    for whole, single in zip(before, zip(*after, strict=True), strict=True):
        joined = np.concatenate(single)
        if joined.shape != whole.shape or np.abs(joined - whole).max() > _CLOSE * max(np.abs(whole).max(), 1e-30):
            raise CheckpointError(f"its batch is fixed to {batch}, and one by one it gives something else: {_ADVICE}")
    return (f"its batch of {batch} became 1, with the same results: edgekit's files take images one by one or many",)


_ADVICE = "export it again with a batch of 1, or with a free one (dynamic_axes of torch.onnx.export)"


def _rewrite_shapes(model: Any, batch: int) -> None:  # noqa: ANN401 - a ModelProto
    """Let shapes that start with the batch start with 1."""
    numpy_helper = extras.load("onnx.numpy_helper", _EXTRA)
    wanted = {node.input[_SHAPED[node.op_type]] for node in model.graph.node if _is_shaped(node)}
    holders = [(value, value.name) for value in model.graph.initializer]
    for node in model.graph.node:
        if node.op_type == "Constant":
            holders += [(attribute.t, node.output[0]) for attribute in node.attribute if attribute.name == "value"]
        if node.op_type == "Reshape":  # up to opset 4
            for attribute in node.attribute:
                if attribute.name == "shape" and attribute.ints[:1] == [batch]:
                    attribute.ints[0] = 1
    for holder, name in holders:
        if name not in wanted:
            continue
        values = numpy_helper.to_array(holder).copy()
        if values.size and values.reshape(-1)[0] == batch:
            values.reshape(-1)[0] = 1
            holder.CopyFrom(numpy_helper.from_array(values, holder.name))


def _is_shaped(node: Any) -> bool:  # noqa: ANN401 - a NodeProto
    return node.op_type in _SHAPED and len(node.input) > _SHAPED[node.op_type]


def _run(model: Any, name: str, images: NDArray[Any]) -> list[NDArray[Any]]:  # noqa: ANN401 - a ModelProto
    runtime = extras.load("onnxruntime", _EXTRA)
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    results: list[NDArray[Any]] = session.run(None, {name: images})
    return results
