"""What is wrong with a file whatever it computes: rules of its format, limits of its runtime, its own words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.errors import ArtifactError, ConfigError
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import KEY
from edgekit.verification.well_formed import Problem, well_formed

if TYPE_CHECKING:
    from pathlib import Path

for needed in ("torch", "onnx", "onnxruntime", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

Spoil = Callable[[Any], None]


@pytest.fixture
def problems_of(
    good_files: Callable[[str, str], Any], editors: dict[str, Any], tmp_path: Path
) -> Callable[..., tuple[Problem, ...]]:
    """What is found in a copy that was spoilt."""

    def problems(
        target: str, spoil: Spoil, *, network: str = "mixed", runtime: str | None = None, alone: bool = False
    ) -> tuple[Problem, ...]:
        good = good_files(target, network)
        editor, path = editors[target](good), tmp_path / good.path.name
        spoil(editor)
        editor.save(path)
        return well_formed(path, None if alone else good.model, runtime=runtime)

    return problems


class TestTflite:
    def transposed(self, e: Any) -> None:
        """An operator that swaps the first two axes of [1, 1], which changes nothing."""
        code = e.generated.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = e.generated.BuiltinOperator.TRANSPOSE
        code.version = 2
        e.model.operatorCodes.append(code)
        source, operator = e.graph.operators[5].inputs[0], e.generated.OperatorT()
        permutation, result = e.generated.TensorT(), e.generated.TensorT()
        permutation.name, permutation.shape, permutation.type = "permutation", [4], e.generated.TensorType.INT32
        e.model.buffers.append(e.generated.BufferT())
        e.model.buffers[-1].data = np.frombuffer(np.arange(4, dtype=np.int32).tobytes(), np.uint8)
        permutation.buffer = len(e.model.buffers) - 1
        given = e.graph.tensors[source]
        result.name, result.shape, result.type = "layer.2.again", given.shape, given.type
        result.quantization = given.quantization
        e.graph.tensors += [permutation, result]
        operator.opcodeIndex = len(e.model.operatorCodes) - 1
        operator.inputs, operator.outputs = [source, len(e.graph.tensors) - 2], [len(e.graph.tensors) - 1]
        e.graph.operators[5].inputs = [len(e.graph.tensors) - 1, *e.graph.operators[5].inputs[1:]]
        e.graph.operators.insert(5, operator)

    def test_a_leftover_transpose(self, problems_of: Callable[..., tuple[Problem, ...]]) -> None:
        found = problems_of("tflite", self.transposed)
        assert Problem("layer.2", "1 operators only transpose, the first makes layer.2.again") in found

    @pytest.mark.parametrize(
        ("spoil", "words"),
        [
            (
                lambda e: setattr(e.graph.operators[3], "opcodeIndex", 99),
                "operator 3 names an operator code of index 99",
            ),
            (lambda e: setattr(e.graph.operators[3], "inputs", [9999]), "operator 3 names a tensor of index 9999"),
            (lambda e: setattr(e.graph.operators[3], "inputs", [-7]), "operator 3 names a tensor of index -7"),
            (lambda e: setattr(e.graph.tensors[3], "buffer", 9999), "a tensor names a buffer of index 9999"),
            (lambda e: setattr(e.graph, "outputs", [9999]), "the graph names a tensor of index 9999"),
            (lambda e: setattr(e.model.metadata[0], "buffer", 999), "the metadata names a buffer of index 999"),
            (
                lambda e: setattr(e.model.signatureDefs[0].inputs[0], "tensorIndex", 9999),
                "a signature names a tensor of index 9999",
            ),
        ],
        ids=range(7),
    )
    def test_an_index_that_leads_astray(
        self, spoil: Spoil, words: str, problems_of: Callable[..., tuple[Problem, ...]]
    ) -> None:
        first, *_ = problems_of("tflite", spoil)
        assert words in first.text

    def test_an_operator_that_reads_what_is_not_there_yet(
        self, problems_of: Callable[..., tuple[Problem, ...]]
    ) -> None:
        first, *_ = problems_of("tflite", lambda e: e.graph.operators.append(e.graph.operators.pop(5)))
        assert first.layer == "layer.3"
        assert first.text == "layer.3 reads layer.2.int8, which nothing has made before"

    def test_a_constant_of_another_size(self, problems_of: Callable[..., tuple[Problem, ...]]) -> None:
        def cut(e: Any) -> None:
            buffer = e.model.buffers[e.tensor("layer.3.bias").buffer]
            buffer.data = buffer.data[:-4]

        first, *_ = problems_of("tflite", cut)
        assert first == Problem("layer.3", "layer.3.bias holds 28 bytes, int32 [8] takes 32")

    def test_a_scale_too_few(self, problems_of: Callable[..., tuple[Problem, ...]]) -> None:
        def cut(e: Any) -> None:
            quantization = e.tensor("layer.3.weight").quantization
            quantization.scale, quantization.zeroPoint = quantization.scale[:-1], quantization.zeroPoint[:-1]

        first, *_ = problems_of("tflite", cut)
        assert first == Problem("layer.3", "layer.3.weight has 7 scales for axis 0 of the shape [8, 1, 1, 8]")

    def test_a_version_that_edgekit_does_not_write(self, problems_of: Callable[..., tuple[Problem, ...]]) -> None:
        def newer(e: Any) -> None:
            code = e.model.operatorCodes[e.operator(e.good.node("layer.3")).opcodeIndex]
            code.version = 8

        first, *_ = problems_of("tflite", newer)
        assert first.text.endswith("is made by CONV_2D version 8, which edgekit never writes")

    def test_operators_that_a_runtime_lacks(self, problems_of: Callable[..., tuple[Problem, ...]]) -> None:
        assert problems_of("tflite", lambda _: None, runtime="1.2") == ()
        first, *_ = problems_of("tflite", lambda _: None, runtime="tflite-runtime==1.13")
        assert first.text == (
            "x is made by QUANTIZE version 1: TensorFlow Lite has it since 1.14.0, not tflite-runtime==1.13"
        )


class TestOnnx:
    def test_a_leftover_transpose(self, problems_of: Callable[..., tuple[Problem, ...]]) -> None:
        def transposed(e: Any) -> None:
            reader = e.node("layer.3.real")
            place = list(e.graph.node).index(reader)
            node = e.helper.make_node("Transpose", [reader.input[0]], ["layer.2.again"], perm=[0, 1, 2, 3])
            reader.input[0] = "layer.2.again"
            e.graph.node.insert(place, node)

        found = problems_of("onnx", transposed)
        assert Problem("layer.2", "1 operators only transpose, the first makes layer.2.again") in found

    def test_shapes_that_contradict_each_other(self, problems_of: Callable[..., tuple[Problem, ...]]) -> None:
        def wrong(e: Any) -> None:
            e.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 11

        first, *_ = problems_of("onnx", wrong)
        assert "types and shapes contradict each other" in first.text

    def test_an_operator_of_another_domain(self, problems_of: Callable[..., tuple[Problem, ...]]) -> None:
        def foreign(e: Any) -> None:
            e.node("layer.3.real").domain = "com.example"
            e.model.opset_import.add(domain="com.example", version=1)

        found = problems_of("onnx", foreign)
        assert ("layer.3", "layer.3.real is made by Conv of com.example, which is none of ONNX's own operators") in {
            (problem.layer, problem.text) for problem in found
        }

    @pytest.mark.parametrize(("runtime", "count"), [("1.12", 0), ("1.17", 0), ("onnxruntime==1.10", 1), ("1.7", 2)])
    def test_versions_that_a_runtime_lacks(
        self, runtime: str, count: int, problems_of: Callable[..., tuple[Problem, ...]]
    ) -> None:
        assert len(problems_of("onnx", lambda _: None, runtime=runtime)) == count


class TestCoreml:
    @pytest.mark.parametrize(("runtime", "count"), [("iOS17", 0), ("macOS14", 0), ("iOS 18", 0), ("iOS16", 1)])
    def test_systems_that_lack_operators(
        self, runtime: str, count: int, problems_of: Callable[..., tuple[Problem, ...]]
    ) -> None:
        assert len(problems_of("coreml", lambda _: None, runtime=runtime)) == count

    def test_a_specification_that_is_too_old_for_its_operators(
        self, problems_of: Callable[..., tuple[Problem, ...]]
    ) -> None:
        first, second, *_ = problems_of("coreml", lambda e: setattr(e.model, "specificationVersion", 7))
        assert first.text == "opset CoreML7 does not belong to specification 7"
        assert second.text == "x is made by quantize, which came with specification 8"

    def test_an_operator_that_edgekit_does_not_write(self, problems_of: Callable[..., tuple[Problem, ...]]) -> None:
        found = problems_of("coreml", lambda e: setattr(e.made["layer_4_result"], "type", "einsum"))
        assert Problem("layer.4", "layer_4_result is made by einsum, which edgekit never writes") in found


class TestTorch:
    def test_without_bytecode(self, problems_of: Callable[..., tuple[Problem, ...]]) -> None:
        (only,) = problems_of("torch", lambda e: e.entries.pop("bytecode.pkl"))
        assert only == Problem(None, "it has no bytecode: phones cannot read it")

    def test_there_is_no_runtime_to_name(self, problems_of: Callable[..., tuple[Problem, ...]]) -> None:
        with pytest.raises(ConfigError, match=r"torch 2\.1 .* leave it out"):
            problems_of("torch", lambda _: None, runtime="2.1")


@pytest.mark.parametrize("target", FORMATS)
def test_a_float_operator(target: str, problems_of: Callable[..., tuple[Problem, ...]]) -> None:
    def planted(e: Any) -> None:
        e.float_operator(e.good.node("features.3.add"))

    found = [p for p in problems_of(target, planted, network="shipped") if p.text.endswith("computes in float")]
    assert found
    assert found[0].layer == "features.3.add"


class TestWords:
    """What a file says about itself."""

    @staticmethod
    def about(change: Callable[[dict[str, Any]], None]) -> Spoil:
        def spoil(e: Any) -> None:
            def changed(text: str) -> str:
                values = json.loads(text)
                change(values)
                return json.dumps(values)

            e.replace(KEY, changed)

        return spoil

    def test_of_another_boundary(self, problems_of: Callable[..., tuple[Problem, ...]]) -> None:
        found = problems_of("onnx", self.about(lambda values: values.update(io_dtype="uint8")))
        assert found[0].text == "the metadata says that it takes uint8, and it takes float32"

    def test_of_other_labels(self, problems_of: Callable[..., tuple[Problem, ...]]) -> None:
        spoil = self.about(lambda values: values.update(labels=["dog", "cat", "größe", "日本"]))
        first, second = problems_of("onnx", spoil)
        assert "labels are not those of the metadata" in first.text
        assert "metadata, edgekit.labels" in second.text
        assert problems_of("onnx", spoil, alone=True) == (first,)

    def test_of_another_preprocessing(self, problems_of: Callable[..., tuple[Problem, ...]]) -> None:
        (only,) = problems_of("onnx", self.about(lambda v: v["preprocessing"].update(mean=[0.1, 0.2, 0.3])))
        assert only.text.startswith("metadata, edgekit.preprocessing.mean: (0.1, 0.2, 0.3) instead of")

    def test_nothing(self, problems_of: Callable[..., tuple[Problem, ...]]) -> None:
        first, *_ = problems_of("onnx", lambda e: e.model.ClearField("metadata_props"))
        assert "no metadata of edgekit" in first.text


def test_a_file_of_no_format(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("hello")
    with pytest.raises(ArtifactError, match="no file that edgekit exports"):
        well_formed(tmp_path / "m.txt")
