from __future__ import annotations

import torch

from edgekit.training.averaging import Average


def test_it_is_the_weighted_mean_of_all_that_was_seen() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1))
    average = Average(module, decay=0.3)
    expected = {key: value.clone() for key, value in module.state_dict().items()}
    for update in range(1, 6):
        for parameter in module.parameters():
            parameter.data += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(update))
        module.get_buffer("1.num_batches_tracked").add_(1)
        average.update(module)
        decay = min(0.3, (1 + update) / (10 + update))
        expected = {
            key: decay * expected[key] + (1 - decay) * value if value.is_floating_point() else value
            for key, value in module.state_dict().items()
        }
    found = average.module.state_dict()
    assert all(torch.allclose(found[key].double(), expected[key].double()) for key in expected)
    assert not average.module.training
