"""Adaptive rounding: each weight to the integer that serves its layer's output best, not to the nearest one.

What rounding the weights w of an output channel to q does to its results is (q - w)^T x. Its mean over the images is a
constant that the bias takes back (``bias_correction``); the rest has the variance

    e(q) = (q - w)^T G (q - w),    G = covariance of the layer's inputs x,

which is the objective of AdaRound (Nagel et al., arXiv:2004.10568, equation 7) before its relaxation. Inputs of a layer
are correlated, those of a depthwise kernel strongly: rounding all nine taps up costs far more than rounding some up and
some down. e is a quadratic form in integers, so it is minimized as one: weight after weight, with the error of each
handed on to those that follow (GPTQ, Frantar et al., arXiv:2210.17323), and then by coordinate descent, as with all
other weights given the best integer for one weight is known. That takes seconds where gradient descent takes minutes,
and needs neither images in memory nor a random seed.

G is damped by a part of its mean diagonal, as a few images do not tell it exactly. Where G says nothing, the nearest
integer wins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from edgekit.float_sums import is_uniform
from edgekit.progress import Progress, silent
from edgekit.quantization import WEIGHT_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Graph, Node

POSITIONS = 64  # of a feature map that are looked at: neighbouring ones tell the same
DAMPING = 0.1  # of the mean variance; GPTQ (arXiv:2210.17323, section 3.3) takes 0.01, from far more samples
PRECISION = 2.0**-21  # of sums of float32 products, in parts of their trace: a variance may be smaller than that
BLOCK = 64  # weights whose errors are handed on to all others at once, as one product of matrices
SWEEPS = 4  # over all weights of a layer: later ones change next to nothing


@dataclass(slots=True)
class _Sums:
    """Of the inputs of one layer: columns [B, K] a sample, B = channels if it is depthwise, else 1."""

    first: NDArray[np.float64]  # [B, K]
    second: NDArray[np.float64]  # [B, K, K]
    samples: int = 0

    @staticmethod
    def empty(groups: int, size: int) -> _Sums:
        """For ``size`` weights an output channel."""
        return _Sums(np.zeros((groups, size)), np.zeros((groups, size, size)))

    def add(self, columns: torch.Tensor) -> None:
        """Count ``columns``, [B, S, K]."""
        self.samples += columns.shape[1]
        self.first += columns.sum(1, dtype=torch.float64).numpy()
        self.second += (columns.mT @ columns).numpy()

    @property
    def covariance(self) -> NDArray[np.float64]:
        """[B, K, K], positive definite unless all is 0: what lies below the precision of the sums is filled up."""
        mean, second = self.first / self.samples, self.second / self.samples
        precision = PRECISION * np.einsum("bkk->b", second)
        below: NDArray[np.float64] = precision[:, None, None] * np.eye(mean.shape[1])
        return second - mean[:, :, None] * mean[:, None, :] + below


class InputMoments:
    """First and second moments of what each layer of a float network reads, over all images that are shown."""

    def __init__(self, graph: Graph) -> None:
        self._readers = {
            name: [node for node in graph.consumers(name) if node.op.has_weights] for name in graph.tensors
        }
        self._graph = graph
        self._sums = {
            node.name: _Sums.empty(node.op.groups_of_weights, graph.constants[node.operand("weight")][0].size)
            for nodes in self._readers.values()
            for node in nodes
        }

    def update(self, name: str, value: torch.Tensor) -> None:
        """Count the tensor of this name, [N, C, H, W] or [N, C], float32."""
        for node in self._readers[name]:
            self._sums[node.name].add(_columns(node, self._graph.constants[node.operand("weight")].shape, value))

    def covariance(self, node: Node) -> NDArray[np.float64]:
        """Of the inputs of ``node``, [B, K, K]: K weights an output channel; B are its groups."""
        return self._sums[node.name].covariance


def _columns(node: Node, shape: tuple[int, ...], value: torch.Tensor) -> torch.Tensor:
    """What the weights of an output channel are multiplied by, [B, samples, K], at some positions of the map."""
    window = node.op.window
    if window is None:
        return value[None]
    (_, _, height, width), p = shape, window.padding
    rows, columns = map(torch.from_numpy, window.places(value.shape[2:], (height, width)))
    padded = F.pad(value, (p.left, p.right, p.top, p.bottom))
    places = np.arange(len(rows) * len(columns))
    if len(places) > POSITIONS:  # the same ones in every image
        places = np.sort(np.random.default_rng(0).choice(places, POSITIONS, replace=False))
    y, x = rows[places // len(columns)][:, :, None], columns[places % len(columns)][:, None, :]
    taps = padded[:, :, y, x]  # [N, C, P, kH, kW]
    n, channels, count = taps.shape[:3]
    groups = node.op.groups_of_weights
    of_group = taps.reshape(n, groups, channels // groups, count, height, width)
    return of_group.permute(1, 0, 3, 2, 4, 5).reshape(groups, n * count, -1)


def round_weights(
    graph: Graph,
    model: IntegerModel,
    moments: InputMoments,
    *,
    input_gain: NDArray[np.float64],
    progress: Progress = silent,
) -> dict[str, NDArray[np.int8]]:
    """The integers for the weights of every layer of ``model``, by weight name.

    Args:
        graph: the float network, with the weights that were quantized.
        model: its integer model, weights rounded to nearest.
        moments: of the same network, before its normalization was folded into the first layer.
        input_gain: what folding multiplied the input channels' weights by, [C].
        progress: told of every layer.
    """
    layers = [
        node
        for node in graph
        if node.op.has_weights
        and node.operand("weight") in model.params
        and not is_uniform(graph.constants[node.operand("weight")])  # stored as 1 each: nothing is rounded
    ]
    rounded = {}
    for done, node in enumerate(layers):
        progress("rounding weights", done, len(layers))
        weight = node.operand("weight")
        real = graph.constants[weight].astype(np.float64)
        scale = model.params[weight].scale.astype(np.float64).reshape(-1, *[1] * (real.ndim - 1))
        covariance = moments.covariance(node)
        if node.operand("x") == graph.input:
            read = node.op.channels_read(real.shape)[:: len(real) // len(covariance)]  # [B, I / B]
            gain = np.repeat(input_gain[read], math.prod(real.shape[2:]), axis=1)  # [B, K]
            covariance = covariance / gain[:, :, None] / gain[:, None, :]
        rows = (len(covariance), -1, covariance.shape[-1])  # [B, O / B, K]
        found = minimize((real / scale).reshape(rows), covariance, limit=model.weight_limit)
        rounded[weight] = found.reshape(real.shape).astype(np.int8)
    progress("rounding weights", len(layers), len(layers))
    return rounded


def minimize(
    wanted: NDArray[np.float64], covariance: NDArray[np.float64], *, limit: int = WEIGHT_MAX
) -> NDArray[np.float64]:
    """Integers q for which (q - wanted)^T G (q - wanted) is small, and no larger than for the nearest.

    Args:
        wanted: in steps of the grid, [B, R, K].
        covariance: G without damping, [B, K, K].
        limit: of |q|.
    """
    size = covariance.shape[-1]
    damping = DAMPING * np.einsum("bkk->b", covariance) / size
    damped = covariance + np.where(damping > 0, damping, 1.0)[:, None, None] * np.eye(size)
    damped, upper = _definite(damped)
    nearest = np.clip(np.rint(wanted), -limit, limit)
    found = _descend(_with_feedback(wanted, upper, limit), wanted, damped, limit)
    better = _error(found, wanted, damped) < _error(nearest, wanted, damped)
    return np.where(better[:, :, None], found, nearest)


def _with_feedback(wanted: NDArray[np.float64], upper: NDArray[np.float64], limit: int) -> NDArray[np.float64]:
    """Round one weight after the other, and let those that follow make up for each error.

    arXiv:2210.17323, equations 2 and 3 in the form of its algorithm 1; ``upper`` is U with U^T U = G^-1.
    """
    left, found = wanted.copy(), np.empty_like(wanted)
    size = wanted.shape[-1]
    for start in range(0, size, BLOCK):
        end = min(start + BLOCK, size)
        errors = np.empty((*wanted.shape[:2], end - start))
        for k in range(start, end):
            found[:, :, k] = np.clip(np.rint(left[:, :, k]), -limit, limit)
            error = errors[:, :, k - start] = (left[:, :, k] - found[:, :, k]) / upper[:, k, k, None]
            left[:, :, k + 1 : end] -= error[:, :, None] * upper[:, k, None, k + 1 : end]
        left[:, :, end:] -= errors @ upper[:, start:end, end:]
    return found


def _definite(damped: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``damped`` with U, both [B, K, K]: U is upper triangular, and U^T U the inverse.

    Inputs that hardly vary about a large mean leave less of their variance than float32 took from it, and then there is
    no U. So the diagonal is raised by what is missing.
    """
    try:
        return damped, np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)
    except np.linalg.LinAlgError:
        eigenvalues = np.linalg.eigvalsh(damped)  # [B, K], ascending
        # What is sound has more than that left: see the damping.
        least = DAMPING / 2 * np.maximum(eigenvalues.mean(1), np.abs(eigenvalues[:, 0]))
        missing = np.maximum(least - eigenvalues[:, 0], 0.0)
        raised = damped + missing[:, None, None] * np.eye(damped.shape[-1])
        return raised, np.linalg.cholesky(np.linalg.inv(raised)).transpose(0, 2, 1)


