"""Names what a camera or a video shows, live: ``python camera.py FILE``, with a file that edgekit exported.

On a Raspberry Pi: ``pip install 'edgekit[tflite]' opencv-python``, or ``opencv-python-headless`` where there is no
screen. Everything that depends on the network is read from the file: size, resizing, what crosses the boundary, labels.

The camera is read in a thread of its own that keeps the newest frame only. So a network that is slower than the camera
skips frames, and never falls behind.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

from edgekit.errors import ArtifactError, EdgekitError
from edgekit.pipeline.proving.predicting import Opened
from edgekit.tasks.classification.answers import Classes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ENDS = {27, ord("q")}  # Esc
WINDOW = "edgekit"
AVERAGED = 30  # frames that the rate is the average of


@dataclass(frozen=True)
class Frame:
    """A picture of the camera.

    Attributes:
        number: from 1 on; those that were skipped count.
        pixels: [H, W, 3], BGR as OpenCV has it.
        taken_at: seconds, of ``time.perf_counter``.
    """

    number: int
    pixels: NDArray[np.uint8]
    taken_at: float


class Camera:
    """The newest frame of a source, which a thread of its own reads. Used in a ``with`` block."""

    def __init__(self, capture: Any, *, frames_per_second: float = 0.0) -> None:  # noqa: ANN401 - of OpenCV
        """Begin with an open ``cv2.VideoCapture``; a file is played at ``frames_per_second``, a camera keeps time."""
        self._capture, self._interval_s = capture, 1 / frames_per_second if frames_per_second else 0.0
        self._newest: Frame | None = None
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def newer_than(self, number: int) -> Frame | None:
        """Wait for a frame behind the one with this number; None when the source has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or (self._newest is not None and self._newest.number > number))
            return self._newest if self._newest is not None and self._newest.number > number else None

    def _read(self) -> None:
        number, due = 0, time.perf_counter()
        while not self._ended:
            there, pixels = self._capture.read()
            now = time.perf_counter()
            if self._interval_s and due > now:
                time.sleep(due - now)
            due += self._interval_s
            with self._changed:
                if there:
                    number += 1
                    self._newest = Frame(number, pixels, time.perf_counter())
                else:
                    self._ended = True
                self._changed.notify_all()

    def __enter__(self) -> Camera:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join(timeout=5)
        self._capture.release()


class Classifier:
    """An exported file, in the runtime of this machine."""

    def __init__(self, path: Path, *, threads: int) -> None:
        """Load a file.

        Raises:
            ArtifactError: edgekit did not write it, or it is no classifier.
            MissingDependency: its runtime is not installed.
        """
        self._file = Opened(path, threads=threads)

    def classify(self, frame: NDArray[np.uint8]) -> tuple[str, float]:
        """What a picture [H, W, 3] in BGR shows, and how probable the network finds it, 0..1."""
        image = Image.fromarray(np.ascontiguousarray(frame[..., ::-1]))
        (found,) = self._file.of_pixels(self._file.metadata.preprocessing.pixels(image)[None], most=1)
        if not isinstance(found.answer, Classes):
            raise ArtifactError(f"{self._file.path} is no classifier")
        best = found.answer.best[0]
        return best.label, best.probability


def opened(source: str) -> Camera:
    """A camera by its number ("0"), or a video by its path or address.

    Raises:
        SystemExit: there is none.
    """
    number = source.isdigit()
    capture = cv2.VideoCapture(int(source) if number else source)
    if not capture.isOpened():
        raise SystemExit(f"{source} cannot be opened: give the number of a camera (0), or a video")
    if number:
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # or the driver hands out frames that have waited
    return Camera(capture, frames_per_second=0.0 if number else capture.get(cv2.CAP_PROP_FPS))


def watch(camera: Camera, classifier: Classifier, *, headless: bool) -> str:
    """Classify until the source ends or a key is pressed; returns what there is to say about all of it."""
    answered: deque[float] = deque(maxlen=AVERAGED + 1)
    latencies_ms: list[float] = []
    number, told_at = 0, 0.0
    while (frame := camera.newer_than(number)) is not None:
        number = frame.number
        label, probability = classifier.classify(frame.pixels)
        now = time.perf_counter()
        answered.append(now)
        latencies_ms.append((now - frame.taken_at) * 1e3)
        rate = (len(answered) - 1) / (answered[-1] - answered[0]) if len(answered) > 1 else 0.0
        figures = f"{rate:.1f} frames/s, latency {latencies_ms[-1]:.1f} ms"
        if headless:
            if now - told_at >= 1:
                told_at = now
                print(f"{label} {probability:.0%}, {figures}", flush=True)
        elif not shown(frame.pixels, [f"{label} {probability:.0%}", figures]):
            break
    if not latencies_ms:
        return "no frame came"
    skipped = number - len(latencies_ms)
    median = float(np.median(latencies_ms))
    return f"{len(latencies_ms)} of {number} frames, {skipped} skipped, median latency {median:.1f} ms"


def shown(pixels: NDArray[np.uint8], lines: Sequence[str]) -> bool:
    """Show a picture with text on it; False where a key asks to end."""
    picture = pixels.copy()
    for row, line in enumerate(lines, 1):
        for colour, width in (((0, 0, 0), 4), ((255, 255, 255), 1)):  # legible on everything
            cv2.putText(picture, line, (8, 28 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.7, colour, width, cv2.LINE_AA)
    cv2.imshow(WINDOW, picture)
    return (cv2.waitKey(1) & 0xFF) not in ENDS


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, and watch."""
    parser = argparse.ArgumentParser(description="Name what a camera or a video shows, with a file of edgekit.")
    parser.add_argument("file", type=Path, help="an exported file, e.g. mobilenet_v3_small_1.0_224.int8.tflite")
    parser.add_argument("--source", default="0", help="number of a camera, or a video (default: 0)")
    parser.add_argument("--threads", type=int, default=2, help="that the network may use (default: 2)")
    parser.add_argument("--headless", action="store_true", help="print a line a second instead of showing a window")
    given = parser.parse_args(arguments)
    try:
        classifier = Classifier(given.file, threads=given.threads)
        with opened(given.source) as camera:
            print(watch(camera, classifier, headless=given.headless))
    except EdgekitError as error:
        raise SystemExit(str(error)) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
