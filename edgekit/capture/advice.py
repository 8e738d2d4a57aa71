"""What could stand in the place of an operator that edgekit does not know, whatever front end met it."""

from __future__ import annotations

from typing import Final

_TRANSFORMER: Final = "it belongs to transformers: no integers are proven of it"
_RECURRENT: Final = "it belongs to recurrent networks: let it read the feature map in your application"
# By the operator's name in small letters, without underscores.
_REPLACEMENTS: Final = {
    **dict.fromkeys(("gelu", "erf"), "train with SiLU or hard-swish in the place of GELU"),
    **dict.fromkeys(("layernorm", "layernormalization", "scaleddotproductattention", "attention"), _TRANSFORMER),
    **dict.fromkeys(("lstm", "gru", "rnn"), _RECURRENT),
    **dict.fromkeys(
        ("instancenorm", "instancenormalization", "groupnorm", "groupnormalization"), "train with batch normalization"
    ),
    **dict.fromkeys(("mish", "softplus", "elu", "celu", "selu"), "train with SiLU, hard-swish or LeakyReLU"),
    **dict.fromkeys(("upsamplebicubic2d", "upsamplebilinear2daa"), "resize bilinearly, without antialiasing"),
    "nonmaxsuppression": "boxes are chosen where the application decodes them",
    "deformconv": "replace it by a convolution, dilated where it has to reach far",
    "gridsample": "resize by a fixed factor, or sample in your application",
}


def replacement(operator: str) -> str:
    """What to do about an operator, as the end of a sentence.

    >>> replacement("group_norm.default") == replacement("GroupNormalization")
    True
    """
    name = operator.partition(".")[0].replace("_", "").lower()
    return _REPLACEMENTS.get(name, "docs/operators.md lists what it could be replaced by")