def _descend(
    start: NDArray[np.float64], wanted: NDArray[np.float64], damped: NDArray[np.float64], limit: int
) -> NDArray[np.float64]:
    """Coordinate descent: the best integer for each weight in turn, all others given."""
    found = start.copy()
    slope = (found - wanted) @ damped  # half the gradient of e
    for _ in range(SWEEPS):
        changed = False
        for k in range(wanted.shape[-1]):
            best = np.rint(found[:, :, k] - slope[:, :, k] / damped[:, k, k, None])
            step = np.clip(best, -limit, limit) - found[:, :, k]
            groups, rows = np.nonzero(step)
            if len(rows) == 0:
                continue
            changed = True
            slope[groups, rows] += step[groups, rows, None] * damped[groups, k]
            found[groups, rows, k] += step[groups, rows]
        if not changed:
            break
    return found


def _error(found: NDArray[np.float64], wanted: NDArray[np.float64], damped: NDArray[np.float64]) -> NDArray[np.float64]:
    """The e of every output channel, [B, R]."""
    off = found - wanted
    result: NDArray[np.float64] = np.einsum("brk,brk->br", off @ damped, off)
    return result


def with_weights(model: IntegerModel, weights: Mapping[str, NDArray[Any]]) -> IntegerModel:
    """``model`` with other integers for some of its weights."""
    return replace(model, graph=replace(model.graph, constants={**model.graph.constants, **weights}))
