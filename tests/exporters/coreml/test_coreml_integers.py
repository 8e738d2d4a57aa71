"""The integers of a package are the model's, bit by bit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.errors import ConfigError, UnsupportedOperator
from edgekit.exporters.coreml import codec as coreml
from edgekit.exporters.coreml.reader import Reference
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.ir import Dequantize, HardSigmoid, Node, Output, Tensor
from edgekit.quantization import QuantParams

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgekit.integer_model import IntegerModel

differences = FORMATS["coreml"].differences


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, integer_model: IntegerModel) -> Path:
    path = tmp_path_factory.mktemp("coreml") / "tiny.mlpackage"
    coreml.write_integer_model(integer_model, path, io_dtype=IoDtype.FLOAT32)
    return path


@pytest.fixture(scope="module")
def package16(tmp_path_factory: pytest.TempPathFactory, integer_model: IntegerModel) -> Path:
    path = tmp_path_factory.mktemp("coreml") / "half.mlpackage"
    coreml.write_integer_model(integer_model, path, io_dtype=IoDtype.FLOAT32, precision=Precision.FLOAT16)
    return path


def operators(path: Path) -> dict[str, Mapping[str, Any]]:
    """What each operator says, by the name of its result."""
    return {operator.name: operator.fields for operator in coreml.read_contents(path).operators}


def with_params(model: IntegerModel, **params: QuantParams) -> IntegerModel:
    return replace(model, params={**model.params, **params})


class TestFloat32Program:
    def test_every_number_is_the_model_s(self, package: Path, integer_model: IntegerModel) -> None:
        """What the writer wrote, without the writer. Means are of whole steps: a step of theirs is as many."""
        found, names, graph = operators(package), coreml.names_in_file(integer_model.graph), integer_model.graph
        means = {node.output: node.operand("x") for node in graph if node.op.averages}
        for tensor in (name for name in graph.tensors if name != graph.input):
            params, (made, read) = integer_model.params[tensor], (names[tensor], f"{names[tensor]}_real")
            offset = -128 if found[made]["dtype"] == "uint8" else 0
            averaged = integer_model.params[means[tensor]].scale.astype(np.float64) if tensor in means else np.ones(1)
            scales = {made: (params.scale / averaged).astype(np.float32)}
            if not all(node.op.averages for node in graph.consumers(tensor)) or tensor == "logits":
                scales["logits" if tensor == "logits" else read] = params.scale
            for name, scale in scales.items():
                zero_point = found[name].get("zero point", 0) + offset
                assert (found[name]["scale"], zero_point) == (scale, params.zero_point)
        for name in (name for name in graph.constants if name in integer_model.params):
            assert np.array_equal(found[names[name]]["integers"], graph.constants[name])
            assert np.array_equal(np.atleast_1d(found[names[name]]["scale"]), integer_model.params[name].scale)

    def test_biases_are_rounded_once(self, package: Path, integer_model: IntegerModel) -> None:
        scale = integer_model.params["flatten"].scale.astype(np.float64) * integer_model.params["5.weight"].scale
        wanted = (integer_model.graph.constants["5.bias"] * scale).astype(np.float32)
        assert np.array_equal(operators(package)["logits_2_result"]["bias"], wanted)

    @pytest.mark.parametrize(
        ("name", "layer", "field", "changed"),
        [
            ("swish", "swish", "scale", QuantParams(np.array([0.5], np.float32), -101)),
            ("swish", "swish", "zero point", QuantParams(np.array([0.0831943228840828], np.float32), -100)),
            ("three", "shift", "scale", QuantParams(np.array([3 / 126], np.float32))),
        ],
    )
    def test_a_difference_is_found(
        self, package: Path, integer_model: IntegerModel, name: str, layer: str, field: str, changed: QuantParams
    ) -> None:
        found = differences(package, with_params(integer_model, **{name: changed}))
        assert {(difference.layer, difference.field) for difference in found} >= {(layer, field)}
        means = {node.name for node in integer_model.graph.consumers(name) if node.op.averages}  # are in its steps
        assert {difference.layer for difference in found} - means == {
            layer,
            None,
        }  # the version follows from the contents

    def test_a_changed_weight_is_found(self, package: Path, integer_model: IntegerModel) -> None:
        changed = integer_model.graph.constants["0.weight"].copy()
        changed[3, 1, 2, 0] += 1
        graph = replace(integer_model.graph, constants={**integer_model.graph.constants, "0.weight": changed})
        first, version = differences(package, replace(integer_model, graph=graph))
        assert (first.layer, first.field) == ("features.0.0", "integers")
        assert "1 of 432 numbers, the first, at [3, 1, 2, 0]," in first.text
        assert version.field == "description.metadata.versionString"

    def test_another_network_is_all_differences(self, package: Path, integer_model: IntegerModel) -> None:
        graph = integer_model.graph
        other = replace(
            integer_model, graph=graph.with_nodes(graph.nodes[:1], outputs=(Output.logits("features.0.0"),))
        )
        found = differences(package, other)
        assert any("logits_2_result" in line.text for line in found)
        assert not any("0_weight" in line.text for line in found)  # the first convolution is in both


class TestSpelling:
    """How zero points are written: the same reals, in the form that Core ML runs fastest."""

    @pytest.mark.parametrize(
        ("tensor", "dtype", "zero_point"),
        [
            ("shift", "uint8", None),
            ("features_0_0_2", "int8", None),
            ("swish", "int8", -101),
            ("tensor_2", "int8", 127),
        ],
    )
    def test_quantize(self, package: Path, tensor: str, dtype: str, zero_point: int | None) -> None:
        operation = coreml.read_program(package).producers()[tensor]
        assert operation.operator == "quantize"
        assert operation.outputs[tensor].dtype == operation.arguments["output_dtype"] == dtype
        written = operation.arguments.get("zero_point")
        assert (written is None) if zero_point is None else (written == zero_point)

    def test_pixels_are_the_stored_integers(self, package: Path) -> None:
        program = coreml.read_program(package)
        quantize, dequantize = program.operations[:2]
        assert quantize.arguments["input"] == Reference("image")
        assert quantize.array("scale") == 1
        assert "zero_point" not in quantize.arguments
        assert program.types()[quantize.output].dtype == "uint8"
        assert dequantize.array("scale") == np.float32(1 / 57)
        assert dequantize.array("zero_point") == 124  # -4 in int8, the mean of the folded normalization

    def test_normalized_input_keeps_the_model_s_scale(self, tmp_path: Path, integer_model: IntegerModel) -> None:
        model, path = replace(integer_model, pixel_input=False), tmp_path / "normalized.mlpackage"
        coreml.write_integer_model(model, path, io_dtype=IoDtype.FLOAT32)
        assert differences(path, model) == ()
        assert operators(path)["x"]["zero point"] == -4
        (image,) = coreml.read(path).inputs
        assert (image.dtype, image.shape) == ("float32", (1, 3, 16, 12))

    def test_each_operator_stands_between_dequantize_and_quantize(self, package: Path) -> None:
        operators = [operation.operator for operation in coreml.read_program(package).operations]
        assert operators[:6] == [
            "quantize",
            "dequantize",
            "constexpr_affine_dequantize",
            "conv",
            "quantize",
            "dequantize",
        ]
        assert not {"relu", "relu6", "clip"} & set(operators)


class TestLayersInFloat:
    @pytest.fixture
    def path(self, mixed_block: IntegerModel, tmp_path: Path) -> Path:
        coreml.write_integer_model(mixed_block, tmp_path / "mixed.mlpackage", io_dtype=IoDtype.FLOAT32)
        return tmp_path / "mixed.mlpackage"

    def test_every_number_is_the_model_s(self, path: Path, mixed_block: IntegerModel) -> None:
        assert differences(path, mixed_block) == ()
        found, constants = operators(path), mixed_block.graph.constants
        for result, layer in (("layer_0", "layer.0"), ("layer_7", "layer.7"), ("layer_12_unclamped", "layer.12")):
            for role in ("weight", "bias"):
                assert np.array_equal(found[result][role], constants[f"{layer}.{role}"])
        assert found["layer_1_unclamped"]["y"] == constants["layer.1.constant"]

    @pytest.mark.parametrize("role", ["weight", "bias"])
    def test_a_changed_number_is_found(self, path: Path, mixed_block: IntegerModel, role: str) -> None:
        name = f"layer.7.{role}"
        changed = {**mixed_block.graph.constants, name: mixed_block.graph.constants[name] * np.float32(1.001)}
        other = replace(mixed_block, graph=replace(mixed_block.graph, constants=changed))
        first, *_ = differences(path, other)
        assert (first.layer, first.field) == ("layer.7", role)

    def test_float_operators_bear_the_names_of_their_layers(self, path: Path) -> None:
        assert coreml.read(path).float_operators == (
            "conv layer_0", "add layer_1_unclamped", "relu6 layer_1", "mul layer_2", "conv layer_7",
            "conv layer_12_unclamped", "relu6 layer_12",
        )  # fmt: skip

    def test_a_float_output_is_the_layer_s_own(self, integer_model: IntegerModel, tmp_path: Path) -> None:
        graph = integer_model.graph
        params = {name: p for name, p in integer_model.params.items() if name not in {"logits", "5.weight"}}
        flat = Tensor("flatten.float32", graph.tensors["flatten"].shape)
        last = replace(graph.nodes[-1], inputs=("flatten.float32", *graph.nodes[-1].inputs[1:]))
        nodes = [*graph.nodes[:-1], Node("flatten.float32", Dequantize(), ("flatten",), "flatten.float32"), last]
        reals = {name: graph.constants[name].astype(np.float32) for name in last.inputs[1:]}
        mixed = replace(integer_model, graph=graph.with_nodes(nodes, {"flatten.float32": flat}, reals), params=params)
        coreml.write_integer_model(mixed, tmp_path / "m.mlpackage", io_dtype=IoDtype.FLOAT32)
        assert differences(tmp_path / "m.mlpackage", mixed) == ()
        assert coreml.read(tmp_path / "m.mlpackage").float_operators == ("linear logits",)
        assert coreml.read_program(tmp_path / "m.mlpackage").producers()["logits"].operator == "linear"


class TestFloat16Program:
    def test_only_reals_are_rounded(self, package: Path, package16: Path) -> None:
        """Against the float32 program, operator by operator."""
        found = operators(package16)
        for name, wanted in operators(package).items():
            if name.endswith("_steps") or f"{name}_steps" in operators(package):  # means: of reals in float16
                continue
            fields = found["logits_2_real" if name == "logits" else name]  # which has to be converted
            for field, value in wanted.items():
                if field in {"scale", "bias"} and name != "x":
                    assert np.array_equal(fields[field], value.astype(np.float16))
                elif field in {"integers", "zero point"}:
                    assert np.array_equal(fields[field], value)

    def test_it_is_compared_with_such_a_program(self, package16: Path, integer_model: IntegerModel) -> None:
        assert differences(package16, integer_model) == ()

    def test_it_says_so(self, package16: Path) -> None:
        about = coreml.read(package16).metadata
        assert about is not None
        assert (about.lowering, about.precision) == ("universal-float16", Precision.INT8)

    def test_the_boundary_stays_float32(self, package16: Path) -> None:
        program = coreml.read_program(package16)
        assert program.inputs["image"].dtype == "float32"
        assert program.types()["logits"].dtype == "float32"
        assert coreml.read(package16).boundary == ("cast", "quantize", "dequantize", "cast")
        assert coreml.read(package16).float_operators == ()

    @pytest.mark.parametrize(("scale", "message"), [(1e-9, "below the smallest float16"), (1e9, "beyond the largest")])
    def test_scales_out_of_range_are_refused(
        self, tmp_path: Path, integer_model: IntegerModel, scale: float, message: str
    ) -> None:
        model = with_params(integer_model, swish=QuantParams(np.array([scale], np.float32), -101))
        with pytest.raises(ConfigError, match=f"the scale of swish is {message}.*float32"):
            coreml.write_integer_model(
                model, tmp_path / "m.mlpackage", io_dtype=IoDtype.FLOAT32, precision=Precision.FLOAT16
            )
        assert not list(tmp_path.iterdir())

    def test_channels_that_hardly_weigh_anything(self, tmp_path: Path, integer_model: IntegerModel) -> None:
        """What is below the smallest float16 is written as multiples of it."""
        (weight, stored) = next((n, a) for n, a in integer_model.graph.constants.items() if a.ndim == 4)
        scale = np.broadcast_to(integer_model.params[weight].scale, len(stored)).copy()
        scale[0] = 2.0**-26  # a quarter of the smallest
        model = with_params(integer_model, **{weight: QuantParams(scale, 0)})
        path = tmp_path / "m.mlpackage"
        coreml.write_integer_model(model, path, io_dtype=IoDtype.FLOAT32, precision=Precision.FLOAT16)
        assert differences(path, model) == ()
        written = operators(path)[coreml.names_in_file(model.graph)[weight]]
        assert written["scale"][0] == 2.0**-24
        np.testing.assert_array_equal(written["integers"][0], np.rint(stored[0] / 4))
        np.testing.assert_array_equal(written["integers"][1:], stored[1:])


@pytest.mark.parametrize("io_dtype", [IoDtype.INT8, IoDtype.UINT8])
def test_integers_at_the_boundary_are_refused(tmp_path: Path, integer_model: IntegerModel, io_dtype: IoDtype) -> None:
    with pytest.raises(ConfigError, match=f"{io_dtype} arrays.*--io-dtype float32"):
        coreml.write_integer_model(integer_model, tmp_path / "m.mlpackage", io_dtype=io_dtype)


def test_an_unknown_operator_is_refused(tmp_path: Path, integer_model: IntegerModel) -> None:
    graph = integer_model.graph
    nodes = [Node("gate", HardSigmoid(), ("x",), "features.0.0"), *graph.nodes[1:]]
    model = replace(integer_model, graph=graph.with_nodes(nodes))
    with pytest.raises(UnsupportedOperator, match=r"Core ML has no HardSigmoid.*'gate'"):
        coreml.write_integer_model(model, tmp_path / "m.mlpackage", io_dtype=IoDtype.FLOAT32)
