"""GPUs: told where there is none, near or identical where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.config import BenchSettings
from edgekit.device.engines import ENGINES, GPU_ENGINES, ON_GPU, open_file
from edgekit.errors import MissingDependency
from edgekit.pipeline.measuring.bench import bench, plan

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.device.engines.engine import Engine


def int8_of(exported: Path) -> Path:
    return next(exported.glob("*.int8.tflite"))


def test_every_engine_of_the_processor_has_its_gpus() -> None:
    assert set(ON_GPU) | GPU_ENGINES == set(ENGINES)


def test_each_way_to_use_a_gpu_is_compared_with_the_processor(exported: Path) -> None:
    net = next(exported.glob("*.float32.tflite"))
    planned = plan([net], BenchSettings(gpu=True)).plan.files
    assert [(file.engine, file.kernels, file.baseline) for file in planned] == [
        ("litert", "", None),
        ("litert-gpu", "float32", str(net)),
        ("litert-gpu", "fastest", str(net)),
    ]


@pytest.mark.parametrize(("suffix", "engine"), [(".onnx", "onnxruntime"), (".pt", "torch")])
def test_a_missing_gpu_is_named(suffix: str, engine: str, exported: Path) -> None:
    path = next(exported.glob(f"*.float32{suffix}"))
    for other, kernels in ON_GPU[engine]:
        try:
            open_file(path, other, kernels=kernels)
        except MissingDependency as error:
            assert any(word in str(error) for word in ("GPU", "CUDA", "Tensorrt"))  # noqa: PT017 - or there is one


def test_bench_goes_on_without_a_gpu(exported: Path) -> None:
    result = bench([next(exported.glob("*.float32.onnx"))], BenchSettings(laps=1, gpu=True))
    timed = [row.runner for row in result.results.rows]
    assert timed
    assert len(timed) > 1 or all("GPU" in refusal.reason for refusal in result.results.refused)


def test_litert_gives_the_same_integers_on_a_gpu(exported: Path) -> None:
    net = int8_of(exported)
    try:
        gpu: Engine = open_file(net, "litert-gpu", kernels="float32")
    except MissingDependency as error:
        pytest.skip(str(error))
    processor = open_file(net, "litert")
    assert gpu.shape is not None
    image = np.random.default_rng(0).integers(0, 256, gpu.shape).astype(gpu.dtype)
    np.testing.assert_allclose(gpu.run(image)["logits"], processor.run(image)["logits"], rtol=1e-6, atol=1e-6)
