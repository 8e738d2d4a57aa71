"""torchvision's detectors and segmenters on a MobileNetV3, under the names that they give to their weights.

Source: torchvision 0.28, models/detection/ssdlite.py, models/segmentation/lraspp.py and deeplabv3.py. Heads and what
weights do not tell are as there: rates of atrous convolutions, the maps that heads take, prior boxes, epsilons.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from edgekit.facts import Basis, Fact
from edgekit.flags import INPUT_SETTINGS
from edgekit.models import inference, strays
from edgekit.models.architecture import Options, dilated
from edgekit.models.backbone import expansions, feature_maps
from edgekit.models.families import FAMILIES
from edgekit.models.head_specs import DeepLabSpec, LrasppSpec, SsdSpec, grids
from edgekit.models.names import roots_of
from edgekit.models.priors import scaled
from edgekit.models.task_architecture import TaskArchitecture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from edgekit.models.architecture import Architecture
    from edgekit.models.head_specs import HeadSpec
    from edgekit.models.readers import Group

_NAMES: Final = {"ssd": "detection", "lraspp": "segmentation", "deeplab": "segmentation"}
_RATES: Final = (12, 24, 36)
_EPS: Final = 1e-3  # of the backbone, and of ssdlite's head
_HEAD_EPS: Final = 1e-5  # of segmenters' heads: torch's own
_STRIDE: Final = 16  # of dilated backbones
_HALF: Final = (0.5, 0.5, 0.5)
_CODING: Final = 4  # numbers of a box


@dataclass(frozen=True, slots=True, eq=False)  # tensors have no single truth value
class Found:
    """A network of torchvision's.

    Attributes:
        source: what it is, for people.
        architecture: with what weights do not tell as it is there.
        weights: by edgekit's names.
        normalization: mean and std of 0..1 pixels, where it is not ImageNet's.
        facts: what else is usual for its images.
        notes: what was found and left aside, for people.
    """

    source: str
    architecture: TaskArchitecture
    weights: Mapping[str, Tensor] = field(repr=False)
    normalization: tuple[tuple[float, ...], tuple[float, ...]] | None
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Layout:
    """A kind of network: what tells it, what its names become, its head, and what it is called.

    Attributes:
        mark: a weight that no other network has.
        rules: patterns of names, and what they become.
        head: of a backbone and the weights under edgekit's names.
        resolution: of the images that it is published for, in pixels.
    """

    name: str
    mark: str
    rules: tuple[tuple[str, str], ...]
    head: Callable[[Architecture, Mapping[str, Tensor]], HeadSpec]
    resolution: int
    is_dilated: bool = True
    normalization: tuple[tuple[float, ...], tuple[float, ...]] | None = None


def find(groups: Sequence[Group], family: str | None) -> Found | None:
    """The network in a file, where it is one of these.

    Args:
        groups: the mappings of the file that have tensors.
        family: what the backbone must be; None recognizes it.

    Raises:
        CheckpointError: the backbone is of no family, or of another.
    """
    for group in groups:
        for layout in _LAYOUTS:
            if roots := roots_of(layout.mark, group.weights):
                return _found(layout, roots[0], group.weights, family)
    return None


def _found(layout: _Layout, root: str, given: Mapping[str, Tensor], family: str | None) -> Found:
    own = {key.removeprefix(root): tensor for key, tensor in given.items() if key.startswith(root)}
    aside = [key for key in own if strays.is_named(key.removesuffix(".num_batches_tracked"))]
    kept = {key: tensor for key, tensor in own.items() if key not in aside}
    rules = _split_block(kept) if layout.name == "ssdlite" else layout.rules
    weights = {_renamed(key, (*rules, *layout.rules)): tensor for key, tensor in kept.items()}
    body = {key: tensor for key, tensor in weights.items() if key.startswith("features.")}
    options = Options(resolution=layout.resolution, padding="symmetric", bn_eps=_EPS)
    guess = inference.architecture_of(body, family, options)
    backbone = _dilated(guess.architecture) if layout.is_dilated else guess.architecture
    notes = guess.notes
    if backbone.width is None and (reduced := _reduced(backbone)):
        notes = (*notes[:-1], reduced)
    if aside:
        notes += (f"left aside, as no part of the network: {strays.described(aside)}",)
    architecture = TaskArchitecture(backbone, (layout.head(backbone, weights),))
    source = f"torchvision's {layout.name} state dict"
    # Nothing is cut off where places matter. Torchvision runs segmenters at each image's own shape, which no file has.
    resize = Fact("resize", "whole", Basis.ASSUMED, f"usual for this layout ({source})", INPUT_SETTINGS["resize"])
    return Found(source, architecture, weights, layout.normalization, (resize,), notes)


def _renamed(key: str, rules: Sequence[tuple[str, str]]) -> str:
    for pattern, ours in rules:
        renamed, count = re.subn(rf"^{pattern}", ours, key)
        if count:
            return renamed
    return key


def _split_block(weights: Mapping[str, Tensor]) -> tuple[tuple[str, str], ...]:
    """What ssdlite's two halves of a backbone become: a block is cut behind its expansion."""
    first = {int(match[1]) for key in weights if (match := re.match(r"backbone\.features\.0\.(\d+)\.", key))}
    second = {int(match[1]) for key in weights if (match := re.match(r"backbone\.features\.1\.(\d+)\.", key))}
    cut = max(first)
    rules = [(rf"backbone\.features\.0\.{index}\.", f"features.{index}.") for index in sorted(first - {cut})]
    rules.append((rf"backbone\.features\.0\.{cut}\.", f"features.{cut}.block.0."))
    rules.append((r"backbone\.features\.1\.0\.", f"features.{cut}.block."))
    rules += [(rf"backbone\.features\.1\.{index}\.", f"features.{cut + index}.") for index in sorted(second - {0})]
    return tuple(rules)


