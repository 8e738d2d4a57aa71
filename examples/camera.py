"""What a camera or a video shows, live: ``python camera.py FILE``, with a file that edgekit exported.

Of a classifier the class is named, of a detector and a segmenter boxes and masks are drawn, of several heads all of it.
A folder of stages (``edgekit stages``) is run as far as each image needs, and says at which exit it left.

On a Raspberry Pi: ``pip install 'edgekit[tflite]' opencv-python``, or ``opencv-python-headless`` where there is no
screen. Everything that depends on the network is read from the file: size, resizing, what crosses the boundary, labels.

The camera is read in a thread of its own that keeps the newest frame only. So a network that is slower than the camera
skips frames, and never falls behind.

``--share 0.25`` keeps it busy for a quarter of the time, so that the processor does less. A budget keeps what a frame
takes on average: ``--budget-ms 5`` milliseconds, ``--budget-cpu-ms 5`` of the processor's time, which stands for
energy, ``--budget-mj 20`` millijoules where the machine has a sensor. Images leave stages earlier then, or, of several
files for images of several sizes, the largest that keeps the budget is run.
"""

from __future__ import annotations

import argparse
import itertools
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

from edgekit.device.chain import Chain
from edgekit.device.energy import Meter
from edgekit.device.machine import ROOT
from edgekit.device.pacing import EarlierExits, Share, Sizes
from edgekit.device.plan import CHAIN
from edgekit.errors import EdgekitError
from edgekit.integer_model import SUFFIX, IntegerModel
from edgekit.pipeline.proving.predicting import OpenedChain, open_answering
from edgekit.tasks.classification.answers import Classes
from edgekit.tasks.drawing import can_be_drawn, drawn
from edgekit.tasks.exits import Exited

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


@dataclass(frozen=True)
class Budget:
    """What a frame may take on average.

    Attributes:
        most: in the unit of ``spent``.
        spent: counts it, from any beginning on: seconds, of the clock or of the processor, or joules.
    """

    most: float
    spent: Callable[[], float]


class Network:
    """Exported files of one network, in the runtime of this machine."""

    def __init__(self, *paths: Path, threads: int, budget: Budget | None = None) -> None:
        """Load files.

        Args:
            paths: a file, or the folder of a network's stages; or several, for images of one size each.
            threads: that the network may use.
            budget: what a frame may take on average; None for anything.

        Raises:
            ArtifactError: edgekit did not write them.
            MissingDependency: their runtime is not installed.
        """
        opened = [(open_answering(path, threads=threads), _moved_bytes(path)) for path in paths]
        opened.sort(key=lambda one: -min(one[0].metadata.preprocessing.size))
        self._files, self._moved_bytes = zip(*opened, strict=True)
        self._place, self._budget = 0, budget
        self._sizes = None if budget is None else Sizes(len(self._files), budget.most)
        chains = [file.adaptive for file in self._files if isinstance(file, OpenedChain)]
        self._easing = [] if budget is None else [(chain, EarlierExits(chain.rules, budget.most)) for chain in chains]

    def look(self, frame: NDArray[np.uint8]) -> Seen:
        """What it says of a picture [H, W, 3] in BGR."""
        before = 0.0 if self._budget is None else self._budget.spent()
        image = Image.fromarray(np.ascontiguousarray(frame[..., ::-1]))
        file, moved = self._files[self._place], self._moved_bytes[self._place]
        preprocessing = file.metadata.preprocessing
        (found,) = file.of_pixels(preprocessing.pixels(image)[None], most=1)
        left_at = found.answer.exit if isinstance(file, OpenedChain) and isinstance(found.answer, Exited) else ""
        if self._budget is not None:
            self._adapt(self._budget.spent() - before)
        return Seen(image, found.answer, preprocessing.geometry(image.size).seen, moved.get(left_at))

    def _adapt(self, took: float) -> None:
        """Choose how the next picture is looked at, so that the budget is kept."""
        file = self._files[self._place]
        for chain, easing in self._easing:
            if isinstance(file, OpenedChain) and file.adaptive is chain:
                chain.rules = easing.after(took)
        if self._sizes is not None:
            self._place = self._sizes.after(took)


def _moved_bytes(path: Path) -> dict[str, int]:
    """What an image moves until it leaves stages, by the exit; of a file "" says it, if its integer model is beside."""
    if (path / CHAIN).is_file():
        stages = Chain.load(path).stages
        until = itertools.accumulate(stage.moved_bytes for stage in stages)
        return {stage.exit: moved for stage, moved in zip(stages, until, strict=True)}
    beside = path.with_suffix(SUFFIX)
    return {"": IntegerModel.load(beside).moved_bytes} if beside.exists() else {}


@dataclass(frozen=True)
class Seen:
    """What a network says of a picture.

    Attributes:
        image: it, in RGB.
        answer: in the words of the network's task.
        view: which part of the picture the network sees, in shares of its sides.
        moved_bytes: weights and activations that were read and written for it, each once; None where that is not known.
    """

    image: Image.Image
    answer: Answer
    view: tuple[float, float, float, float]
    moved_bytes: int | None = None

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
    pace, used_s, meter = Share(share), time.process_time(), Meter(ROOT)
    moved: list[int] = []
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
        moved += [] if seen.moved_bytes is None else [seen.moved_bytes]
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
    costs = f"{cpu_ms:.1f} ms of processor time" + (f" and {np.mean(moved) / 1e6:.2f} MB moved" if moved else "")
    joules = meter.joules()
    measured = "" if joules is None else f", {1e3 * joules / len(latencies_ms):.1f} mJ ({meter.sensor})"
    return f"{frames}, median latency {median:.1f} ms, {costs}{measured} a frame"


def budgeted(given: argparse.Namespace) -> Budget | None:
    """What a frame may take, as it was typed.

    Raises:
        SystemExit: it is to be measured by a sensor that is not there.
    """
    if given.budget_ms is not None:
        return Budget(given.budget_ms / 1e3, time.perf_counter)
    if given.budget_cpu_ms is not None:
        return Budget(given.budget_cpu_ms / 1e3, time.process_time)
    if given.budget_mj is None:
        return None
    meter = Meter(ROOT)
    if not meter.sensor:
        raise SystemExit("no sensor here measures energy: --budget-cpu-ms counts processor time, which stands for it")
    return Budget(given.budget_mj / 1e3, lambda: meter.joules() or 0.0)


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
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--budget-ms", type=float, help="that a frame may take on average (default: any time)")
    budget.add_argument("--budget-cpu-ms", type=float, help="likewise, of processor time, which stands for energy")
    budget.add_argument("--budget-mj", type=float, help="millijoules likewise, where the machine has a sensor")
    parser.add_argument("--share", type=float, default=1.0, help="of the time that it may be busy (default: 1)")
    parser.add_argument("--headless", action="store_true", help="print a line a second instead of showing a window")
    given = parser.parse_args(arguments)
    budgets = (given.budget_ms, given.budget_cpu_ms, given.budget_mj)
    if not 0 < given.share <= 1 or any(most is not None and most <= 0 for most in budgets):
        parser.error("--share is above 0 and up to 1, and a budget above 0")
    try:
        network = Network(*given.file, threads=given.threads, budget=budgeted(given))
        with opened(given.source) as camera:
            print(watch(camera, network, headless=given.headless, share=given.share))
    except EdgekitError as error:
        raise SystemExit(str(error)) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
