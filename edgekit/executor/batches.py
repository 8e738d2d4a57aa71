"""Outputs of one batch after the other as arrays over all images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from numpy.typing import NDArray


def joined(batches: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, NDArray[Any]]:
    """What an executor gave for each batch, [N, ...] by name, for all of them."""
    return {name: np.concatenate([batch[name].numpy() for batch in batches]) for name in batches[0]}
