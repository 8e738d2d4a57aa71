"""Where a file ends for edgekit: the tensors before all that it cannot take, and a command that cuts the file there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    Step = tuple[Sequence[str], Sequence[str]]  # what a node reads, and what it makes


def reads(node: Any) -> tuple[str, ...]:  # noqa: ANN401 - a NodeProto; onnx is optional
    """What a node reads, and what the graphs in it do, as those of If and Loop."""
    names = list(node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            made = {name for inner in graph.node for name in inner.output} | {value.name for value in graph.input}
            names += [name for inner in graph.node for name in reads(inner) if name not in made]
    return tuple(names)


def ends(steps: Iterable[Step], stops: Collection[int], source: str, outputs: Sequence[str]) -> tuple[str, ...]:
    """The tensors that follow from ``source`` before any step that stops, and that what follows from those reads.

    Args:
        steps: in order.
        stops: places of the steps that cannot be taken.
        source: the image.
        outputs: of the file; those before any stop are ends, too.
    """
    before, beyond, read = [source], set[str](), set(outputs)
    for place, (inputs, made) in enumerate(steps):
        if place in stops or not beyond.isdisjoint(inputs):
            beyond.update(made)
            read.update(inputs)
        elif not set(before).isdisjoint(inputs):
            before += made
    return tuple(name for name in before[1:] if name in read)


def way_out(path: Path, source: str, names: Sequence[str]) -> str:
    """The end of a sentence that refuses a file: how to go on with what comes before."""
    if not names:
        return "nothing that edgekit could take comes before it"
    cut = path.with_suffix(".cut.onnx")
    call = f"onnx.utils.extract_model({str(path)!r}, {str(cut)!r}, {[source]!r}, {list(names)!r})"
    return f'end the network before it, and compute the rest yourself: python -c "import onnx.utils; {call}"'
