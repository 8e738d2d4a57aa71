"""Files in their runtimes, at the lowest level: own layout, any batch that the file takes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgekit.device.engines import ENGINES, ON_GPU, import_runtime, open_file
from edgekit.device.engines import litert as litert_engine
from edgekit.device.engines import torch as torch_engine
from edgekit.device.engines.engine import FixedBatch
from edgekit.device.worker import noise
from edgekit.errors import ArtifactError, MissingDependency
from edgekit.exporters.formats import FORMATS
from edgekit.runtimes.catalog import engine_of
from edgekit.runtimes.torch import TorchRunner

SUFFIXES = {"litert": "tflite", "onnxruntime": "onnx", "torch": "pt"}


def path_of(exported: Path, engine: str, precision: str) -> Path:
    return next(exported.glob(f"*.{precision}.{SUFFIXES[engine]}"))


@pytest.mark.parametrize("engine", ON_GPU)
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_file_says_what_it_takes(exported: Path, engine: str, precision: str) -> None:
    opened = open_file(path_of(exported, engine, precision), engine)
    assert opened.shape == ((1, 32, 32, 3) if engine == "litert" else (1, 3, 32, 32))
    assert opened.dtype == "float32"
    batch = noise(opened.shape, opened.dtype)
    answer = opened.run(batch)["logits"]
    assert answer.shape == (1, 10)
    opened.bind(batch)()
    assert np.array_equal(opened.run(batch)["logits"], answer)
    assert (opened.placement is not None) == (engine == "litert")


@pytest.mark.parametrize("engine", ON_GPU)
def test_a_batch_answers_as_its_images_do(exported: Path, engine: str) -> None:
    path = path_of(exported, engine, "float32")
    single, three = open_file(path, engine), open_file(path, engine, batch=3, threads=2)
    assert three.shape is not None
    batch = noise(three.shape, "float32")
    assert three.shape[0] == 3
    one_by_one = np.concatenate([single.run(image[None])["logits"] for image in batch])
    assert np.allclose(three.run(batch)["logits"], one_by_one, atol=1e-4)


def test_a_fixed_batch(exported: Path, tmp_path: Path) -> None:
    from edgekit.exporters.onnx.codec import write_integer_model
    from edgekit.integer_model import IntegerModel

    one = tmp_path / "one.onnx"
    write_integer_model(IntegerModel.load(next(exported.glob("*.edgekit"))), one, batch=1)
    with pytest.raises(FixedBatch, match=r"one\.onnx takes 1 image at once and not 3: its batch is fixed"):
        open_file(one, "onnxruntime", batch=3)
    assert open_file(one, "onnxruntime").shape == (1, 3, 32, 32)


def test_torch_takes_the_engine_that_a_file_is_laid_out_for(exported: Path) -> None:
    import torch

    path, former = path_of(exported, "torch", "int8"), torch.backends.quantized.engine
    threads = torch.get_num_threads()
    opened = open_file(path, "torch", threads=threads + 1)
    with TorchRunner(path) as runner:
        assert opened.name == runner.name
        batch = noise((1, 3, 32, 32), "float32")
        assert np.array_equal(opened.run(batch)["logits"], runner.run(batch)["logits"])
    assert open_file(path, "torch", kernels="qnnpack").name.endswith(", qnnpack")
    with pytest.raises(MissingDependency, match="no quantized engine 'nonesuch'"):
        open_file(path, "torch", kernels="nonesuch")
    assert (torch.backends.quantized.engine, torch.get_num_threads()) == (former, threads)


def test_what_is_no_torchscript(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(b"hello")
    for name, said in (("net.pt", "is not a TorchScript file"), ("none.pt", "does not exist")):
        with pytest.raises(ArtifactError, match=said):
            open_file(tmp_path / name, "torch")


@pytest.mark.parametrize(
    ("engine", "module", "extra"), [("onnxruntime", "onnxruntime", "onnx"), ("torch", "torch", "torch")]
)
def test_without_the_runtime(monkeypatch: pytest.MonkeyPatch, engine: str, module: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependency, match=rf"pip install 'edgekit\[{extra}\]'"):
        import_runtime(engine)


def test_an_engine_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"net is to be run by 'tvm': choose from litert, litert-gpu, onnxruntime,"):
        open_file(tmp_path / "net", "tvm")
    assert {engine_of(form) for form in FORMATS} - {None} == set(ON_GPU) < set(ENGINES)
    assert torch_engine.Opened.placement is None


@pytest.mark.parametrize(("taken", "kernels"), [((1,), "builtin"), ((2, 3, 4), "XNNPACK")])
def test_a_delegate_that_takes_no_integers_does_not_run_them(
    taken: tuple[int, ...], kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in tflite-runtime, whose XNNPACK takes the float ADD of a boundary alone."""
    kinds = {1: "ADD", 2: "QUANTIZE", 3: "CONV_2D", 4: "CONV_2D", 5: "DEQUANTIZE"}
    operators = [
        {"index": made, "op_name": kind, "inputs": [made - 1], "outputs": [made]} for made, kind in kinds.items()
    ]
    delegate = {"index": 6, "op_name": "DELEGATE", "inputs": [taken[0] - 1], "outputs": [taken[-1]]}
    types = (np.float32, np.float32, np.int8, np.int8, np.int8, np.float32)
    interpreter = SimpleNamespace(
        allocate_tensors=lambda: None,
        get_input_details=lambda: [{"index": 0, "shape": [1, 2, 2, 3], "dtype": np.float32}],
        get_output_details=lambda: [{"index": 5, "name": "y", "shape": [1, 2]}],
        get_tensor_details=lambda: [{"index": index, "dtype": dtype} for index, dtype in enumerate(types)],
        _get_ops_details=lambda: [*operators, delegate],
    )
    resolver = SimpleNamespace(AUTO=0, BUILTIN_WITHOUT_DEFAULT_DELEGATES=1)
    module = SimpleNamespace(OpResolverType=resolver, Interpreter=lambda **_: interpreter)
    monkeypatch.setattr(litert_engine, "runtime", lambda: (module, "TFLite"))
    opened = litert_engine.Opened(Path("net.tflite"))
    assert opened.name == f"TFLite, {kernels}"
    assert opened.placement.pieces == 1
