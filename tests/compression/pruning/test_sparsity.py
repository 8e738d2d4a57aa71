"""Against a sort of all weights by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.compression.pruning.sparsity import thinned, zeros

if TYPE_CHECKING:
    from tests.compression.pruning.conftest import Subject


def test_the_weights_of_least_magnitude_in_the_whole_network_become_zero(classifier: Subject) -> None:
    before = [part.detach().numpy() for part in classifier.module.parameters() if part.ndim > 1]
    all_of_them = np.sort(np.concatenate([np.abs(part).ravel() for part in before]))
    threshold = all_of_them[round(0.4 * len(all_of_them))]
    thin = thinned(classifier.module, 0.4)
    after = [part.detach().numpy() for part in thin.parameters() if part.ndim > 1]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(new, np.where(np.abs(old) < threshold, 0, old))
    assert zeros(thin) == pytest.approx(0.4, abs=1e-3)
    assert zeros(classifier.module) == 0
