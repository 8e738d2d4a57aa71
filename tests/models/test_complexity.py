"""Parameters and multiplications against what the papers and those who published weights say.

Where published figures contradict each other, those that are no network's are left out: the 317, 233, 162 and 104 MACs
of V1 0.75 on the page of the weights (the paper has 325 at 224), its 34 of V1 0.25 at 192 (30, by the ratio of places),
the 6.9 M parameters of V2 1.4 in the paper (6.06 in its weights), and V3-Small's 66 M MACs and 2.9 M parameters in the
paper (56.5 and 2.54 in its weights).
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from edgekit.capture.torch_export import capture
from edgekit.models.complexity import complexity
from edgekit.models.families import FAMILIES, Family
from edgekit.models.families.mobilenet_v3_digits import mobilenet_v3_digits
from edgekit.models.layouts.timm import as_there
from edgekit.models.network import build

if TYPE_CHECKING:
    from edgekit.models.architecture import Architecture

V1, V1_WEIGHTS = "arXiv:1704.04861, tables 6 and 7", "tensorflow/models, research/slim/nets/mobilenet_v1.md"
V2_WEIGHTS = "tensorflow/models, research/slim/nets/mobilenet/README.md"
V3 = "arXiv:1905.02244, table 3, and the page of V2's weights"
V3_WEIGHTS = "github.com/d-li14/mobilenetv3.pytorch, README.md"

# Family, width, millions of parameters, side of the image with millions of MACs, source.
PUBLISHED: list[tuple[str, float, str, dict[int, str], str]] = [
    ("mobilenet_v1", 1.0, "4.2", {224: "569", 192: "418", 160: "290", 128: "186"}, V1),
    ("mobilenet_v1", 0.75, "2.6", {224: "325"}, V1),
    ("mobilenet_v1", 0.5, "1.3", {224: "149"}, V1),
    ("mobilenet_v1", 0.5, "1.3", {192: "110", 160: "77", 128: "49"}, V1_WEIGHTS),
    ("mobilenet_v1", 0.25, "0.47", {224: "41", 160: "21", 128: "14"}, V1_WEIGHTS),
    ("mobilenet_v2", 1.4, "6.06", {224: "582"}, V2_WEIGHTS),
    ("mobilenet_v2", 1.3, "5.34", {224: "509"}, V2_WEIGHTS),
    ("mobilenet_v2", 1.0, "3.4", {224: "300"}, "arXiv:1801.04381, table 4"),
    ("mobilenet_v2", 1.0, "3.47", {192: "221", 160: "154", 128: "99", 96: "56"}, V2_WEIGHTS),
    ("mobilenet_v2", 0.75, "2.61", {224: "209", 192: "153", 160: "107", 128: "69", 96: "39"}, V2_WEIGHTS),
    ("mobilenet_v2", 0.5, "1.95", {224: "97", 192: "71", 160: "50", 128: "32", 96: "18"}, V2_WEIGHTS),
    ("mobilenet_v2", 0.35, "1.66", {224: "59", 192: "43", 160: "30", 128: "20", 96: "11"}, V2_WEIGHTS),
    ("mobilenet_v3_large", 1.0, "5.4", {224: "217"}, V3),
    ("mobilenet_v3_large", 0.75, "4.0", {224: "155"}, V3),
    ("mobilenet_v3_large", 1.0, "5.483", {224: "216.6"}, V3_WEIGHTS),
    ("mobilenet_v3_large", 0.75, "3.994", {224: "154.6"}, V3_WEIGHTS),
    ("mobilenet_v3_small", 1.0, "2.543", {224: "56.5"}, V3_WEIGHTS),
    ("mobilenet_v3_small", 0.75, "2.042", {224: "43.4"}, V3_WEIGHTS),
]


def is_published(value: float, text: str) -> bool:
    """Whether a number is the published one to its last digit; some cut off what others round."""
    return abs(value - float(text)) < 0.1 ** len(text.partition(".")[2])


def of_normalization(architecture: Architecture) -> int:
    """Scales and shifts, which the page of V2's weights and V1's paper do not count."""
    with torch.device("meta"):
        layers = [module for module in build(architecture).modules() if isinstance(module, nn.BatchNorm2d)]
    return sum(parameter.numel() for layer in layers for parameter in layer.parameters())


@pytest.mark.parametrize(("family", "width", "parameters", "macs", "source"), PUBLISHED)
def test_what_is_published(family: str, width: float, parameters: str, macs: dict[int, str], source: str) -> None:
    # Who published V3 at other widths expands what was rounded, and keeps the last layer.
    architecture = as_there(FAMILIES[family].make(width))
    found = {side: complexity(architecture.with_options(resolution=side)) for side in macs}
    assert all(is_published(found[side].macs / 1e6, million) for side, million in macs.items())
    (counted,) = {one.parameters for one in found.values()}
    assert is_published((counted - (of_normalization(architecture) if source != V3_WEIGHTS else 0)) / 1e6, parameters)


@pytest.mark.parametrize("family", {family.wiring: family for family in FAMILIES.values()}.values(), ids=str)
def test_every_wiring_costs_what_its_layers_do(family: Family) -> None:
    architecture, macs = family.make(0.25, 3, resolution=(33, 47)), 0

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal macs
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        macs += output.numel() * prod(layer.weight.shape[1:])

    with torch.device("meta"), torch.no_grad():
        network = build(architecture).eval()
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.register_forward_hook(count)
        network(torch.empty(1, 3, 33, 47))
    assert complexity(architecture).macs == macs


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_family_is_built_at_every_width_and_size(family: Family) -> None:
    found = [complexity(family.make(width, 3, resolution=(96, 65))) for width in (0.25, 0.75, 1.4)]
    for costs in ([one.macs for one in found], [one.parameters for one in found]):
        assert costs == sorted(set(costs))


def test_a_graph_counts_alike() -> None:
    whole = mobilenet_v3_digits(0.25, resolution=(33, 47))
    architecture = replace(whole, blocks=whole.blocks[:2])
    graph = capture(build(architecture).eval(), architecture.name, (3, *architecture.size))
    assert graph.macs == complexity(architecture).macs
