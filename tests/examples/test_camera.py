"""The example with a camera, on a video that is made here."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from edgekit.conventions import colour_of
from edgekit.integer_model import IntegerModel
from edgekit.tasks.classification.answers import Candidate, Classes
from edgekit.tasks.detection.answers import Thing, Things
from edgekit.tasks.drawing import drawn
from edgekit.tasks.segmentation.answers import regions
from edgekit.tasks.several import Together

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed: pip install opencv-python-headless")
pytest.importorskip("ai_edge_litert")

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "camera.py"
NAME = "mobilenet_v3_digits_1.0_32"


@pytest.fixture(scope="module")
def camera() -> ModuleType:
    spec = importlib.util.spec_from_file_location("camera_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def digit() -> tuple[NDArray[np.uint8], int]:
    """A picture that the shipped network knows, in BGR, and its class."""
    from edgekit.defaults import FOLDER

    with np.load(FOLDER / "test.npz") as arrays:
        grey, label = arrays["images"][0], int(arrays["labels"][0])
    return np.repeat(grey.repeat(16, axis=0).repeat(16, axis=1)[..., None], 3, axis=2), label


def video(path: Path, pixels: NDArray[np.uint8], frames: int, frames_per_second: float) -> Path:
    height, width, _ = pixels.shape
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), frames_per_second, (width, height))
    assert writer.isOpened()
    for _ in range(frames):
        writer.write(pixels)
    writer.release()
    return path


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_it_names_what_a_video_shows(
    precision: str, exported: Path, digit: tuple[NDArray[np.uint8], int], tmp_path: Path
) -> None:
    pixels, label = digit
    source = video(tmp_path / "digit.avi", pixels, frames=12, frames_per_second=100)
    file = exported / f"{NAME}.{precision}.tflite"
    command = [sys.executable, str(EXAMPLE), str(file), "--source", str(source), "--headless", "--threads", "1"]
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.splitlines()
    assert re.fullmatch(rf"{label} [\d.]+ %, 0\.0 frames/s, latency \d+\.\d ms", first)
    used, frames, skipped = map(int, re.findall(r"^(\d+) of (\d+) frames, (\d+) skipped, median latency", last)[0])
    assert used + skipped == frames == 12


class Fake:
    """A source that gives numbered pictures as fast as they are read."""

    def __init__(self, frames: int) -> None:
        self.left, self.read_all, self.released = frames, frames, False

    def read(self) -> tuple[bool, Any]:
        if not self.left:
            return False, None
        self.left -= 1
        time.sleep(0.002)
        return True, np.full((2, 2, 3), self.read_all - self.left, np.uint8)

    def release(self) -> None:
        self.released = True


def test_the_latest_frame_wins(camera: ModuleType) -> None:
    source, seen, number = Fake(40), [], 0
    with camera.Camera(source) as frames:
        while (frame := frames.newer_than(number)) is not None:
            number = frame.number
            assert (frame.pixels == number).all()
            seen.append(number)
            time.sleep(0.02)  # a network that is slower than the camera
    assert seen == sorted(set(seen))
    assert seen[-1] == 40
    assert len(seen) < 20
    assert source.released


def test_it_ends_before_the_source_does(camera: ModuleType) -> None:
    source = Fake(100_000)
    with camera.Camera(source) as frames:
        assert frames.newer_than(0).number >= 1
    assert source.released


def test_logits_are_real(camera: ModuleType, exported: Path, digit: tuple[NDArray[np.uint8], int]) -> None:
    """The same class, and nearly the same probability, whatever crosses the boundary."""
    pixels, label = digit
    found = [
        camera.Network(exported / f"{NAME}.{precision}.tflite", threads=1).look(pixels).answer.best[0]
        for precision in ("float32", "int8")
    ]
    assert {best.index for best in found} == {label}
    assert abs(found[0].probability - found[1].probability) < 0.1


def test_a_frame_says_what_it_moved(camera: ModuleType, exported: Path, digit: tuple[NDArray[np.uint8], int]) -> None:
    """Of an int8 file, whose integer model lies beside it."""
    file = exported / f"{NAME}.int8.tflite"
    wanted = IntegerModel.load(file.with_suffix(".edgekit")).moved_bytes
    assert camera.Network(file, threads=1).look(digit[0]).moved_bytes == wanted
    assert camera.Network(exported / f"{NAME}.float32.tflite", threads=1).look(digit[0]).moved_bytes is None


def test_a_budget_is_of_whatever_is_counted(
    camera: ModuleType, exported: Path, digit: tuple[NDArray[np.uint8], int]
) -> None:
    """Of two files of one size, the first costs too much: a joule a frame where a tenth is allowed."""
    spent = iter([0.0, 1.0, 1.0, 1.05])
    budget = camera.Budget(0.1, lambda: next(spent))
    network = camera.Network(
        *(exported / f"{NAME}.{precision}.tflite" for precision in ("float32", "int8")), threads=1, budget=budget
    )
    assert [network.look(digit[0]).moved_bytes is None for _ in range(2)] == [True, False]


def test_energy_needs_a_sensor(
    camera: ModuleType, exported: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(camera, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match="no sensor here measures energy: --budget-cpu-ms"):
        camera.main([str(exported / f"{NAME}.int8.tflite"), "--budget-mj", "5"])
    with pytest.raises(SystemExit):
        camera.main([str(exported / f"{NAME}.int8.tflite"), "--budget-mj", "5", "--budget-ms", "5"])


def test_boxes_and_masks_are_drawn_on_the_picture(camera: ModuleType) -> None:
    """Whatever a network says: a class is words alone."""
    mask = np.zeros((6, 8), np.uint8)
    mask[:3] = 1
    seen = Things((Thing(0, "cat", 0.75, (0.25, 0.25, 0.75, 0.75)),), 1)
    answer = Together({"things": seen, "ground": regions(mask, ("road", "sky"), 1)})
    frame = np.full((480, 640, 3), (250, 10, 30), np.uint8)  # BGR
    said = camera.Seen(Image.fromarray(frame[..., ::-1].copy()), answer, (0.0, 0.0, 1.0, 1.0))
    assert said.text == "things: 1 cat; ground: road 50 %, sky 50 %"
    picture = said.picture()
    assert picture.shape > frame.shape  # a legend below
    np.testing.assert_array_equal(picture[..., ::-1], np.asarray(drawn(said.image, answer)))
    assert (picture[120:125, 200:400] == colour_of(0)[::-1]).all(-1).any()
    named = camera.Seen(said.image, Classes((Candidate(3, "tabby", 0.931),)), (0.0, 0.0, 1.0, 1.0))
    assert named.text == "tabby 93.1 %"
    np.testing.assert_array_equal(named.picture(), frame)


def test_what_cannot_be_watched(camera: ModuleType, exported: Path, tmp_path: Path) -> None:
    file = str(exported / f"{NAME}.int8.tflite")
    with pytest.raises(SystemExit, match=r"nowhere\.avi cannot be opened"):
        camera.main([file, "--source", str(tmp_path / "nowhere.avi"), "--headless"])
    with pytest.raises(SystemExit, match="does not exist"):
        camera.main([str(tmp_path / "none.tflite")])
