"""Convolution in numpy, by way of BLAS where it can; shared by the float and the integer interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.ir import Conv2d


def convolve(op: Conv2d, x: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    """The sums of products of a convolution, padded with zeros, in the type of the operands.

    Args:
        op: stride, padding and groups.
        x: [N, I, H, W].
        weight: [O, I / groups, kH, kW], of the type of ``x``.

    Returns:
        [N, O, H', W'].
    """
    p, (s_h, s_w) = op.padding, op.stride
    if p:
        x = np.pad(x, ((0, 0), (0, 0), (p.top, p.bottom), (p.left, p.right)))
    n, channels, height, width = x.shape
    out_channels, _, k_h, k_w = weight.shape
    out_h, out_w = (height - k_h) // s_h + 1, (width - k_w) // s_w + 1
    taps = [
        (i, j, x[:, :, i : i + s_h * (out_h - 1) + 1 : s_h, j : j + s_w * (out_w - 1) + 1 : s_w])
        for i in range(k_h)
        for j in range(k_w)
    ]
    if op.groups == channels == out_channels:  # depthwise: every tap scales whole feature maps
        total = np.zeros((n, channels, out_h, out_w), x.dtype)
        product = np.empty_like(total)
        for i, j, view in taps:
            np.multiply(view, weight[:, 0, i, j, None, None], out=product)
            total += product
        return total
    assert op.groups == 1, "MobileNets have plain and depthwise convolutions"
    columns = taps[0][2] if len(taps) == 1 else np.stack([view for _, _, view in taps], axis=2)  # [N, I, kH kW, H', W']
    columns = columns.reshape(n, -1, out_h * out_w)
    return (weight.reshape(out_channels, -1) @ columns).reshape(n, out_channels, out_h, out_w)
