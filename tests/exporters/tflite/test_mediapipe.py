"""Files in MediaPipe's ImageClassifier and ObjectDetector, which their metadata address.

MediaPipe pins packages that edgekit does not: EDGEKIT_MEDIAPIPE names the Python of an environment of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from edgekit.config import load
from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD
from edgekit.exporters.metadata import Head, IoDtype
from edgekit.exporters.tflite.codec import write_integer_model
from edgekit.float_model import FloatModel
from edgekit.integer_model import BOUNDARY, PIXELS
from edgekit.ir import Output, Part, Rearrange, Slice
from edgekit.models.priors import scaled
from edgekit.preprocessing import Preprocessing
from edgekit.reference.integer import Reference
from edgekit.suppression import SUPPRESSION, Ending, Suppression, detected
from edgekit.tasks.detection.in_graph import decoded
from edgekit.tasks.segmentation.in_graph import enlarged
from edgekit.tasks.segmentation.masks import mask_of
from edgekit.verification.compare import reference_outputs
from tests.exporters.test_head import CLASSES, floats, integers, wanted
from tests.networks import FloatSketch

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.integer_model import IntegerModel

PYTHON = os.environ.get("EDGEKIT_MEDIAPIPE") or (sys.executable if find_spec("mediapipe") else "")
CODE = """
import json, sys
import numpy as np
import mediapipe
from mediapipe.tasks.python import BaseOptions, vision
options = vision.ImageClassifierOptions(BaseOptions(model_asset_path=sys.argv[1]), score_threshold=float(sys.argv[3]))
with vision.ImageClassifier.create_from_options(options) as classifier:
    image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.load(sys.argv[2]))
    heads = classifier.classify(image).classifications
print(json.dumps({head.head_name: {c.category_name: c.score for c in head.categories} for head in heads}))
"""

SEGMENTING = """
import json, sys
import numpy as np
import mediapipe
from mediapipe.tasks.python import BaseOptions, vision
options = vision.ImageSegmenterOptions(BaseOptions(sys.argv[1]), output_category_mask=True)
with vision.ImageSegmenter.create_from_options(options) as segmenter:
    image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.load(sys.argv[2]))
    mask = segmenter.segment(image).category_mask.numpy_view().squeeze()
    print(json.dumps([list(segmenter.labels), mask.tolist()]))
"""

DETECTING = """
import json, sys
import numpy as np
import mediapipe
from mediapipe.tasks.python import BaseOptions, vision
with vision.ObjectDetector.create_from_options(vision.ObjectDetectorOptions(BaseOptions(sys.argv[1]))) as detector:
    image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.load(sys.argv[2]))
    for found in detector.detect(image).detections:
        box = found.bounding_box
        for category in found.categories:  # two where two classes have the very same box
            said = category.category_name, category.score, box.origin_x, box.origin_y, box.width, box.height
            print(json.dumps(said))
