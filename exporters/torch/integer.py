"""The integer model as a TorchScript program of torch's quantized operators.

Activations are quint8 with zero point + 128, weights qint8 with one scale an output channel: same reals, same integers.
The file holds plain integers, and who loads it packs them for the quantized engine of the moment, so every file runs
with every engine. What differs is the form of the depthwise convolutions: "fbgemm" merges channels into groups with
block-diagonal weights, so that no sum of two products leaves int16 (255 * 127 + 255 * 0 < 2**15; the whole story is in
``convolution``), and "qnnpack" leaves them as they are, which is what ARM computes fastest. The integers are the same.
What the engines make of them, measured with torch 2.13 on x86 with VNNI, with weights that use all of [-127, 127]:

=========  ==============================  =======================================================================
engine     laid out for fbgemm             laid out for qnnpack
=========  ==============================  =======================================================================
fbgemm     exact                           depthwise 3 x 3 and 5 x 5 saturate pairs of products to int16, on every
                                           processor: 61 % of a MobileNetV2's logits were off, by up to 10 LSB
x86        exact; torch's default, so      oneDNN for up to 100 groups, fbgemm beyond, with the same fault
           ``torch.jit.load`` is enough
onednn     exact                           exact, and a tenth faster
qnnpack    exact, a third slower           exact, and what ARM has; on x86 three times as slow as the others
=========  ==============================  =======================================================================

Without VNNI, fbgemm and onednn saturate in pointwise and dense layers too, and no layout helps: there, as on ARM, it is
"qnnpack" with that engine. Weights within [-63, 63] cannot saturate anywhere (2 * 255 * 63 < 2**15), and with them
every engine was exact. Sources: the comment above QConv2dInt8 in aten/src/ATen/native/quantized/cpu/qconv.cpp,
should_use_onednn_quant in aten/src/ATen/native/quantized/cpu/OnednnUtils.h.

Fused clamps are nothing but the range of the output, so nothing is written for them. Layers that are kept in float are
written as in float files.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from edgekit import files
from edgekit.device.engines.torch import deprecations_silenced
from edgekit.exporters import metadata
from edgekit.exporters.metadata import Head, IoDtype
from edgekit.exporters.summary import Endpoint
from edgekit.exporters.torch import floating, script
from edgekit.exporters.torch.operators import INTEGER
from edgekit.exporters.torch.texts import Texts, given
from edgekit.exporters.torch.writers import FloatWriter, IntegerWriter

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.boundary import Alignment
    from edgekit.exporters.torch.texts import Engine
    from edgekit.integer_model import IntegerModel

# torch's own quantized mean keeps the scale of its input, so the program brings a method: an exact integer sum, then
# one requantization in float32 as in a convolution. Integers in, integers out, one operator. ``offset`` is the zero
# point times the number of summands, ``step`` the input's scale over that number. float32 holds sums below 2**24
# exactly, that is up to 256 x 256 summands.
MEAN = """\
def mean(self, x: Tensor, keep_dims: bool, offset: int, step: float, scale: float, zero_point: int) -> Tensor:
    total = torch.sum(x.int_repr(), [2, 3], keep_dims) - offset
    return torch.quantize_per_tensor(total.to(torch.float32) * step, scale, zero_point, torch.quint8)
"""

FROM_INT8 = """\
def from_int8(self, x: Tensor, scale: float, zero_point: int) -> Tensor:
    return torch._make_per_tensor_quantized_tensor((x.to(torch.int16) + 128).to(torch.uint8), scale, zero_point)
"""

TO_INT8 = """\
def to_int8(self, x: Tensor) -> Tensor:
    return (x.int_repr().to(torch.int16) - 128).to(torch.int8)
"""

# torch's constant_pad_nd fills a quantized tensor with zeros, all of it and one element at a time, before it copies the
# input: 3 ms for 96 x 113 x 113, ten times as long as the convolution. Bytes are filled at the speed of memory.
PAD = """\
def pad(self, x: Tensor, top: int, bottom: int, left: int, right: int, scale: float, zero_point: int) -> Tensor:
    rows, columns = x.size(2), x.size(3)
    shape = [x.size(0), x.size(1), top + rows + bottom, left + columns + right]
    bits = torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last).fill_(zero_point)
    padded = torch._make_per_tensor_quantized_tensor(bits, scale, zero_point)
    padded[:, :, top : top + rows, left : left + columns].copy_(x)
    return padded
"""

CROP = """\
def crop(self, x: Tensor, top: int, left: int) -> Tensor:
    return x[:, :, top:, left:].contiguous(memory_format=torch.channels_last)
"""

# Weighted means of integers as they are stored, in float32, rounded upwards where they are halves. ``more`` rows and
# columns are the last ones again (``edgekit.exporters.torch.operators.resizing``).
RESIZE = """\
def resize(
    self, x: Tensor, height: int, width: int, more: int, align_corners: bool, scale: float, zero_point: int
) -> Tensor:
    larger = torch.ops.aten.replication_pad2d(x.int_repr().to(torch.float32), [0, more, 0, more])
    means = torch.ops.aten.upsample_bilinear2d(larger, [height + more, width + more], align_corners, None, None)
    bits = torch.floor(means[:, :, :height, :width] + 0.5).to(torch.uint8)
    return torch._make_per_tensor_quantized_tensor(bits, scale, zero_point)
