"""Whether a finished file keeps the rules of its format, the limits of its runtime, and edgekit's own promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.errors import ArtifactError
from edgekit.exporters import metadata
from edgekit.exporters.contents import LABELS, describe, metadata_facts, same
from edgekit.exporters.formats import format_of
from edgekit.exporters.metadata import KEY, Head, IoDtype, Precision
from edgekit.exporters.spelling import Layers
from edgekit.exporters.vocabulary import Does
from edgekit.integer_model import IntegerModel
from edgekit.verification.float_input import broken_float_input
from edgekit.verification.float_layers import compare_float_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgekit.exporters.contents import Contents
    from edgekit.exporters.format import Format
    from edgekit.exporters.summary import Summary
    from edgekit.float_model import FloatModel


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with a file or a model, whatever it computes.

    Attributes:
        layer: of the checkpoint (``Node.name``); None where it concerns the whole, or no layer is known.
        text: what is wrong.
    """

    layer: str | None
    text: str

    def __str__(self) -> str:
        return self.text if self.layer is None or self.layer in self.text else f"{self.text} (layer {self.layer})"


def well_formed(
    path: Path, model: IntegerModel | FloatModel | None = None, *, runtime: str | None = None
) -> tuple[Problem, ...]:
    """What is wrong with a finished file.

    The rules: it can be read, and keeps those of its format; its operators are of versions that the runtime has;
    nothing is transposed but where the network moves values; what it says about itself agrees with itself, and with the
    model. An int8 file holds no float operator but those of layers that are kept in float.

    Args:
        path: of the file.
        model: that it was written from; None leaves out what needs one.
        runtime: what has to run it, None for any: the ONNX Runtime of an .onnx file ("1.17"), the LiteRT of a .tflite
            file ("1.2"), the system of an .mlpackage ("iOS17").

    Raises:
        ArtifactError: the file is of no format that edgekit exports.
        ConfigError: ``runtime`` is none.
        MissingDependency: the package that reads the format is not installed.
    """
    form = format_of(path)
    layer_of: Callable[[str], str | None] = Layers(model.graph).of if model is not None else lambda _: None
    problems: list[Problem] = []
    try:
        for broken in form.violations(path, runtime):
            text = f"{broken.name} {broken.text}" if broken.name else broken.text
            problems.append(Problem(layer_of(broken.name) if broken.name else None, text))
        summary, contents = form.read(path), form.contents(path)
    except ArtifactError as error:
        return (*problems, Problem(None, str(error)))
    layers = contents.nodes
    movers = {node.name for node in model.graph if node.op.moves_values} if model is not None else {*layers.values()}
    transposes = [
        operator
        for operator in contents.operators
        if operator.does is Does.TRANSPOSE
        and layers.get(operator.name) not in movers
        and operator.name not in contents.boundary
    ]
    if transposes:
        text = f"{len(transposes)} operators only transpose, the first makes {transposes[0].name}"
        problems.append(Problem(layer_of(transposes[0].name), text))
    problems += _metadata(contents, model)
    problems += _float_input(form, summary, contents)
    if isinstance(model, IntegerModel):
        problems += _float_operators(summary, contents, model, layer_of)
    return tuple(problems)


def _float_input(form: Format, summary: Summary, contents: Contents) -> Iterator[Problem]:
    about = summary.metadata
    takes_reals = summary.inputs[0].dtype == IoDtype.FLOAT32 if summary.inputs else False  # and no picture
    if about is not None and about.precision is Precision.INT8 and about.pixel_input and takes_reals:
        for text in broken_float_input(contents, form, about):
            yield Problem(None, text)


def _float_operators(
    summary: Summary, contents: Contents, model: IntegerModel, layer_of: Callable[[str], str | None]
) -> Iterator[Problem]:
    if model.float_nodes and not contents.nodes:
        text = "it does not say which layers its operators come from, so nobody knows which are kept in float"
        yield Problem(None, f"{text}: it was written by an older edgekit, or changed since. Export it again")
        return
    layers = compare_float_layers(summary.float_operators, contents.nodes, model)
    for operator in layers.surplus:
        yield Problem(layer_of(operator.rpartition(" ")[2]), f"{operator} computes in float")
    for layer in layers.missing:
        yield Problem(layer, f"{layer} is to be kept in float, and no operator computes it so")


def _metadata(contents: Contents, model: IntegerModel | FloatModel | None) -> Iterator[Problem]:
    facts = contents.facts
    said = {key: value for key, value in facts.items() if key.startswith(f"{KEY}.")}
    if not said:
        yield Problem(None, "there is no metadata of edgekit, or it is damaged: nobody knows how to feed this file")
        return
    if said.get(f"{KEY}.io_dtype") != contents.io_dtype:
        text = f"the metadata says that it takes {said.get(f'{KEY}.io_dtype')}, and it takes {contents.io_dtype}"
        yield Problem(None, text)
    labels = said.get(f"{KEY}.{LABELS}")
    if LABELS in facts and not same(facts[LABELS], labels):
        yield Problem(None, f"labels are not those of the metadata: {describe(facts[LABELS], labels)}")
    if model is None:
        return
    for key, wanted in metadata_facts(_of(model, contents).to_json()).items():
        halves = f"{wanted}-{Precision.FLOAT16}"  # the lowering of Core ML's programs in float16
        if not same(said.get(key), wanted) and (key, said.get(key)) != (f"{KEY}.profile", halves):
            yield Problem(None, f"metadata, {key}: {describe(said.get(key), wanted)}")


def _of(model: IntegerModel | FloatModel, contents: Contents) -> metadata.Metadata:
    head = contents.options.get("head", Head.LOGITS)
    form: dict[str, Any] = {
        "batch": contents.options.get("batch"),
        "channels_last": contents.channels_last,
        "suppresses": contents.suppresses,
    }
    if isinstance(model, IntegerModel):
        io_dtype = IoDtype.FLOAT32 if metadata.outputs_in_float(model) else contents.io_dtype
        return metadata.of_integer_model(model, io_dtype, head, **form)
    return metadata.of_float_model(model, contents.precision, head, **form)
