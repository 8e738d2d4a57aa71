"""The float network as a program."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.errors import ConfigError
from edgekit.exporters.coreml import codec as coreml
from edgekit.exporters.metadata import Precision

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.exporters.coreml.codec import Operation, Program
    from edgekit.float_model import FloatModel


def write(model: FloatModel, path: Path, precision: Precision = Precision.FLOAT32) -> Program:
    coreml.write_float_model(model, path, precision=precision)
    return coreml.read_program(path)


def consumer(program: Program, name: str) -> Operation:
    (operation,) = program.consumers()[name]
    return operation


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
def test_operators_and_their_types(tmp_path: Path, float_model: FloatModel, precision: Precision) -> None:
    program = write(float_model, tmp_path / "f.mlpackage", precision)
    summary = coreml.read(tmp_path / "f.mlpackage")
    assert dict(summary.operators) == {
        "sub": 1, "conv": 5, "relu6": 2, "add": 2, "sigmoid_hard": 1, "mul": 3, "reduce_mean": 2, "relu": 1, "clip": 2,
        "pad": 1, "reshape": 1, "linear": 1,
    }  # fmt: skip
    assert len(summary.float_operators) == 22
    assert summary.int8_share == 0
    assert program.opset == "CoreML5"
    convolutions = [operation for operation in program.operations if operation.operator == "conv"]
    assert {operation.outputs[operation.output].dtype for operation in convolutions} == {precision.value}
    assert {operation.array("weight").dtype.name for operation in convolutions} == {precision.value}


def test_weights_are_untouched(tmp_path: Path, float_model: FloatModel) -> None:
    linear = write(float_model, tmp_path / "f.mlpackage").producers()["logits"]
    np.testing.assert_array_equal(linear.array("weight"), float_model.graph.constants["5.weight"])
    np.testing.assert_array_equal(linear.array("bias"), float_model.graph.constants["5.bias"])


def test_normalization_is_in_the_program(tmp_path: Path, float_model: FloatModel) -> None:
    program = write(float_model, tmp_path / "f.mlpackage", Precision.FLOAT16)
    sub, mul, cast = program.operations[:3]
    assert [sub.operator, mul.operator, cast.operator] == ["sub", "mul", "cast"]
    normalization = float_model.preprocessing.normalization
    np.testing.assert_array_equal(sub.array("y").ravel(), np.array(normalization.mean, np.float32))
    np.testing.assert_array_equal(mul.array("y").ravel(), (1 / np.array(normalization.std)).astype(np.float32))


def test_attributes_of_a_convolution(tmp_path: Path, float_model: FloatModel) -> None:
    program = write(float_model, tmp_path / "f.mlpackage")
    stem = program.producers()["features_0_0_unclamped"]
    assert stem.array("strides").tolist() == [2, 2]
    assert stem.array("pad").tolist() == [0, 1, 0, 1]  # top, bottom, left, right
    assert program.producers()["features_0_0_2"].array("groups") == 16
    assert program.producers()["pad"].array("pad").tolist() == [0, 0, 0, 0, 0, 1, 1, 0]


@pytest.mark.parametrize(
    ("node", "operator", "bounds"),
    [
        ("features_0_0", "relu6", None),
        ("reduce", "relu", None),
        ("expand", "clip", (0, 1)),
        ("down", "clip", (-1, None)),
    ],
)
@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
def test_clamps(
    tmp_path: Path,
    float_model: FloatModel,
    precision: Precision,
    node: str,
    operator: str,
    bounds: tuple[int, int] | None,
) -> None:
    operation = write(float_model, tmp_path / "f.mlpackage", precision).producers()[node]
    assert operation.operator == operator
    if bounds is not None:
        low, high = bounds
        assert operation.array("alpha") == low
        assert operation.array("beta") == (np.finfo(precision.value).max if high is None else high)


def test_hard_swish_is_two_operators(tmp_path: Path, float_model: FloatModel) -> None:
    program = write(float_model, tmp_path / "f.mlpackage")
    gate = program.producers()["swish_gate"]
    assert gate.operator == "sigmoid_hard"
    assert gate.array("alpha") == np.float32(1 / 6)
    assert gate.array("beta") == 0.5
    assert consumer(program, "swish_gate").operator == "mul"


def test_weights_beyond_float16_are_refused(tmp_path: Path, float_model: FloatModel) -> None:
    graph = float_model.graph
    huge = replace(graph, constants={**graph.constants, "5.bias": np.full(4, 1e6, np.float32)})
    with pytest.raises(ConfigError, match=r"5\.bias is beyond the largest float16"):
        write(replace(float_model, graph=huge), tmp_path / "f.mlpackage", Precision.FLOAT16)
