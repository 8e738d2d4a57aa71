"""The oracle is the whole network, of which nobody reads the channels that go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edgekit.compression.pruning.budget import costs_of
from edgekit.compression.pruning.cutting import cut
from edgekit.compression.pruning.gates import gated
from edgekit.compression.pruning.latency import narrowed
from edgekit.errors import ConfigError
from edgekit.models.complexity import complexity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.compression.pruning.conftest import Subject


def some_kept(subject: Subject) -> list[NDArray[np.bool_]]:
    """About two of three channels of each group; as many as one another of those that have to agree."""
    random = np.random.default_rng(0)
    kept = [np.ones(group.channels, dtype=bool) for group in subject.groups]
    for width in subject.widths:
        number = len(kept[width.groups[0]]) * width.shares[0]
        gone = int(random.integers(1, max(number // 2, 2))) // 2 * 2 if len(width.groups) > 1 else max(number // 3, 0)
        for at, share in zip(width.groups, width.shares, strict=True):
            kept[at][random.choice(len(kept[at]), gone // share, replace=False)] = False
    return kept


def outputs(module: torch.nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        found = module(images)
    return found if isinstance(found, dict) else {"logits": found}


def test_a_cut_network_gives_what_the_whole_one_does_whose_channels_nobody_reads(any_subject: Subject) -> None:
    kept = some_kept(any_subject)
    smaller = cut(any_subject.module, any_subject.structure, any_subject.groups, kept)
    gates = torch.from_numpy(np.concatenate(kept)).float()[None]
    with gated(any_subject.module, any_subject.groups, gates):
        expected = outputs(any_subject.module, any_subject.images)
    for name, value in outputs(smaller.module, any_subject.images).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-4 * float(expected[name].std()))
    counts = np.array([float(one.sum()) for one in kept])
    found = complexity(smaller.structure)
    assert costs_of(any_subject.graph, any_subject.groups, "macs").of(counts) == found.macs
    assert narrowed(any_subject.graph, any_subject.groups, counts).macs == found.macs
    sizes = costs_of(any_subject.graph, any_subject.groups, "size")
    whole = np.array([float(group.channels) for group in any_subject.groups])
    saved = complexity(any_subject.structure).parameters - found.parameters
    assert sizes.of(whole) - sizes.of(counts) == saved - _biases(any_subject, kept)


def _biases(subject: Subject, kept: list[NDArray[np.bool_]]) -> int:
    """How many biases of layers with weights went, which are no costs."""
    gone = 0
    for group, stays in zip(subject.groups, kept, strict=True):
        for name in group.made:
            layer = subject.module.get_submodule(name)
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear) and layer.bias is not None:
                gone += int((~stays).sum())
    return gone


def test_a_block_that_added_nothing_adds_nothing_when_its_channels_become_equal(classifier: Subject) -> None:
    """Block 1 goes from 8 channels to 8 at stride 2 and block 3 changes them: nothing may begin to add."""
    before = [block.skips for block in classifier.structure.blocks]  # type: ignore[union-attr]
    kept = [np.ones(group.channels, dtype=bool) for group in classifier.groups]
    for stays in kept:
        stays[4:] = False
    smaller = cut(classifier.module, classifier.structure, classifier.groups, kept)
    gates = torch.from_numpy(np.concatenate(kept)).float()[None]
    with gated(classifier.module, classifier.groups, gates):
        expected = outputs(classifier.module, classifier.images)["logits"]
    torch.testing.assert_close(outputs(smaller.module, classifier.images)["logits"], expected, rtol=1e-4, atol=1e-5)
    assert before == [True] * len(before)


def test_a_layer_keeps_a_channel(classifier: Subject) -> None:
    kept = [np.ones(group.channels, dtype=bool) for group in classifier.groups]
    kept[1][:] = False
    with pytest.raises(ConfigError, match=r"no channel of .* would be left, and a layer needs one"):
        cut(classifier.module, classifier.structure, classifier.groups, kept)
