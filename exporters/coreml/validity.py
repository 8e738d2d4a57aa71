"""Whether an .mlpackage is well-formed and whole, and whether a named iOS has its operators."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from edgekit.errors import ConfigError
from edgekit.exporters.contents import metadata_facts
from edgekit.exporters.coreml import blobs, package
from edgekit.exporters.coreml.builder import FUNCTION
from edgekit.exporters.coreml.document import COLOUR_SPACES
from edgekit.exporters.coreml.operators import SINCE
from edgekit.exporters.coreml.package import WEIGHTS_REFERENCE
from edgekit.exporters.coreml.reader import read_model
from edgekit.exporters.coreml.schema import schema
from edgekit.exporters.messages import surplus
from edgekit.exporters.metadata import KEY
from edgekit.exporters.summary import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit.exporters.coreml.reader import Model

# Specification -> iOS, macOS and opset. Sources: coremltools/__init__.py, _OPSET and the SPECIFICATION_VERSIONs;
# coremltools/converters/mil/_deployment_compatibility.py.
_RELEASES: Final = {
    6: (15, 12, "CoreML5"),
    7: (16, 13, "CoreML6"),
    8: (17, 14, "CoreML7"),
    9: (18, 15, "CoreML8"),
    10: (26, 26, "CoreML9"),
}
# What edgekit writes or reads of each message, https://github.com/apple/coremltools, mlmodel/format. All else is
# refused: Core ML may act on it, and nothing here would know.
_SPECIFICATION: Final = "CoreML.Specification"
_KNOWN: Final = {
    f"{_SPECIFICATION}.{message}": frozenset(fields)
    for message, fields in {
        "Model": {"description", "mlProgram", "nonMaximumSuppression", "pipeline", "specificationVersion"},
        "Pipeline": {"models"},
        "NonMaximumSuppression": {
            "confidenceInputFeatureName",
            "confidenceOutputFeatureName",
            "confidenceThreshold",
            "confidenceThresholdInputFeatureName",
            "coordinatesInputFeatureName",
            "coordinatesOutputFeatureName",
            "int64ClassLabels",
            "iouThreshold",
            "iouThresholdInputFeatureName",
            "pickTop",
            "stringClassLabels",
        },
        "ModelDescription": {"input", "metadata", "output", "predictedFeatureName", "predictedProbabilitiesName"},
        "FeatureType": {"dictionaryType", "doubleType", "imageType", "isOptional", "multiArrayType", "stringType"},
        "ImageFeatureType": {"colorSpace", "height", "width"},
        "ArrayFeatureType": {"dataType", "shape", "shapeRange"},
        "MILSpec.Program": {"attributes", "docString", "functions", "version"},
        "MILSpec.Function": {"block_specializations", "inputs", "opset"},
        "MILSpec.Block": {"operations", "outputs"},
        "MILSpec.Operation": {"attributes", "inputs", "outputs", "type"},
        "MILSpec.TensorType": {"dataType", "dimensions", "rank"},
    }.items()
}


def violations(path: Path, runtime: str | None = None) -> tuple[Violation, ...]:
    """What is wrong with a package.

    Reading it finds what nothing makes, and weights that are not where the program says.

    Args:
        path: of the package.
        runtime: what has to run it ("iOS17", "macOS 14"); None for any.

    Raises:
        ArtifactError: the package is missing, damaged, or holds something that edgekit does not read.
        ConfigError: ``runtime`` is no iOS or macOS that runs ML programs.
        MissingDependency: coremltools is not installed.
    """
    newest = None if runtime is None else specification_of(runtime)
    model = read_model(path)
    return (
        *_versions(model, newest, runtime),
        *_programs(model.message.mlProgram),
        *_names(model),
        *_classifier(model),
        *_input(model),
        *_optional(model),
        *_weights(model),
        *(Violation(None, text) for text in package.irregularities(path)),
        *_pipeline(model),
        *_surplus(model.whole),
    )


def specification_of(target: str) -> int:
    """The newest specification that a deployment target reads.

    Raises:
        ConfigError: it is none that runs ML programs.

    >>> specification_of("iOS17"), specification_of("macOS 14")
    (8, 8)
    """
    match = re.fullmatch(r"(ios|macos)\s*(\d+)(?:\.\d+)*", target.strip().lower())
    column = 1 if match and match[1] == "macos" else 0
    read = [s for s, releases in _RELEASES.items() if match and int(match[2]) >= int(releases[column])]
    if not read:
        raise ConfigError(f"{target!r} is no system that runs ML programs: name iOS15, macOS12 or a later one")
    return max(read)


def _versions(model: Model, newest: int | None, runtime: str | None) -> Iterator[Violation]:
    specification, opset = model.specification, model.program.opset
    declared = next((s for s, (*_, name) in _RELEASES.items() if name == opset), None)
    if declared is None or declared > specification:
        yield Violation(None, f"opset {opset} does not belong to specification {specification}")
    if newest is not None and specification > newest:
        yield Violation(None, f"specification {specification}, and {runtime} reads up to {newest}")
    for operation in model.program.operations:
        since = SINCE.get(operation.operator)
        if since is None:
            yield Violation(operation.output, f"is made by {operation.operator}, which edgekit never writes")
        elif since > specification:
            yield Violation(operation.output, f"is made by {operation.operator}, which came with specification {since}")


def _optional(model: Model) -> Iterator[Violation]:
    """Only thresholds of a pipeline may be left out: what a network takes has to be given."""
    named = {one.name: one.type for part in (model.whole, model.message) for one in part.description.input}
    for name, type_ in named.items():
        if type_.isOptional and type_.WhichOneof("Type") != "doubleType":
            yield Violation(None, f"input {name!r} may be left out (isOptional), and the network cannot do without")


def _pipeline(model: Model) -> Iterator[Violation]:
    """What suppresses boxes reads what the program gives, and there is one of it for each detector."""
    if len(model.suppressions) != len(model.endings):
        wanted = f"{len(model.suppressions)} models suppress boxes, and the metadata name {len(model.endings)}"
        yield Violation(None, wanted)
    given = {feature.name for feature in model.outputs}
    for message in model.suppressions:
        suppression = message.nonMaximumSuppression
        for name in (suppression.confidenceInputFeatureName, suppression.coordinatesInputFeatureName):
            if name not in given:
                yield Violation(None, f"boxes are suppressed by {name}, which the program does not give")


def _programs(message: Any) -> Iterator[Violation]:  # noqa: ANN401 - a protobuf message
    """There is one program: of one function, for one opset."""
    for name, function in message.functions.items():
        if name != FUNCTION:
            yield Violation(None, f"it holds a second function, {name}, and which one runs is the caller's choice")
        for opset in function.block_specializations:
            if opset != function.opset:
                text = f"the function {name} holds a second program, for {opset}: newer systems run that one"
                yield Violation(None, text)


def _names(model: Model) -> Iterator[Violation]:
    """Every value is made once, and callers find what the program takes and gives."""
    function = model.message.mlProgram.functions[FUNCTION]
    block = function.block_specializations[function.opset]
    made = (value.name for operation in block.operations for value in operation.outputs)
    for name, count in Counter(itertools.chain(model.program.inputs, made)).items():
        if count > 1:
            yield Violation(name, f"is what {count} values of the program are called")
    for role, described, program in (
        ("inputs", model.inputs, tuple(model.program.inputs)),
        ("outputs", model.outputs, model.program.outputs),
    ):
        names = tuple(feature.name for feature in described)
        if names != program:
            text = f"the {role} that callers see are {', '.join(names)}, and those of the program {', '.join(program)}"
            yield Violation(None, text)


def _classifier(model: Model) -> Iterator[Violation]:
    """A classifier gives probabilities; edgekit once declared one that gives logits."""
    about = metadata_facts(model.user_defined.get(KEY))
    if about and model.message.description.predictedFeatureName and f"{KEY}.head" not in about:
        text = "an earlier edgekit wrote a classifier whose probabilities are logits: export it again"
        yield Violation(None, text)


def _input(model: Model) -> Iterator[Violation]:
    """An image comes with its channels in the order that the network was trained with, and in its size."""
    order = metadata_facts(model.user_defined.get(KEY)).get(f"{KEY}.preprocessing.order")
    spaces = schema().features.ImageFeatureType.ColorSpace
    for feature in model.message.description.input:
        if feature.type.WhichOneof("Type") != "imageType":
            continue
        image = feature.type.imageType
        given = spaces.Name(image.colorSpace)
        if order is not None and given != COLOUR_SPACES.get(str(order)):
            yield Violation(feature.name, f"is a {given} image, and the network was trained on {order}")
        *_, height, width = model.program.inputs[feature.name].shape if feature.name in model.program.inputs else (0, 0)
        if (height, width) != (image.height, image.width):
            text = f"is an image of {image.height} x {image.width}, and the program takes {height} x {width}"
            yield Violation(feature.name, text)


def _weights(model: Model) -> Iterator[Violation]:
    """The numbers stand in the package's one weights file, and nothing else does."""
    for name, (data, offsets) in model.blobs.items():
        if name != WEIGHTS_REFERENCE:
            yield Violation(None, f"weights stand in {name}, where Core ML does not look: it is {WEIGHTS_REFERENCE}")
        yield from (Violation(None, text) for text in blobs.irregularities(data, offsets))


def _surplus(message: Any) -> Iterator[Violation]:  # noqa: ANN401 - a protobuf message
    for name, what in surplus(message, _KNOWN):
        yield Violation(name, f"{'has' if name else 'it has'} {what}, which edgekit never writes")
