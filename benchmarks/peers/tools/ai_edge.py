"""litert-torch, which makes a float .tflite file of a module, and ai-edge-quantizer with its static int8 recipe.

V3-Small falls to chance: one squeeze-and-excite layer gives zeros alone, so its scale is 4e-12, and biases saturate.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import litert_torch
import numpy as np
import torch
from ai_edge_quantizer import recipe
from ai_edge_quantizer.quantizer import Quantizer

PACKAGES = ("litert-torch", "ai-edge-quantizer", "ai-edge-litert", "torch")


class _Module(torch.nn.Module):
    """An exported program, which cannot be put into evaluation mode, because it is in it for good."""

    def __init__(self, program: Any) -> None:  # noqa: ANN401 - a GraphModule
        super().__init__()
        self._call = [program]  # in a list, so that train() and eval() do not reach it

    def forward(self, image: Any) -> Any:  # noqa: ANN401 - tensors
        return self._call[0](image)


def quantize(job: dict[str, Any]) -> Path:
    """No options."""
    floats, out = Path(job["work"]) / "ai_edge.float.tflite", Path(f"{job['out']}.tflite")
    module = _Module(torch.export.load(job["torch"]).module())
    channels_last = litert_torch.to_channel_last_io(module, args=[0]).eval()
    images = np.load(job["calibration"], mmap_mode="r")
    _, channels, height, width = images.shape
    litert_torch.convert(channels_last, (torch.zeros(1, height, width, channels),)).export(str(floats))
    quantizer = Quantizer(str(floats), recipe.static_wi8_ai8())
    samples = [{"args_0": np.ascontiguousarray(image.transpose(1, 2, 0))[None]} for image in images]
    ranges = quantizer.calibrate({"serving_default": samples})
    quantizer.quantize(ranges).export_model(str(out), overwrite=True)
    return out
