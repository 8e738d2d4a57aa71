"""The form in which a convolution is written, so that FBGEMM computes it exactly, and fast.

x86 multiplies bytes with vpmaddubsw, which adds the products of two neighbours and saturates the sum to int16. In
FBGEMM's depthwise kernels the neighbours are two taps of a channel, and their products reach 2 * 255 * 127 = 64770,
about twice 2**15. That is so on *every* processor: these kernels make no use of VNNI.

The remedy is to merge n channels into a group whose weight is block diagonal,

    weight [C, 1, kH, kW] -> [C, n, kH, kW]:  merged[c, c % n] = weight[c, 0], and zeros elsewhere.

In the kernels for groups the neighbours are two channels of a tap, and one of them has a zero for its weight: nothing
exceeds 255 * 127 + 255 * 0 = 32385 < 2**15. A zero times a byte adds nothing, so the integers stay what they were, with
every engine, and with VNNI or without.

FBGEMM has a fast kernel for groups of 2, 4, 8 and 16 channels where a layer is 3 x 3, at stride 1 or 2, with a row and
column of zeros on each side. n is 8 there: with 2 and 4 the kernel takes 16 channels at a time, and reads and *writes*
past the last where 16 does not divide them (a third of the integers of a layer of 24 channels were wrong); 16 doubles
the weights once more and gains nothing.

At stride 2 TensorFlow pads a row less at the top and a column less at the left. Both are added, and the fast kernel
gets its zeros; its first window then starts one stride early, and what that gives is cropped.

So groups of 2 and 4 channels of a network's own are merged, too, unless 16 divides the channels: 5 groups of 4 at
stride 2 gave a fifth of the integers wrong, and broke the heap.

What remains, 5 x 5 above all, takes FBGEMM's general path, which costs by the group: few large ones, and n is 16 to 40.

Milliseconds of one layer, one thread of an AMD EPYC with VNNI, torch 2.13; * is not exact:

=================================  ===============================  =======  ======  ==============
layer                              fbgemm: as it is                 n = 8    n = 16  onednn, n = 8
=================================  ===============================  =======  ======  ==============
3 x 3, 192 channels, 28 x 28       0.08 *                           0.21     0.21    0.11
3 x 3, 960 channels, 7 x 7         0.04 *                           0.07     0.10    0.05
5 x 5, 240 channels, 14 x 14       0.08 *                           1.65     0.65    0.08
3 x 3 / 2, 96 channels, 112 x 112  38.8 (asymmetric padding)        0.64     0.63    0.57
=================================  ===============================  =======  ======  ==============

Sources in FBGEMM: takeDepthWiseFastPath in src/FbgemmConv.cc, fbgemmOptimizedGConv in src/Fbgemm.cc,
numOfGroupsTogether in src/PackWeightMatrixForGConv.cc, genU8I8S32FMA in src/CodeGenHelpers.h.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.exporters.torch import script
from edgekit.ir import Conv2d, Padding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.exporters.torch.texts import Engine

MERGED_IN_FAST_KERNEL = 8
TOGETHER_IN_FAST_KERNEL, CHANNELS_TOGETHER = (2, 4), 16  # groups of so many channels, and how many it takes at a time
MERGED_IN_GENERAL_PATH = (16, 24, 40, 8)  # the first that divides the channels


@dataclass(frozen=True, slots=True)
class Form:
    """How a convolution is written.

    Attributes:
        outside: zeros that are put around the input first.
        inside: rows and columns of zeros on both sides, which the convolution itself takes care of.
        surplus: rows and columns that are cropped from the top and left of the output.
        merged: so many groups become one.
    """

    outside: Padding
    inside: tuple[int, int]
    surplus: tuple[int, int] = (0, 0)
    merged: int = 1


def form(op: Conv2d, weight_shape: tuple[int, ...], engine: Engine) -> Form:
    """The form of a convolution with a weight [O, I / groups, kH, kW].

    FBGEMM's depthwise kernels take multiples of 8 channels. Others need no remedy: they take the general path, which is
    exact with VNNI, and without it saturates in every layer, depthwise or not. Groups of 2 or 4 channels become larger
    where the fast kernel would go beyond the last.
    """
    channels, of_group, *kernel = weight_shape
    if engine == "fbgemm" and of_group in TOGETHER_IN_FAST_KERNEL and op.groups > 1 and channels % CHANNELS_TOGETHER:
        merged = (n for n in range(2, op.groups + 1) if op.groups % n == 0)
        fits = (n for n in merged if n == op.groups or n * of_group not in TOGETHER_IN_FAST_KERNEL)
        return replace(_plain_form(op), merged=next(fits))
    if engine == "fbgemm" and op.groups == channels and of_group == 1 and channels % 8 == 0:
        return _fast_form(op, kernel) or _general_form(op)
    return _plain_form(op)


def block_diagonal(weight: NDArray[np.int8], groups: int, merged: int) -> NDArray[np.int8]:
    """The weight [O, n I / groups, kH, kW] of groups / n groups that computes what [O, I / groups, kH, kW] does."""
    made, of_group, *kernel = weight.shape
    rows = np.arange(made)
    result = np.zeros((made, merged, of_group, *kernel), np.int8)
    result[rows, rows // (made // groups) % merged] = weight
    return result.reshape(made, merged * of_group, *kernel)


def _plain_form(op: Conv2d) -> Form:
    symmetric = script.symmetric(op.padding)
    return Form(Padding(), symmetric) if symmetric else Form(op.padding, (0, 0))


def _fast_form(op: Conv2d, kernel: list[int]) -> Form | None:
    """What FBGEMM's fast kernel for groups takes."""
    top, left = op.padding.top, op.padding.left
    sides = {(top, op.padding.bottom), (left, op.padding.right)}
    padded_around = op.stride in ((1, 1), (2, 2)) and sides == {(1, 1)}
    padded_as_tensorflow = op.stride == (2, 2) and sides <= {(0, 1), (1, 1)}
    if kernel != [3, 3] or op.window.reach(kernel) != (3, 3) or not (padded_around or padded_as_tensorflow):
        return None
    surplus = 1 - top, 1 - left
    return Form(Padding(top=surplus[0], left=surplus[1]), (1, 1), surplus, MERGED_IN_FAST_KERNEL)


def _general_form(op: Conv2d) -> Form:
    plain = _plain_form(op)
    merged = next(n for n in MERGED_IN_GENERAL_PATH if op.groups % n == 0)
    return Form(plain.outside, plain.inside, merged=merged)
