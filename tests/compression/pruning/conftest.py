"""Small networks, of which channels go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from edgekit.capture.torch_export import capture
from edgekit.compression.pruning.budget import Width, widths_of
from edgekit.compression.pruning.groups import Group, groups_of
from edgekit.models.building import built
from edgekit.models.families import family_of
from edgekit.models.heads.making import deeplab, exits, lraspp, ssd, vector
from edgekit.models.task_architecture import TaskArchitecture

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph
    from edgekit.models.architecture import Architecture

SIDE = 32


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A network, and what can go of it."""

    module: nn.Module
    structure: Architecture | TaskArchitecture
    graph: Graph
    groups: tuple[Group, ...]
    widths: tuple[Width, ...]

    @property
    def images(self) -> torch.Tensor:
        return torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def body(family: str, *, blocks: slice = slice(4), width: float = 0.25) -> Architecture:
    """Some blocks of a network of a family."""
    whole = family_of(family).make(width, 5, resolution=SIDE)
    some = whole.blocks[blocks]
    stem = whole.stem_channels if some[0].expands else some[0].expanded
    return replace(whole, stem_channels=stem, blocks=some, head_channels=min(whole.head_channels, 32))


def subject(structure: Architecture | TaskArchitecture) -> Subject:
    torch.manual_seed(0)
    module = built(structure).eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            nn.init.normal_(part.running_mean, 0.0, 0.1)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0.0, 0.3)
    graph = capture(module, structure.name, (3, SIDE, SIDE))
    groups = groups_of(graph)
    return Subject(module, structure, graph, groups, widths_of(structure, groups))


def several() -> TaskArchitecture:
    """A detector, a segmenter, classes and numbers on one V3, with squeeze-and-excite and residuals."""
    backbone = body("mobilenet_v3_large", blocks=slice(3, 7))
    fine, last = "features.1", "features.4"
    heads = (
        replace(ssd(backbone, 2, separable=True), name="boxes"),
        replace(lraspp(backbone, 3), takes=(fine, last), name="ground"),
        vector(backbone, "classification", 4, name="kind", hidden=(24,)),
    )
    return TaskArchitecture(backbone, heads)


def segmenter() -> TaskArchitecture:
    backbone = replace(body("mobilenet_v2"), head_channels=0)
    return TaskArchitecture(backbone, (replace(deeplab(backbone, 3, rates=(1, 2)), channels=24),))


def with_exits() -> TaskArchitecture:
    return exits(body("mobilenet_v2", blocks=slice(3)), 4, ["features.2"])


STRUCTURES: dict[str, Callable[[], Architecture | TaskArchitecture]] = {
    "several": several,
    "segmenter": segmenter,
    "exits": with_exits,
    "shortcuts": lambda: body("mobilenet_v2_kuangliu", blocks=slice(3)),
    "v4": lambda: body("mobilenet_v4_conv_medium", blocks=slice(5)),
    "mobileone": lambda: body("mobileone_s4", blocks=slice(-2, None), width=0.1),
    "v1": lambda: body("mobilenet_v1"),
}


@pytest.fixture(scope="package", params=STRUCTURES)
def any_subject(request: pytest.FixtureRequest) -> Subject:
    return subject(STRUCTURES[request.param]())


@pytest.fixture(scope="package")
def classifier() -> Subject:
    return subject(body("mobilenet_v3_small", blocks=slice(4)))
