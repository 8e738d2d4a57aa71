"""Files in processes of their own; here with our own packages, so that the answers have to be ours."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.device.processes import our_environment
from edgekit.errors import ArtifactError, MissingDependency
from edgekit.runtimes import worker
from edgekit.runtimes.litert import Kernels, LiteRtRunner
from edgekit.runtimes.onnx_runtime import OnnxRuntimeRunner, OptimizationLevel
from edgekit.runtimes.separate import SeparateRunner

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PYTHON = (sys.executable, "-P")


def images(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-1, 1, (count, 3, 32, 32)).astype(np.float32)


def assert_same(found: dict[str, NDArray[Any]], expected: dict[str, NDArray[Any]]) -> None:
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        assert np.array_equal(found[name], values), name


@pytest.mark.parametrize("kernels", Kernels)
def test_litert_answers_as_here(exported: Path, kernels: Kernels) -> None:
    path = next(exported.glob("*.int8.tflite"))
    with (
        SeparateRunner(path, kernels, PYTHON, our_environment(), where="next door") as there,
        LiteRtRunner(path, kernels=kernels) as here,
    ):
        assert there.name == f"{here.name}, next door"
        assert there.differs_because == here.differs_because
        assert np.array_equal(there.run(images(2))["logits"], here.run(images(2))["logits"])
        assert_same(there.trace(images(1)), here.trace(images(1)))


def test_onnx_runtime_answers_as_here(exported: Path) -> None:
    path = next(exported.glob("*.int8.onnx"))
    with (
        SeparateRunner(path, OptimizationLevel.DISABLE_ALL, PYTHON, our_environment()) as there,
        OnnxRuntimeRunner(path, level=OptimizationLevel.DISABLE_ALL) as here,
    ):
        assert there.name == here.name
        assert there.differs_because is None
        bound: Any = there.bind(images(1))()
        assert np.array_equal(bound["logits"], here.run(images(1))["logits"])


def test_what_is_not_installed_there(exported: Path, tmp_path: Path) -> None:
    # Every process imports this first.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['onnxruntime'] = None\n", encoding="utf-8")
    environment = our_environment()
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])
    path = next(exported.glob("*.int8.onnx"))
    with pytest.raises(MissingDependency, match=r"pip install 'edgekit\[onnx\]'"):
        SeparateRunner(path, OptimizationLevel.ALL, PYTHON, environment)


def test_a_python_that_is_broken(exported: Path) -> None:
    path = next(exported.glob("*.int8.tflite"))
    with pytest.raises(ArtifactError, match=r"\.tflite, next door crashed its runtime \(exit code 1, .*No module"):
        SeparateRunner(path, Kernels.XNNPACK, [sys.executable, "-I", "-S"], {}, where="next door")


# --- the worker itself, in this process


def ask(path: Path, kernels: str, commands: bytes) -> io.BytesIO:
    answers = io.BytesIO()
    worker.serve(io.BytesIO(commands), answers, path, kernels)
    answers.seek(0)
    return answers


def test_arrays_survive_the_way() -> None:
    arrays = [np.arange(6, dtype=dtype).reshape(1, 2, 3) for dtype in (np.float32, np.int8, np.uint8)]
    back = worker.unpack(worker.pack(arrays))
    assert [array.dtype for array in back] == [array.dtype for array in arrays]
    assert all(np.array_equal(a, b) for a, b in zip(back, arrays, strict=True))
    assert worker.unpack(b"") == []


def test_the_worker_answers_each_command(exported: Path) -> None:
    path = next(exported.glob("*.int8.tflite"))
    content = worker.pack([images(2)])
    answers = ask(path, "XNNPACK", b"start\n" + f"run {len(content)}\n".encode() + content)
    about = json.loads(answers.readline())
    assert about["name"].startswith("LiteRT ")
    assert (about["differs_because"], about["bytes"]) == (None, 0)
    size = json.loads(answers.readline())["bytes"]
    (output,) = worker.unpack(answers.read(size))
    assert output.shape == (2, 10)
    assert answers.read() == b""


def test_the_worker_answers_errors(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(b"hello")
    answer = json.loads(ask(tmp_path / "net.tflite", "XNNPACK", b"start\n").readline())
    assert answer["error"] == "ArtifactError"
    assert "refuses" in answer["message"]


def test_what_a_runtime_prints_is_no_answer(exported: Path) -> None:
    path = next(exported.glob("*.int8.tflite"))
    code = (
        "import os; from pathlib import Path; from edgekit.runtimes import worker; opened = worker.open_runner\n"
        "def noisy(*a): os.write(1, b'INFO: hello\\n'); print('hello'); return opened(*a)\n"
        f"worker.open_runner = noisy; worker.main(Path({str(path)!r}), 'XNNPACK')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input="start\n",
        env=our_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["name"].startswith("LiteRT")
    assert "INFO: hello" in done.stderr


def test_the_worker_needs_no_toolchain() -> None:
    code = (
        "import sys; sys.modules |= dict.fromkeys(('torch', 'onnx', 'onnxruntime', 'coremltools', 'ai_edge_litert'))\n"
        "import edgekit.runtimes.worker"
    )
    subprocess.run([sys.executable, "-c", code], env=our_environment(), check=True)
