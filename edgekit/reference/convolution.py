"""Padding, convolution and pooling in numpy, by BLAS where it can; shared by the float and the integer interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.ir.operators.operator import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.ir import Conv2d, MaxPool2d, Padding


def pad(x: NDArray[Any], padding: Padding, value: float = 0) -> NDArray[Any]:
    """``x`` [N, C, H, W] with ``value`` around its two spatial axes."""
    if not padding:
        return x
    n, channels, height, width = x.shape
    shape = (n, channels, height + padding.top + padding.bottom, width + padding.left + padding.right)
    padded = np.full(shape, value, x.dtype)
    padded[:, :, padding.top : padding.top + height, padding.left : padding.left + width] = x
    return padded


def convolve(op: Conv2d, x: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    """The sums of products of a convolution, padded with zeros, in the type of the operands.

    Args:
        op: stride, padding, groups and dilation.
        x: [N, I, H, W].
        weight: [O, I / groups, kH, kW], of the type of ``x``.

    Returns:
        [N, O, H', W'].
    """
    (s_h, s_w), (d_h, d_w) = op.stride, op.dilation
    x = pad(x, op.padding)
    n, channels, height, width = x.shape
    out_channels, _, k_h, k_w = weight.shape
    out_h, out_w = (height - d_h * (k_h - 1) - 1) // s_h + 1, (width - d_w * (k_w - 1) - 1) // s_w + 1
    taps = {
        (i, j): x[
            :, :, d_h * i : d_h * i + s_h * (out_h - 1) + 1 : s_h, d_w * j : d_w * j + s_w * (out_w - 1) + 1 : s_w
        ]
        for i in range(k_h)
        for j in range(k_w)
    }
    if op.groups == channels == out_channels:  # depthwise: every tap scales whole feature maps
        total = np.zeros((n, channels, out_h, out_w), x.dtype)
        product = np.empty_like(total)
        for (i, j), tap in taps.items():
            np.multiply(tap, weight[:, 0, i, j, None, None], out=product)
            total += product
        return total
    columns = np.stack(list(taps.values()), axis=2) if len(taps) > 1 else taps[0, 0]  # [N, I, kH kW, H', W']
    rows = weight.reshape(op.groups, out_channels // op.groups, -1)
    sums: NDArray[Any] = rows @ columns.reshape(n, op.groups, -1, out_h * out_w)  # [N, groups, O / groups, H' W']
    return sums.reshape(n, out_channels, out_h, out_w)


def largest(op: MaxPool2d, x: NDArray[Any], lowest: float) -> NDArray[Any]:
    """The largest number of each window of ``x`` [N, C, H, W], padded with ``lowest``: [N, C, H', W']."""
    rows, columns = Window(op.stride, op.padding, op.dilation).places(x.shape[2:], op.kernel)
    of_rows = pad(x, op.padding, lowest)[:, :, rows].max(3)
    result: NDArray[Any] = of_rows[..., columns].max(4)
    return result
