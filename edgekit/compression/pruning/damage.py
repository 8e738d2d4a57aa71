"""How far outputs move when one number of channels alone is smaller, measured.

What layers lose together is taken to be the sum of what each loses alone, as NetAdapt and others do
(arXiv:1804.03230). What is left of the network is mended before it is measured, and batch normalization takes the
statistics of the images at hand, because both are done with the cut as well.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from edgekit.compression.pruning.budget import kept
from edgekit.compression.pruning.gates import gated
from edgekit.compression.pruning.mending import mended
from edgekit.training.from_images import named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edgekit.compression.pruning.budget import Width, Worth
    from edgekit.compression.pruning.groups import Group
    from edgekit.compression.pruning.mending import Moments
    from edgekit.progress import Progress

_SHARES: Final = (0.875, 0.75, 0.625, 0.5, 0.25)  # of the channels of a width that are left where it is measured


class Damage:
    """What is lost where widths shrink, by curves that were measured.

    Attributes:
        widths: the numbers of channels that can change.
        curves: of each width, numbers of channels, rising, and how far outputs move there: their mean square error in
            units of their variance, [2, points]. The error never falls where fewer channels are left.
    """

    def __init__(self, widths: Sequence[Width], curves: Sequence[NDArray[np.float64]]) -> None:
        self.widths, self.curves = widths, curves

    def __call__(self, width: Width, counts: NDArray[np.float64], fewer: NDArray[np.float64]) -> float:
        """What is lost from ``counts`` to ``fewer``, both [groups]."""
        curve = self.curves[self.widths.index(width)]
        at = width.groups[0]
        return _error(curve, fewer[at]) - _error(curve, counts[at])


def measure(  # noqa: PLR0913 - a network and what is known of it
    module: nn.Module,
    groups: Sequence[Group],
    widths: Sequence[Width],
    *,
    worth: Worth,
    moments: Mapping[str, Moments],
    images: Tensor,
    multiple: int,
    progress: Progress,
) -> Damage:
    """Measure all curves.

    Args:
        module: in evaluation mode.
        groups: of its channels.
        widths: the numbers of channels that can change.
        worth: of the channels of each group, [K]; those of least worth go first.
        moments: of what layers read.
        images: normalized, [N, C, H, W].
        multiple: that numbers of channels are of.
        progress: told of each width.
    """
    weights = dict(module.named_parameters())
    counts = np.array([float(group.channels) for group in groups])
    curves = []
    with _statistics_of_the_batch(module), torch.no_grad():
        wanted = named(module(images))
        units = {name: value.var(0, correction=0).sum().clamp(min=1e-12) for name, value in wanted.items()}

        def error(fewer: NDArray[np.float64]) -> float:
            stays = kept(worth, fewer)
            gates = torch.from_numpy(np.concatenate(stays)).to(images.dtype)[None]
            with gated(module, groups, gates):
                found = named(functional_call(module, mended(weights, groups, stays, moments), (images,)))
            return float(sum((found[name] - wanted[name]).square().sum() / len(images) / units[name] for name in found))

        for place, width in enumerate(widths):
            progress("measuring what each layer can spare", place, len(widths))
            points = [(counts[width.groups[0]], 0.0)]
            points += [(fewer[width.groups[0]], error(fewer)) for fewer in _levels(width, counts, multiple)]
            numbers, errors = np.array(points).T
            curves.append(np.array([numbers[::-1], np.maximum.accumulate(errors)[::-1]]))
    progress("measuring what each layer can spare", len(widths), len(widths))
    return Damage(widths, curves)


def _levels(width: Width, counts: NDArray[np.float64], multiple: int) -> Iterator[NDArray[np.float64]]:
    """Counts with ever smaller numbers of this width, about those of ``_SHARES``."""
    most = int(counts[width.groups[0]] * width.shares[0])
    seen = most
    for share in _SHARES:
        number = max(round(most * share / multiple) * multiple, multiple)
        if number < seen and not any(number % part for part in width.shares):
            fewer = counts.copy()
            fewer[list(width.groups)] = [number // part for part in width.shares]
            seen = number
            yield fewer


def _error(curve: NDArray[np.float64], number: float) -> float:
    """Between points of the curve by straight lines; below the lowest number as it rises in front of it."""
    numbers, errors = curve
    if number >= numbers[0] or len(numbers) == 1:
        return float(np.interp(number, numbers, errors))
    slope = (errors[0] - errors[1]) / (numbers[1] - numbers[0])
    return float(errors[0] + slope * (numbers[0] - number))


@contextmanager
def _statistics_of_the_batch(module: nn.Module) -> Iterator[None]:
    """Within it, batch normalization takes the statistics of what it sees, and keeps its own as they are."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.eval()
            norm.momentum = momentum
