"""Everything that a TorchScript file says, operator by operator.

``forward`` is read as torch has loaded it, which runs nothing of it but the packing of weights; its variables are named
after the layers. What the lite interpreter of phones reads is a second program in the file, and compared as bytes.
"""

# ruff: noqa: SLF001 - torch._C is where torch keeps its bindings, and graphs have no public face

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from edgekit.device import torchscript
from edgekit.exporters.contents import (
    OPERATOR,
    Contents,
    Operator,
    flat,
    io_dtype_of,
    metadata_facts,
    said_options,
    with_origins,
)
from edgekit.exporters.torch import script
from edgekit.exporters.torch.forward import Forward, Step, value_id
from edgekit.exporters.torch.reading import Loaded, load
from edgekit.exporters.vocabulary import Does

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit.exporters.contents import Value

# What torch's schemas and edgekit's methods call what they read, in the words of the other formats.
_ROLES: Final = {
    "output_scale": "scale",
    "output_zero_point": "zero point",
    "packed_weight": "weight",
    "qa": "first",
    "qb": "second",
    "qx": "input",
    "self": "input",
    "x": "input",
    "X": "input",
    "W_prepack": "weight",
    "Y_scale_i": "scale",
    "Y_zero_point_i": "zero point",
    "zero_point": "zero point",
}

# By the operators that torch has, and by the methods that edgekit writes.
_DOES: Final = {
    "aten::add": Does.ADD,
    "aten::addcmul": Does.MULTIPLY_AND_ADD,
    "aten::argmax": Does.CHOOSE,
    "aten::avg_pool2d": Does.POOL,
    "aten::cat": Does.JOIN,
    "aten::clamp": Does.CLAMP,
    "aten::clamp_min": Does.CLAMP,
    "aten::constant_pad_nd": Does.PAD,
    "aten::dequantize": Does.DEQUANTIZE,
    "aten::flatten": Does.RESHAPE,
    "aten::hardsigmoid": Does.HARD_SIGMOID,
    "aten::hardswish": Does.HARD_SWISH,
    "aten::max_pool2d": Does.POOL,
    "aten::mean": Does.POOL,
    "aten::mul": Does.MULTIPLY,
    "aten::permute": Does.TRANSPOSE,
    "aten::quantize_per_tensor": Does.QUANTIZE,
    "aten::relu": Does.CLAMP,
    "aten::slice": Does.CROP,
    "aten::sigmoid": Does.SIGMOID,
    "aten::softmax": Does.SOFTMAX,
    "aten::reshape": Does.RESHAPE,
    "aten::t": Does.TRANSPOSE,
    "aten::to": Does.CONVERT,
    "aten::transpose": Does.TRANSPOSE,
    "crop": Does.CROP,
    "mean": Does.POOL,
    "pad": Does.PAD,
    "aten::upsample_bilinear2d": Does.RESIZE,
    "aten::upsample_nearest2d": Does.RESIZE,
    "resize": Does.RESIZE,
    "quantized::cat": Does.JOIN,
    "quantized::linear_dynamic": Does.QUANTIZE_AND_COMPUTE,
    "quantized::add": Does.ADD,
    "quantized::mul": Does.MULTIPLY,
}


def read_contents(path: Path) -> Contents:
    """Everything that a file says.

    Raises:
        ArtifactError: the file is missing, damaged, or not what edgekit writes.
    """
    loaded = load(path, engine=script.packing_engine())
    decoder = _Decoder(loaded)
    io_dtype = io_dtype_of(loaded.texts.input.dtype)
    options: dict[str, Any] = {"engine": loaded.texts.engine} if loaded.texts.engine else {}
    text = loaded.entries[torchscript.METADATA].decode()
    operators, misfit = with_origins([*decoder.operators()], text, decoder.statements())
    facts = dict(_facts(loaded, decoder)) | misfit
    return Contents(operators, facts, io_dtype, options | said_options(facts))


