"""What the tests of both front ends share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from edgekit.capture import input_shape
from edgekit.conventions import ORDERS
from edgekit.executor.float import FloatExecutor
from edgekit.passes import float_form, integer_form

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgekit.capture.onnx import Captured
    from edgekit.ir import Graph

TOLERANCE = 1e-4  # of the largest logit; float32 on both sides


@pytest.fixture
def agrees() -> Callable[[Graph, torch.Tensor, torch.Tensor], None]:
    """Asserts that both forms of a captured graph give the expected logits."""

    def assert_agrees(captured: Graph, x: torch.Tensor, expected: torch.Tensor) -> None:
        assert expected.abs().max() > 0
        for form in (float_form, integer_form):
            with torch.no_grad():
                (found,) = FloatExecutor(form(captured))(x).values()
            torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE * expected.abs().max().item())

    return assert_agrees


class OnnxSketch:
    """An .onnx file under construction; weights are thought up, of all signs."""

    def __init__(self, folder: Path) -> None:
        self.onnx: Any = pytest.importorskip("onnx", reason="pip install 'edgekit[onnx]'")
        self.folder = folder
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._random = np.random.default_rng(0)

    def array(self, *shape: int) -> str:
        """Random weights."""
        return self.constant(self._random.normal(size=shape).astype(np.float32))

    def constant(self, values: Any) -> str:
        """An initializer; Python's numbers become float32 and int64."""
        array = np.asarray(values)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        output = f"/net/{op_type}_{len(self.nodes)}_output"
        name = f"/net/{op_type}_{len(self.nodes)}"
        outputs = [output, f"{output}_1"] if op_type == "TopK" else [output]
        self.nodes.append(self.onnx.helper.make_node(op_type, list(inputs), outputs, name=name, **attributes))
        return output

    def conv(self, x: str, channels: tuple[int, int], kernel: int = 1, **attributes: Any) -> str:
        weight = self.array(channels[1], channels[0] // attributes.get("group", 1), kernel, kernel)
        return self.node("Conv", x, weight, self.array(channels[1]), **attributes)

    def norm(self, x: str, channels: int) -> str:
        variance = self.constant(self._random.uniform(0.5, 1.5, channels))
        parameters = [self.array(channels), self.array(channels), self.array(channels), variance]
        return self.node("BatchNormalization", x, *parameters, epsilon=1e-3)

    def gemm(self, x: str, channels: tuple[int, int]) -> str:
        return self.node("Gemm", x, self.array(*channels[::-1]), self.array(channels[1]), transB=1)

    def head(self, x: str) -> str:
        """Four channels to three logits."""
        return self.gemm(self.node("Flatten", self.node("GlobalAveragePool", x)), (4, 3))

    def model(self, output: str, opset: int, shape: Sequence[int | str] = (1, 3, 8, 8)) -> Any:
        """From "image" to ``output``, which the file calls "logits"."""
        nodes = [*self.nodes, self.onnx.helper.make_node("Identity", [output], ["logits"])]
        image, logits = (
            self.onnx.helper.make_tensor_value_info(name, self.onnx.TensorProto.FLOAT, dims)
            for name, dims in (("image", shape), ("logits", (None, None)))
        )
        graph = self.onnx.helper.make_graph(nodes, "net", [image], [logits], self.initializers)
        return self.onnx.helper.make_model(
            graph, opset_imports=[self.onnx.helper.make_opsetid("", opset)], ir_version=8
        )

    def save(self, output: str, opset: int = 17, shape: Sequence[int | str] = (1, 3, 8, 8)) -> Path:
        path = self.folder / "net.onnx"
        self.onnx.save(self.model(output, opset, shape), path)
        return path


@pytest.fixture
def sketch(tmp_path: Path) -> OnnxSketch:
    return OnnxSketch(tmp_path)


DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


def run_file(path: Path, x: torch.Tensor) -> torch.Tensor:
    """What ONNX Runtime computes with a file; x is [1, C, H, W]."""
    onnxruntime: Any = pytest.importorskip("onnxruntime", reason="pip install 'edgekit[onnx]'")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors; it has remarks on files of old exporters
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    fed = x.permute(0, 2, 3, 1) if image.shape[3] == x.shape[1] else x
    (logits,) = session.run(None, {image.name: fed.numpy().astype(DTYPES[image.type])})
    return torch.from_numpy(logits.astype(np.float32)).reshape(1, -1)


@pytest.fixture
def run_onnx() -> Callable[[Path, torch.Tensor], torch.Tensor]:
    """What ONNX Runtime computes with a file; of images [1, C, H, W]."""
    return run_file


@pytest.fixture
def matches(agrees: Callable[[Graph, torch.Tensor, torch.Tensor], None]) -> Callable[[Path], Captured]:
    """Captures a file, asserts that it computes what ONNX Runtime computes with it, and returns what was captured."""

    def assert_matches(path: Path) -> Captured:
        pytest.importorskip("onnxsim", reason="pip install 'edgekit[onnx]'")
        from edgekit.capture.onnx import capture

        captured = capture(path)
        torch.manual_seed(0)
        x = (100 * torch.randn(1, *input_shape(captured.graph)).abs()).round() / 100
        expected = run_file(path, x)
        if captured.order is not None:
            x = x[:, list(ORDERS[captured.order][1])]
        if captured.arithmetic is not None:
            own = captured.arithmetic
            mean, std = (torch.tensor(values).reshape(-1, 1, 1) for values in (own.mean, own.std))
            x = (x - mean) / std
        agrees(captured.graph, x, expected)
        return captured

    return assert_matches
