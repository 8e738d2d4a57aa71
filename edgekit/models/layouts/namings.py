"""The layouts that are known by the names of their parts, each with the source that says what weights do not."""

from __future__ import annotations

from edgekit.models.architecture import Options
from edgekit.models.layouts.names import Names, Wiring, block_names
from edgekit.models.layouts.naming import Form, Naming

_TORCH = Options(padding="symmetric", bn_eps=1e-5)
_RELU = Options(padding="symmetric", bn_eps=1e-5, activation="relu")
_CIFAR = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
_TENSORFLOW = Options(padding="same", bn_eps=1e-3)


def _pair(block: str, conv: int) -> Names:
    """A convolution in a Sequential, and its batch normalization behind it."""
    return f"{block}.{conv}", f"{block}.{conv + 1}"


def _named(block: str, conv: str = "conv", norm: str = "bn") -> Names:
    """A convolution and its batch normalization in a module of their own."""
    return f"{block}.{conv}", f"{block}.{norm}"


def _wide(expand: Names, depthwise: Names, project: Names) -> Form:
    return {"expand": expand, "depthwise": depthwise, "project": project}


def _plain(depthwise: Names, project: Names) -> Form:
    return {"depthwise": depthwise, "project": project}


def _squeezing(form: Form, squeeze: str, excite: str) -> Form:
    return {**form, "squeeze": (squeeze, None), "excite": (excite, None)}


def _own(wiring: Wiring, block: str, place: str) -> tuple[Form, ...]:
    """Edgekit's own names, which are torchvision's for V2 and V3, with ``place`` for the block's."""
    return tuple(
        {
            part: (conv.replace(block, place, 1), None if norm is None else norm.replace(block, place, 1))
            for part, (conv, norm) in block_names(wiring, 0, expands=expands, squeezes=squeezes).items()
        }
        for expands in (True, False)
        for squeezes in (True, False)
    )


def _flat(block: str) -> tuple[Form, ...]:
    """V2's block as one Sequential: convolution, batch normalization and ReLU6 lie side by side."""
    return (
        _wide(_pair(block, 0), _pair(block, 3), _pair(block, 6)),
        _plain(_pair(block, 0), _pair(block, 3)),
    )


_LAST = ("{last}.0", "{last}.1")

# torchvision/models/mobilenetv2.py and mobilenetv3.py; networks that edgekit saved without metadata have these names.
TORCHVISION_V2 = Naming(
    "torchvision state dict", "mobilenet_v2", ("0.0", "0.1"), _own("mobilenet_v2", "features.1", "{n}"), _LAST
)
TORCHVISION_V3 = Naming(
    "torchvision state dict",
    "mobilenet_v3",
    ("0.0", "0.1"),
    _own("mobilenet_v3", "features.1", "{n}"),
    _LAST,
    usual=Options(padding="symmetric", bn_eps=1e-3),
    hidden="classifier.0",
)

# Edgekit's own V1. Published V1 weights were trained in TensorFlow, so its constants are the usual ones; people who
# wrote V1 in PyTorch chose the same names, with ReLU, symmetric padding and an epsilon of 1e-5.
EDGEKIT_V1 = Naming(
    "MobileNetV1 state dict",
    "mobilenet_v1",
    ("conv1.0", "conv1.1"),
    _own("mobilenet_v1", "features.0", "features.{i}")[:1],
    usual=Options(padding="same", bn_eps=1e-3, activation="relu6"),
)

# The same names for images of 32 x 32 (CIFAR-10), which are normalized by that set's mean and deviation.
CIFAR_V1 = Naming(
    "MobileNetV1 state dict, for CIFAR",
    "mobilenet_v1",
    ("conv1.0", "conv1.1"),
    _own("mobilenet_v1", "features.0", "features.{i}")[:1],
    usual=_RELU,
    family="mobilenet_v1_cifar",
    blocks=8,
    normalization=_CIFAR,
)

# github.com/marvis/pytorch-mobilenet, and its many copies.
SEQUENTIAL_V1 = Naming(
    "MobileNetV1 as one Sequential",
    "mobilenet_v1",
    ("0.0", "0.1"),
    (_plain(_pair("{n}", 0), _pair("{n}", 3)),),
    usual=_RELU,
)

# github.com/kuangliu/pytorch-cifar: a stem of stride 1, for images of 32 x 32.
KUANGLIU_V1 = Naming(
    "kuangliu's MobileNet for CIFAR-10",
    "mobilenet_v1",
    ("conv1", "bn1"),
    (_plain(("layers.{i}.conv1", "layers.{i}.bn1"), ("layers.{i}.conv2", "layers.{i}.bn2")),),
    usual=Options(**_RELU, resolution=32),
    stated=Options(stem_stride=1),
    normalization=_CIFAR,
)

# github.com/osmr/pytorchcv.
PYTORCHCV_V1 = Naming(
    "pytorchcv's MobileNet",
    "mobilenet_v1",
    _named("features.init_block"),
    (_plain(_named("features.stage{s}.unit{u}.dw_conv"), _named("features.stage{s}.unit{u}.pw_conv")),),
    usual=_RELU,
    stages=(1, 2, 2, 6, 2),
)
PYTORCHCV_V2 = Naming(
    "pytorchcv's MobileNetV2",
    "mobilenet_v2",
    _named("features.init_block"),
    (
        _wide(*(_named(f"features.stage{{s}}.unit{{u}}.conv{part}") for part in (1, 2, 3))),
        _plain(*(_named(f"features.stage{{s}}.unit{{u}}.conv{part}") for part in (1, 2))),
    ),
    _named("features.final_block"),
    stages=(1, 2, 3, 7, 4),
)

