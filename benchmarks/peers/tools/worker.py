"""The process in a tool's environment: ``python -I worker.py TOOL.py``; a job on stdin, an answer in a file, all JSON.

A job holds ``onnx`` and ``torch`` (the float network: an .onnx file and a torch.export program), ``calibration`` and
``validation`` (.npy, float32 [N, 3, H, W]), ``options`` of the tool, ``work`` (a folder that jobs on the same network
share), ``out`` (where the file is wanted, without a suffix) and ``answer`` (where the answer is). A tool defines

    PACKAGES      distributions whose versions belong to its result
    quantize(job) writes the file and gives its path
    run(path, images) where no runtime of edgekit's can run the file: the runtime's name, the logits [N, classes],
                  the names of all operators and of those that compute in float
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main(tool: Path) -> None:
    """Do the job on stdin."""
    job = json.load(sys.stdin)
    module = _load(tool)
    path = module.quantize(job)
    answer: dict[str, Any] = {
        "path": str(path),
        "versions": {name: importlib.metadata.version(name) for name in module.PACKAGES},
    }
    if hasattr(module, "run"):
        runtime, logits, operators, float_operators = module.run(path, np.load(job["validation"], mmap_mode="r"))
        logits_path = f"{job['out']}.logits.npy"
        np.save(logits_path, logits)
        answer |= {
            "runtime": runtime,
            "logits": logits_path,
            "operators": operators,
            "float_operators": float_operators,
        }
    Path(job["answer"]).write_text(json.dumps(answer), encoding="utf-8")


def _load(path: Path) -> Any:  # noqa: ANN401 - a module
    """The tool's module, under a name that no package has: with its folder on the path, nncf.py would hide nncf."""
    spec = importlib.util.spec_from_file_location("edgekit_peer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(Path(sys.argv[1]))
