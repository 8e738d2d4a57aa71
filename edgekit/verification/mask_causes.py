"""Why a file names other classes than it has to, of equal logits: each hypothesis has to foretell all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.ir import Resize
from edgekit.ir.operators.resize import BILINEAR, HALF_PIXEL
from edgekit.verification.cases import Cause, Finding
from edgekit.words import percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Masks = NDArray[Any]  # [N, H, W]


def explain(logits: NDArray[Any], found: Masks, expected: Masks) -> Finding:
    """The likely cause.

    Args:
        logits: that both were made of, [N, C, h, w], stored or real.
        found: classes that a file names.
        expected: those that it has to name.
    """
    share = f"{percent(float((found != expected).mean()))} of the places have another class"
    offsets = np.unique(found.astype(np.int64) - expected)
    if len(offsets) == 1:
        return Finding(Cause.CHANNEL_ORDER, f"every class is off by {offsets[0]:+}; {share}")
    size = (expected.shape[1], expected.shape[2])
    told = (because for because, foretold in _hypotheses(logits.astype(np.float64), size) if _same(foretold, found))
    because = next(told, "")
    return Finding(Cause.CHOICE if because else Cause.UNKNOWN, f"{because}; {share}" if because else share)


def _hypotheses(logits: NDArray[np.float64], size: tuple[int, int]) -> Iterator[tuple[str, Masks]]:
    own = logits.shape[2:]
    enlarged = {mode: _resized(logits, size, mode) if own != size else logits for mode in BILINEAR}
    last = logits.shape[1] - 1
    yield "of equal classes the last is named, and not the first", last - enlarged[HALF_PIXEL][:, ::-1].argmax(1)
    if own == size:
        return
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for old, new in zip(own, size, strict=True))
    yield "classes are named first, and enlarged then", logits.argmax(1)[:, rows[:, None], columns]
    yield "logits are rounded once they are enlarged", np.floor(enlarged[HALF_PIXEL] + 0.5).argmax(1)
    for mode in BILINEAR:
        if mode != HALF_PIXEL:
            yield f"logits are enlarged in another way ({mode}, not {HALF_PIXEL})", enlarged[mode].argmax(1)


def _resized(logits: NDArray[np.float64], size: tuple[int, int], mode: str) -> NDArray[np.float64]:
    rows, columns = Resize(size, mode).weights(logits.shape[1:])
    return rows @ logits @ columns.T


def _same(foretold: Masks, found: Masks) -> bool:
    """But for the last bits of what was interpolated."""
    return bool((foretold != found).mean() <= 1e-3)
