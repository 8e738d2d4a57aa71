"""The rules of accelerators, each a function over what an exported file says.

A check is given the contents of a file and the limits that a profile names, and yields what breaks the rule: the
operator, None for the file as a whole, and what is wrong with it. It runs nothing: what comes of it is a prediction,
and the profile says what its source is.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit.exporters.contents import CLAMP

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from edgekit.exporters.contents import Contents, Operator, Value
    from edgekit.profiles.profile import DeviceProfile, Rule

    Broken = tuple[Operator | None, str]
    Check = Callable[..., Iterator[Broken]]

_OPERAND: Final = re.compile(r"input( \d+)?")  # "input scale" is none
_DECLARED: Final = re.compile(r"(?P<name>.*): .*\[(?P<axes>.*)\]")  # "image: float32 [batch, 3, 224, 224]"


@dataclass(frozen=True, slots=True)
class Finding:
    """What breaks a rule. It is predicted, not met.

    Attributes:
        rule: that is broken.
        operator: its kind ("HARD_SWISH"); None for the file as a whole.
        name: of the operator in the file; None likewise.
        layer: of the checkpoint that it belongs to; the name in the file where that is not known.
        text: what is wrong with it.
    """

    rule: Rule
    operator: str | None
    name: str | None
    layer: str | None
    text: str


def findings(profile: DeviceProfile, form: str, contents: Contents) -> tuple[Finding, ...]:
    """Everything in a file that breaks a rule of a device.

    Args:
        profile: of the device.
        form: the format of the file, by its name.
        contents: of the file.
    """
    nodes = contents.nodes
    found = []
    for rule in profile.rules:
        if rule.format in {form, ""}:
            for operator, text in CHECKS[rule.check](contents, **rule.limits):
                kind, name = (None, None) if operator is None else (operator.kind, operator.name)
                found.append(Finding(rule, kind, name, None if name is None else layer_of(name, nodes), text))
    return tuple(found)


def layer_of(name: str, nodes: Mapping[str, str]) -> str:
    """The node that an operator comes from; in files of other tools, the first of the names that TensorFlow joins."""
    return nodes.get(name, name.partition(";")[0])


# --- any format -------------------------------------------------------------------------------------------------------


def operators(
    contents: Contents,
    *,
    allowed: Collection[str] | None = None,
    forbidden: Collection[str] = (),
    dtypes: Collection[str] | None = None,
) -> Iterator[Broken]:
    """Operators that are not among those allowed, or among those forbidden; only those that make one of ``dtypes``."""
    for operator in contents.operators:
        concerned = dtypes is None or operator.fields.get("dtype") in dtypes
        refused = operator.kind in forbidden or (allowed is not None and operator.kind not in allowed)
        if concerned and refused:
            yield operator, operator.kind


def computes_in(contents: Contents, *, dtypes: Collection[str], ignoring: Collection[str] = ()) -> Iterator[Broken]:
    """Operators of the network that make something else than ``dtypes``, but for those to ignore."""
    for operator in contents.operators:
        ignored = operator.kind in ignoring or operator.name in contents.boundary
        if not ignored and operator.fields.get("dtype") not in dtypes:
            yield operator, f"{operator.kind} makes {operator.fields.get('dtype')}"


def boundary(contents: Contents, *, dtypes: Collection[str]) -> Iterator[Broken]:
    """A file that takes or gives something else than ``dtypes``."""
    if contents.io_dtype not in dtypes:
        yield None, f"it takes {contents.io_dtype}"
    outputs = contents.facts.get("outputs")
    for operator in contents.operators:
        if isinstance(outputs, tuple) and operator.name in outputs and operator.fields.get("dtype") not in dtypes:
            yield operator, f"it gives {operator.fields.get('dtype')}"


def static_shapes(contents: Contents) -> Iterator[Broken]:
    """Inputs with a free axis."""
    for key, value in contents.facts.items():
        of, _, name = key.partition(" of ")
        if of in {"shape", "shape signature"} and isinstance(value, tuple) and -1 in value:
            yield None, f"{name} has a free axis: {list(value)}"
    declared = contents.facts.get("inputs")
    for text in declared if isinstance(declared, tuple) else ():
        if (match := _DECLARED.fullmatch(str(text))) and not all(n.isdigit() for n in match["axes"].split(", ")):
            yield None, f"{match['name']} has a free axis: [{match['axes']}]"


def rank(contents: Contents, *, largest: int) -> Iterator[Broken]:
    """Results with more axes; of an .onnx file, which says no shapes, those of Reshape and Transpose."""
    for operator in contents.operators:
        axes = len(_shape(operator.fields.get("shape")) or _shape(operator.fields.get("perm")))
        if operator.kind == "Reshape":
            axes = _array(operator.fields.get("target shape")).size
        if axes > largest:
            yield operator, f"its result has {axes} axes"


# --- TFLite -----------------------------------------------------------------------------------------------------------


def operator_versions(contents: Contents, *, newest: Mapping[str, int]) -> Iterator[Broken]:
    """Operators of newer versions than those named."""
    for operator in contents.operators:
        version = operator.fields.get("operator version")
        if isinstance(version, int) and version > newest.get(operator.kind, version):
            yield operator, f"{operator.kind} of version {version}, {newest[operator.kind]} is the newest that is known"


def innermost(contents: Contents, *, dimensions: int) -> Iterator[Broken]:
    """Results with more than so many dimensions that are larger than 1, from the innermost on."""
    for operator in contents.operators:
        if math.prod(_shape(operator.fields.get("shape"))[:-dimensions]) > 1:
            yield operator, f"its result is {operator.fields['shape']}"


def constant_parameters(contents: Contents, *, operators: Collection[str]) -> Iterator[Broken]:
    """Layers whose weights or biases another operator makes."""
    for operator in contents.operators:
        for role in ("weight", "bias"):
            if operator.kind in operators and isinstance(operator.fields.get(role), str):
                yield operator, f"its {role} is made by {operator.fields[role]}"


def no_fused_activation(contents: Contents, *, operators: Collection[str]) -> Iterator[Broken]:
    """Operators with a fused activation."""
    for operator in contents.operators:
        if operator.kind in operators and operator.fields.get(CLAMP) is not None:
            yield operator, f"{operator.kind} with {operator.fields[CLAMP]}"


def mean_axes(contents: Contents, *, channel_multiple: int) -> Iterator[Broken]:
    """MEANs over the batch, or over channels that are no multiple."""
    shapes = _shapes(contents)
    for operator in contents.operators:
        axes, shape = operator.fields.get("axes"), shapes.get(str(operator.fields.get("input")), ())
        if operator.kind != "MEAN" or not isinstance(axes, np.ndarray) or not shape:
            continue
        reduced = {int(axis) % len(shape) for axis in np.atleast_1d(axes)}
        if 0 in reduced and len(shape) == 4:
            yield operator, "it reduces the batch"
        if len(shape) - 1 in reduced and shape[-1] % channel_multiple:
            yield operator, f"it reduces {shape[-1]} channels"


def batch_padding(contents: Contents) -> Iterator[Broken]:
    """PADs of the batch."""
    for operator in contents.operators:
        widths = operator.fields.get("paddings")
        if operator.kind == "PAD" and isinstance(widths, np.ndarray) and len(widths) == 4 and widths[0].any():
            yield operator, f"it pads the batch by {widths[0].tolist()}"


def constant_operands(contents: Contents) -> Iterator[Broken]:
    """CONCATENATIONs with constants, but for two operands of which one is all zeros."""
    for operator in contents.operators:
        if operator.kind != "CONCATENATION":
            continue
        read = [value for role, value in operator.fields.items() if _OPERAND.fullmatch(role)]
        constants = [value for value in read if isinstance(value, np.ndarray)]
        if constants and (len(read) > 2 or any(np.any(value) for value in constants)):
            yield operator, f"it joins {len(constants)} constant {'tensors' if len(constants) > 1 else 'tensor'}"


def unit_strides(contents: Contents) -> Iterator[Broken]:
    """STRIDED_SLICEs that leave numbers out, or make axes."""
    for operator in contents.operators:
        if operator.kind != "STRIDED_SLICE":
            continue
        if np.any(_array(operator.fields.get("strides")) != 1):
            yield operator, f"its strides are {_array(operator.fields['strides']).tolist()}"
        for mask in ("ellipsis mask", "new axis mask"):
            if operator.fields.get(mask):
                yield operator, f"its {mask} is {operator.fields[mask]}"


def equal_dilation(contents: Contents) -> Iterator[Broken]:
    """Convolutions that dilate rows and columns otherwise."""
    for operator in contents.operators:
        rows, columns = (operator.fields.get(f"dilation {axis} factor") for axis in "hw")
        if rows != columns:
            yield operator, f"its rows are dilated by {rows}, its columns by {columns}"


def softmax(contents: Contents, *, largest: int) -> Iterator[Broken]:
    """SOFTMAXes of more than one dimension, or of too many elements."""
    for operator in contents.operators:
        shape = _shape(operator.fields.get("shape"))
        if operator.kind == "SOFTMAX" and (math.prod(shape[:-1]) > 1 or shape[-1] > largest):
            yield operator, f"its result is {shape}"


def fully_connected(contents: Contents) -> Iterator[Broken]:
    """FULLY_CONNECTED layers with shuffled weights, or with more than one row of results."""
    for operator in contents.operators:
        if operator.kind != "FULLY_CONNECTED":
            continue
        if operator.fields.get("weights format"):
            yield operator, "its weights are shuffled"
        if math.prod(_shape(operator.fields.get("shape"))[:-1]) > 1:
            yield operator, f"its result is {operator.fields['shape']}"


# --- ONNX -------------------------------------------------------------------------------------------------------------


def quantized(contents: Contents, *, operators: Collection[str]) -> Iterator[Broken]:
    """Layers that read anything but what a DequantizeLinear makes, of those named."""
    restored = {operator.name for operator in contents.operators if operator.kind == "DequantizeLinear"}
    for operator in contents.operators:
        read = [operator.fields.get(role) for role in ("input", "weight", "input 1") if role in operator.fields]
        if operator.kind in operators and not all(isinstance(value, str) and value in restored for value in read):
            yield operator, f"{operator.kind} in float"


def stored_activations(contents: Contents, *, dtypes: Collection[str]) -> Iterator[Broken]:
    """Activations that are stored as something else than ``dtypes``."""
    for operator in contents.operators:
        zero_point = operator.fields.get("zero point")
        dtype = zero_point.dtype.name if isinstance(zero_point, np.ndarray) else "uint8"  # the operator's default
        if operator.kind == "QuantizeLinear" and dtype not in dtypes:
            yield operator, f"it is stored as {dtype}"


def symmetric(contents: Contents) -> Iterator[Broken]:
    """Quantization with a zero point, or to unsigned integers."""
    for operator in contents.operators:
        zero_point = operator.fields.get("zero point")
        if not isinstance(zero_point, np.ndarray):
            continue
        if zero_point.any() or zero_point.dtype.kind == "u":
            yield operator, f"{zero_point.dtype} with the zero point {zero_point.flat[0]}"


def weight_axis(contents: Contents, *, axes: Mapping[str, int]) -> Iterator[Broken]:
    """Weights with scales along another axis than that named for their operator."""
    made = {operator.name: operator for operator in contents.operators}
    for operator in contents.operators:
        weight = made.get(str(operator.fields.get("weight", operator.fields.get("input 1"))))
        if operator.kind not in axes or weight is None:
            continue
        axis = weight.fields.get("axis", 1)  # the default of DequantizeLinear
        if np.size(_array(weight.fields.get("scale"))) > 1 and axis != axes[operator.kind]:
            yield operator, f"its weights are quantized along axis {axis}"


def weight_limit(contents: Contents, *, limit: int) -> Iterator[Broken]:
    """Layers with int8 weights beyond [-limit, limit]."""
    made = {operator.name: operator for operator in contents.operators}
    for operator in contents.operators:
        weight = made.get(str(operator.fields.get("weight", operator.fields.get("input 1"))))
        stored = _array(None if weight is None else weight.fields.get("integers"))
        if stored.dtype == np.int8 and stored.size and (worst := int(np.abs(stored.astype(np.int16)).max())) > limit:
            yield operator, f"its weights reach {worst}"


def pool_dilation(contents: Contents) -> Iterator[Broken]:
    """Poolings that leave pixels of their window out."""
    for operator in contents.operators:
        dilations = _shape(operator.fields.get("dilations"))
        if operator.kind in {"AveragePool", "MaxPool"} and any(step != 1 for step in dilations):
            yield operator, f"its window is dilated by {list(dilations)}"


def nearest_modes(contents: Contents, *, refused: Mapping[str, Collection[str]]) -> Iterator[Broken]:
    """Resizes to the nearest pixel that round otherwise than their coordinates allow."""
    for operator in contents.operators:
        if operator.kind != "Resize" or operator.fields.get("mode", "nearest") != "nearest":
            continue
        coordinates = operator.fields.get("coordinate_transformation_mode", "half_pixel")  # both defaults of Resize
        mode = operator.fields.get("nearest_mode", "round_prefer_floor")
        if mode in refused.get(str(coordinates), ()):
            yield operator, f"{mode} of {coordinates} coordinates"


# --- Core ML ----------------------------------------------------------------------------------------------------------


def kernel_width(contents: Contents, *, largest: int) -> Iterator[Broken]:
    """Convolutions with a wider kernel."""
    made = {operator.name: operator for operator in contents.operators}
    for operator in contents.operators:
        weight = operator.fields.get("weight")
        maker = made.get(weight) if isinstance(weight, str) else None
        shape = _array(weight).shape if maker is None else _shape(maker.fields.get("shape"))
        if operator.kind == "conv" and shape and shape[-1] > largest:
            yield operator, f"its kernel is {shape[-1]} wide"


def extent(contents: Contents, *, height: int, width: int, channels: int) -> Iterator[Broken]:
    """Feature maps, [N, C, H, W], that are too large in a direction."""
    for operator in contents.operators:
        shape = _shape(operator.fields.get("shape"))
        if len(shape) == 4 and any(n > most for n, most in zip(shape[1:], (channels, height, width), strict=True)):
            yield operator, f"its result is {shape}"


def channel_padding(contents: Contents) -> Iterator[Broken]:
    """Pads of the channels of feature maps, [N, C, H, W]."""
    for operator in contents.operators:
        axes = len(_shape(operator.fields.get("shape")))
        widths = _array(operator.fields.get("padding")).reshape(-1, 2)  # of the last axes, before and behind
        if operator.kind == "pad" and axes == 4 and len(widths) >= 3 and widths[-3].any():
            yield operator, f"it pads the channels by {widths[-3].tolist()}"


CHECKS: Final[Mapping[str, Check]] = {
    check.__name__: check
    for check in (
        *(operators, computes_in, boundary, static_shapes, rank),
        *(operator_versions, innermost, constant_parameters, no_fused_activation, mean_axes, batch_padding),
        *(constant_operands, unit_strides, equal_dilation, softmax, fully_connected),
        *(quantized, stored_activations, symmetric, weight_axis, weight_limit),
        *(pool_dilation, nearest_modes),
        *(kernel_width, extent, channel_padding),
    )
}


def _shapes(contents: Contents) -> dict[str, tuple[int, ...]]:
    """Of every tensor whose shape the file says, by its name."""
    made = {operator.name: _shape(operator.fields.get("shape")) for operator in contents.operators}
    given = {key.partition(" of ")[2]: _shape(v) for key, v in contents.facts.items() if key.startswith("shape of ")}
    return given | made


def _shape(value: Value) -> tuple[int, ...]:
    return tuple(n for n in value if isinstance(n, int)) if isinstance(value, tuple) else ()


def _array(value: Value) -> Any:  # noqa: ANN401 - an array of any type
    return value if isinstance(value, np.ndarray) else np.empty(0)
