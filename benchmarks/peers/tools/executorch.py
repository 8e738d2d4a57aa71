"""PT2E quantization with ExecuTorch's XNNPACKQuantizer, weights with a scale an output channel, in a .pte file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

PACKAGES = ("executorch", "torchao", "torch")
# Of the quantized program: conversions, views, and clamps, which are part of the operator before them.
_FREE = ("clone", "dequantize", "dropout", "flatten", "getitem", "hardtanh", "quantize", "relu", "reshape", "view")
# Source: STATIC_QUANT in backends/xnnpack/partition/config/*.py; HardswishConfig and ConstantPadConfig are FP32 alone.
_INTEGER = {"adaptive_avg_pool2d", "add", "conv2d", "linear", "mul"}


def quantize(job: dict[str, Any]) -> Path:
    """No options."""
    out, images = Path(f"{job['out']}.pte"), np.load(job["calibration"], mmap_mode="r")
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    module = prepare_pt2e(torch.export.load(job["torch"]).module(), quantizer)
    with torch.no_grad():
        for image in images:
            module(torch.from_numpy(image[None].copy()))
    program = torch.export.export(convert_pt2e(module), (torch.zeros(1, *images.shape[1:]),))
    torch.export.save(program, out.with_suffix(".pt2"))
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    out.write_bytes(lowered.buffer)
    return out


def run(path: Path, images: Any) -> tuple[str, Any, list[str], list[str]]:  # noqa: ANN401 - arrays
    """Every image in ExecuTorch."""
    method = Runtime.get().load_program(path).load_method("forward")
    logits = np.concatenate([method.execute([torch.from_numpy(image[None].copy())])[0].numpy() for image in images])
    nodes = torch.export.load(path.with_suffix(".pt2")).graph.nodes
    named = [(_name(node), node) for node in nodes if node.op == "call_function"]
    operators = [(name, node) for name, node in named if not name.startswith(_FREE)]
    floats = [name for name, node in operators if name not in _INTEGER or not _reads_integers(node)]
    return "ExecuTorch, XNNPACK", logits, [name for name, _ in operators], floats


def _name(node: Any) -> str:  # noqa: ANN401 - a node of torch.fx
    return str(node.target.__name__).split(".")[0]


def _reads_integers(node: Any) -> bool:  # noqa: ANN401 - a node of torch.fx
    return any(
        _name(source).startswith("dequantize") for source in node.all_input_nodes if source.op == "call_function"
    )
