"""How clearly images speak: for one candidate against another, and of a candidate by itself.

Two candidates are compared by the logarithm of their likelihood ratio, in nats. The residual of a channel, in standard
deviations of training, is taken to have Student's t distribution with ``DEGREES`` degrees of freedom, as wide as those
of the layer's means, or spreads, are. Only channels count in which the candidates differ by more than ``APART`` times
that width, mean and spread each by at most ``MOST_NATS``, and only if they largely agree (``AGREEMENT``): thousands of
small errors in one direction are no evidence.

What the images may be normalized by shows otherwise: in the first layer, whose channels all see the same colours, and a
little in every layer behind it. So there layers are counted, not channels (``by_layers``), and draws of the images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.calibration.stem import Stem
    from edgekit.calibration.witness import Moments

MOST_NATS = 5.0  # from one mean or one spread: one alone never decides
APART = 2.0  # widths of a layer's residuals
AGREEMENT = 0.25  # of all that the channels say for or against: less is noise that does not cancel
DEGREES = 3.0  # heavy tails: that a channel is far off is not much rarer than that it is off
NARROWEST = 1e-3  # of a layer's residuals, standard deviations: float sums and the number of images leave that much
DRAWS = 1000
ENOUGH_NATS = math.log(DRAWS)  # odds of 1000 to 1
# Of one draw: another set of pictures may differ from that of training in its colours as much as so few images do.
DRAWN_IMAGES = 16
MOST_OF_DRAWS = 50.0  # nats: nothing outweighs that
CLAMP = 4.0  # squared standard deviations, of a layer's channels: one shall not outvote the others
# Of the images, in one class: then the answers say nothing. Labelled sets have up to a tenth in one class.
ONE_SIDED = 0.5
# Nats: in float32, the soft-max of a surer answer is 1 (2^-24), and training learns nothing from it. No network is as
# sure of most images, unless they are far larger numbers than it was trained with.
CERTAIN = 1e-6


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Residuals:
    """How far every channel is from training, and how far the channels of its layer usually are.

    Attributes:
        values: as ``Moments.residuals`` gives them, [2, K].
        widths: of the means, or spreads, of a channel's layer, [2, K].
        layers: how many channels each layer has, in order.
    """

    values: NDArray[np.float64]
    widths: NDArray[np.float64]
    layers: tuple[int, ...]


def residuals(moments: Moments) -> Residuals:
    """Those of some images."""
    values = moments.residuals()
    # Of means and of spreads apart: behind a layer without an activation, means are exactly those of training.
    # 0.6745 standard deviations are the median distance of a normal distribution from its mean.
    layers = np.split(np.abs(values), np.cumsum(moments.layers)[:-1], axis=1)
    medians = np.stack([np.median(layer, axis=1) for layer in layers], axis=1) / 0.6745
    return Residuals(values, np.repeat(medians, moments.layers, axis=1), moments.layers)


def misfit(moments: Moments) -> float:
    """Mean square of the residuals of all channels, each at most ``CLAMP``, mean over layers."""
    squares = np.minimum(moments.residuals() ** 2, CLAMP).sum(0)
    return float(np.mean([layer.mean() for layer in np.split(squares, np.cumsum(moments.layers)[:-1])]))


def nats(a: Residuals, b: Residuals) -> float:
    """The logarithm of the likelihood ratio of two candidates, from the same images; 0 where channels contradict."""
    counted = _nats_of_channels(a, b)
    total = float(counted.sum())
    return total if abs(total) >= AGREEMENT * float(np.abs(counted).sum()) else 0.0


def by_layers(a: Residuals, b: Residuals) -> float:
    """The odds of ``a`` against ``b``, in nats, if every layer but the first is one witness, as likely right as wrong.

    Where layers speak for either by chance, the sum of what they say over the root of the sum of its squares has about
    a standard normal distribution (a self-normalized sum).
    """
    ends = np.cumsum(a.layers)[:-1]
    layers = np.array([layer.sum() for layer in np.split(_nats_of_channels(a, b), ends, axis=1)][1:])
    size = math.sqrt(float((layers**2).sum()))
    return 0.0 if size == 0.0 else odds(math.erfc(-float(layers.sum()) / size / math.sqrt(2)) / 2)


def odds(share: float) -> float:
    """Of a share of draws, in nats: at most what ``DRAWS`` draws can tell."""
    least = 1 / (DRAWS + 1)
    held = min(max(share, least), 1 - least)
    return math.log(held / (1 - held))


def of_draws(differences: NDArray[np.float64]) -> float:
    """The odds that differences of draws are negative on the whole, in nats; where all are, by the normal tail."""
    shares = odds(float((differences < 0).mean()))
    if abs(shares) < ENOUGH_NATS:
        return shares
    z = float(differences.mean() / max(differences.std(), 1e-12))
    return math.copysign(max(abs(shares), min(z * z / 2, MOST_OF_DRAWS)), shares)


def _nats_of_channels(a: Residuals, b: Residuals) -> NDArray[np.float64]:
    """What each mean and each spread says for ``a`` against ``b``, [2, K]."""
    width = np.maximum(np.minimum(a.widths, b.widths), NARROWEST)
    known = np.isfinite(a.values) & np.isfinite(b.values)  # channels that overflow say nothing
    values = [np.where(known, candidate.values, 0.0) for candidate in (a, b)]
    tails = [np.log1p((one / width) ** 2 / DEGREES) for one in values]
    likelier = np.clip((DEGREES + 1) / 2 * (tails[1] - tails[0]), -MOST_NATS, MOST_NATS)
    counted: NDArray[np.float64] = np.where(np.abs(values[0] - values[1]) > APART * width, likelier, 0.0)
    return counted


def draws(images: int, number: int | None = None) -> NDArray[np.float64]:
    """How often each image is drawn when ``number``, or all, are drawn with replacement, in shares, [DRAWS, images]."""
    number = number or images
    drawn = np.random.default_rng(0).multinomial(number, np.full(images, 1 / images), DRAWS)
    shares: NDArray[np.float64] = drawn / number
    return shares


def stem_misfits(stem: Stem, moments: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The misfit of the first layer in each draw, [D], from what ``Stem.moments`` gives, [2, N, O]."""
    first, second = shares @ moments  # [D, O]
    std = np.sqrt(np.maximum(second - first**2, 1e-12 * stem.std**2))
    residuals = np.stack([(first + stem.bias - stem.mean) / stem.std, np.log(std / stem.std)])
    found: NDArray[np.float64] = np.minimum(residuals**2, CLAMP).sum(0).mean(1)
    return found


def entropy(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of the soft-max of each row, in nats, [N]."""
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(1))
    found: NDArray[np.float64] = log_sum - (np.exp(shifted) * shifted).sum(1) / np.exp(log_sum)
    return found


def is_one_sided(logits: NDArray[np.float32]) -> bool:
    """Whether most rows are of one class."""
    classes = logits.argmax(1)
    return bool(np.bincount(classes).max() > ONE_SIDED * len(classes))


def is_too_sure(logits: NDArray[np.float32]) -> bool:
    """Whether most rows are surer than training makes them."""
    return bool(np.median(entropy(logits)) < CERTAIN)
