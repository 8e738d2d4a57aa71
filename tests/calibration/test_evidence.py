"""What residuals of channels say for one candidate against another."""

from __future__ import annotations

import math

import numpy as np

from edgekit.calibration.evidence import Residuals, nats


def residuals(values: list[float]) -> Residuals:
    shape = (2, len(values))
    return Residuals(np.broadcast_to(np.array(values), shape).copy(), np.ones(shape), (len(values),))


def test_channels_that_overflow_say_nothing() -> None:
    near, far = residuals([0.1, 0.2]), residuals([3.0, 4.0])
    assert nats(near, far) > 0
    overflown = nats(residuals([0.1, 0.2, math.inf, math.nan]), residuals([3.0, 4.0, 1.0, math.inf]))
    assert overflown == nats(near, far)