"""

pytestmark = pytest.mark.skipif(not PYTHON, reason="MediaPipe is not installed, and EDGEKIT_MEDIAPIPE names no Python")


def said(code: str, path: Path, pixels: np.ndarray, *arguments: str) -> list[str]:
    picture = path.with_suffix(".npy")
    np.save(picture, pixels)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [PYTHON, "-c", code, str(path), str(picture), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-600:]
    return done.stdout.splitlines()


def classified(path: Path, pixels: np.ndarray, threshold: float = -100.0) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads(said(CODE, path, pixels, str(threshold))[-1])
    return found


@pytest.fixture
def pixels() -> np.ndarray:
    return np.asarray(Image.effect_mandelbrot((10, 12), (-2, -1.5, 1, 1.5), 60).convert("RGB"), np.uint8)


def test_it_shows_probabilities_first_and_the_same_logits(pixels: np.ndarray, tmp_path: Path) -> None:
    chosen: Any = load(None, {"export": {"device": "android"}}).export
    assert (chosen.io_dtype, chosen.probabilities) == ("float32", "softmax")
    model, path = integers(floats(CLASSES)), tmp_path / "m.tflite"
    write_integer_model(model, path, io_dtype=IoDtype(chosen.io_dtype), head=Head(chosen.probabilities))
    (expected,) = model.params[model.graph.output_tensors[0]].dequantize(
        Reference(model).run(model.encode(pixels[None]))["logits"]
    )
    (probabilities,) = wanted(Head.SOFTMAX, expected[None])
    found = classified(path, pixels)
    assert list(found) == ["probabilities", "logits"]
    assert [found["logits"][name] for name in CLASSES] == expected.tolist()
    assert [found["probabilities"][name] for name in CLASSES] == pytest.approx(probabilities, abs=1e-5)
    above = classified(path, pixels, threshold=0.2)["probabilities"]
    assert set(above) == {name for name, p in zip(CLASSES, probabilities, strict=True) if p >= 0.2}
    assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("io_dtype", [IoDtype.FLOAT32, IoDtype.UINT8])
def test_it_takes_both_boundaries_that_it_has(io_dtype: IoDtype, pixels: np.ndarray, tmp_path: Path) -> None:
    model, path = integers(floats(CLASSES)), tmp_path / "m.tflite"
    write_integer_model(model, path, io_dtype=io_dtype)
    (expected,) = model.params[model.graph.output_tensors[0]].dequantize(
        Reference(model).run(model.encode(pixels[None]))["logits"]
    )
    found = classified(path, pixels)["logits"]
    assert [found[name] for name in CLASSES] == pytest.approx(expected.tolist(), abs=1e-6)


def detector() -> tuple[IntegerModel, Ending]:
    """One whose boxes nobody trained."""
    s = FloatSketch((3, 12, 9))
    maps = s.conv(
        "x", 6 * 7, 3, (3, 3)
    )  # of each of six boxes its coding, and logits of the background and two classes
    rows = s.node(Rearrange((6, 7, 4, 3), (2, 3, 0, 1), (72, 7)), (maps,))
    parts = {"boxes": Slice((Part(0, 72), Part(0, 4))), "scores": Slice((Part(0, 72), Part(4, 3)))}
    outputs = tuple(Output(name, s.node(part, (rows,))) for name, part in parts.items())
    graph = replace(s.graph(), outputs=outputs)
    preprocessing = Preprocessing((12, 9), "whole")
    raw = integers(FloatModel(graph, preprocessing, ("stop", "yield")))
    ending = Ending("corners", "probabilities", "", Suppression(0.3, 0.5, 20))
    finished = decoded(raw.graph, ("boxes", "scores"), (ending.boxes, ending.scores), scaled([(4, 3)]), raw.params)
    return replace(raw, graph=finished, provenance={SUPPRESSION: [ending.to_dict()]}), ending


def test_a_detector_sees_the_same_things(pixels: np.ndarray, tmp_path: Path) -> None:
    (model, ending), path, pixels = detector(), tmp_path / "m.tflite", pixels[:, :9]
    write_integer_model(model, path)
    expected = reference_outputs(model, pixels[None])
    things = detected(*(expected[name][0] for name in ending.names))
    assert len(things) > 2
    found = [json.loads(line) for line in said(DETECTING, path, pixels)]
    # MediaPipe gives whole pixels: corner and size, both rounded down. Equal scores may stand in another order.
    boxes = things.boxes * np.array([9, 12, 9, 12], np.float32)
    wanted = [
        [model.labels[kind], score, int(left), int(top), int(right - left), int(bottom - top)]
        for kind, score, (left, top, right, bottom) in zip(
            things.classes, things.scores.tolist(), boxes.tolist(), strict=True
        )
    ]
    for one, other in zip(sorted(found), sorted(wanted), strict=True):
        assert one[0] == other[0]
        assert one[1:] == pytest.approx(other[1:], abs=1e-6)


def test_a_segmenter_of_any_normalization_sees_the_same_classes(pixels: np.ndarray, tmp_path: Path) -> None:
    s, path, pixels = FloatSketch((3, 12, 9)), tmp_path / "m.tflite", pixels[:, :9]
    s.conv("x", 4, 3, (1, 1), "same")  # at the image's own size, so that MediaPipe enlarges nothing
    preprocessing = Preprocessing((12, 9), "whole", IMAGENET_MEAN, IMAGENET_STD)
    graph = replace(s.graph(), outputs=(Output("mask", s.graph().output_tensors[0]),))
    raw = integers(FloatModel(graph, preprocessing, ("sky", "road", "tree", "car")))
    model = replace(raw, provenance={BOUNDARY: PIXELS})
    write_integer_model(model, path)
    (line,) = said(SEGMENTING, path, pixels)
    labels, mask = json.loads(line)
    assert labels == ["sky", "road", "tree", "car"]
    np.testing.assert_array_equal(mask, reference_outputs(model, pixels[None])["mask"][0].argmax(0))


def test_a_segmenter_whose_logits_are_as_large_as_the_image_gives_the_same_mask(
    pixels: np.ndarray, tmp_path: Path
) -> None:
    s, path, pixels = FloatSketch((3, 8, 8)), tmp_path / "m.tflite", pixels[:8, :8]
    s.conv("x", 4, 4, (4, 4))  # a map of 2 x 2 places
    preprocessing = Preprocessing((8, 8), "whole", IMAGENET_MEAN, IMAGENET_STD)
    graph = replace(s.graph(), outputs=(Output("mask", s.graph().output_tensors[0]),))
    raw = integers(FloatModel(graph, preprocessing, ("sky", "road", "tree", "car")))
    model = replace(raw, provenance={BOUNDARY: PIXELS}, graph=enlarged(raw.graph, "mask", (8, 8), raw.params))
    write_integer_model(model, path)
    _, mask = json.loads(said(SEGMENTING, path, pixels)[-1])
    (logits,) = raw.real(raw.graph.output_tensors[0], reference_outputs(raw, pixels[None])["mask"])
    np.testing.assert_array_equal(mask, mask_of(logits, (8, 8)))
