"""The Core ML file around a program: its endpoints, their descriptions, and what the file says about itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edgekit.conventions import ORDERS, colour_of
from edgekit.exporters import metadata
from edgekit.exporters.coreml import endings, names, package
from edgekit.exporters.coreml.builder import ProgramBuilder, Value
from edgekit.exporters.coreml.schema import schema
from edgekit.exporters.metadata import Head, Precision
from edgekit.exporters.names import INPUT
from edgekit.ir import LOGITS, VALUES
from edgekit.suppression import endings_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgekit.exporters.metadata import Metadata
    from edgekit.ir import Graph, Output

# Core ML's images, by the order of the channels; with a fourth channel it takes an array only.
# Source: FeatureTypes.proto, ImageFeatureType.ColorSpace
COLOUR_SPACES: Final = {"GREY": "GRAYSCALE", "RGB": "RGB", "BGR": "BGR"}
_PREVIEW: Final = "com.apple.coreml.model.preview"
_MIL_NAMES: Final = {"float32": "fp32", "float16": "fp16"}


@dataclass(frozen=True, slots=True)
class Target:
    """An iOS release, as a file names it. Source: coremltools/__init__.py, _OPSET."""

    specification: int
    opset: str


IOS15: Final = Target(6, "CoreML5")  # the first with programs: enough for float networks
IOS16: Final = Target(7, "CoreML6")  # the first with weights in int8
IOS17: Final = Target(8, "CoreML7")  # the first with quantize and dequantize


class Document:
    """A file in the making.

    Attributes:
        names: what tensors and constants are called in the file.
        program: collects the operations.
        shapes: of every tensor, with the batch.
    """

    def __init__(self, graph: Graph, about: Metadata, precision: Precision) -> None:
        """Start a file.

        Args:
            graph: what is written.
            about: what the file says about itself.
            precision: float32 or float16, of the operators.
        """
        assert precision in (Precision.FLOAT32, Precision.FLOAT16), precision
        self.names = names.names_in_file(graph)
        self.program = ProgramBuilder(precision, self.names.values())
        self.shapes = {name: (about.batch or 1, *tensor.shape) for name, tensor in graph.tensors.items()}
        self._about, self._input, self._preprocessing = about, graph.input, about.preprocessing
        head, labels = about.head, about.labels
        self._scored = None if head is Head.LOGITS else metadata.logits_of(graph)
        # What a classifier gives are probabilities, to Core ML, Vision and whoever calls them: logits make none. They
        # come as a dictionary by label, which would lose a class if two had one label.
        scores = self.shapes[self._scored] if self._scored is not None and len(graph.outputs) == 1 else None
        self._labels = labels if scores == (1, len(labels)) and len(set(labels)) == len(labels) else ()
        self._description = schema().model.ModelDescription()
        self._head = head
        self._texts = {output.tensor: _text(output, graph) for output in graph.outputs}
        self._returned: list[str] = []
        self._outputs = {output.tensor: self._output(output, graph) for output in graph.outputs}

    @property
    def fits_image(self) -> bool:
        """Whether the input can be declared an image: Core ML has the order, and it is one, with these channels."""
        order, (batch, *shape) = self._preprocessing.order, self.shapes[self._input]
        return order in COLOUR_SPACES and batch == 1 and len(shape) == 3 and shape[0] == len(ORDERS[order][1])

    def image(self) -> Value:
        """Declare an image as the input, in one of ``COLOUR_SPACES``: pixels 0..255 as float32, [1, C, H, W]."""
        value = self.program.value(INPUT, self.shapes[self._input], "float32")
        (*_, height, width), order = value.shape, self._preprocessing.order
        text = f"the image, {order}, cropped and scaled to {width} x {height} pixels"
        image = self._description.input.add(name=value.name, shortDescription=text).type.imageType
        image.width, image.height = width, height
        image.colorSpace = schema().features.ImageFeatureType.ColorSpace.Value(COLOUR_SPACES[order])
        return self.program.input(value)

    def array(self) -> Value:
        """Declare a float32 array as the input: the normalized image, [1, C, H, W]."""
        value = self.program.value(INPUT, self.shapes[self._input], "float32")
        text = "the image, (pixel - mean) / std"
        self._multi_array(self._description.input.add(name=value.name, shortDescription=text), value)
        return self.program.input(value)

    def to_program_type(self, value: Value) -> Value:
        """Convert a float value to the type that operators compute in, where it is another."""
        if value.dtype == self.program.dtype:
            return value
        return self._cast(value, self.program.value(f"{value.name}_{self.program.dtype}", value.shape))

    def or_output(self, tensor: str, value: Value) -> Value:
        """``value``, which is to hold the reals of a tensor; or the file's output, where that can hold them."""
        return self._outputs[tensor] if tensor in self._outputs and value.dtype == "float32" else value

    def mask(self, tensor: str) -> Value:
        """What is to hold the indices [N, H, W] of a tensor: the file's output, where there is one of that shape."""
        output = self._outputs.get(tensor)
        is_output = output is not None and output.shape == self.shapes[tensor]
        return output if output and is_output else Value(self.names[tensor], "int32", self.shapes[tensor])

    def of_one_image(self, tensor: str, mask: Value) -> Value:
        """What is made of the indices [N, H, W] of a tensor: the file's output, which of one image is [H, W]."""
        output = self._outputs.get(tensor, mask)
        return output if output == mask else self.program.add("squeeze", output, x=mask, axes=(0,))

    def finish(self, reals: Mapping[str, Value]) -> None:
        """Declare the outputs, given the reals of the output tensors by the tensors' names."""
        for tensor, output in self._outputs.items():
            if reals[tensor] != output:
                self._cast(reals[tensor], output)
            scores = self._probabilities(output) if tensor == self._scored else output
            if self._labels:
                self._classify(scores)
            elif scores is not output:
                self._give(scores, "the probability of each class")
            self._give(output, self._texts[tensor])
        by_name = {output.name: output for output in self._outputs.values()}
        for ending in endings_of(self._about.provenance):
            read = endings.write_ending(self.program, ending, by_name[ending.boxes], by_name[ending.scores])
            for kind, value in read.items():
                self._give(value, f"{kind} of all boxes, of which suppression leaves the best")

    def save(self, path: Path, target: Target, kind: str) -> None:
        """Write the package. Its version follows from its contents, so that equal versions are equal models.

        Raises:
            BadInput: the package cannot be written.
        """
        program, weights = self.program.program(self._returned, target.opset), self.program.weights.to_bytes()
        digest = hashlib.sha256(program.SerializeToString(deterministic=True) + weights).hexdigest()
        model = schema().model.Model(specificationVersion=target.specification, mlProgram=program)
        model.description.CopyFrom(self._description)
        described = model.description.metadata
        described.shortDescription = f"{self._about.network}: {kind}"
        described.author, described.versionString = "edgekit", digest[:12]
        described.userDefined[metadata.KEY] = self._about.to_json(self.program.origins)
        for key, value in _preview(self._about).items():
            described.userDefined[key] = value
        if behind := endings_of(self._about.provenance):
            model = endings.pipeline(model, behind, self._about.labels)
        package.write(path, model.SerializeToString(deterministic=True), weights)

    def _output(self, output: Output, graph: Graph) -> Value:
        """An output of the file: reals, or of one image a mask [H, W], as Apple's own segmenters give it."""
        shape, is_mask = self.shapes[output.tensor], graph.tensors[output.tensor].is_mask
        if not is_mask:
            return self.program.value(output.name, shape, "float32")
        return self.program.value(output.name, shape[1:] if shape[0] == 1 else shape, "int32")

    def _probabilities(self, logits: Value) -> Value:
        result = self.program.value(metadata.PROBABILITIES, logits.shape, logits.dtype)
        if self._head is Head.SOFTMAX:
            return self.program.add("softmax", result, x=logits, axis=-1)
        return self.program.add("sigmoid", result, x=logits)

    def _give(self, output: Value, text: str) -> None:
        self._multi_array(self._description.output.add(name=output.name, shortDescription=text), output)
        self._returned.append(output.name)

    def _cast(self, value: Value, output: Value) -> Value:
        return self.program.add("cast", output, x=value, dtype=_MIL_NAMES[output.dtype])

    def _classify(self, scores: Value) -> None:
        self.program.classify(scores, self._labels, names.CLASS_LABEL, names.CLASS_SCORES)
        text = "the class with the highest score"
        label = self._description.output.add(name=names.CLASS_LABEL, shortDescription=text)
        label.type.stringType.SetInParent()
        text = "the probability of each class"
        dictionary = self._description.output.add(name=names.CLASS_SCORES, shortDescription=text)
        dictionary.type.dictionaryType.stringKeyType.SetInParent()
        self._description.predictedFeatureName = names.CLASS_LABEL
        self._description.predictedProbabilitiesName = names.CLASS_SCORES
        self._returned += [names.CLASS_LABEL, names.CLASS_SCORES]

    @staticmethod
    def _multi_array(feature: Any, value: Value) -> None:  # noqa: ANN401 - a protobuf message
        array = feature.type.multiArrayType
        array.dataType = schema().features.ArrayFeatureType.ArrayDataType.Value(value.dtype.upper())
        array.shape.extend(value.shape)


def _preview(about: Metadata) -> dict[str, str]:
    """What Xcode shows a mask by, with the names and colours of its classes; nothing of other networks.

    Source: coremltools' guide, "Xcode Model Preview Types".
    """
    if [output.is_mask for output in about.outputs] != [True] or not about.labels:
        return {}
    colours = ["#{:02X}{:02X}{:02X}".format(*colour_of(index)) for index in range(len(about.labels))]
    parameters = {"labels": about.labels, "colors": colours}
    return {f"{_PREVIEW}.type": "imageSegmenter", f"{_PREVIEW}.parameters": json.dumps(parameters, ensure_ascii=False)}


def _text(output: Output, graph: Graph) -> str:
    """What an output is, for people."""
    if output.role == LOGITS:
        return "class scores: logits, no softmax"
    axes = ", ".join(graph.tensors[output.tensor].axes)
    return f"what the network computes, [{axes}]" if output.role == VALUES else f"{output.role}, [{axes}]"
