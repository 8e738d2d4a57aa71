"""What a camera or a video shows, live: ``python camera.py FILE``, with a file that edgekit exported.

Of a classifier the class is named, of a detector and a segmenter boxes and masks are drawn, of several heads all of it.
A folder of stages (``edgekit stages``) is run as far as each image needs, and says at which exit it left.

On a Raspberry Pi: ``pip install 'edgekit[tflite]' opencv-python``, or ``opencv-python-headless`` where there is no
screen. Everything that depends on the network is read from the file: size, resizing, what crosses the boundary, labels.

The camera is read in a thread of its own that keeps the newest frame only. So a network that is slower than the camera
skips frames, and never falls behind.

``--share 0.25`` keeps it busy for a quarter of the time, so that the processor does less. ``--budget-ms 5`` keeps
frames within a time on average: images leave stages earlier, or, of several files for images of several sizes, the
largest that is fast enough is run.
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

from edgekit.device.pacing import EarlierExits, Share, Sizes
from edgekit.errors import EdgekitError
from edgekit.pipeline.proving.predicting import OpenedChain, open_answering
from edgekit.tasks.classification.answers import Classes
from edgekit.tasks.drawing import can_be_drawn, drawn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgekit.tasks.values import Answer

ENDS = {27, ord("q")}  # Esc
WINDOW = "edgekit"
LINE = 26  # rows of pixels of a line of text
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


class Network:
    """Exported files of one network, in the runtime of this machine."""

    def __init__(self, *paths: Path, threads: int, budget_ms: float | None = None) -> None:
        """Load files.

        Args:
            paths: a file, or the folder of a network's stages; or several, for images of one size each.
            threads: that the network may use.
            budget_ms: that a frame may take on average; None for any time.

        Raises:
            ArtifactError: edgekit did not write them.
            MissingDependency: their runtime is not installed.
        """
        opened = [open_answering(path, threads=threads) for path in paths]
        self._files = sorted(opened, key=lambda file: -min(file.metadata.preprocessing.size))
        self._file = self._files[0]
        budget_s = None if budget_ms is None else budget_ms / 1e3
        self._sizes = None if budget_s is None else Sizes(len(self._files), budget_s)
        chains = [file.adaptive for file in self._files if isinstance(file, OpenedChain)]
        self._easing = [] if budget_s is None else [(chain, EarlierExits(chain.rules, budget_s)) for chain in chains]

    def look(self, frame: NDArray[np.uint8]) -> Seen:
        """What it says of a picture [H, W, 3] in BGR."""
        started = time.perf_counter()
        image = Image.fromarray(np.ascontiguousarray(frame[..., ::-1]))
        preprocessing = self._file.metadata.preprocessing
        (found,) = self._file.of_pixels(preprocessing.pixels(image)[None], most=1)
        self._adapt(time.perf_counter() - started)
        return Seen(image, found.answer, preprocessing.geometry(image.size).seen)

    def _adapt(self, took_s: float) -> None:
        """Choose how the next picture is looked at, so that the budget is kept."""
        for chain, easing in self._easing:
            if isinstance(self._file, OpenedChain) and self._file.adaptive is chain:
                chain.rules = easing.after(took_s)
        if self._sizes is not None:
            self._file = self._files[self._sizes.after(took_s)]


@dataclass(frozen=True)
class Seen:
    """What a network says of a picture.

    Attributes:
        image: it, in RGB.
        answer: in the words of the network's task.
        view: which part of the picture the network sees, in shares of its sides.
    """

    image: Image.Image
    answer: Answer
    view: tuple[float, float, float, float]

    @property
    def text(self) -> str:
        """The answer in a few words: with its probability, where it is one class."""
        return self.answer.lines[0] if isinstance(self.answer, Classes) else self.answer.text

    def picture(self) -> NDArray[np.uint8]:
        """The picture in BGR, with boxes and masks where there are any."""
        image = drawn(self.image, self.answer, self.view) if can_be_drawn(self.answer) else self.image
        return np.ascontiguousarray(np.asarray(image)[..., ::-1])


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


def watch(camera: Camera, network: Network, *, headless: bool, share: float = 1.0) -> str:
    """Look until the source ends or a key is pressed; returns what there is to say about all of it.

    It is busy for at most a ``share`` of the time, and waits behind each frame for the rest.
    """
    pace, used_s = Share(share), time.process_time()
    answered: deque[float] = deque(maxlen=AVERAGED + 1)
    latencies_ms: list[float] = []
    number, told_at = 0, 0.0
    while (frame := camera.newer_than(number)) is not None:
        number = frame.number
        began = time.perf_counter()
        seen = network.look(frame.pixels)
        now = time.perf_counter()
        answered.append(now)
        latencies_ms.append((now - frame.taken_at) * 1e3)
        rate = (len(answered) - 1) / (answered[-1] - answered[0]) if len(answered) > 1 else 0.0
        figures = f"{rate:.1f} frames/s, latency {latencies_ms[-1]:.1f} ms"
        if headless:
            if now - told_at >= 1:
                told_at = now
                print(f"{seen.text}, {figures}", flush=True)
        elif not shown(seen.picture(), [seen.text, figures]):
            break
        time.sleep(pace.pause_s(time.perf_counter() - began))
    if not latencies_ms:
        return "no frame came"
    skipped = number - len(latencies_ms)
    median = float(np.median(latencies_ms))
    cpu_ms = 1e3 * (time.process_time() - used_s) / len(latencies_ms)
    frames = f"{len(latencies_ms)} of {number} frames, {skipped} skipped"
    return f"{frames}, median latency {median:.1f} ms, {cpu_ms:.1f} ms of processor time a frame"


def shown(pixels: NDArray[np.uint8], lines: Sequence[str]) -> bool:
    """Show a picture below some lines of text; False where a key asks to end."""
    picture = cv2.copyMakeBorder(pixels, LINE * len(lines) + 8, 0, 0, 0, cv2.BORDER_CONSTANT)
    for row, line in enumerate(lines, 1):
        cv2.putText(picture, line, (8, LINE * row), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1, cv2.LINE_AA)
    cv2.imshow(WINDOW, picture)
    return (cv2.waitKey(1) & 0xFF) not in ENDS


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, and watch."""
    parser = argparse.ArgumentParser(description="Show what a file of edgekit says of a camera or a video.")
    parser.add_argument(
        "file",
        type=Path,
        nargs="+",
        help="an exported file, e.g. mobilenet_v3_small_1.0_224.int8.tflite, or a folder of stages; or several, for "
        "images of one size each",
    )
    parser.add_argument("--source", default="0", help="number of a camera, or a video (default: 0)")
    parser.add_argument("--threads", type=int, default=2, help="that the network may use (default: 2)")
    parser.add_argument("--budget-ms", type=float, help="that a frame may take on average (default: any time)")
    parser.add_argument("--share", type=float, default=1.0, help="of the time that it may be busy (default: 1)")
    parser.add_argument("--headless", action="store_true", help="print a line a second instead of showing a window")
    given = parser.parse_args(arguments)
    if not 0 < given.share <= 1 or (given.budget_ms is not None and given.budget_ms <= 0):
        parser.error("--share is above 0 and up to 1, and --budget-ms above 0")
    try:
        network = Network(*given.file, threads=given.threads, budget_ms=given.budget_ms)
        with opened(given.source) as camera:
            print(watch(camera, network, headless=given.headless, share=given.share))
    except EdgekitError as error:
        raise SystemExit(str(error)) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
