"""Networks with exits: where these stand, what they cost, and what their weights are called."""

from __future__ import annotations

import json

import pytest
import torch

from edgekit.errors import ArtifactError, ConfigError
from edgekit.models.building import built
from edgekit.models.complexity import at_equal_shares, complexity, macs_at_exits
from edgekit.models.families import FAMILIES
from edgekit.models.families.mobilenet_v1_cifar import mobilenet_v1_cifar
from edgekit.models.head_specs import ExitSpec
from edgekit.models.heads.making import exits, vector
from edgekit.models.structures import from_dict
from edgekit.models.task_architecture import TaskArchitecture


@pytest.mark.parametrize("family", ["mobilenet_v1", "mobilenet_v3_small", "mobileone_s0"])
def test_every_family_has_exits(family: str) -> None:
    with torch.device("meta"):
        architecture = exits(FAMILIES[family].make(0.25, resolution=64), 5, ("features.3", "features.1"))
        network = built(architecture).eval()
        shapes = {name: tuple(y.shape) for name, y in network(torch.zeros(2, 3, 64, 64)).items()}
        classifier = built(FAMILIES[family].make(0.25, resolution=64, num_classes=5))
    assert shapes == dict.fromkeys(("exit1", "exit2", "classifier"), (2, 5))
    assert [head.takes[0] for head in architecture.heads[:2]] == ["features.1", "features.3"]
    assert classifier.state_dict().keys() <= network.state_dict().keys()  # so that its weights are taken over
    assert from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture
    assert (architecture.task, architecture.num_classes) == ("exits", 5)


def test_what_leaving_costs() -> None:
    architecture = exits(mobilenet_v1_cifar(0.5, num_classes=10), 10, ("features.3",))
    first, last = macs_at_exits(architecture)
    assert last == complexity(architecture).macs
    # Table of the family: 32 x 32 x (27 + 9) x 16 + …, until 128 channels on 8 x 8; and the exit's own, on 4 x 4.
    until = 32**2 * (27 * 16 + 16 * 9 + 16 * 32) + 16**2 * (32 * 9 + 32 * 64 + 64 * 9 + 64 * 64)
    until += 8**2 * (64 * 9 + 64 * 128)
    assert first == until + 4**2 * (128 * 9 + 128 * 128) + 128 * 10


def test_places_part_the_work_equally() -> None:
    architecture = mobilenet_v1_cifar(0.5, num_classes=10)
    places = at_equal_shares(architecture, 2)
    assert places == ["features.2", "features.5"]  # 40 and 70 % of it; 23 and 63 % are farther from a third and two
    with pytest.raises(ConfigError, match="8 places for early exits, and 9 are wanted"):
        at_equal_shares(architecture, 9)


def test_exits_that_cannot_be_are_refused() -> None:
    backbone = mobilenet_v1_cifar(0.25, num_classes=3)
    with pytest.raises(ConfigError, match=r"'features.7': choose from .*features.2, .*, or say how many, --exits 2"):
        exits(backbone, 3, ("features.7",))
    one = exits(backbone, 3, ("features.2",))
    with pytest.raises(ConfigError, match="exits are classifiers of the same classes"):
        TaskArchitecture(backbone, (*one.heads, vector(backbone, "classification", 3, name="other")))
    with pytest.raises(ConfigError, match="the confidence of exit 'a' is 2"):
        ExitSpec("a", "exits", 3, ("features.2",), confidence=2.0)
    saved = one.to_dict()
    saved["heads"][0]["temperature"] = 0.0
    with pytest.raises(ArtifactError, match="must be above 0"):
        from_dict(saved)
