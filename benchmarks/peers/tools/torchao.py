"""torchao's PT2E quantization with its X86InductorQuantizer, lowered to the integer kernels of oneDNN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchao.quantization.pt2e.lowering import lower_pt2e_quantized_to_x86
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer

PACKAGES = ("torchao", "torch")
# Of the lowered program: conversions and views, which compute nothing.
_VIEWS = {"clone", "dequantize_per_tensor", "flatten", "getitem", "permute", "quantize_per_tensor", "reshape", "view"}


def quantize(job: dict[str, Any]) -> Path:
    """No options."""
    out, images = Path(f"{job['out']}.pt2"), np.load(job["calibration"], mmap_mode="r")
    quantizer = x86_inductor_quantizer.X86InductorQuantizer()
    quantizer.set_global(x86_inductor_quantizer.get_default_x86_inductor_quantization_config())
    module = prepare_pt2e(torch.export.load(job["torch"]).module(), quantizer)
    with torch.no_grad():
        for image in images:
            module(torch.from_numpy(image[None].copy()))
    torch.export.save(torch.export.export(convert_pt2e(module), (torch.zeros(1, *images.shape[1:]),)), out)
    return out


def run(path: Path, images: Any) -> tuple[str, Any, list[str], list[str]]:  # noqa: ANN401 - arrays
    """The lowered program on every image."""
    with torch.no_grad():
        module = lower_pt2e_quantized_to_x86(torch.export.load(path).module(), (torch.zeros(1, *images.shape[1:]),))
        logits = np.concatenate([module(torch.from_numpy(image[None].copy())).numpy() for image in images])
    names = [node.target.__name__.split(".")[0] for node in module.graph.nodes if node.op == "call_function"]
    operators = [name for name in names if name not in _VIEWS]
    floats = [name for name in operators if not name.startswith(("qconv", "qlinear"))]
    return f"torch {torch.__version__}, oneDNN", logits, operators, floats