def _facts(loaded: Loaded, decoder: _Decoder) -> Iterator[tuple[str, Value]]:
    yield from decoder.facts()
    yield from flat("program", json.loads(loaded.entries[torchscript.PROGRAM]))
    yield from metadata_facts(loaded.entries[torchscript.METADATA].decode()).items()
    if torchscript.BYTECODE in loaded.entries:
        yield "bytecode", np.frombuffer(loaded.entries[torchscript.BYTECODE], np.uint8)


class _Decoder:
    """What the steps of ``forward`` say."""

    def __init__(self, loaded: Loaded) -> None:
        self._script: Any = loaded.module._c
        self._forward = Forward(loaded.module)

    def operators(self) -> Iterator[Operator]:
        constants = self._forward.constants
        for step in self._forward.steps:
            named = tuple(constants[value] for value in step.reads if value in constants)
            yield Operator(step.name, dict(self._fields(step)), named, _DOES.get(step.kind, Does.OTHER))

    def statements(self) -> list[int]:
        """Which statement of ``forward`` each operator belongs to: one ends where its result is a variable or given."""
        results = map(value_id, self._forward.graph.outputs())
        given = {value for result in results for value in self._forward.lists.get(result, (result,))}
        ended, places = 0, []
        for step in self._forward.steps:
            places.append(ended)
            ended += step.variable is not None or value_id(step.node.output()) in given
        return places

    def facts(self) -> Iterator[tuple[str, Value]]:
        for role in ("inputs", "outputs"):
            values = list(getattr(self._forward.graph, role)())
            yield role, tuple(f"{self._forward.names.get(value_id(value), '?')}: {value.type()}" for value in values)
        for name in sorted(self._script._method_names()):
            if name != "forward":
                yield f"method {name}", self._script._get_method(name).code

    def _fields(self, step: Step) -> Iterator[tuple[str, Value]]:
        node = step.node
        yield OPERATOR, step.kind
        if step.is_method:
            schema = self._script._get_method(step.kind).schema
        else:
            schema = torch._C.parse_schema(node.schema()) if "(" in node.schema() else None
        for position, value in enumerate(node.inputs()):
            name = schema.arguments[position].name if schema is not None else f"input {position}"
            if step.is_method and name == "self":
                continue
            yield from self._input(_ROLES.get(name, name.replace("_", " ")), value_id(value))
        if any(True for _ in node.blocks()):
            yield "body", str(node)

    def _input(self, role: str, value: str) -> Iterator[tuple[str, Value]]:
        if value in self._forward.names:
            yield role, self._forward.names[value]
        elif value in self._forward.attributes:
            yield from _attribute(role, self._forward.attributes[value])
        elif value in self._forward.lists:
            yield role, tuple(self._forward.names.get(name) for name in self._forward.lists[value])
        else:
            yield role, self._forward.values.get(value)


def _attribute(role: str, stored: Any) -> Iterator[tuple[str, Value]]:  # noqa: ANN401 - whatever a module holds
    """What a module stores: a tensor, or the packed weights of a convolution or linear layer."""
    if isinstance(stored, torch.Tensor):
        yield from _tensor(role, stored)
        return
    ops: Any = torch.ops.quantized
    convolution = "Conv2dPackedParams" in str(stored._type())
    weight, bias = (ops.conv2d_unpack if convolution else ops.linear_unpack)(stored)
    yield from _tensor(role, weight)
    yield "bias", None if bias is None else bias.detach().numpy()
    if convolution:
        for key in ("stride", "padding", "dilation"):
            yield key, tuple(getattr(ops, f"conv2d_{key}")(stored))
        yield "groups", ops.conv2d_groups(stored)


def _tensor(role: str, value: torch.Tensor) -> Iterator[tuple[str, Value]]:
    value = value.detach()
    if not value.is_quantized:
        yield role, value.numpy()
        return
    yield role, value.int_repr().numpy()
    if value.qscheme() == torch.per_tensor_affine:
        yield f"{role} scale", value.q_scale()
        yield f"{role} zero point", value.q_zero_point()
    else:
        yield f"{role} scale", value.q_per_channel_scales().numpy()
        yield f"{role} zero point", value.q_per_channel_zero_points().numpy()
        yield f"{role} scale axis", value.q_per_channel_axis()
