"""ONNX Runtime: ``quantize_static`` in QDQ form, after its own ``quant_pre_process``.

Weights are int8. With uint8 activations that is what its documentation recommends for x86 with VNNI; int8 ones are its
default, as is all else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime import InferenceSession
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

PACKAGES = ("onnxruntime", "onnx")
# Its histograms keep every activation of every image in memory, 10 GB and more, unless images come in portions. The
# option is named after the other method but works for all; it must divide the number of images.
IMAGES_AT_ONCE = 16


class _Images(CalibrationDataReader):  # type: ignore[misc] # its package declares no types
    def __init__(self, name: str, images: Any) -> None:  # noqa: ANN401 - an array
        self._name, self._images = name, images
        self._rest = iter(range(len(images)))

    def __len__(self) -> int:
        return len(self._images)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._rest = iter(range(start_index, end_index))

    def get_next(self) -> dict[str, Any] | None:
        index = next(self._rest, None)
        return None if index is None else {self._name: self._images[index : index + 1]}


def quantize(job: dict[str, Any]) -> Path:
    """Options: ``method`` (a name of CalibrationMethod), ``per_channel`` and ``activations`` (a name of QuantType)."""
    method, work = job["options"]["method"], Path(job["work"])
    prepared, out = work / "onnx_runtime.prepared.onnx", Path(f"{job['out']}.onnx")
    quant_pre_process(job["onnx"], prepared)
    name = InferenceSession(prepared, providers=["CPUExecutionProvider"]).get_inputs()[0].name
    quantize_static(
        prepared,
        out,
        _Images(name, np.load(job["calibration"], mmap_mode="r")),
        per_channel=job["options"]["per_channel"],
        activation_type=QuantType[job["options"]["activations"]],
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod[method],
        extra_options={"CalibStridedMinMax": IMAGES_AT_ONCE},
        calibration_cache_path=work / f"onnx_runtime.{method}.json",  # the same ranges, whatever the weights' scales
    )
    return out
