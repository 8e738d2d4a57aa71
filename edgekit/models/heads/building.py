"""From what a head looks like to the module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.models.head_specs import DeepLabSpec, ExitSpec, LrasppSpec, SsdSpec, VectorSpec
from edgekit.models.heads.deeplab import DeepLabHead
from edgekit.models.heads.exit import ExitHead
from edgekit.models.heads.linear import LinearHead
from edgekit.models.heads.lraspp import LrasppHead
from edgekit.models.heads.ssd import SsdHead

if TYPE_CHECKING:
    from edgekit.models.backbone import Backbone
    from edgekit.models.head_specs import HeadSpec
    from edgekit.models.heads import Head


def head_of(spec: HeadSpec, backbone: Backbone) -> Head:
    """A head with random weights, in training mode.

    Raises:
        ConfigError: the backbone has no feature map that it takes, or one that it cannot take.
    """
    takes = [backbone.named(module) for module in spec.takes]
    match spec:
        case ExitSpec() if spec.convolved:
            return ExitHead(spec, takes[0], backbone.architecture)
        case VectorSpec():
            return LinearHead(takes[0], spec.things, [(channels, spec.activation) for channels in spec.hidden])
        case SsdSpec():
            return SsdHead(spec, takes, backbone.architecture.padding, backbone.architecture.size)
        case LrasppSpec():
            return LrasppHead(spec, *takes)
        case DeepLabSpec():
            return DeepLabHead(spec, *takes)
    raise TypeError(f"no head is made of {spec}")
