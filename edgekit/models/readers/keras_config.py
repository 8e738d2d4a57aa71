"""What a Keras model's configuration says, used or refused by name: layers, in the order in which they act.

Sources: keras/src/layers (each class's get_config), and keras/src/applications/mobilenet*.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.errors import CheckpointError
from edgekit.ir import Padding
from edgekit.models.architecture import Options
from edgekit.models.names import first_few
from edgekit.models.readers.keras_layers import CONVS, Layer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.models.architecture import HeadActivation, PaddingStyle, Size

_WAY = "As ONNX, by tf2onnx, edgekit reads any network that has no other operators than MobileNets"
_POOLS = ("GlobalAveragePooling2D", "GlobalMaxPooling2D")
_ONLY_IN_TRAINING = (
    *("Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization"),
    *("RandomFlip", "RandomRotation", "RandomZoom", "RandomContrast", "RandomBrightness", "RandomTranslation"),
    *("RandomShear", "RandomHue", "RandomSaturation", "RandomColorJitter", "RandomErasing", "RandomGaussianBlur"),
)
_HARMLESS = ("InputLayer", "Flatten", "Reshape", "Permute", "Functional", "Model", "Sequential", "Identity")
_SIMPLE = {"relu": "relu", "relu6": "relu6", "hard_swish": "hard_swish", "hard_silu": "hard_swish", "linear": "none"}
_ENDS = ("softmax", "sigmoid")
_KNOWN = {
    *("BatchNormalization", "ReLU", "Activation", "Softmax", "Add", "Multiply", "Subtract", "TrueDivide", "Divide"),
    *("ZeroPadding2D", "Rescaling", "Normalization", "TFOpLambda", "Dense", "GlobalAveragePooling2D"),
    *(*CONVS, *_ONLY_IN_TRAINING, *_HARMLESS),
}
_INSTEAD = {
    "GlobalMaxPooling2D": "edgekit has average pooling only, in ONNX files too: train it with GlobalAveragePooling2D",
    "Lambda": "a Lambda holds code, which edgekit never runs",
    "Resizing": "the network resizes its images itself: do that in the preprocessing, and save the rest",
    "CenterCrop": "the network crops its images itself: do that in the preprocessing, and save the rest",
    "SeparableConv2D": "MobileNets have a batch normalization between the two halves of a separable convolution",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What a configuration says.

    Attributes:
        options: what leaves no trace in weights.
        normalization: mean and std of pixels from 0 to 1, one number or one a channel each; None where it says none.
        strides: of the first convolution and each depthwise one; empty where it lists none.
        epsilons: of each batch normalization, by the layer's name.
        places: of dense layers and batch normalizations of the classifier, by name: how many functions stand before.
        names: of layers that go by order, to those that Keras' own MobileNets have.
        notes: for people.
    """

    options: Options
    normalization: tuple[tuple[float, ...], tuple[float, ...]] | None
    strides: tuple[int, ...]
    epsilons: Mapping[str, float]
    places: Mapping[str, int]
    names: Mapping[str, str]
    notes: tuple[str, ...]


def read(layers: Sequence[Layer], statistics: Mapping[str, Mapping[str, Any]]) -> Said:
    """What the layers say.

    Args:
        layers: see ``layers_of``.
        statistics: mean and variance of Normalization layers that were adapted to data, by the layer's name.

    Raises:
        CheckpointError: a layer does what edgekit's MobileNets do not.
    """
    _refuse_unknown(layers)
    body, head = _parts(layers)
    options = Options()
    size = _size(layers)
    if size is not None:
        options["resolution"] = size[0] if size[0] == size[1] else size
    epsilons = {layer.name: layer.settings["epsilon"] for layer in layers if "epsilon" in layer.settings}
    epsilons = {name: eps for name, eps in epsilons.items() if name in {x.name for x in layers if _is_norm(x)}}
    if epsilons:
        options["bn_eps"] = min(epsilons.values())
    strides = _strides(body)
    padding = _padding(body, size)
    if padding is not None:
        options["padding"] = padding
    activation = _body_activation(body)
    if activation is not None:
        options["activation"] = activation  # type: ignore[typeddict-item]  # _SIMPLE's names are the type's
    hidden, end = _head_activation(head)
    if hidden is not None:
        options["head_activation"] = hidden
    notes = [f"the model ends in {end}; its logits are taken, the numbers before it"] if end in _ENDS else []
    places, names = _places(head), _names_by_order(body)
    return Said(options, _normalization(body, statistics), strides, epsilons, places, names, tuple(notes))


def _is_norm(layer: Layer) -> bool:
    return layer.kind == "BatchNormalization"


