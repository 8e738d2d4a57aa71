"""``edgekit inspect``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit import words
from edgekit.capture import num_classes
from edgekit.cli import console
from edgekit.cli.options import JsonOption, ModelOption, SetOption, WeightsOption, load_settings, own_code
from edgekit.errors import ConfigError
from edgekit.reports import origin
from edgekit.reports.values import jsonable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.exporters.summary import Endpoint, Summary
    from edgekit.facts import Fact
    from edgekit.integer_model import IntegerModel
    from edgekit.pipeline.making.source import Source
    from edgekit.pipeline.proving.inspect import Inspected
    from edgekit.preprocessing import Normalization, Preprocessing

_BOUNDARIES = ("int8", "uint8", "float32")
_OF_IMAGE = {"resolution", "order", "resize"}  # the facts that ``origin.image`` tells


def inspect(
    artifact: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE|FOLDER",
            help="An exported file, a saved integer model (.edgekit), a trained network, or the folder of an export.",
            show_default=False,
        ),
    ] = None,
    *,
    model: ModelOption = None,
    weights: WeightsOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a file holds: operators, boundary, labels, preprocessing, provenance, and what is taken for true."""
    with console.reporting("inspect", as_json=as_json):
        from edgekit.pipeline.proving.inspect import files_of, inspect_network  # noqa: PLC0415 - see the module app
        from edgekit.pipeline.proving.inspect import inspect as run  # noqa: PLC0415 - likewise

        code = own_code(model, weights, artifact)
        if code is not None:
            found = {model: inspect_network(load_settings(None, {}, assignments), code)}
        elif artifact is not None:
            found = {str(path): run(path) for path in files_of(artifact)}
        else:
            raise ConfigError("no file is named: an exported one, a trained network, or --model MODULE:FACTORY")
        described = [_described(str(name), inspected) for name, inspected in found.items()]
        if as_json:
            values = [one for one, _ in described]
            is_folder = artifact is not None and files_of(artifact) != [artifact]
            console.print_json("inspect", {"files": values} if is_folder else values[0])
            return
        for number, (name, (_, told)) in enumerate(zip(found, described, strict=True)):
            if number:
                console.say("")
            console.facts(str(name), told)


def _described(name: str, inspected: Inspected) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """What there is to say about a file, as JSON values and as lines."""
    from edgekit.exporters.summary import Summary  # noqa: PLC0415 - see the module app
    from edgekit.integer_model import IntegerModel  # noqa: PLC0415 - likewise

    match inspected.found:
        case Summary() as summary:
            told, values = _file(summary, inspected.facts), jsonable(summary)
        case IntegerModel() as integers:
            told, values = _model(integers, inspected.facts), _as_dict(integers)
        case source:
            told, values = _network(source), _source_as_dict(source)
    for text in inspected.irregular:
        console.warn(f"{name} is not as edgekit writes it: {text}")
    values = {"path": name, **values, "facts": [fact.to_dict() for fact in inspected.facts]}
    values |= {"notes": list(inspected.notes), "irregular": list(inspected.irregular)}
    notes = [("note", text) for text in inspected.notes]
    return values, [*told, *notes, *(origin.fact(fact) for fact in inspected.facts)]


def _file(summary: Summary, taken: Sequence[Fact]) -> list[tuple[str, str]]:
    """What there is to say about an exported file."""
    facts = [
        ("format", f"{summary.format}, {summary.version}, {console.size(summary.size_bytes)}"),
        *(("input", _endpoint(endpoint)) for endpoint in summary.inputs),
        *(("output", _endpoint(endpoint)) for endpoint in summary.outputs),
        *([("signatures", ", ".join(summary.signatures))] if len(summary.signatures) > 1 else []),
        ("operators", words.counted(summary.operators)),
        ("in integers", console.percent(summary.int8_share)),
        ("boundary", words.counted(Counter(summary.boundary)) or "nothing is converted"),
    ]
    about = summary.metadata
    if about is None:
        return [*facts, ("metadata", "none: written by another tool")]
    return [
        *facts,
        ("network", f"{about.network}, {about.precision}, lowering {about.lowering}"),
        *_fed(about.preprocessing, about.normalization, taken, about.io_dtype),
        *_labels(about.labels, about.provenance),
        *_suppression(about.provenance),
        *origin.provenance(about.provenance),
    ]


