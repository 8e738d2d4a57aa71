"""Networks with heads: where heads stand, how large they are, and what they give."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from edgekit.errors import ArtifactError, ConfigError
from edgekit.models import checkpoint
from edgekit.models.architecture import dilated
from edgekit.models.backbone import Backbone
from edgekit.models.building import built
from edgekit.models.complexity import complexity
from edgekit.models.families import FAMILIES
from edgekit.models.families.mobilenet_v1 import mobilenet_v1
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from edgekit.models.head_specs import DeepLabSpec, SsdSpec
from edgekit.models.heads.making import Kind, deeplab, lraspp, network_for, ssd, vector
from edgekit.models.network import TaskNetwork, build
from edgekit.models.priors import Priors
from edgekit.models.structures import from_dict
from edgekit.models.task_architecture import TaskArchitecture

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.models.architecture import Architecture

KINDS: tuple[Kind, ...] = get_args(Kind)
# One family of each wiring whose last map is four times as coarse as one of stride 8.
WIRED = [name for name in {one.wiring: name for name, one in FAMILIES.items()}.values() if "kuangliu" not in name]


def detector(architecture: TaskArchitecture) -> SsdSpec:
    (head,) = architecture.heads
    assert isinstance(head, SsdSpec)
    return head


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", WIRED)
def test_every_family_has_every_head(family: str, kind: Kind) -> None:
    architecture = network_for(FAMILIES[family].make(0.25, resolution=(64, 48)), kind, 4)
    outputs = built(architecture).eval()(torch.zeros(2, 3, 64, 48))
    shapes = {name: tuple(y.shape) for name, y in outputs.items()}
    if "ssd" in kind:
        count = detector(architecture).priors.count
        assert shapes == {"boxes": (2, count, 4), "scores": (2, count, 5)}
    else:
        assert shapes == {"mask": (2, 4, 8, 6) if kind == "lraspp" else (2, 4, 4, 3)}
    assert from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture


# Maps of SSD: arXiv:1704.04861 has conv11 and conv13, arXiv:1801.04381 (6.2) and arXiv:1905.02244 (6.3) the expansion
# of the block that halves the map, and the last convolution. Rows and columns of 300 and 320 pixels, boxes at a place.
@pytest.mark.parametrize(
    ("backbone", "kind", "takes", "places", "boxes"),
    [
        (mobilenet_v1(resolution=300), "ssd", ("features.10", "features.12"), (19, 10, 5, 3, 2, 1), (4, 6, 6, 6, 4, 4)),
        (
            mobilenet_v2(resolution=320),
            "ssdlite",
            ("features.14.conv.0", "features.18"),
            (20, 10, 5, 3, 2, 1),
            (6, 6, 6, 6, 6, 6),
        ),
        (
            mobilenet_v3_large(resolution=320),
            "ssdlite",
            ("features.13.block.0", "features.16"),
            (20, 10, 5, 3, 2, 1),
            (6, 6, 6, 6, 6, 6),
        ),
    ],
)
def test_published_detectors(
    backbone: Architecture, kind: Kind, takes: tuple[str, ...], places: tuple[int, ...], boxes: tuple[int, ...]
) -> None:
    head = detector(network_for(backbone, kind, 20))
    assert head.takes == takes
    assert tuple(level.rows for level in head.priors.levels) == places
    assert tuple(level.columns for level in head.priors.levels) == places
    assert tuple(len(level.shapes) for level in head.priors.levels) == boxes


def test_what_published_networks_cost() -> None:
    # arXiv:1801.04381, table 6: SSDLite on V2 has 4.3 M parameters and 0.8 B MACs at 320 pixels and 80 classes; there
    # as in ssdlite_mobilenet_v2_coco.config (reduce_boxes_in_lowest_layer) the first map has three boxes.
    architecture = network_for(mobilenet_v2(resolution=320), "ssdlite", 80)
    head = detector(architecture)
    first, *others = head.priors.levels
    head = replace(head, priors=Priors((replace(first, shapes=first.shapes[:3]), *others)))
    found = complexity(replace(architecture, heads=(head,)))
    assert (round(found.parameters / 1e6, 1), round(found.macs / 1e9, 1)) == (4.3, 0.8)
    # Table 7: DeepLabV3 on V2 without atrous convolutions in its head, 2.11 M and 2.75 B at 513 pixels and 21 classes.
    backbone = replace(dilated(mobilenet_v2(resolution=513), 16), head_channels=0)
    found = complexity(TaskArchitecture(backbone, (deeplab(backbone, 21, rates=()),)))
    assert (round(found.parameters / 1e6, 2), round(found.macs / 1e9, 2)) == (2.11, 2.74)


@pytest.mark.parametrize("kind", KINDS)
def test_macs_are_what_torch_counts(kind: Kind) -> None:
    architecture = network_for(mobilenet_v3_small(0.25, resolution=64), kind, 3)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        built(architecture).eval()(torch.zeros(1, 3, 64, 64))
    assert 2 * complexity(architecture).macs == counter.get_total_flops()


def test_rows_are_by_map_row_column_and_box() -> None:
    architecture = network_for(mobilenet_v2(0.25, resolution=64), "ssd", 2)
    network, head = built(architecture).eval(), detector(architecture)
    maps: list[torch.Tensor] = []
    for predictor in network.get_submodule("detection.scores").children():
        predictor.register_forward_hook(lambda _layer, _inputs, y: maps.append(y))
    scores = network(torch.randn(1, 3, 64, 64))["scores"][0]
    at = 0
    for level, found in zip(head.priors.levels, maps, strict=True):
        for row in range(level.rows):
            for column in range(level.columns):
                for box in range(len(level.shapes)):
                    assert torch.equal(scores[at], found[0, 3 * box : 3 * box + 3, row, column])
                    at += 1
    assert at == head.priors.count


def test_several_heads_share_a_backbone() -> None:
    backbone = mobilenet_v2(0.25, resolution=64)
    heads = (
        vector(backbone, "tagging", 5),
        vector(backbone, "regression", 2, name="pose", hidden=(8,)),
        ssd(backbone, 3, separable=True, name="signs"),
        lraspp(backbone, 4),
    )
    architecture = TaskArchitecture(backbone, heads)
    network = TaskNetwork(architecture).eval()
    outputs = network(torch.zeros(2, 3, 64, 64))
    assert {name: tuple(y.shape)[2:] for name, y in outputs.items()} == {
        "tagging": (),
        "pose": (),
        "signs_boxes": (4,),
        "signs_scores": (4,),
        "segmentation_mask": (8, 8),
    }
    assert architecture.num_classes == 14
    assert [part.module for part in network.maps] == [part.module for part in build(backbone).maps]
    found = network.load_state_dict(build(backbone).state_dict(), strict=False)
    assert {key.partition(".")[0] for key in found.missing_keys} == {head.name for head in heads}
    with pytest.raises(ConfigError, match="two heads have one name"):
        TaskArchitecture(backbone, heads[:1] * 2)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_is_loaded(kind: Kind, tmp_path: Path) -> None:
    architecture = network_for(mobilenet_v3_small(0.25, resolution=64), kind, 3)
    network, image = built(architecture).eval(), torch.randn(1, 3, 64, 64)
    checkpoint.save(tmp_path / "net.safetensors", network, architecture)
    loaded = checkpoint.load(tmp_path / "net.safetensors")
    assert loaded.structure == architecture
    assert loaded.is_own
    for name, y in network(image).items():
        assert torch.equal(loaded.module(image)[name], y)


def test_another_resolution_has_other_priors() -> None:
    shapes = np.random.default_rng(0).uniform(0.1, 0.5, (50, 2))
    architecture = network_for(mobilenet_v2(0.25, resolution=320), "ssdlite", 3, shapes=shapes)
    other = architecture.with_options(resolution=(320, 256))
    (before, after) = (detector(one).priors.levels for one in (architecture, other))
    assert [level.shapes for level in after] == [level.shapes for level in before]
    assert [(level.rows, level.columns) for level in after] == [(20, 16), (10, 8), (5, 4), (3, 2), (2, 1), (1, 1)]
    with pytest.raises(ConfigError, match=r"model\.head_activation is set, and ssd_mobilenet_v2_0\.25_320"):
        architecture.with_options(head_activation="relu")


def test_recomputed_features_have_the_same_gradients() -> None:
    network = TaskNetwork(network_for(mobilenet_v2(0.25, resolution=64), "ssdlite", 3)).train()
    image, gradients = torch.randn(2, 3, 64, 64), []
    for recomputes in (False, True):
        network.recomputes = recomputes
        network.zero_grad(set_to_none=True)
        torch.manual_seed(0)
        sum(y.square().sum() for y in network(image).values()).backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_a_dilated_network_gives_what_it_gave_and_more_between() -> None:
    torch.manual_seed(0)
    whole = Backbone(mobilenet_v2(0.25, resolution=64)).train()
    with torch.no_grad():
        whole(torch.randn(4, 3, 64, 64))
        image = torch.randn(1, 3, 64, 64)
        for stride in (16, 8):
            finer = Backbone(dilated(whole.architecture, stride)).eval()
            finer.load_state_dict(whole.state_dict())
            step = 32 // stride
            torch.testing.assert_close(finer(image)[:, :, ::step, ::step], whole.eval()(image))
    with pytest.raises(ConfigError, match="the output stride 64 is none"):
        dilated(whole.architecture, 64)


def test_rates_follow_the_map() -> None:
    def rates(size: int | tuple[int, int], stride: int = 16) -> tuple[int, ...]:
        (head,) = network_for(mobilenet_v2(resolution=size), "deeplab", 2, output_stride=stride).heads
        assert isinstance(head, DeepLabSpec)
        return head.rates

    assert rates(513) == (6, 12, 18)  # arXiv:1706.05587, section 3.3, and twice these at the output stride 8
    assert rates(513, 8) == (12, 24, 36)
    assert rates((360, 480)) == (4, 8, 13)
    assert rates(64) == (1, 2)
    assert rates(16) == ()
    backbone = mobilenet_v2(resolution=64)
    with pytest.raises(ConfigError, match="rate 2 reaches beyond a map of 2 places"):
        deeplab(backbone, 2, rates=(1, 2))


def test_a_map_is_enlarged_by_a_whole_factor() -> None:
    architecture = network_for(mobilenet_v2(0.25, resolution=(72, 56)), "lraspp", 2)  # 9 x 7 places, and 5 x 4
    network, image = built(architecture).eval(), torch.randn(1, 3, 72, 56)
    head = network.get_submodule("segmentation")
    taken: list[torch.Tensor] = []
    head.register_forward_hook(lambda _head, inputs, _y: taken.extend(inputs))
    mask = network(image)["mask"]
    fine, last = taken
    gated = head.cbr(last) * head.scale(last)  # type: ignore[operator]
    larger = nn.functional.interpolate(gated, scale_factor=2, mode="bilinear")[:, :, :9, :7]
    expected = head.low_classifier(fine) + head.high_classifier(larger)  # type: ignore[operator]
    torch.testing.assert_close(mask, expected)


def test_what_no_head_is_made_of() -> None:
    backbone = mobilenet_v2(0.25, resolution=64)
    head = vector(backbone, "tagging", 5)
    with pytest.raises(ConfigError, match="needs a head"):
        TaskArchitecture(backbone, ())
    with pytest.raises(ConfigError, match="tells 0 things apart"):
        replace(head, things=0)
    with pytest.raises(ConfigError, match="cannot be for 'detection'"):
        replace(head, task="detection")
    with pytest.raises(ConfigError, match=r"has no feature map called 'features\.99'"):
        built(TaskArchitecture(backbone, (replace(head, takes=("features.99",)),)))
    with pytest.raises(ConfigError, match="each map needs its own"):
        replace(ssd(backbone, 2, separable=True), extras=())
    with pytest.raises(ArtifactError, match="not a saved head"):
        from_dict({**TaskArchitecture(backbone, (head,)).to_dict(), "heads": [{"kind": "fcn"}]})
