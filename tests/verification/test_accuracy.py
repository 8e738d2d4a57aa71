"""Accuracy against a definition that is slow and plain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgekit.errors import DataError
from edgekit.verification import accuracy


@given(data=st.data(), classes=st.integers(1, 12), images=st.integers(1, 5))
def test_the_rank_of_the_label_decides(data: st.DataObject, classes: int, images: int) -> None:
    logits = data.draw(arrays.arrays(np.int8, (images, classes)))
    labels = data.draw(st.lists(st.integers(0, classes - 1), min_size=images, max_size=images))
    # Before the label come the higher logits, and of equal ones those of earlier classes.
    ranks = [
        sum((row > row[label]) | ((row == row[label]) & (np.arange(classes) < label)))
        for row, label in zip(logits, labels, strict=True)
    ]
    found = accuracy.measure(logits, labels)
    assert found.images == images
    assert found.top1 == pytest.approx(np.mean([rank < 1 for rank in ranks]))
    assert found.top5 == pytest.approx(np.mean([rank < 5 for rank in ranks]))
    assert found.top1 == pytest.approx((logits.argmax(1) == labels).mean())


def test_labels_of_another_network_are_refused() -> None:
    accuracy.check_labels([0, 9], 10)
    accuracy.check_labels([], 10)
    with pytest.raises(DataError, match="an image has the label 10, and the network has 10 classes, 0 to 9"):
        accuracy.check_labels([3, 10], 10)


def test_agreement() -> None:
    a = np.array([[1, 2], [3, 0], [5, 5]])
    assert accuracy.agreement(a, a) == 1.0
    assert accuracy.agreement(a, a[:, ::-1]) == pytest.approx(1 / 3)
    assert accuracy.agreement(a[:0], a[:0]) == 0.0
