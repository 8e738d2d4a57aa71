"""The float model as a TorchScript program of torch's own operators.

A float16 file stores its weights in half precision, and converts them where they are used: half the size at the speed
of float32 (converting takes 2 % of a MobileNetV2's time, and ``torch.jit.freeze`` folds it away). Convolutions that
compute in half precision take ten to thirty times as long, measured with torch 2.13 on x86.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgekit import files
from edgekit.device.engines.torch import deprecations_silenced
from edgekit.exporters import metadata
from edgekit.exporters.metadata import Head, IoDtype, Precision
from edgekit.exporters.summary import Endpoint
from edgekit.exporters.torch import script
from edgekit.exporters.torch.operators import FLOAT
from edgekit.exporters.torch.texts import Texts, given
from edgekit.exporters.torch.writers import FloatWriter
from edgekit.int8_weights import read_as_integers

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.exporters.torch.texts import Engine
    from edgekit.float_model import FloatModel
    from edgekit.ir import Clamp, Graph, Node


def write_node(node: Node, writer: FloatWriter) -> None:
    """Append a node with its fused clamp."""
    writer.program.assign(node.output, _clamped(FLOAT[node](node, writer), node.activation))


def _clamped(expression: str, activation: Clamp | None) -> str:
    """``expression`` within a fused clamp."""
    if activation is None:
        return expression
    low, high = activation.low, activation.high
    if high < math.inf:
        return f"torch.clamp({expression}, {low!r}, {high!r})"
    return f"torch.relu({expression})" if low == 0.0 else f"torch.clamp_min({expression}, {low!r})"


# --- the whole file -------------------------------------------------------------------------------------------------


def result_names(graph: Graph) -> dict[str, str]:
    """What the variables of output tensors are called, by the tensors' names."""
    return {output.tensor: output.name for output in graph.outputs}


def as_mask(variable: str) -> str:
    """The expression for indices of channels as callers see them; torch's own have 64 bits."""
    return f"{variable}.to(torch.int32)"


def add_head(program: script.Program, graph: Graph, head: Head) -> None:
    """Append the method ``probabilities``, if there is to be one: what ``forward`` gives stays the logits."""
    if head is Head.LOGITS:
        return
    expression = {Head.SOFTMAX: "torch.softmax(y, 1)", Head.SIGMOID: "torch.sigmoid(y)"}[head]
    program.also(metadata.PROBABILITIES, expression, graph.output_tensors.index(metadata.logits_of(graph)))


def write_float_model(  # noqa: PLR0913 - one a choice of the user's
    model: FloatModel,
    path: Path,
    *,
    precision: Precision,
    engine: Engine | None = None,
    head: Head = Head.LOGITS,
    batch: int | None = None,
) -> None:
    """Write ``model`` to ``path`` as a TorchScript file: it needs torch alone, float32 in and out.

    ``forward`` is as in ``write_integer_model``.

    Args:
        model: a canonical float graph.
        path: the file, ``.pt`` by custom.
        precision: any but int8; what is not float32 concerns the weights.
        engine: that quantizes what layers of a dynamic file read; None of any other.
        head: what a method ``probabilities`` makes of the logits, which are what ``forward`` gives.
        batch: how many images the file says that it takes at once; the program takes any number.

    Raises:
        UnsupportedOperator: the graph holds an operator that is not in ``operators.FLOAT``.
        BadInput: the file cannot be written.
    """
    graph, program = model.graph, script.Program(outputs=result_names(model.graph))
    dynamic = read_as_integers(model) if precision is Precision.DYNAMIC else ()
    half, reduced = precision is Precision.FLOAT16, engine != "qnnpack"
    writer = FloatWriter(graph, program, half=half, grids=model.grids, dynamic=dynamic, reduced=reduced)

    about = metadata.of_float_model(model, precision, head, batch=batch)
    taken = Endpoint(graph.input, IoDtype.FLOAT32, (batch or metadata.FREE, *graph.tensors[graph.input].shape))
    with script.pinned(script.packing_engine()), deprecations_silenced():
        program.takes(graph.input)
        for node in graph:
            program.origins.enter(node)
            write_node(node, writer)
        program.origins.enter(None)
        made = {tensor: program.variable(tensor) for tensor in graph.output_tensors}
        program.returns([as_mask(of) if graph.tensors[tensor].is_mask else of for tensor, of in made.items()])
        add_head(program, graph, head)
        texts = Texts(about, taken, given(about), engine, program.origins)
        data = program.to_bytes(texts.to_extra_files())
    files.write_bytes(path, data)
