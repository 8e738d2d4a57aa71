"""What could stand in the place of an operator that edgekit does not know, whatever front end met it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Replacement:
    """What to do about some operators.

    Attributes:
        operators: as people call them.
        names: as ATen and ONNX call them, in small letters and without underscores.
        instead: what to do, as the end of a sentence.
    """

    operators: str
    names: tuple[str, ...]
    instead: str


# docs/operators.md lists them, too.
REPLACEMENTS: Final = (
    Replacement("GELU, erf", ("gelu", "erf"), "train with SiLU or hard-swish in the place of GELU"),
    Replacement(
        "Mish, softplus, ELU, CELU, SELU",
        ("mish", "softplus", "elu", "celu", "selu"),
        "train with SiLU, hard-swish or LeakyReLU",
    ),
    Replacement("tanh", ("tanh",), "2 * torch.sigmoid(2 * x) - 1 is the same"),
    Replacement("absolute value", ("abs",), "torch.relu(x) + torch.relu(-x) is the same"),
    Replacement("square, power", ("pow", "square"), "x * x is the square"),
    Replacement(
        "maximum or minimum of two tensors",
        ("maximum", "minimum", "max", "min"),
        "b + torch.relu(a - b) is the larger one, a - torch.relu(a - b) the smaller",
    ),
    Replacement("sum", ("sum", "reducesum"), "take the mean, and multiply it by the number of summands"),
    Replacement(
        "exponential, logarithm, square root, reciprocal",
        ("exp", "log", "sqrt", "rsqrt", "reciprocal"),
        "compute it in your application, of what comes before",
    ),
    Replacement(
        "log-soft-max",
        ("logsoftmax",),
        "return the logits: the largest stays the largest, and the loss takes the logarithm",
    ),
    Replacement(
        "arg-max, top k, sort",
        ("argmax", "argmin", "topk", "sort", "argsort"),
        "return what it chooses from, and choose in your application: integers keep the order",
    ),
    Replacement(
        "length of a vector, L2 normalization",
        ("linalgvectornorm", "norm", "reducel2", "lpnormalization"),
        "divide by the length in your application; cosines stay as they are",
    ),
    Replacement(
        "instance, group or local response normalization",
        ("instancenorm", "instancenormalization", "groupnorm", "groupnormalization", "localresponsenorm", "lrn"),
        "train with batch normalization",
    ),
    Replacement(
        "layer normalization, attention, products of two computed matrices",
        (
            *("layernorm", "layernormalization", "rmsnorm", "scaleddotproductattention", "attention"),
            *("multiheadattention", "nativemultiheadattention", "matmul", "bmm", "einsum"),
        ),
        "it belongs to transformers: no integers are proven of it",
    ),
    Replacement(
        "LSTM, GRU, RNN",
        ("lstm", "gru", "rnn"),
        "it belongs to recurrent networks: let it read the feature map in your application",
    ),
    Replacement(
        "bicubic or antialiased resizing",
        ("upsamplebicubic2d", "upsamplebilinear2daa", "upsamplebicubic2daa"),
        "resize bilinearly, without antialiasing",
    ),
    Replacement(
        "non-maximum suppression", ("nonmaxsuppression",), "boxes are chosen where the application decodes them"
    ),
    Replacement(
        "deformable convolution",
        ("deformconv", "deformconv2d"),
        "replace it by a convolution, dilated where it has to reach far",
    ),
    Replacement(
        "grid sampling", ("gridsample", "gridsampler"), "resize by a fixed factor, or sample in your application"
    ),
    Replacement(
        "comparison, where",
        (
            *("gt", "ge", "lt", "le", "eq", "ne", "where"),
            *("greater", "greaterorequal", "less", "lessorequal", "equal"),
        ),
        "clamp, or multiply by a sigmoid; or decide in your application",
    ),
)
_INSTEAD: Final = {name: known.instead for known in REPLACEMENTS for name in known.names}


def replacement(operator: str) -> str:
    """What to do about an operator, as the end of a sentence.

    >>> replacement("group_norm.default") == replacement("GroupNormalization")
    True
    """
    return known_replacement(operator) or "docs/operators.md lists what edgekit takes, for it to be written in"


def known_replacement(operator: str) -> str:
    """As ``replacement``; "" where nothing better is known than the list."""
    return _INSTEAD.get(operator.partition(".")[0].replace("_", "").lower(), "")
