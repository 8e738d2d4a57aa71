"""A file of the android profile in MediaPipe's ImageClassifier, which its metadata addresses.

MediaPipe pins packages that edgekit does not: EDGEKIT_MEDIAPIPE names the Python of an environment of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from edgekit.config import load
from edgekit.exporters.metadata import Head, IoDtype
from edgekit.exporters.tflite.codec import write_integer_model
from edgekit.reference.integer import Reference
from tests.exporters.test_head import CLASSES, floats, integers, wanted

if TYPE_CHECKING:
    from pathlib import Path

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

pytestmark = pytest.mark.skipif(not PYTHON, reason="MediaPipe is not installed, and EDGEKIT_MEDIAPIPE names no Python")


def classified(path: Path, pixels: np.ndarray, threshold: float = -100.0) -> dict[str, dict[str, float]]:
    picture = path.with_suffix(".npy")
    np.save(picture, pixels)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [PYTHON, "-c", CODE, str(path), str(picture), str(threshold)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-600:]
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture
def pixels() -> np.ndarray:
    return np.asarray(Image.effect_mandelbrot((10, 12), (-2, -1.5, 1, 1.5), 60).convert("RGB"), np.uint8)


def test_it_shows_probabilities_first_and_the_same_logits(pixels: np.ndarray, tmp_path: Path) -> None:
    chosen: Any = load(None, {"export": {"device": "android"}}).export
    assert (chosen.io_dtype, chosen.head) == ("float32", "softmax")
    model, path = integers(floats(CLASSES)), tmp_path / "m.tflite"
    write_integer_model(model, path, io_dtype=IoDtype(chosen.io_dtype), head=Head(chosen.head))
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
