"""From a backbone and what is wanted of it to what the network looks like: where its heads stand, and how large."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from edgekit.errors import ConfigError
from edgekit.models.architecture import dilated
from edgekit.models.backbone import POOLED, expansions, feature_maps
from edgekit.models.families import family_of
from edgekit.models.head_specs import DeepLabSpec, ExitSpec, LrasppSpec, SsdSpec, VectorSpec, grids
from edgekit.models.head_tasks import EXITS
from edgekit.models.priors import Priors, fitted, scaled
from edgekit.models.task_architecture import TaskArchitecture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from edgekit.models.architecture import Architecture, Size
    from edgekit.models.backbone import FeatureMap
    from edgekit.models.head_specs import HeadSpec, VectorTask

Kind = Literal["ssd", "ssdlite", "lraspp", "deeplab"]

OUTPUT_STRIDE: Final = 16  # of segmentation: arXiv:1706.05587, section 4, and torchvision's dilated MobileNetV3
# Channels of SSD's further maps: ssd_mobilenet_v1_feature_extractor.py of TensorFlow's object detection, which
# torchvision's ssdlite.py has, too, but for the last one of 128, where the former have 256, 256 and 128.
_EXTRAS: Final = (512, 256, 256, 128)
_FINE_STRIDE: Final = 16  # of the first of SSD's maps
_LARGEST_SCALE: Final = 0.9  # arXiv:1512.02325, section 2.2
_FEW: Final = 4  # boxes at each place of its first map and its last two, without the ratio 3
_LRASPP_STRIDE: Final = 8  # of the fine map: arXiv:1905.02244, figure 10
_LRASPP_CHANNELS: Final = 128  # likewise
_ASPP_CHANNELS: Final = 256  # arXiv:1706.05587, section 3.3
_ASPP_RATES: Final = (6, 12, 18)  # likewise: for the output stride and the images of
_ASPP_STRIDE, _ASPP_SIDE = 16, 513


def network_for(
    backbone: Architecture,
    kind: Kind,
    classes: int,
    *,
    shapes: NDArray[np.floating[Any]] | None = None,
    output_stride: int = OUTPUT_STRIDE,
) -> TaskArchitecture:
    """A detector or a segmenter.

    Args:
        backbone: of any family, for images of the size that is wanted.
        kind: of the head: SSD, with or without separable convolutions, LR-ASPP or DeepLabV3.
        classes: how many there are, a detector's background not counted.
        shapes: [n, 2], widths and heights of objects in shares of the image: prior boxes are fitted to them.
        output_stride: pixels of the image to each place of the last map of a segmenter's backbone.

    Raises:
        ConfigError: the backbone cannot have such a head.
    """
    if kind in {"ssd", "ssdlite"}:
        return TaskArchitecture(backbone, (ssd(backbone, classes, separable=kind == "ssdlite", shapes=shapes),))
    body = _up_to_last(dilated(backbone, output_stride))
    return TaskArchitecture(body, (lraspp(body, classes) if kind == "lraspp" else deeplab(body, classes),))


def vector(
    backbone: Architecture, task: VectorTask, things: int, *, name: str | None = None, hidden: tuple[int, ...] = ()
) -> HeadSpec:
    """Classes, tags or numbers of the whole image, with the activation of ``backbone`` behind hidden layers."""
    return VectorSpec(name or task, task, things, (POOLED,), hidden, backbone.activation)


def exits(classifier: Architecture, classes: int, places: Sequence[str]) -> TaskArchitecture:
    """A classifier that images may leave early, at each of some places: a separable convolution, and a linear layer.

    The last exit is the family's own classifier, so that its weights have the keys that they have there.

    Args:
        classifier: what the network looks like without exits.
        classes: how many there are.
        places: names of feature maps.

    Raises:
        ConfigError: there is no such place, or it lies at the end.
    """
    maps = feature_maps(classifier)
    known = [one.module for one in maps[:-1]]
    for place in places:
        if place not in known:
            raise ConfigError(
                f"{classifier.name} has no early exit at {place!r}: choose from {', '.join(known)}, or say how many, "
                f"--exits 2"
            )
    early = [
        ExitSpec(f"exit{number}", EXITS, classes, (one.module,), (), classifier.activation, one.channels)
        for number, one in enumerate((one for one in maps if one.module in places), 1)
    ]
    pools = family_of(classifier.family).wiring.pools_in_classifier
    end = maps[-1].module if pools else POOLED
    activation = classifier.head_activation or classifier.activation
    last = ExitSpec("classifier", EXITS, classes, (end,), classifier.hidden_channels, activation)
    return TaskArchitecture(classifier, (*early, last))


def ssd(
    backbone: Architecture,
    classes: int,
    *,
    separable: bool,
    shapes: NDArray[np.floating[Any]] | None = None,
    name: str = "detection",
) -> SsdSpec:
    """A detector on the last map of the backbone, one of stride 16 before it, and further ones until one has one place.

    The one before it is the wide map behind the expansion of the block that halves it, where there is one
    (arXiv:1801.04381, section 6.2), else the last of its stride (V1: arXiv:1704.04861's conv11 and conv13). At most
    four are added. Without ``shapes`` prior boxes are those of SSD's paper; of separable ones torchvision's ssdlite.

    Raises:
        ConfigError: ``shapes`` is empty.
    """
    takes = _detected(backbone)
    strides = tuple(_stride(one) for one in takes)
    extras = 0
    while extras < len(_EXTRAS) and max(grids(backbone.size, strides, extras)[-1]) > 1:
        extras += 1
    sizes = grids(backbone.size, strides, extras)
    usual = scaled(sizes) if separable else _of_paper(sizes)
    priors = usual if shapes is None else fitted(shapes, sizes)
    modules = tuple(one.module for one in takes)
    return SsdSpec(name, "detection", classes, modules, strides, _EXTRAS[:extras], priors, separable, backbone.bn_eps)


def lraspp(backbone: Architecture, classes: int, *, name: str = "segmentation") -> LrasppSpec:
    """A segmenter with output stride 8.

    Raises:
        ConfigError: the backbone has no map of stride 8.
    """
    fine = _at(backbone, _LRASPP_STRIDE)
    takes = fine.module, _last(backbone).module
    return LrasppSpec(name, "segmentation", classes, takes, _LRASPP_CHANNELS, stretches=False, bn_eps=backbone.bn_eps)


def deeplab(
    backbone: Architecture,
    classes: int,
    *,
    rates: tuple[int, ...] | None = None,
    separable: bool = True,
    name: str = "segmentation",
) -> DeepLabSpec:
    """A segmenter with the backbone's stride.

    The paper's rates 6, 12 and 18 are those of maps of 33 x 33 places; others have rates in proportion, as far as these
    differ and reach less far than the map.

    Raises:
        ConfigError: a rate reaches beyond the map, so that its kernel would be 1 x 1.
    """
    last = _last(backbone)
    stride = _stride(last)
    side = min(-(-pixels // stride) for pixels in backbone.size)
    if rates is None:
        share = min(backbone.size) / _ASPP_SIDE * _ASPP_STRIDE / stride
        rates = tuple(sorted({max(1, round(rate * share)) for rate in _ASPP_RATES}))
        rates = tuple(rate for rate in rates if rate < side)
    for rate in rates:
        if rate >= side:
            raise ConfigError(f"rate {rate} reaches beyond a map of {side} places: choose rates below that")
    return DeepLabSpec(
        name,
        "segmentation",
        classes,
        (last.module,),
        _ASPP_CHANNELS,
        rates,
        separable,
        refines=False,
        bn_eps=backbone.bn_eps,
    )


def _of_paper(sizes: list[Size]) -> Priors:
    """The boxes of arXiv:1512.02325, section 3: 4, 6, 6, 6, 4 and 4 at each place, of scales from 0.2 to 0.9."""
    levels = scaled(sizes, largest=_LARGEST_SCALE).levels
    few = {0, len(levels) - 2, len(levels) - 1}
    return Priors(tuple(replace(one, shapes=one.shapes[:_FEW]) if at in few else one for at, one in enumerate(levels)))


def _detected(backbone: Architecture) -> list[FeatureMap]:
    """The backbone's maps that a detector takes."""
    maps = feature_maps(backbone)
    last = maps[-1]
    beyond = next((at for at, one in enumerate(maps) if _stride(one) > _FINE_STRIDE), None)
    if not beyond:
        return [last]
    inside = [one for one in expansions(backbone) if one.module.startswith(f"{maps[beyond].module}.")]
    return [(inside or maps[beyond - 1 :])[0], last]


def _up_to_last(backbone: Architecture) -> Architecture:
    """A backbone without what lies behind the map that segmenters take."""
    last = _last(backbone).module
    return backbone if last == feature_maps(backbone)[-1].module else replace(backbone, head_channels=0)


def _last(backbone: Architecture) -> FeatureMap:
    """The map that segmenters take.

    V2's last convolution is one for its classifier, which V3 has behind the mean over all places: heads stand before it
    (arXiv:1801.04381, section 6.3).
    """
    maps = feature_maps(backbone)
    is_for_classifier = backbone.head_channels and not backbone.hidden_channels
    return maps[len(backbone.blocks)] if is_for_classifier else maps[-1]


def _at(backbone: Architecture, stride: int) -> FeatureMap:
    found = [one for one in feature_maps(backbone)[: len(backbone.blocks) + 1] if one.stride == stride]
    if not found:
        raise ConfigError(f"{backbone.name} has no feature map of stride {stride}, which LR-ASPP takes")
    return found[-1]


def _stride(one: FeatureMap) -> int:
    assert one.stride is not None, "a mean over all places is none of a backbone's maps"
    return one.stride
