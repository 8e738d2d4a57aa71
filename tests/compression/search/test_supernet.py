"""Parts of a supernet."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgekit.compression.search.space import Space
from edgekit.compression.search.supernet import middle, modules
from edgekit.models.building import built

SPACE = Space.of(
    {
        "resolution": [24, 32],
        "stem": [8, 16],
        "head": [32, 48],
        "hidden": [16, 24],
        "stages": [
            {
                "channels": [8, 16],
                "kernel": [3, 5],
                "expansion": [1, 3],
                "squeeze": [0, 0.25],
                "activation": ["relu", "hard_swish"],
                "repeats": [1, 2],
            },
            {"channels": [16, 24], "stride": 2, "expansion": [2, 3], "repeats": [1, 3]},
        ],
    }
)


def test_a_part_has_all_of_its_weights_from_the_largest_network() -> None:
    whole = SPACE.table(SPACE.largest)
    weights = built(whole.architecture(10)).state_dict()
    random = np.random.default_rng(0)
    for _ in range(12):
        part = SPACE.table(SPACE.drawn(random))
        names = modules(part, whole)
        for key, tensor in built(part.architecture(10)).named_parameters():
            module, _, leaf = key.rpartition(".")
            assert middle(weights[f"{names[module]}.{leaf}"], tensor.shape).shape == tensor.shape
        assert len(set(names.values())) == len(names)


def test_the_second_stage_of_a_shallow_part_is_the_second_stage_of_the_whole() -> None:
    whole, part = SPACE.table(SPACE.largest), SPACE.table(SPACE.smallest)
    names = modules(part, whole)
    assert names["features.2.block.1.0"] == "features.3.block.1.0"  # behind one block, and behind two
    assert names["features.3.0"] == "features.6.0"


@pytest.mark.parametrize(("kernel", "values"), [(5, [0, 1, 2, 3, 4]), (3, [1, 2, 3]), (1, [2])])
def test_a_smaller_kernel_is_the_middle_of_a_larger_one(kernel: int, values: list[int]) -> None:
    tensor = torch.arange(5).expand(2, 1, 5, 5)
    assert middle(tensor, (1, 1, kernel, kernel))[0, 0, 0].tolist() == values
