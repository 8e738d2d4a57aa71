"""Networks with weights worth comparing, and where real checkpoints are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from edgekit.models.network import build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from edgekit.models.architecture import Architecture


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Thousands of small tensors: handing each to a second thread costs more than it saves."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def trained() -> Callable[[Architecture], nn.Module]:
    """Makes a network whose batch normalization is not the identity, as after training."""

    def make(architecture: Architecture) -> nn.Module:
        torch.manual_seed(0)
        module = build(architecture)
        for name, buffer in module.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
            elif name.endswith("running_mean"):
                buffer.normal_(0.0, 0.1)
        return module.eval()

    return make


@pytest.fixture
def realdata() -> Path:
    """The folder with real checkpoints, where there is one."""
    folder = os.environ.get("EDGEKIT_REALDATA")
    if folder is None:
        pytest.skip("EDGEKIT_REALDATA names no folder with real checkpoints")
    return Path(folder) / "models"
