"""Causes that the values themselves tell: an offset, a factor, limits, channels in another order.

A fitted number is not exact. Its standard error follows from rounding, which spreads evenly over one step, and says how
far what it foretells may be off, and whether it differs from 1 or 0 at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.verification.cases import NEAR_TIE, Case, Cause, Finding, IntegerLayer, Variant, at_border_only

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

_SURE: Final = 5  # standard errors: what is nearer to 1 or 0 is that
_PRECISE: Final = 0.25  # of the largest difference, or a step: a fit that may be off by more foretells nothing
_ENOUGH: Final = 16  # values to fit a slope and an offset to
_NOISE: Final = 2**-20  # of the largest real: what sums in float32 may be off by
# Kernels that round twice shift the accumulator by k bits after a first rounding, which may be off by 2**-(k + 1); the
# ratio lies between that and twice that. Source: MultiplyByQuantizedMultiplier in tflite/kernels/internal/common.cc.
_FAR_FROM_TIE: Final = 2**-2


def zero_point(case: Case) -> Finding | None:
    """The same number of steps more or less everywhere."""
    inside = case.inside
    if case.zero_point is None or not inside.any():
        return None
    off = int(np.median(case.found[inside] - case.expected[inside]))
    if not off or not case.foretold(np.rint(case.exact) + off):
        return None
    return Finding(Cause.ZERO_POINT, f"every value is off by {off:+d} LSB, and so is its zero point")


def rounded_down(case: Case) -> Finding | None:
    """The next lower integer instead of the nearest."""
    if case.zero_point is None or not case.foretold(case.exact - 0.5):
        return None
    return Finding(Cause.ROUNDING, "every value is rounded down instead of to the nearest integer")


def clamp(case: Case) -> Finding | None:
    """One side is the other between narrower limits."""
    differs, expected, found = case.differs(case.exact), case.expected, case.found
    for name, one, other in (("missing", expected, found), ("too narrow", found, expected)):
        low, high = one.min(), one.max()
        ends = [end for end in (low, high) if (one[differs] == end).any()]
        beyond = (other[differs] < low) | (other[differs] > high)
        elsewhere = ~np.isin(one, ends) & differs
        if beyond.all() and not elsewhere.any() and all((one == end).sum() >= _ENOUGH for end in ends):
            limits = " and ".join(f"{end:g}" for end in ends)
            explanation = f"only values that are {limits} on the one side go beyond on the other: its clamp is {name}"
            return Finding(Cause.CLAMP, explanation)
    return None


def channel_order(case: Case) -> Finding | None:
    """The channels that differ are the same ones, in another order."""
    channels = case.channels
    if len(channels) < 2:
        return None
    here, there = (
        np.moveaxis(values, 1, 0)[channels].reshape(len(channels), -1) for values in (case.found, case.expected)
    )
    # A sum with random weights tells channels apart; sorting finds the pairs without comparing each with each.
    weights = np.random.default_rng(0).normal(size=here.shape[1])
    places, sources = np.argsort(here @ weights, kind="stable"), np.argsort(there @ weights, kind="stable")
    reordered = case.exact.copy()
    reordered[:, channels[places]] = case.exact[:, channels[sources]]
    if not case.foretold(reordered):
        return None
    order = dict(zip(channels[places].tolist(), channels[sources].tolist(), strict=True))
    shown = ", ".join(f"{source} at {place}" for place, source in sorted(order.items())[:4])
    return Finding(Cause.CHANNEL_ORDER, f"its channels are in another order: {shown}{', …' if len(order) > 4 else ''}")


def rows_and_columns(case: Case) -> Finding | None:
    """Feature maps that are transposed or mirrored."""
    if case.exact.ndim != 4:
        return None
    ways = {
        "rows and columns are exchanged": case.exact.swapaxes(2, 3),
        "it is upside down": case.exact[:, :, ::-1],
        "left and right are exchanged": case.exact[:, :, :, ::-1],
    }
    return next((Finding(Cause.LAYOUT, words) for words, other in ways.items() if case.foretold(other)), None)


# --- numbers that are fitted ----------------------------------------------------------------------------------------


def scale(case: Case) -> Finding | None:
    """A factor of the whole tensor."""
    zero_point = case.zero_point or 0
    x, y = case.exact - zero_point, case.found.astype(np.float64) - zero_point
    fit = _fit(case, [x], y, case.inside)
    if fit is None or not _is_factor(slope := fit[0][0], fit[1][0]):
        return None
    if not _foretells(case, x * slope + zero_point, fit[2]):
        return None
    words = f"every value is {_factor(slope)} times what it has to be"
    words += f": its scale seems {_factor(1 / slope)} times the right one"
    return Finding(Cause.SCALE, words)


def scale_of_operand(case: Case) -> Finding | None:
    """A factor of one of the two tensors that an ADD reads."""
    layer, zero_point = case.layer, case.zero_point or 0
    if layer is None or not layer.node.op.has_ratio_per_operand or len(layer.inputs) != 2:
        return None
    nothing = {name: np.zeros_like(values) for name, values in layer.inputs.items()}
    if isinstance(layer, IntegerLayer):
        nothing = {name: values + np.int8(layer.model.params[name].zero_point) for name, values in nothing.items()}
    names = tuple(layer.inputs)
    terms = [layer.compute(Variant(inputs={other: nothing[other]})) - zero_point for other in names[::-1]]
    fit = _fit(case, terms, case.found.astype(np.float64) - zero_point, case.inside)
    if fit is None:
        return None
    slopes, errors, error = fit
    off = [(name, slope) for name, slope, e in zip(names, slopes, errors, strict=True) if _is_factor(slope, e)]
    foretold = np.sum([slope * term for slope, term in zip(slopes, terms, strict=True)], 0) + zero_point
    if not off or not _foretells(case, foretold, error):
        return None
    words = " and ".join(f"{name} counts {_factor(slope)} times as much as it has to" for name, slope in off)
    return Finding(Cause.SCALE, f"{words}: its scale is wrong by that factor")


def scales_of_channels(case: Case) -> Finding | None:
    """A factor and an offset of each channel."""
    zero_point = case.zero_point or 0
    x, y = case.exact - zero_point, case.found.astype(np.float64) - zero_point
    foretold, error = case.exact.copy(), np.full(x.shape, NEAR_TIE)
    slopes, offsets = np.ones(x.shape[1]), np.zeros(x.shape[1])
    for channel in case.channels:
        of = np.s_[:, channel]
        one = np.ones_like(x[of])
        both = _fit(case, [x[of], one], y[of], case.inside[of])
        if both is not None and _is_factor(both[0][0], both[1][0]):
            slopes[channel], errors, error[of] = both[0][0], both[1], both[2]
            offsets[channel] = both[0][1]
            if not _is_off(offsets[channel], errors[1], 0):
                alone = _fit(case, [x[of]], y[of], case.inside[of])
                assert alone is not None
                slopes[channel], offsets[channel], error[of] = alone[0][0], 0.0, alone[2]
        else:
            alone = _fit(case, [one], y[of] - x[of], case.inside[of])
            if alone is not None and _is_off(alone[0][0], alone[1][0], 0):
                offsets[channel], error[of] = alone[0][0], alone[2]
        foretold[of] = x[of] * slopes[channel] + offsets[channel] + zero_point
    if not _foretells(case, foretold, error):
        return None
    total, scaled, moved = len(slopes), np.flatnonzero(slopes != 1), np.flatnonzero((slopes == 1) & (offsets != 0))
    if not len(scaled):
        words = f"{_some(moved, total)} off by {offsets[moved[0]]:+.3g}"
        return Finding(Cause.BIAS, f"{words}{' and so on' if len(moved) > 1 else ''}: their biases are wrong")
    words = f"{_some(scaled, total)} {_factor(slopes[scaled[0]])} times what they have to be"
    if offsets[scaled].any():
        words += f", and off by {offsets[scaled][np.flatnonzero(offsets[scaled])[0]]:+.3g}"
    return Finding(
        Cause.SCALE, f"{words}{' and so on' if len(scaled) > 1 else ''}: the scales of their weights are wrong"
    )


def _fit(case: Case, columns: list[Reals], y: Reals, inside: NDArray[np.bool_]) -> tuple[Reals, Reals, Reals] | None:
    """What to multiply ``columns`` by so that they add up to ``y``, by least squares where ``inside``.

    Returns:
        The numbers, their standard errors, and by how much the sum may be off, value by value; None where too few
        values, or values too much alike, leave them open.
    """
    # What occurs again is rounded alike, and says nothing new.
    known = np.unique(np.stack([column[inside] for column in (*columns, y)], 1), axis=0)
    a = known[:, :-1]
    if len(a) < _ENOUGH or np.linalg.matrix_rank(a) < a.shape[1]:
        return None
    numbers: Reals = np.linalg.lstsq(a, known[:, -1])[0].astype(np.float64)
    if case.zero_point is None:
        spread = _NOISE * float(np.abs(case.exact[np.isfinite(case.exact)]).max(initial=0.0))
        deviations: Reals = spread / np.abs(a).max(0)
        return numbers, deviations, np.zeros(y.shape)
    covariance = np.linalg.inv(a.T @ a) / 12  # rounding has a variance of 1 / 12
    whole = np.stack(columns, -1)
    error: Reals = _SURE * np.sqrt(np.einsum("...i,ij,...j->...", whole, covariance, whole)) + NEAR_TIE
    deviations = np.sqrt(np.diag(covariance))
    return numbers, deviations, error


def _foretells(case: Case, exact: Reals, error: Reals) -> bool:
    """Whether a fit foretells every value, and is precise enough to do so."""
    largest = np.abs(exact - case.exact)[case.inside].max(initial=0.0)
    return bool(np.max(error) <= _PRECISE * max(1.0, float(largest))) and case.foretold(exact, error)


def _is_off(number: float, error: float, usual: float) -> bool:
    return bool(abs(number - usual) > _SURE * error)


def _is_factor(number: float, error: float) -> bool:
    """Whether a fitted number is another factor than 1: a positive one, as scales are."""
    return number > _SURE * error and _is_off(number, error, 1)


def _factor(number: float) -> str:
    """A number with three digits, or as many as tell it from 1."""
    return next((text for digits in range(3, 10) if float(text := f"{number:.{digits}g}") != 1), f"{number!r}")


# --- rounding, and what is left ---------------------------------------------------------------------------------------


def nearly_rounded(case: Case) -> Finding | None:
    """One step more or less, where the exact value lies so near to a tie that sound kernels may differ."""
    return _rounding(case) if isinstance(case.layer, IntegerLayer) and case.foretold(case.exact) else None


def rounded_twice(case: Case) -> Finding | None:
    """One step more or less where the exact value lies near a tie, and in both directions."""
    if not isinstance(case.layer, IntegerLayer) or not case.foretold(case.exact, _near_tie(case)):
        return None
    differs, zero_point = case.differs(case.exact), case.zero_point or 0
    step = np.sign(case.found[differs].astype(np.int64) - case.expected[differs])
    outwards = step * np.sign(case.exact[differs] - zero_point)
    # All upwards could be a bias, all outwards a scale, that are off by little.
    return _rounding(case) if np.ptp(step) and np.ptp(outwards) else None


def _rounding(case: Case) -> Finding:
    differs = case.differs(case.exact)
    exact = case.exact[differs]
    distance = np.abs(np.abs(exact - np.trunc(exact)) - 0.5).max()
    return Finding(
        Cause.ROUNDING,
        f"1 LSB in {differs.mean():.2%} of the values, each of which lies within {distance:.2g} of a tie before it is "
        f"rounded: the kernel is off by so much, or rounds twice",
    )


def where(case: Case) -> Finding:
    """No cause: only where the differences are."""
    channels, total = case.channels, case.exact.shape[1]
    seen = []
    if 2 * len(channels) <= total:
        seen.append(f"only {_some(channels, total)} different")
    if case.layer is not None and at_border_only(case.differs(case.exact), case.layer.node, case.layer.graph):
        seen.append("only values at the border differ, whose kernel reaches into the padding")
    words = "no single fault explains it: the weights are others, or the kernel computes something else"
    return Finding(Cause.UNKNOWN, "; ".join([*seen, words]))


def _near_tie(case: Case) -> NDArray[np.float64]:
    """How near to a tie a sound kernel may round otherwise, for every value."""
    assert isinstance(case.layer, IntegerLayer)
    ratio = case.layer.model.ratios.get(case.layer.node.name)
    largest = np.ones(1) * NEAR_TIE if ratio is None else np.clip(ratio.value, NEAR_TIE, _FAR_FROM_TIE)
    if len(largest) != case.exact.shape[1]:
        largest = largest.max()[None]
    return np.broadcast_to(largest.reshape(-1, *[1] * (case.exact.ndim - 2)), case.exact.shape)


def _some(channels: NDArray[np.intp], total: int) -> str:
    """Channels for people, as the beginning of a sentence about them."""
    if len(channels) == total:
        return f"all {total} channels are"
    shown = ", ".join(map(str, channels[:4]))
    return f"{len(channels)} of {total} channels ({shown}{', …' if len(channels) > 4 else ''}) are"
