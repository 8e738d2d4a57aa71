"""The numbers of a finished package, for comparison with those of the integer model that it was written from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import ArtifactError
from edgekit.exporters.coreml.integer_writer import takes_image
from edgekit.exporters.coreml.names import names_in_file, output_names
from edgekit.exporters.coreml.reader import read_program
from edgekit.ir import Conv2d, Linear
from edgekit.quantization import INT8_MIN, QuantParams

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.exporters.coreml.reader import Operation
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Node


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Numbers:
    """The scales, zero points, weights and biases of an integer network, by name in the file (``names_in_file``).

    Attributes:
        quantize: parameters with which each 8-bit tensor is made; zero points are those of int8, 128 less than uint8's.
        dequantize: parameters with which it is read, likewise.
        constants: int8 weights and operands.
        constant_params: their parameters.
        biases: what integer convolutions and linear layers add, [O], real, by the name of the 8-bit tensor they make.
        reals: float32 constants of layers that are kept in float, by parameter and name of the layer's result.
    """

    quantize: Mapping[str, QuantParams]
    dequantize: Mapping[str, QuantParams]
    constants: Mapping[str, NDArray[np.int8]]
    constant_params: Mapping[str, QuantParams]
    biases: Mapping[str, NDArray[np.floating]]
    reals: Mapping[str, NDArray[np.floating]]


def read_constants(path: Path) -> Numbers:
    """The numbers that are in a package.

    Raises:
        ArtifactError: the package is missing, damaged, or holds something that edgekit does not read.
        MissingDependency: coremltools is not installed.
    """
    program = read_program(path)
    producers, types = program.producers(), program.types()
    quantize, dequantize, constants, constant_params, biases = {}, {}, {}, {}, {}
    reals: dict[str, NDArray[Any]] = {}
    for operation in program.operations:
        name = operation.output
        reals |= {f"{parameter} of {name}": operation.array(parameter) for parameter in _real_parameters(operation)}
        match operation.operator:
            case "quantize":
                quantize[name] = _params(operation, operation.outputs[name].dtype)
                maker = producers.get(operation.source("input"))
                if maker is not None and "bias" in maker.arguments and "bias" not in _real_parameters(maker):
                    biases[name] = maker.array("bias")
            case "dequantize":
                stored = operation.source("input")
                dequantize[stored] = _params(operation, types[stored].dtype)
            case "constexpr_affine_dequantize":
                constants[name] = operation.array("quantized_data")
                constant_params[name] = _params(operation, constants[name].dtype.name)
    return Numbers(quantize, dequantize, constants, constant_params, biases, reals)


def _real_parameters(operation: Operation) -> list[str]:
    """The parameters that are constants of a float layer; in an integer layer only the bias is one."""
    constant = [name for name in ("weight", "bias", "y") if isinstance(operation.arguments.get(name), np.ndarray)]
    return [] if constant == ["bias"] else constant


def expected_constants(model: IntegerModel) -> Numbers:
    """The numbers that a float32 package of ``model`` has to hold."""
    graph, names = model.graph, names_in_file(model.graph)
    tensors = {names[name]: model.params[name] for name in graph.tensors if name in model.params}
    pixels = {names[graph.input]: QuantParams(np.ones(1, np.float32), INT8_MIN)}  # int8 is pixel - 128
    stored = [name for name in graph.constants if name in model.params]
    return Numbers(
        quantize=tensors | pixels if takes_image(model) else tensors,
        dequantize=tensors,
        constants={names[name]: graph.constants[name] for name in stored},
        constant_params={names[name]: model.params[name] for name in stored},
        biases={
            names[node.output]: model.real_constant(node, node.inputs[2]).astype(np.float32)
            for node in graph
            if isinstance(node.op, Conv2d | Linear) and node.output in model.params
        },
        reals={
            f"{parameter} of {result}": graph.constants[name]
            for node in model.float_nodes
            for result in (_result(model, node),)
            for parameter, name in _real_constants(model, node).items()
        },
    )


def _result(model: IntegerModel, node: Node) -> str:
    """What the result of a float layer is called in a float32 package, before its clamp."""
    name = (names_in_file(model.graph) | output_names(model.graph))[node.output]
    return name if node.activation is None else f"{name}_unclamped"


def _real_constants(model: IntegerModel, node: Node) -> dict[str, str]:
    """The names of a float layer's constants, by Core ML's parameter."""
    parameters = ("weight", "bias") if isinstance(node.op, Conv2d | Linear) else ("y",)
    return dict(zip(parameters, (name for name in node.inputs if name in model.graph.constants), strict=False))


def differences(path: Path, model: IntegerModel) -> tuple[str, ...]:
    """Compare every number of a package with those of ``model``, bit by bit.

    Returns:
        What is missing, superfluous or different ("scale and zero point of dequantize features_0"); nothing for a
        float32 package. In a float16 package every scale and bias that had to be rounded differs.

    Raises:
        ArtifactError: the package is missing, damaged, or holds something that edgekit does not read.
        MissingDependency: coremltools is not installed.
    """
    found, wanted = _by_title(read_constants(path)), _by_title(expected_constants(model))
    titles = sorted(found.keys() | wanted.keys())
    return tuple(t for t in titles if t not in found or t not in wanted or not _same(found[t], wanted[t]))


def _params(operation: Operation, dtype: str) -> QuantParams:
    zero_points = set(operation.array("zero_point").ravel().tolist()) if "zero_point" in operation.arguments else {0}
    if len(zero_points) != 1:
        raise ArtifactError(f"{operation.output!r} has a zero point a channel, which edgekit does not read")
    scale = operation.array("scale").astype(np.float32).reshape(-1)
    return QuantParams(scale, zero_points.pop() + (INT8_MIN if dtype == "uint8" else 0))


def _by_title(numbers: Numbers) -> dict[str, tuple[NDArray[Any], ...]]:
    params = {
        f"scale and zero point of {use} {name}": (values.scale, np.array(values.zero_point))
        for use, by_name in (
            ("quantize", numbers.quantize), ("dequantize", numbers.dequantize), ("constant", numbers.constant_params)
        )
        for name, values in by_name.items()
    }  # fmt: skip
    return (
        params
        | {f"integers of {name}": (np.atleast_1d(array),) for name, array in numbers.constants.items()}
        | {f"bias of {name}": (array,) for name, array in numbers.biases.items()}
        | {f"real {name}": (array,) for name, array in numbers.reals.items()}
    )


def _same(found: tuple[NDArray[Any], ...], wanted: tuple[NDArray[Any], ...]) -> bool:
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