def _dilated(backbone: Architecture) -> Architecture:
    """The backbone as torchvision dilates it: the block that has lost its stride reaches farther already."""
    finer = dilated(backbone, _STRIDE)
    farther = max(block.dilation for block in finer.blocks)
    pairs = zip(backbone.blocks, finer.blocks, strict=True)
    blocks = [replace(new, dilation=farther) if new.stride != old.stride else new for old, new in pairs]
    return replace(finer, blocks=tuple(blocks))


def _reduced(backbone: Architecture) -> str:
    """What is told of a backbone whose last blocks are narrow, else an empty string."""
    usual = FAMILIES[backbone.family].make()
    shares = Counter(ours.out / theirs.out for ours, theirs in zip(backbone.blocks, usual.blocks, strict=True))
    if not shares[0.5] or shares.keys() > {0.5, 1.0}:
        return ""
    return f"width 1, but for the last {shares[0.5]} blocks, which have half the channels (arXiv:1905.02244, 6.3)"


def _ssd(backbone: Architecture, weights: Mapping[str, Tensor]) -> SsdSpec:
    last = feature_maps(backbone)[-1]
    cut = next(one for one in reversed(expansions(backbone)) if one.stride != last.stride)
    assert cut.stride is not None
    assert last.stride is not None
    name, strides = _NAMES["ssd"], (cut.stride, last.stride)
    count = sum(bool(re.fullmatch(rf"{name}\.extra\.\d+\.0\.0\.weight", key)) for key in weights)
    extras = tuple(len(weights[f"{name}.extra.{index}.2.0.weight"]) for index in range(count))
    boxes = len(weights[f"{name}.boxes.0.1.weight"]) // _CODING
    classes = len(weights[f"{name}.scores.0.1.weight"]) // boxes - 1
    priors = scaled(grids(backbone.size, strides, count))
    return SsdSpec(name, name, classes, (cut.module, last.module), strides, extras, priors, separable=True, bn_eps=_EPS)


def _lraspp(backbone: Architecture, weights: Mapping[str, Tensor]) -> LrasppSpec:
    name, maps = _NAMES["lraspp"], feature_maps(backbone)
    fine = next(one for one in maps if one.stride == _STRIDE // 2)  # the first of that stride
    classes, channels = weights[f"{name}.high_classifier.weight"].shape[:2]
    takes = fine.module, maps[-1].module
    return LrasppSpec(name, name, classes, takes, channels, stretches=True, bn_eps=_HEAD_EPS)


def _deeplab(backbone: Architecture, weights: Mapping[str, Tensor]) -> DeepLabSpec:
    name, last = _NAMES["deeplab"], feature_maps(backbone)[-1].module
    classes, channels = weights[f"{name}.4.weight"].shape[:2]
    return DeepLabSpec(name, name, classes, (last,), channels, _RATES, separable=False, refines=True, bn_eps=_HEAD_EPS)


_SEGMENTER: Final = (r"backbone\.", "features."), (r"classifier\.", "segmentation.")
_LAYOUTS: Final = (
    _Layout(
        "ssdlite",
        "head.classification_head.module_list.0.1.weight",
        (
            (r"backbone\.extra\.", "detection.extra."),
            (r"head\.classification_head\.module_list\.", "detection.scores."),
            (r"head\.regression_head\.module_list\.", "detection.boxes."),
        ),
        _ssd,
        resolution=320,
        is_dilated=False,
        normalization=(_HALF, _HALF),
    ),
    _Layout("lraspp", "classifier.low_classifier.weight", _SEGMENTER, _lraspp, resolution=520),
    _Layout("deeplabv3", "classifier.0.convs.0.0.weight", _SEGMENTER, _deeplab, resolution=520),
)