# github.com/tonylins/pytorch-mobilenet-v2, and torchvision until 0.2; d-li14/mobilenetv2.pytorch has the last
# convolution outside.
TONYLINS_V2 = Naming("tonylins' MobileNetV2", "mobilenet_v2", ("0.0", "0.1"), _flat("{n}.conv"), _LAST)
D_LI14_V2 = Naming(
    "d-li14's MobileNetV2",
    "mobilenet_v2",
    ("features.0.0", "features.0.1"),
    _flat("features.{n}.conv"),
    ("conv.0", "conv.1"),
)

# A stem of its own, blocks from 0, and a second convolution at the end, as in textbooks.
STEM_V2 = Naming(
    "MobileNetV2 state dict",
    "mobilenet_v2",
    ("conv1.0", "conv1.1"),
    _flat("features.{i}.conv"),
    ("conv2.0", "conv2.1"),
)

# github.com/d-li14/mobilenetv3.pytorch: squeeze-and-excite before the activation, where the block expands.
_D_LI14_WIDE = _wide(_pair("features.{n}.conv", 0), _pair("features.{n}.conv", 3), _pair("features.{n}.conv", 7))
_D_LI14_PLAIN = _plain(_pair("features.{n}.conv", 0), _pair("features.{n}.conv", 4))
D_LI14_V3 = Naming(
    "d-li14's MobileNetV3",
    "mobilenet_v3",
    ("features.0.0", "features.0.1"),
    (
        _squeezing(_D_LI14_WIDE, "features.{n}.conv.5.fc.0", "features.{n}.conv.5.fc.2"),
        _D_LI14_WIDE,
        _squeezing(_D_LI14_PLAIN, "features.{n}.conv.3.fc.0", "features.{n}.conv.3.fc.2"),
        _D_LI14_PLAIN,
    ),
    ("conv.0", "conv.1"),
    stated=Options(squeeze_first=True),
    hidden="classifier.0",
)

# A searched network of 11 rows without residuals; all activations are hard-swish, squeeze-and-excite comes before them.
_NAS = _wide(_pair("features.{i}", 0), _pair("features.{i}", 3), _pair("features.{i}", 7))
NAS_V3 = Naming(
    "NASMobileNet state dict",
    "mobilenet_v3",
    ("stem.0", "stem.1"),
    (_squeezing(_NAS, "features.{i}.5.fc.0", "features.{i}.5.fc.2"), _NAS),
    ("head.0", "head.1"),
    stated=Options(squeeze_first=True, residuals=False),
    family="mobilenet_v3_nas",
)

# transformers/models/mobilenet_v1 and mobilenet_v2; the published weights come from TensorFlow.
HUGGING_FACE_V1 = Naming(
    "Hugging Face MobileNetV1",
    "mobilenet_v1",
    _named("conv_stem", "convolution", "normalization"),
    (
        _plain(
            _named("layer.{even}", "convolution", "normalization"),
            _named("layer.{odd}", "convolution", "normalization"),
        ),
    ),
    usual=_TENSORFLOW,
)
HUGGING_FACE_V2 = Naming(
    "Hugging Face MobileNetV2",
    "mobilenet_v2",
    _named("conv_stem.first_conv", "convolution", "normalization"),
    (
        _wide(
            *(
                _named(f"layer.{{before}}.{part}", "convolution", "normalization")
                for part in ("expand_1x1", "conv_3x3", "reduce_1x1")
            )
        ),
    ),
    _named("conv_1x1", "convolution", "normalization"),
    usual=_TENSORFLOW,
    first=_plain(
        _named("conv_stem.conv_3x3", "convolution", "normalization"),
        _named("conv_stem.reduce_1x1", "convolution", "normalization"),
    ),
)

# mmpretrain (mmcls) and mmdetection: mmpretrain/models/backbones/mobilenet_v2.py.
OPENMMLAB_V2 = Naming(
    "OpenMMLab's MobileNetV2",
    "mobilenet_v2",
    _named("conv1"),
    (
        _wide(*(_named(f"layer{{s}}.{{u0}}.conv.{part}") for part in (0, 1, 2))),
        _plain(*(_named(f"layer{{s}}.{{u0}}.conv.{part}") for part in (0, 1))),
    ),
    _named("conv2"),
    stages=(1, 2, 3, 4, 3, 3, 1),
)

NAMINGS = (
    TORCHVISION_V3,
    TORCHVISION_V2,
    CIFAR_V1,
    EDGEKIT_V1,
    D_LI14_V2,
    D_LI14_V3,
    STEM_V2,
    NAS_V3,
    HUGGING_FACE_V1,
    HUGGING_FACE_V2,
    OPENMMLAB_V2,
    PYTORCHCV_V1,
    PYTORCHCV_V2,
    KUANGLIU_V1,
    TONYLINS_V2,
    SEQUENTIAL_V1,
)
