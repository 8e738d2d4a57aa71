"""Bounds against what images show, and channels that were made to say nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from edgekit.capture.torch_export import capture
from edgekit.compression.pruning import dead
from edgekit.compression.pruning.bounds import bounds_of
from edgekit.compression.pruning.cutting import cut
from tests.compression.pruning.conftest import SIDE, body, subject

if TYPE_CHECKING:
    from tests.compression.pruning.conftest import Subject

IMAGE = np.full(3, -4.0), np.full(3, 4.0)


def test_what_images_show_lies_between_the_bounds(classifier: Subject) -> None:
    found = bounds_of(classifier.graph, IMAGE)
    modules = dict(classifier.module.named_modules())
    nodes = [node for node in classifier.graph if node.name in modules]
    seen: dict[str, torch.Tensor] = {}

    def keep(_module: nn.Module, _inputs: object, y: torch.Tensor, *, name: str) -> None:
        seen[name] = y.double().transpose(0, 1).flatten(1)

    handles = [modules[node.name].register_forward_hook(partial(keep, name=node.output)) for node in nodes]
    with torch.inference_mode():
        classifier.module(classifier.images.clamp(-4, 4))
    for handle in handles:
        handle.remove()
    kinds = {type(node.op).__name__ for node in nodes}
    assert kinds >= {"Conv2d", "BatchNorm", "Clamp", "HardSwish", "HardSigmoid", "Mean", "Linear"}
    for name, values in seen.items():
        (low, high), shown = found[name], values.numpy()
        slack = 1e-5 * np.abs(shown).max()
        assert (shown.min(1) >= low - slack).all(), name
        assert (shown.max(1) <= high + slack).all(), name
        assert np.isfinite(high).all(), name


def test_channels_that_say_nothing_go_and_no_output_moves() -> None:
    """One is 0 behind ReLU; one is constant behind a depthwise layer, and folds; one is constant before, and stays."""
    whole = subject(replace(body("mobilenet_v1"), activation="relu6"))
    layers = dict(whole.module.named_modules())
    with torch.no_grad():
        for name, channel, shift in (
            ("features.0.bn2", 2, -1.0),
            ("features.1.bn1", 5, 0.5),
            ("features.1.bn2", 3, 0.7),
        ):
            norm = layers[name]
            assert isinstance(norm, nn.BatchNorm2d)
            norm.weight[channel], norm.bias[channel] = 0.0, shift
    graph = capture(whole.module, "net", (3, SIDE, SIDE))
    found = dead.find(graph, whole.groups, whole.widths, IMAGE)
    gone = {group.name: np.flatnonzero(~kept).tolist() for group, kept in zip(whole.groups, found.kept, strict=True)}
    assert {2, 5} <= set(gone["features.0.pointwise"])
    assert 3 not in gone["features.1.pointwise"]
    assert "features.1.bn2" in found.added
    small = cut(dead.folded(whole.module, found), whole.structure, whole.groups, found.kept)
    with torch.inference_mode():
        expected = whole.module(whole.images)
        torch.testing.assert_close(small.module(whole.images), expected, rtol=1e-5, atol=1e-6 * float(expected.std()))
