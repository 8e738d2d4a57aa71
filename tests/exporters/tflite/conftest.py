"""Running .tflite files."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class LiteRt:
    """A file in LiteRT, with XNNPACK, as applications run it."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(str(path), num_threads=1)
        self.interpreter.allocate_tensors()

    def run(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        """Every output for inputs [N, C, H, W] or [N, C], in the same order of axes."""
        (image,), outputs = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        found: list[list[NDArray[Any]]] = [[] for _ in outputs]
        for value in batch:
            self.interpreter.set_tensor(image["index"], (value.transpose(1, 2, 0) if value.ndim == 3 else value)[None])
            self.interpreter.invoke()
            for values, output in zip(found, outputs, strict=True):
                values.append(self.interpreter.get_tensor(output["index"])[0])
        stacked = [np.stack(values) for values in found]
        return [values.transpose(0, 3, 1, 2) if values.ndim == 4 else values for values in stacked]

    def nodes(self) -> Counter[str]:
        """What runs to make the outputs: DELEGATE once for each of XNNPACK's pieces, and operators that it left alone.

        The runtime's list keeps the operators that a delegate took and ends with the delegates: those take precedence.
        """
        operators = self.interpreter._get_ops_details()
        makers = {int(i): op for op in operators for i in op["outputs"]}
        needed, ran = [int(output["index"]) for output in self.interpreter.get_output_details()], {}
        while needed:
            maker = makers.get(needed.pop())
            if maker is not None and maker["index"] not in ran:
                ran[maker["index"]] = maker["op_name"]
                needed += [int(i) for i in maker["inputs"]]
        return Counter(ran.values())


@pytest.fixture(scope="session")
def litert() -> type[LiteRt]:
    """The class itself: call it with a file."""
    pytest.importorskip("ai_edge_litert", reason="pip install 'edgekit[tflite]'")
    return LiteRt