"""

METHODS = {"mean": MEAN, "pad": PAD, "crop": CROP, "resize": RESIZE, "from_int8": FROM_INT8, "to_int8": TO_INT8}


# --- the whole file -------------------------------------------------------------------------------------------------


def write_integer_model(  # noqa: PLR0913 - one a choice of the user's
    model: IntegerModel,
    path: Path,
    *,
    io_dtype: IoDtype,
    engine: Engine = "fbgemm",
    head: Head = Head.LOGITS,
    batch: int | None = None,
) -> None:
    """Write ``model`` to ``path`` as a TorchScript file that needs torch alone.

    ``forward`` takes [N, C, H, W], and gives a tensor, or a tuple of the outputs in the order of the metadata: names
    would be texts in the program, which ``edgekit.device.torchscript`` keeps out.

    Args:
        model: the integers; nothing about them is decided here.
        path: the file, ``.pt`` by custom.
        io_dtype: at the boundary. float32 is quantized on the way in and dequantized on the way out.
        engine: what depthwise layers are laid out for: "fbgemm" for all engines of x86, "qnnpack" for ARM. The integers
            are the same.
        head: what a method ``probabilities`` makes of the logits, which are what ``forward`` gives.
        batch: how many images the file says that it takes at once; the program takes any number.

    Raises:
        ConfigError: an output is kept in float, and ``io_dtype`` is not.
        UnsupportedOperator: the graph holds an operator that is not in ``operators.INTEGER``.
        BadInput: the file cannot be written.
    """
    graph = model.graph
    about = metadata.of_integer_model(model, io_dtype, head, batch=batch)
    taken = Endpoint(graph.input, io_dtype, (batch or metadata.FREE, *graph.tensors[graph.input].shape))
    if io_dtype is not IoDtype.FLOAT32:
        params = model.params[graph.input]
        offset = metadata.UINT8_OFFSET if io_dtype is IoDtype.UINT8 else 0
        taken = replace(taken, scale=float(params.scale[0]), zero_point=params.zero_point + offset)
    texts = Texts(about, taken, given(about), engine)
    with script.pinned(script.packing_engine()), deprecations_silenced():
        program = _program(model, io_dtype, engine, head)
        data = program.to_bytes(replace(texts, origins=program.origins).to_extra_files())
    files.write_bytes(path, data)


def _program(model: IntegerModel, io_dtype: IoDtype, engine: Engine, head: Head) -> script.Program:
    graph, program = model.graph, script.Program(METHODS, floating.result_names(model.graph))
    writer = IntegerWriter(model, program, engine)

    program.takes(graph.input)
    argument = program.variable(graph.input)
    scale, zero_point = writer.scale(graph.input), writer.zero_point(graph.input)
    match io_dtype:
        case IoDtype.FLOAT32:
            aligned = _aligned(program, argument, model.alignment)
            quantized = f"torch.quantize_per_tensor({aligned}, {scale!r}, {zero_point}, torch.quint8)"
        case IoDtype.UINT8:
            quantized = f"torch._make_per_tensor_quantized_tensor({argument}, {scale!r}, {zero_point})"
        case IoDtype.INT8:
            quantized = program.call("from_int8", argument, scale, zero_point)
    program.assign(graph.input, quantized)

    float_writer, float_nodes = FloatWriter(graph, program), set(model.float_nodes)
    for node in graph:
        program.origins.enter(node)
        if node in float_nodes:
            floating.write_node(node, float_writer)
        else:
            program.assign(node.output, INTEGER[node](node, writer))

    program.origins.enter(None)
    program.returns([_given(program, model, tensor, io_dtype) for tensor in graph.output_tensors])
    floating.add_head(program, graph, head)
    return program


def _given(program: script.Program, model: IntegerModel, tensor: str, io_dtype: IoDtype) -> str:
    """The expression for an output as callers see it."""
    result = program.variable(tensor)
    if model.graph.tensors[tensor].is_mask:
        return floating.as_mask(result)
    match io_dtype:
        case IoDtype.FLOAT32:
            return f"torch.dequantize({result})" if tensor in model.params else result
        case IoDtype.UINT8:
            return f"torch.int_repr({result})"
        case IoDtype.INT8:
            return program.call("to_int8", result)


def _aligned(program: script.Program, image: str, alignment: Alignment) -> str:
    """The expression for a float image as it is to be quantized."""
    if alignment.gains:
        offsets, gains = (
            program.attribute(f"{image}.{name}", torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1))
            for name, values in (("offsets", alignment.offsets), ("gains", alignment.gains))
        )
        return f"torch.addcmul({offsets}, {image}, {gains})"
    return f"torch.add({image}, {alignment.offsets[0]!r})" if alignment.offsets else image
