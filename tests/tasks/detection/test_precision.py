"""Average precision against pycocotools, and its interval in cases that can be counted."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.annotations.boxes import Boxes
from edgekit.suppression import Detections
from edgekit.tasks.detection.precision import average_precisions, drop, hits, mean_over_classes

if TYPE_CHECKING:
    from collections.abc import Sequence

LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


def seen(*rows: tuple[tuple[float, ...], float, int]) -> Detections:
    """Detections from (box, score, class), the most certain first."""
    boxes, scores, classes = zip(*rows, strict=True) if rows else ([], [], [])
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(classes, int))


def scene(seed: int, images: int, classes: int) -> tuple[list[Detections], list[Boxes]]:
    """Objects, some of them crowds, and detections near some of them; scores with ties."""
    random = np.random.default_rng(seed)

    def boxes(number: int) -> np.ndarray:
        low = random.uniform(0, 0.7, (number, 2))
        return np.concatenate([low, low + random.uniform(0.05, 0.3, (number, 2))], 1)

    found, right = [], []
    for _ in range(images):
        there = int(random.integers(0, 6))
        crowd = (random.random(there) < 0.2).tolist()
        right.append(Boxes.of(boxes(there).tolist(), random.integers(0, classes, there).tolist(), crowd))
        guesses = [
            (tuple(box), float(random.uniform().__round__(2)), int(random.integers(classes))) for box in boxes(9)
        ]
        for _ in range(10 if there else 0):
            which = random.integers(there)
            near = tuple(right[-1].corners[which] + random.normal(0, 0.01, 4))
            guesses.append((near, round(random.uniform(), 2), int(right[-1].classes[which])))
        found.append(seen(*sorted(guesses, key=lambda guess: -guess[1])))
    return found, right


def by_pycocotools(found: Sequence[Detections], right: Sequence[Boxes], classes: int) -> np.ndarray:
    """[classes, thresholds]."""
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    objects: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = []
    for image, (ours, there) in enumerate(zip(found, right, strict=True)):
        for box, kind, crowd in zip(there.corners.tolist(), there.classes.tolist(), there.is_crowd, strict=True):
            about = {"id": len(objects) + 1, "image_id": image, "category_id": kind, "iscrowd": int(crowd)}
            objects.append({**about, "bbox": [*box[:2], box[2] - box[0], box[3] - box[1]], "area": 5000})
        rows = zip(ours.boxes.astype(float).tolist(), ours.scores.tolist(), ours.classes.tolist(), strict=True)
        for box, score, kind in rows:
            bbox = [*box[:2], box[2] - box[0], box[3] - box[1]]
            answers.append({"image_id": image, "category_id": kind, "score": score, "bbox": bbox})
    images, categories = [{"id": i} for i in range(len(right))], [{"id": i} for i in range(classes)]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {"images": images, "annotations": objects, "categories": categories, "info": {}}
        truth.createIndex()
        evaluated = cocoeval.COCOeval(truth, truth.loadRes(answers), "bbox")
        evaluated.evaluate()
        evaluated.accumulate()
    precision = evaluated.eval["precision"][:, :, :, 0, 2]  # [thresholds, recalls, classes] of all areas, 100 boxes
    return np.where(precision[:, 0] < 0, np.nan, precision.mean(1)).T


@pytest.mark.parametrize(("images", "classes"), [(1, 1), (12, 3)])
def test_average_precision_is_pycocotools(images: int, classes: int) -> None:
    found, right = scene(0, images, classes)
    expected = by_pycocotools(found, right, classes)
    np.testing.assert_allclose(average_precisions(hits(found, right, classes))[..., 0], expected, atol=1e-12)


def test_precision_at_a_recall_is_the_best_from_there_on() -> None:
    right = [Boxes.of([LEFT, RIGHT], [0, 0])]
    found = [seen((LEFT, 0.9, 0), (LEFT, 0.8, 0), (RIGHT, 0.7, 0))]  # a hit, a second one of it, a hit
    (of,) = hits(found, right, 2)[:1]
    assert of.hit[0].tolist() == [True, False, True]
    # Recalls 0 to 0.5 are reached with precision 1, those of 0.51 to 1 with 2 / 3.
    precisions = average_precisions(hits(found, right, 2))[:, 0, 0]
    assert precisions[0] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    assert np.isnan(precisions[1])
    assert mean_over_classes(precisions) == precisions[0]


def test_what_lies_in_a_crowd_counts_nowhere() -> None:
    right = [Boxes.of([(0, 0, 1, 1), LEFT], [0, 0], [True, False])]
    (of,) = hits([seen((RIGHT, 0.9, 0), (LEFT, 0.8, 0), ((0.5, 0, 1, 0.5), 0.7, 0))], right, 1)
    assert of.boxes.tolist() == [1]
    assert of.hit[0].tolist() == [False, True, False]
    assert of.counts[0].tolist() == [False, True, False]
    assert average_precisions([of]).min() == 1


def test_an_image_that_is_drawn_twice_counts_like_two() -> None:
    found, right = scene(1, 6, 2)
    drawn = np.array([[2, 0, 1, 0, 3, 0]])
    images = np.repeat(np.arange(6), drawn[0])
    of_those = hits([found[i] for i in images], [right[i] for i in images], 2)
    np.testing.assert_allclose(
        average_precisions(hits(found, right, 2), drawn), average_precisions(of_those), atol=1e-12
    )


def test_a_drop_is_paired_by_image() -> None:
    found, right = scene(2, 30, 2)
    same = drop(hits(found, right, 2), hits(found, right, 2))
    assert (same.value, same.low, same.high) == (0, 0, 0)
    worse = [one.some(slice(0)) if image % 4 else one for image, one in enumerate(found)]
    lost = drop(hits(worse, right, 2), hits(found, right, 2))
    whole, part = (mean_over_classes(average_precisions(hits(one, right, 2))).mean() for one in (found, worse))
    assert lost.value == pytest.approx(whole - part)
    assert 0 < lost.low < lost.value < lost.high