def _refuse_unknown(layers: Sequence[Layer]) -> None:
    for layer in layers:
        if layer.kind not in _KNOWN:
            why = _INSTEAD.get(layer.kind, f"no MobileNet has such a layer. {_WAY}")
            raise CheckpointError(f"layer {layer.name!r} is a {layer.kind}: {why}")
        for name, usual in (("dilation_rate", 1), ("depth_multiplier", 1), ("groups", 1)):
            value = layer.settings.get(name, usual) if layer.kind in CONVS else usual
            if any(number != usual for number in (value if isinstance(value, list) else [value])):
                raise CheckpointError(f"layer {layer.name!r} has {name} {value}, and MobileNets have {usual}. {_WAY}")
        if layer.settings.get("data_format") == "channels_first":
            raise CheckpointError(f"layer {layer.name!r} has channels first: save the model with channels last")
        if layer.kind in {"ReLU", "Activation", *CONVS, "Dense"}:
            known = {*_SIMPLE, *_ENDS, "hard_sigmoid"}
            if layer.activation not in known:
                raise CheckpointError(
                    f"layer {layer.name!r} computes {layer.activation}, and edgekit has {', '.join(sorted(known))}"
                )


def _parts(layers: Sequence[Layer]) -> tuple[Sequence[Layer], Sequence[Layer]]:
    """The body, and the classifier from the last pooling on, or from the first dense layer where nothing is pooled."""
    starts = [index for index, layer in enumerate(layers) if layer.kind in _POOLS]
    dense = [index for index, layer in enumerate(layers) if layer.kind in {"Dense", "Flatten"}]
    start = starts[-1] if starts else dense[0] if dense else len(layers)
    return layers[:start], layers[start:]


def _size(layers: Sequence[Layer]) -> Size | None:
    """Height and width of the image that the first layer takes, in pixels; None where it takes any."""
    for layer in layers:
        match layer.settings.get("batch_shape") or layer.settings.get("batch_input_shape"):
            case [_, int(height), int(width), _]:
                return height, width
            case [_, _, _, _]:
                return None
    return None


def _pair(value: Any) -> tuple[int, int]:  # noqa: ANN401 - JSON
    return (value[0], value[1]) if isinstance(value, list | tuple) else (value, value)


def _strides(body: Sequence[Layer]) -> tuple[int, ...]:
    strides: list[int] = []
    convs = [layer for layer in body if layer.kind in CONVS]
    if any("strides" not in layer.settings for layer in convs):
        return ()
    for layer in convs:
        down, right = _pair(layer.settings.get("strides", 1))
        if down != right:
            raise CheckpointError(
                f"layer {layer.name!r} has strides {down} and {right}, and MobileNets have equal ones"
            )
        if layer.kind == "DepthwiseConv2D" or not strides:
            strides.append(down)
        elif down != 1:
            raise CheckpointError(f"layer {layer.name!r} has stride {down}, and MobileNets have 1 there. {_WAY}")
    return tuple(strides)


