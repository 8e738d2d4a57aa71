"""Accuracy only where the labels can be trusted: test images whose classes are known, in folders of all kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from edgekit import config
from edgekit.defaults import FOLDER
from edgekit.pipeline.proving.verify import verify
from edgekit.reports import markdown
from edgekit.tasks.values import measured_as

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edgekit.facts import Fact
    from edgekit.pipeline.proving.verdicts import VerifyResult

pytest.importorskip("torch")

EACH = 6
NAMES = (FOLDER / "labels.txt").read_text(encoding="utf-8").split()


@pytest.fixture
def verified(exported: Path, tmp_path: Path) -> Callable[[Mapping[str, int]], VerifyResult]:
    """What is found of an int8 file on images of some classes, by the folders that they lie in."""
    with np.load(FOLDER / "test.npz") as test:
        pixels, labels = test["images"], test["labels"]

    def verify_on(folders: Mapping[str, int]) -> VerifyResult:
        for name, label in folders.items():
            (tmp_path / "images" / name).mkdir(parents=True)
            for number, index in enumerate(np.flatnonzero(labels == label)[:EACH]):
                Image.fromarray(pixels[index]).save(tmp_path / "images" / name / f"{number}.png")
        settings = config.load(None, {"verify": {"data": tmp_path / "images"}})
        return verify([next(exported.glob("*.int8.tflite"))], settings)

    return verify_on


def labels_of(result: VerifyResult) -> Fact:
    (fact,) = (fact for fact in result.facts if fact.name == "labels")
    return fact


@pytest.mark.parametrize(
    "folders",
    [
        {name: label for label, name in enumerate(NAMES)},
        {name.upper(): label for label, name in enumerate(NAMES) if label in {1, 4, 7}},
        {f"{label + 100}. {name}": label for label, name in enumerate(NAMES) if label > 5},
        {str(label + 1): label for label in range(10)},
        {chr(97 + label): label for label in range(10)},
    ],
    ids=["names", "some names", "numbered names", "numbers from 1", "the order"],
)
def test_labels_that_are_found(
    folders: Mapping[str, int], verified: Callable[[Mapping[str, int]], VerifyResult]
) -> None:
    result = verified(folders)
    top1 = measured_as("top1", result.files[0].measured)
    assert top1 is not None
    assert top1.value > 80
    assert not labels_of(result).is_assumed


@pytest.mark.parametrize(
    "folders",
    [
        {chr(97 + label): label for label in range(8)},
        {chr(97 + (3 * label) % 10): label for label in range(10)},
        {"spring": 1, "summer": 2, "autumn": 3, "winter": 4},
    ],
    ids=["eight of ten", "shuffled", "seasons"],
)
def test_labels_that_are_not(folders: Mapping[str, int], verified: Callable[[Mapping[str, int]], VerifyResult]) -> None:
    result = verified(folders)
    assert measured_as("top1", result.files[0].measured) is None
    assert not result.files[0].failed  # integers are proven whatever the labels are
    assert labels_of(result).is_assumed
    said = markdown.render(result)
    assert "labels" in said
    assert "no accuracy is measured" in said
