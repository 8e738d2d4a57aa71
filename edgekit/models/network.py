"""Networks: a backbone, and one head or several on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgekit.errors import ConfigError
from edgekit.models.backbone import POOLED, Backbone, run
from edgekit.models.families import family_of
from edgekit.models.heads.building import head_of
from edgekit.models.heads.linear import LinearHead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.models.architecture import Architecture, HeadActivation
    from edgekit.models.heads import Head
    from edgekit.models.task_architecture import TaskArchitecture

    Given = Tensor | tuple[Tensor, ...]


class _OnBackbone(nn.Module):
    """A backbone and heads. The backbone's modules keep their names: its weights are the same keys under any heads.

    Attributes:
        recomputes: in training, features within blocks are computed twice instead of being kept.
    """

    def __init__(self, backbone: Backbone, heads: Mapping[str, Head]) -> None:
        super().__init__()
        self.recomputes = False
        self.maps, self.inner, self.pooled = backbone.maps, backbone.inner, backbone.pooled
        self.takes = {name: head.takes for name, head in heads.items()}
        for name, module in backbone.named_children():
            self.add_module(name, module)
        if any(self.pooled in takes for takes in self.takes.values()):
            self.add_module(POOLED, nn.AdaptiveAvgPool2d(1))
        for name, head in heads.items():
            _check(self, name, head)
            self.add_module(name, head)

    def outputs(self, x: Tensor) -> dict[str, Given]:
        """[N, C, H, W] -> what each head gives, by its name."""
        wanted = {feature_map for takes in self.takes.values() for feature_map in takes}
        inner = [one for one in self.inner if one in wanted]
        seen = {}
        last = x
        for feature_map, last in run(self, self.maps, x, inner=inner, recomputes=self.recomputes and self.training):
            if feature_map in wanted:
                seen[feature_map] = last
        if self.pooled in wanted:
            seen[self.pooled] = torch.flatten(self.get_submodule(POOLED)(last), 1)
        return {name: self.get_submodule(name)(*(seen[one] for one in takes)) for name, takes in self.takes.items()}


class Network(_OnBackbone):
    """A backbone and heads of anybody's, each of which gives one output.

    Args:
        backbone: trained or not; the network takes its modules over as they are.
        heads: by the names of their modules and outputs.

    Raises:
        ConfigError: there is no head, a name cannot be one, or a head takes what the backbone does not give.
    """

    def __init__(self, backbone: Backbone, heads: Mapping[str, Head]) -> None:
        if not heads:
            raise ConfigError("a network needs a head: give at least one, by name")
        super().__init__(backbone, heads)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """[N, C, H, W] -> the output of each head by its name, in the order in which the heads were given."""
        return {name: y for name, y in self.outputs(x).items() if isinstance(y, Tensor)}


class TaskNetwork(_OnBackbone):
    """A backbone and the heads of an architecture, with random weights and in training mode.

    Attributes:
        architecture: what it looks like; a checkpoint of it holds that.

    Raises:
        ConfigError: the backbone's family is unknown, or has no feature map that a head takes.
    """

    def __init__(self, architecture: TaskArchitecture) -> None:
        backbone = Backbone(architecture.backbone)
        super().__init__(backbone, {head.name: head_of(head, backbone) for head in architecture.heads})
        self.architecture = architecture
        _initialize(self, architecture.backbone)
        for head in architecture.heads:
            for part in self.get_submodule(head.name).modules():
                if isinstance(part, nn.Conv2d) and part.bias is not None:  # no batch normalization is behind it
                    nn.init.normal_(part.weight, 0.0, 0.01)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """[N, C, H, W] -> the outputs by their names, in the order of ``architecture.output_names``."""
        given, outputs = self.outputs(x), dict[str, Tensor]()
        for head in self.architecture.heads:
            y = given[head.name]
            names = self.architecture.output_names(head).values()
            outputs |= zip(names, (y,) if isinstance(y, Tensor) else y, strict=True)
        return outputs


class Classifier(_OnBackbone):
    """A backbone and its family's classifier, with the names of published checkpoints.

    Attributes:
        architecture: what it looks like; a checkpoint of it holds that.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone, {"classifier": _classifier_on(backbone)})
        self.architecture: Architecture = backbone.architecture

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> logits [N, classes]."""
        logits = self.outputs(x)["classifier"]
        assert isinstance(logits, Tensor)
        return logits


def build(architecture: Architecture) -> Classifier:
    """The classifier, with random weights and in training mode.

    Where ``architecture.padding`` is "same", the borders are those of images of ``architecture.resolution``.

    Raises:
        ConfigError: the architecture's family is unknown.
    """
    network = Classifier(Backbone(architecture))
    _initialize(network, architecture)
    return network


def _check(network: _OnBackbone, name: str, head: Head) -> None:
    if not name.isidentifier() or hasattr(network, name):
        raise ConfigError(f"no head can be called {name!r}: give it another word for its name")
    missing = [one for one in head.takes if one not in (*network.maps, *network.inner, network.pooled)]
    if missing:
        raise ConfigError(
            f"head {name!r} takes {missing[0]}, which this backbone does not give: make the head of the backbone's own"
            " feature maps"
        )


def _classifier_on(backbone: Backbone) -> LinearHead:
    """From pooled features to logits: hidden linear layers, each with its activation, dropout, and the last."""
    architecture = backbone.architecture
    functions: list[HeadActivation] = [
        architecture.activation
        if architecture.keeps_hidden and index == 0
        else architecture.head_activation or architecture.activation
        for index in range(len(architecture.hidden_channels))
    ]
    pools = family_of(architecture.family).wiring.pools_in_classifier
    return LinearHead(
        backbone.maps[-1] if pools else backbone.pooled,
        architecture.num_classes,
        list(zip(architecture.hidden_channels, functions, strict=True)),
    )


def _initialize(network: nn.Module, backbone: Architecture) -> None:
    """Start values for training: He's for convolutions (arXiv:1502.01852), small ones for what gives outputs.

    Where no batch normalization follows, what comes in decides how large they are, so that no feature map vanishes.
    """
    if next(network.parameters()).is_meta:  # there is nothing to fill, and asking torch to takes its time
        return
    normalizes = family_of(backbone.family).wiring.normalizes
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out" if normalizes else "fan_in")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01)
            nn.init.zeros_(module.bias)
