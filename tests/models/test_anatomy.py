"""What layers read, make and multiply, against torch's own counter, published figures and arithmetic by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from edgekit.models.anatomy import anatomy, savings
from edgekit.models.building import built
from edgekit.models.families import FAMILIES
from edgekit.models.heads.making import deeplab, exits, lraspp, ssd
from edgekit.models.task_architecture import TaskArchitecture

if TYPE_CHECKING:
    from edgekit.models.architecture import Architecture


def dense() -> dict[str, TaskArchitecture]:
    v2, v3 = (FAMILIES[name].make(0.35, 10, resolution=96) for name in ("mobilenet_v2", "mobilenet_v3_small"))
    return {
        "ssd": TaskArchitecture(v2, (ssd(v2, 3, separable=False),)),
        "ssdlite": TaskArchitecture(v3, (ssd(v3, 3, separable=True),)),
        "lraspp": TaskArchitecture(v3, (lraspp(v3, 4),)),
        "deeplab": TaskArchitecture(v2, (deeplab(v2, 4, separable=True),)),
        "exits": exits(v2, 10, ["features.4"]),
    }


def counted_by_torch(structure: Architecture | TaskArchitecture) -> int:
    """Half of torch's floating-point operations, which count a multiplication and its addition as two."""
    with torch.device("meta"):
        network = built(structure).eval()
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            network(torch.empty(1, structure.in_channels, *structure.size))
    return int(counter.get_total_flops() // 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_macs_and_parameters_of_every_family_are_those_of_torch(family: str) -> None:
    structure = FAMILIES[family].make(1.0, 1000)
    found = anatomy(structure)
    with torch.device("meta"):
        network = built(structure)
    assert found.macs == counted_by_torch(structure)
    assert found.parameters == sum(one.numel() for one in network.parameters())
    assert found.parameters == sum(layer.parameters for layer in found.layers)


@pytest.mark.parametrize("name", ["ssd", "ssdlite", "lraspp", "deeplab", "exits"])
def test_dense_heads_too(name: str) -> None:
    structure = dense()[name]
    assert anatomy(structure).macs == counted_by_torch(structure)


def test_memory_is_what_is_read_and_made_where_that_is_most() -> None:
    """V2's second block: 96 maps of 112 x 112 are read, and 96 of 56 x 56 made."""
    found = anatomy(FAMILIES["mobilenet_v2"].make(1.0, 1000))
    assert found.peak == 96 * (112 * 112 + 56 * 56)
    assert found.peak_at == "features.2.conv.1.0"


def test_a_shortcut_is_held_until_it_is_added() -> None:
    """The CIFAR variant of V2: the block's input, 24 maps, and two of 96 expanded ones, at 32 x 32."""
    found = anatomy(FAMILIES["mobilenet_v2_kuangliu"].make(1.0, 10))
    assert found.peak == (24 + 2 * 144) * 32 * 32


def test_a_separable_convolution_keeps_what_the_paper_says() -> None:
    """1 / N + 1 / K^2: arXiv:1704.04861, section 3.1."""
    layers = anatomy(FAMILIES["mobilenet_v1"].make(1.0, 1000)).layers
    makes = {layer.name: layer.makes[0] for layer in layers}
    found = savings(layers)
    assert len(found) == 13
    for one in found:
        behind = makes[one.name.replace("depthwise", "pointwise")]
        assert one.share == pytest.approx(1 / behind + 1 / 9)
