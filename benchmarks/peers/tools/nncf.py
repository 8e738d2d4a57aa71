"""NNCF on its OpenVINO backend: ``nncf.quantize`` with the mixed preset, no model type, all images.

Its files for ONNX are right, but not run right: what enters a depthwise convolution has a scale a channel, and ONNX
Runtime 1.31's optimizer takes it for one scale, after which V3-Small's top-1 is 0. OpenVINO is where it is at home.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino

PACKAGES = ("nncf", "openvino")
# Of the executed program: ends, conversions and views, which compute nothing.
_VIEWS = {"Const", "FakeQuantize", "Input", "Output", "Reorder", "Reshape"}


def quantize(job: dict[str, Any]) -> Path:
    """Option: ``fast_bias_correction``."""
    out = Path(f"{job['out']}.openvino")
    model, images = openvino.convert_model(job["onnx"]), np.load(job["calibration"], mmap_mode="r")
    samples = nncf.Dataset(range(len(images)), lambda index: np.array(images[index : index + 1]))
    quantized = nncf.quantize(
        model,
        samples,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        fast_bias_correction=job["options"]["fast_bias_correction"],
    )
    openvino.save_model(quantized, out / "model.xml", compress_to_fp16=False)
    return out


def run(path: Path, images: Any) -> tuple[str, Any, list[str], list[str]]:  # noqa: ANN401 - arrays
    """Every image in OpenVINO, which tells the type that each of its kernels takes.

    A hard-swish is part of the convolution before it, and gets its accumulator as a float: it counts as float.
    """
    # Without the hint, processors that have bfloat16 would compute in it what is left in float.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    model = openvino.Core().compile_model(path / "model.xml", "CPU", settings)
    logits = np.concatenate([model(np.array(image[None]))[0] for image in images])
    executed = [node.get_rt_info() for node in model.get_runtime_model().get_ops()]
    told = [(str(about["layerType"].value), str(about["runtimePrecision"].value)) for about in executed]
    operators = [(kind, precision) for kind, precision in told if kind not in _VIEWS]
    floats = [kind for kind, precision in operators if precision not in {"i8", "u8"}]
    written = [op.get_type_name() for op in openvino.Core().read_model(path / "model.xml").get_ops()]
    fused = [kind for kind in written if kind in {"HSigmoid", "HSwish"}]
    runtime = f"OpenVINO {openvino.get_version().split('-')[0]}"
    return runtime, logits, [*(kind for kind, _ in operators), *fused], [*floats, *fused]
