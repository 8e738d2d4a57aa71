"""``edgekit inspect``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import console
from edgekit.cli.options import JsonOption

if TYPE_CHECKING:
    from edgekit.exporters.summary import Endpoint, Summary
    from edgekit.integer_model import IntegerModel


def inspect(
    artifact: Annotated[Path, typer.Argument(help="An exported file, or a saved integer model (.edgekit).")],
    as_json: JsonOption = False,
) -> None:
    """Show what a file holds: operators by type, boundary, labels, preprocessing, provenance."""
    with console.reporting("inspect", as_json=as_json):
        from edgekit.integer_model import IntegerModel  # noqa: PLC0415 - see the module app
        from edgekit.pipeline.inspect import inspect as run  # noqa: PLC0415

        found = run(artifact)
        if isinstance(found, IntegerModel):
            facts = _facts(found)
            if as_json:
                console.print_json("inspect", {"path": str(artifact), **facts})
            else:
                console.table(str(artifact), ["", ""], [[key, console.escape(str(value))] for key, value in facts.items()])
        elif as_json:
            console.print_json("inspect", found)
        else:
            _show(found)


def _facts(model: IntegerModel) -> dict[str, Any]:
    """What there is to say about an integer model."""
    graph = model.graph
    denominators = [int(q) for ratio in model.ratios.values() for q in ratio.denominator]
    return {
        "network": graph.name,
        "profile": model.profile,
        "operators": dict(Counter(type(node.op).__name__ for node in graph)),
        "weights": sum(array.size for array in graph.constants.values() if array.dtype == "int8"),
        "tensors": len(graph.tensors),
        "tensors_with_a_factor": sum(tensor.factor != 1.0 for tensor in graph.tensors.values()),
        "largest_denominator": max(denominators, default=1),
        "pixel_input": model.pixel_input,
        "labels": len(model.labels),
        "preprocessing": model.preprocessing.to_dict(),
        "provenance": dict(model.provenance),
    }


def _show(summary: Summary) -> None:
    rows = [
        ["format", f"{summary.format}, {summary.version}, {console.size(summary.size_bytes)}"],
        *(["input", _endpoint(e)] for e in summary.inputs),
        *(["output", _endpoint(e)] for e in summary.outputs),
        ["operators", ", ".join(f"{count} {name}" for name, count in sorted(summary.operators.items(), key=lambda i: -i[1]))],
        ["in integers", f"{console.percent(summary.int8_share)}; at the boundary: {', '.join(summary.boundary) or 'nothing'}"],
    ]
    about = summary.metadata
    if about is None:
        rows.append(["metadata", "none: written by another tool"])
    else:
        p, n = about.preprocessing, about.normalization
        classes = f"{len(about.labels)}: {', '.join(about.labels[:4])}{', …' if len(about.labels) > 4 else ''}"  # noqa: PLR2004
        rows += [
            ["network", f"{about.network}, {about.precision}, profile {about.profile}"],
            ["image", f"{p.size[1]} x {p.size[0]} {p.order}, resize {p.resize or 'none'}, centre crop"],
            ["input value", "pixel - 128 (int8), pixel (uint8), " * about.pixel_input + f"(pixel - {n.mean[0]:g}) / {n.std[0]:g} (float32)"],
            ["labels", classes if about.labels else "none"],
        ]
        rows += [[key, str(value)] for key, value in sorted(about.provenance.items()) if key != "architecture"]
    console.table(str(summary.path), ["", ""], [[key, console.escape(value)] for key, value in rows])


def _endpoint(endpoint: Endpoint) -> str:
    shape = " x ".join("?" if n < 0 else str(n) for n in endpoint.shape)
    grid = "" if endpoint.scale is None else f", scale {endpoint.scale:g}, zero point {endpoint.zero_point}"
    return f"{endpoint.name}: {endpoint.dtype} {shape}{grid}"