def _suppression(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """By which rule a file suppresses boxes, where it does."""
    from edgekit.suppression import endings_of  # noqa: PLC0415 - see the module app

    found = []
    for ending in endings_of(provenance):
        rule, of = ending.rule, f"{ending.before.removesuffix('_')}: " if ending.before else ""
        rows = f"{rule.most} at most, of scores above {rule.score:g}, that overlap by {rule.overlap:g} at most"
        found.append(("boxes", of + rows))
    return found


def _model(model: IntegerModel, taken: Sequence[Fact]) -> list[tuple[str, str]]:
    """What there is to say about an integer model."""
    about = _as_dict(model)
    return [
        ("format", "edgekit integer model"),
        ("network", f"{about['network']}, lowering {about['profile']}"),
        ("operators", words.counted(about["operators"])),
        ("weights", f"{about['weights']:,} int8"),
        ("MACs", f"{about['macs'] / 1e6:,.1f} million for one image"),
        *((f"output {name}", _claim(near)) for name, near in about["outputs"].items()),
        ("tensors", f"{about['tensors']}, {about['tensors_with_a_factor']} of them carry a factor"),
        ("ratios", f"denominators up to {about['largest_denominator']}"),
        *_fed(model.preprocessing, model.taken, taken, *_BOUNDARIES),
        *_labels(model.labels, model.provenance),
        *origin.provenance(model.provenance),
    ]


def _network(source: Source) -> list[tuple[str, str]]:
    """What there is to say about a trained network."""
    about, preprocessing = _source_as_dict(source), source.float_model.preprocessing
    return [
        ("format", f"{source.description}, a trained network"),
        ("network", about["network"] + (f", {about['classes']} classes" if about["classes"] else "")),
        *((f"output {name}", " × ".join(map(str, shape))) for name, shape in about["outputs"].items()),
        *_labels(source.float_model.labels, source.float_model.provenance),
        ("operators", words.counted(about["operators"])),
        ("weights", f"{about['weights']:,}"),
        *_fed(preprocessing, preprocessing.normalization, source.facts, "float32"),
        *origin.provenance(about["provenance"]),
    ]


def _fed(
    preprocessing: Preprocessing, normalization: Normalization, taken: Sequence[Fact], *boundaries: str
) -> list[tuple[str, str]]:
    """What an image goes through, and what a pixel is at each boundary: marked where that rests on what is assumed."""
    doubtful = {fact.name for fact in taken if fact.is_assumed}
    values = [(dtype, origin.input_value(normalization, dtype)) for dtype in boundaries]
    value = ", ".join(text if len(values) == 1 else f"{dtype} is {text}" for dtype, text in values)
    of_value = {"normalization"} if "float32" in boundaries else set[str]()  # integers take the pixel itself
    return [
        (f"{'! ' if doubtful & names else ''}{title}", text)
        for title, text, names in (("image", origin.image(preprocessing), _OF_IMAGE), ("input value", value, of_value))
    ]


def _source_as_dict(source: Source) -> dict[str, Any]:
    model = source.float_model
    return {
        "network": model.graph.name,
        "description": source.description,
        "classes": num_classes(model.graph),
        "outputs": {name: tensor.shape for name, tensor in model.graph.named(model.graph.tensors).items()},
        "operators": dict(Counter(type(node.op).__name__ for node in model.graph)),
        "weights": sum(array.size for array in model.graph.constants.values()),
        "preprocessing": model.preprocessing.to_dict(),
        # Which edgekit wrote a file is said of what is exported; of what it is exported from, nobody knows.
        "provenance": {key: value for key, value in model.provenance.items() if key != "edgekit"},
    }


def _as_dict(model: IntegerModel) -> dict[str, Any]:
    graph = model.graph
    denominators = [int(q) for ratio in model.ratios.values() for q in ratio.denominator]
    return {
        "network": graph.name,
        "profile": model.lowering,
        "operators": dict(Counter(type(node.op).__name__ for node in graph)),
        "weights": sum(array.size for array in graph.constants.values() if array.dtype == "int8"),
        "macs": graph.macs,
        "outputs": {output.name: model.near.get(output.tensor) for output in graph.outputs},
        "tensors": len(graph.tensors),
        "tensors_with_a_factor": sum(tensor.factor != 1.0 for tensor in graph.tensors.values()),
        "largest_denominator": max(denominators, default=1),
        "pixel_input": model.pixel_input,
        "labels": list(model.labels),
        "preprocessing": model.preprocessing.to_dict(),
        "provenance": dict(model.provenance),
    }


def _claim(near: str | None) -> str:
    return "the same in every runtime" if near is None else f"near, not identical: {near}"


def _labels(labels: Sequence[str], provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the network names; where it has several heads, head by head."""
    from edgekit.tasks.registry import heads_of, labels_by_head  # noqa: PLC0415 - see the module app

    heads = heads_of(provenance)
    if len(heads) < 2 or not labels:
        return [("labels", _first(labels))]
    each = labels_by_head(labels, heads)
    if len({*each.values()}) == 1:
        return [("labels", _first(labels))]
    return [(f"labels of {head}", _first(own)) for head, own in each.items()]


def _first(labels: Sequence[str]) -> str:
    return f"{len(labels)}: {', '.join(labels[:4])}{', …' if len(labels) > 4 else ''}" if labels else "none"


def _endpoint(endpoint: Endpoint) -> str:
    shape = " x ".join("?" if n < 0 else str(n) for n in endpoint.shape)
    grid = "" if endpoint.scale is None else f", scale {endpoint.scale:g}, zero point {endpoint.zero_point}"
    return f"{endpoint.name}: {endpoint.dtype} {shape}{grid}"
