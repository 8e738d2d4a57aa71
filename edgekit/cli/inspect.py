"""``edgekit inspect``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import console
from edgekit.cli.options import JsonOption  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.exporters.summary import Endpoint, Summary
    from edgekit.integer_model import IntegerModel
    from edgekit.preprocessing import Normalization, Preprocessing


def inspect(
    artifact: Annotated[
        Path, typer.Argument(metavar="FILE", help="An exported file, or a saved integer model (.edgekit).")
    ],
    *,
    as_json: JsonOption = False,
) -> None:
    """Show what a file holds: operators by type, boundary, labels, preprocessing, provenance."""
    with console.reporting("inspect", as_json=as_json):
        from edgekit.integer_model import IntegerModel  # noqa: PLC0415 - see the module app
        from edgekit.pipeline.inspect import inspect as run  # noqa: PLC0415 - likewise

        found = run(artifact)
        if not as_json:
            console.facts(str(artifact), _model(found) if isinstance(found, IntegerModel) else _file(found))
        elif isinstance(found, IntegerModel):
            console.print_json("inspect", {"path": str(artifact), **_as_dict(found)})
        else:
            console.print_json("inspect", found)


def _file(summary: Summary) -> list[tuple[str, str]]:
    """What there is to say about an exported file."""
    facts = [
        ("format", f"{summary.format}, {summary.version}, {console.size(summary.size_bytes)}"),
        *(("input", _endpoint(endpoint)) for endpoint in summary.inputs),
        *(("output", _endpoint(endpoint)) for endpoint in summary.outputs),
        ("operators", _counted(summary.operators)),
        ("in integers", console.percent(summary.int8_share)),
        ("boundary", _counted(Counter(summary.boundary)) or "nothing is converted"),
    ]
    about = summary.metadata
    if about is None:
        return [*facts, ("metadata", "none: written by another tool")]
    return [
        *facts,
        ("network", f"{about.network}, {about.precision}, profile {about.profile}"),
        ("image", _image(about.preprocessing)),
        ("input value", _input_value(about.normalization, pixel_input=about.pixel_input)),
        ("labels", _labels(about.labels)),
        *_provenance(about.provenance),
    ]


def _model(model: IntegerModel) -> list[tuple[str, str]]:
    """What there is to say about an integer model."""
    about = _as_dict(model)
    return [
        ("format", "edgekit integer model"),
        ("network", f"{about['network']}, profile {about['profile']}"),
        ("operators", _counted(about["operators"])),
        ("weights", f"{about['weights']:,} int8"),
        ("tensors", f"{about['tensors']}, {about['tensors_with_a_factor']} of them carry a factor"),
        ("ratios", f"denominators up to {about['largest_denominator']}"),
        ("image", _image(model.preprocessing)),
        ("input value", _input_value(model.normalization, pixel_input=model.pixel_input)),
        ("labels", _labels(model.labels)),
        *_provenance(model.provenance),
    ]


def _as_dict(model: IntegerModel) -> dict[str, Any]:
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
        "labels": list(model.labels),
        "preprocessing": model.preprocessing.to_dict(),
        "provenance": dict(model.provenance),
    }


def _counted(names: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(names.items(), key=lambda item: (-item[1], item[0])))


def _image(preprocessing: Preprocessing) -> str:
    height, width = preprocessing.size
    match preprocessing.resize:
        case None:
            how = "centre crop"
        case "whole":
            how = "the whole image resized"
        case shorter:
            how = f"the shorter side resized to {shorter}, centre crop"
    return f"{width} x {height} {preprocessing.order}, {how}"


def _input_value(normalization: Normalization, *, pixel_input: bool) -> str:
    mean, std = (_numbers(values) for values in (normalization.mean, normalization.std))
    integers = "int8 is pixel - 128, uint8 is the pixel, " if pixel_input else ""
    return f"{integers}float32 is (pixel - {mean}) / {std}"


def _numbers(values: Sequence[float]) -> str:
    """One number if all are the same."""
    texts = [f"{value:g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else f"[{', '.join(texts)}]"


def _labels(labels: Sequence[str]) -> str:
    return f"{len(labels)}: {', '.join(labels[:4])}{', …' if len(labels) > 4 else ''}" if labels else "none"


def _provenance(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where it comes from; the architecture is left to --json."""
    facts = []
    if "checkpoint_sha256" in values:
        facts.append(("checkpoint", f"sha256 {values['checkpoint_sha256']}"))
    if "calibration" in values:
        calibration = values["calibration"]
        facts.append(("calibration", f"{console.count(calibration['images'], 'image')}, {calibration['method']}"))
    if "kept_float" in values:
        facts.append(("kept in float", ", ".join(values["kept_float"])))
    if "int16" in values:
        facts.append(("16-bit activations", ", ".join(values["int16"])))
    if "edgekit" in values:
        facts.append(("written by", f"edgekit {values['edgekit']}"))
    return facts


def _endpoint(endpoint: Endpoint) -> str:
    shape = " x ".join("?" if n < 0 else str(n) for n in endpoint.shape)
    grid = "" if endpoint.scale is None else f", scale {endpoint.scale:g}, zero point {endpoint.zero_point}"
    return f"{endpoint.name}: {endpoint.dtype} {shape}{grid}"