def _padding(body: Sequence[Layer], size: Size | None) -> PaddingStyle | None:
    """How the strided convolutions pad; None where none is listed with its padding.

    Raises:
        CheckpointError: they pad neither as TensorFlow's "same" nor alike on all sides.
    """
    found: set[PaddingStyle] = set()
    height, width = size or (224, 224)
    border: list[list[int]] | None = None
    for layer in body:
        if layer.kind == "ZeroPadding2D":
            given = layer.settings.get("padding", 1)
            rows = given if isinstance(given, list) else [given, given]
            border = [list(row) if isinstance(row, list) else [row, row] for row in rows]
        if layer.kind not in CONVS:
            continue
        kernel, stride = _pair(layer.settings.get("kernel_size", 1)), _pair(layer.settings.get("strides", 1))
        same = Padding.same((height, width), kernel, stride)
        wanted = [[same.top, same.bottom], [same.left, same.right]]
        alike = [[side // 2, side // 2] for side in kernel]
        pads = wanted if layer.settings.get("padding", "valid") == "same" else border or [[0, 0], [0, 0]]
        if "padding" in layer.settings and max(kernel) > 1:
            if pads not in (wanted, alike):
                raise CheckpointError(
                    f"layer {layer.name!r} pads {pads} (rows, columns), which is neither TensorFlow's same nor alike on"
                    f" all sides. {_WAY}"
                )
            if wanted != alike:
                found.add("same" if pads == wanted else "symmetric")
        border = None
        height, width = math.ceil(height / stride[0]), math.ceil(width / stride[1])
    if len(found) > 1:
        raise CheckpointError(f"some layers pad as TensorFlow's same and others alike on all sides. {_WAY}")
    return found.pop() if found else None


def _body_activation(body: Sequence[Layer]) -> str | None:
    """The one function of a body without gates; None where it lists none, or is a V3, whose blocks differ."""
    if _has_gates(body):
        return "hard_swish" if any(_SIMPLE.get(layer.activation) == "hard_swish" for layer in body) else None
    found = {_SIMPLE.get(layer.activation, layer.activation) for layer in body} - {"none"}
    if len(found) > 1:
        raise CheckpointError(f"the body has several functions ({', '.join(sorted(found))}), and MobileNets have one")
    return found.pop() if found else None


def _has_gates(body: Sequence[Layer]) -> bool:
    """Whether channels are multiplied, as in a V3."""
    convs = [index for index, layer in enumerate(body) if layer.kind in CONVS]
    behind = body[convs[0] :] if convs else ()
    return any(layer.kind == "Multiply" or "multiply" in layer.name.lower() for layer in behind)


def _functions(head: Sequence[Layer]) -> list[tuple[Layer, str]]:
    """Each dense layer of the classifier with the function behind it, which may be a layer of its own."""
    found: list[tuple[Layer, str]] = []
    for layer in head:
        if layer.kind in {"Dense", "Conv2D"}:
            found.append((layer, layer.activation))
        elif layer.activation != "linear" and found:
            dense, before = found[-1]
            if before != "linear":
                raise CheckpointError(f"two functions follow {dense.name!r}: {before} and {layer.activation}. {_WAY}")
            found[-1] = (dense, layer.activation)
    return found


def _head_activation(head: Sequence[Layer]) -> tuple[HeadActivation | None, str]:
    """The function between the classifier's layers, None where there are none, and what comes last.

    Raises:
        CheckpointError: layers differ in it, or the last is no classifier's.
    """
    functions = _functions(head)
    if not functions:
        return None, "linear"
    *hidden, (last, end) = functions
    if end not in {"linear", *_ENDS}:
        raise CheckpointError(
            f"the model ends in {end} ({last.name!r}), and classifiers end in softmax, sigmoid or nothing. {_WAY}"
        )
    kinds = {_SIMPLE.get(function, function) for _, function in hidden}
    if len(kinds) > 1 or not kinds <= set(_SIMPLE.values()):
        raise CheckpointError(
            f"the hidden layers of the classifier compute {first_few(sorted(kinds))}, and edgekit builds one of"
            f" {', '.join(sorted(set(_SIMPLE.values())))} for all. {_WAY}"
        )
    return (kinds.pop() if kinds else None), end  # type: ignore[return-value]  # _SIMPLE's values are the type's


def _places(head: Sequence[Layer]) -> dict[str, int]:
    """Dense layers and batch normalizations by name, numbered so that a function in between leaves a gap."""
    places: dict[str, int] = {}
    place = 0
    for layer in head:
        if layer.kind == "Dense" or _is_norm(layer):
            places[layer.name] = place
            place += 1
        if layer.activation != "linear":
            place += 1
    return places


def _normalization(
    body: Sequence[Layer], statistics: Mapping[str, Mapping[str, Any]]
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and std of 0..1 pixels, from the arithmetic before the first convolution on pixels from 0 to 255.

    Raises:
        CheckpointError: the arithmetic is not a scale and a shift, or its numbers are not in the file.
    """
    scale, shift, is_said = [1.0], [0.0], False
    for layer in body:
        if layer.kind in {*CONVS, "ZeroPadding2D"}:
            break
        step = _affine(layer, statistics)
        if step is not None:
            by, plus = step
            scale, shift = _each(scale, by, lambda a, b: a * b), _each(_each(shift, by, lambda a, b: a * b), plus, _add)
            is_said = True
    if not is_said:
        return None
    if min(scale) <= 0:
        raise CheckpointError("the model multiplies its images by a number that is not positive: {_WAY}")
    mean = _each(shift, scale, lambda b, a: -b / (255 * a))
    return tuple(round(value, 9) + 0.0 for value in mean), tuple(round(1 / (255 * a), 9) for a in scale)


def _add(first: float, second: float) -> float:
    return first + second


def _each(first: Sequence[float], second: Sequence[float], compute: Any) -> list[float]:  # noqa: ANN401 - of two numbers
    """Channel by channel, where one number stands for all channels."""
    count = max(len(first), len(second))
    pairs = zip(list(first) * (count // len(first)), list(second) * (count // len(second)), strict=True)
    return [compute(one, other) for one, other in pairs]


def _affine(layer: Layer, statistics: Mapping[str, Mapping[str, Any]]) -> tuple[list[float], list[float]] | None:
    """A layer as a factor and a summand, one or one a channel; None where it is no arithmetic."""
    if layer.kind == "Rescaling":
        return _numbers(layer.settings.get("scale", 1.0)), _numbers(layer.settings.get("offset", 0.0))
    if layer.kind == "Normalization":
        kept = statistics.get(layer.name, {})
        mean, variance = (layer.settings.get(name, kept.get(name)) for name in ("mean", "variance"))
        mean, variance = (kept.get(n) if v is None else v for n, v in (("mean", mean), ("variance", variance)))
        if mean is None or variance is None or layer.settings.get("invert"):
            raise CheckpointError(
                f"layer {layer.name!r} normalizes images by numbers that the file does not hold: save the model after"
                " adapt()"
            )
        std = [max(math.sqrt(value), 1e-7) for value in _numbers(variance)]  # Keras' epsilon
        return [1 / value for value in std], _each(_numbers(mean), std, lambda a, b: -a / b)
    operator = str(layer.settings.get("function", layer.kind)).rpartition(".")[2].lower().replace("_", "")
    if operator not in {"truediv", "truedivide", "divide", "realdiv", "multiply", "subtract", "sub", "add"}:
        return None
    if len(layer.constants) != 1:
        raise CheckpointError(f"layer {layer.name!r} computes {operator} on images with no constant. {_WAY}")
    values = _numbers(layer.constants[0])
    if "div" in operator:
        return [1 / value for value in values], [0.0]
    if operator == "multiply":
        return values, [0.0]
    return [1.0], [value if operator == "add" else -value for value in values]


def _numbers(value: Any) -> list[float]:  # noqa: ANN401 - JSON or an array
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [number for item in value for number in _numbers(item)]
    return [float(value)]


def _names_by_order(body: Sequence[Layer]) -> dict[str, str]:
    """Names of Keras' own V1 or V2 for layers that are a V1 or V2 by kind and order; empty for anything else.

    Some build MobileNets without names, so that layers are called conv2d_7 and batch_normalization_3
    (STM32 model zoo's mobilenetv1.py and mobilenetv2.py).
    """
    convs = [layer for layer in body if layer.kind in CONVS]
    norms = [layer for layer in body if _is_norm(layer)]
    named = {layer.name.lower() for layer in convs}
    if len(convs) != len(norms) or "expanded_conv_1_depthwise" in named or _has_gates(body):  # a V3
        return {}
    pattern = "".join("d" if layer.kind == "DepthwiseConv2D" else "c" for layer in convs)
    pairs = (len(pattern) - 1) // 2
    if pattern == "c" + "dc" * pairs and pairs > 1:
        conv_names = ["conv1", *(f"conv_{part}_{n + 1}" for n in range(pairs) for part in ("dw", "pw"))]
        norm_names = [f"{name}_bn" for name in conv_names]
    elif pattern == "cdc" + "cdc" * ((len(pattern) - 4) // 3) + "c" and len(pattern) > 4:
        parts = [f"block_{n}_{part}" for n in range(1, (len(pattern) - 4) // 3 + 1) for part in _V2_PARTS]
        conv_names = ["conv1", "expanded_conv_depthwise", "expanded_conv_project", *parts, "conv_1"]
        norm_names = ["bn_conv1", *(f"{name}_bn" for name in conv_names[1:])]
        if all("filters" in layer.settings for layer in convs if layer.kind == "Conv2D"):
            _check_sums(body, convs)
    else:
        return {}
    theirs = [layer.name for layer in (*convs, *norms)]
    return dict(zip(theirs, [*conv_names, *norm_names], strict=True))


_V2_PARTS = ("expand", "depthwise", "project")


def _check_sums(body: Sequence[Layer], convs: Sequence[Layer]) -> None:
    """Refuses a V2 with more or fewer residuals than its strides and channels say."""
    sums = sum(layer.kind == "Add" for layer in body)
    projections = [convs[2], *convs[5:-1:3]]
    channels = [layer.settings.get("filters") for layer in projections]
    strides = [_pair(layer.settings.get("strides", 1))[0] for layer in convs if layer.kind == "DepthwiseConv2D"]
    pairs = zip(channels, channels[1:], strides[1:], strict=False)
    expected = sum(before == after and stride == 1 for before, after, stride in pairs)
    expected += channels[0] == convs[0].settings.get("filters")
    if sums != expected:
        raise CheckpointError(f"the model has {sums} sums, and a MobileNetV2 of its channels has {expected}. {_WAY}")
