"""The folder of a training run: what is in it, and whether it can be gone on with.

=====================  ================================================================================================
best.safetensors       the weights of the best epoch, with what training recorded: what ``edgekit export RUN`` reads
last.safetensors       those of the last one, likewise
best.LIBRARY.pth       the best weights for torchvision and timm, where these have the network
calibration/           256 of the training images, which int8 exports calibrate on
log.csv                a row an epoch
curve.svg              its picture, at the end
tensorboard/           the same for TensorBoard, where that is installed
run.json               what the run was made from, and what came of it
state.pt               what an interrupted run goes on from; gone at the end
=====================  ================================================================================================
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edgekit import files
from edgekit.errors import BadInput, ConfigError
from edgekit.models.folders import RUN, STATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from edgekit.training.loop import Epoch

LOG, BOARD = "log.csv", "tensorboard"
_BEFORE, _BEHIND = ("epoch", "lr", "loss"), ("best", "seconds")  # columns of the log, around those of metrics
_LOCK: Final = ".lock"
_SCHEMA_VERSION: Final = 1
# What a run knows by SHA-256, which tells people nothing, in words.
_DIGESTS: Final = {
    "data": "other data, or split otherwise",
    "pretrained": "other pretrained weights",
    "teachers": "other teachers",
}
_SHOWN = 4  # differences in a message


@dataclass(frozen=True, slots=True)
class Logged:
    """A row of a run's log.

    Attributes:
        number: of the epoch, from 1.
        lr: the learning rate of its last step.
        loss: the mean over its steps.
        measured: on the validation images after it, by metric; the first one decides which epoch is best.
        is_best: whether it was the best so far.
        seconds: that it took.
    """

    number: int
    lr: float
    loss: float
    measured: Mapping[str, float]
    is_best: bool
    seconds: float


def read_log(path: Path) -> tuple[Logged, ...]:
    """The epochs in a run's ``log.csv``, finished or not.

    Raises:
        BadInput: the file cannot be read, or is no log of a training.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            first, *rows = csv.reader(stream)
        names = first[len(_BEFORE) : -len(_BEHIND)]
        found = tuple(_logged(names, row) for row in rows)
    except (OSError, ValueError, csv.Error) as error:
        raise BadInput(f"{path} is no log of edgekit train ({error}): name a run's folder") from error
    if (*first,) != (*_BEFORE, *names, *_BEHIND) or not found:
        raise BadInput(f"{path} is no log of edgekit train, which has other columns: name a run's folder")
    return found


def _logged(names: Sequence[str], row: Sequence[str]) -> Logged:
    number, lr, loss, *values, best, seconds = row
    measured = dict(zip(names, map(float, values), strict=True))
    return Logged(int(number), float(lr), float(loss), measured, best == "1", float(seconds))


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of a run."""

    path: Path

    @property
    def state(self) -> Path:
        """What an interrupted run goes on from."""
        return self.path / STATE

    def check(self) -> None:
        """Refuse a folder that no run can lie in, before time goes into images.

        Raises:
            ConfigError: it holds something else, or is no folder.
        """
        if self._about() is not None or not self.path.exists():
            return
        if not self.path.is_dir():
            raise ConfigError(f"{self.path} is a file, and a run is a folder: choose another, --out DIR")
        if any(not entry.name.startswith(".") for entry in self.path.iterdir()):
            raise ConfigError(f"{self.path} is not empty, and holds no run: choose another folder, --out DIR")

    def begin(self, made_from: Mapping[str, Any]) -> None:
        """Write down what the run is made from, JSON values; a folder of the same run is gone on with.

        Raises:
            ConfigError: the folder holds another run, or something else.
            BadInput: it cannot be written.
        """
        before = self._about()
        if before is None:
            self.check()
            self._write(made_from, ())
            return
        differing = differences(before, json.loads(json.dumps(made_from)))
        if differing:
            more = f" and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
            what = f"made otherwise ({'; '.join(differing[:_SHOWN])}{more})"
            if self.result is not None:
                raise ConfigError(
                    f"{self.path} holds a finished run that was {what}: choose another folder, --out DIR; to train on "
                    f"from its weights, also replace --arch and --pretrained by --pretrained {self.path}"
                )
            raise ConfigError(
                f"{self.path} holds a run that was {what}: choose another folder, --out DIR, or give what it was made "
                f"with, to go on with it"
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within it, no other process trains in this folder; what one that was killed left half written is removed.

        Raises:
            ConfigError: another process does.
        """
        with (self.path / _LOCK).open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConfigError(
                    f"another process is training in {self.path}: wait for it, or choose another folder, --out DIR"
                ) from error
            for scratch in self.path.glob(".*.*/"):  # as ``files.replacing`` makes them
                shutil.rmtree(scratch, ignore_errors=True)
            yield

    def finish(self, made_from: Mapping[str, Any], history: Sequence[Epoch]) -> None:
        """Write down what came of the run; nothing is left to go on with."""
        self._write(made_from, history)
        self.state.unlink(missing_ok=True)

    def log(self, history: Sequence[Epoch]) -> None:
        """Write a row an epoch."""
        text = io.StringIO()
        names = [one.metric.name for one in history[0].measured]
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*_BEFORE, *names, *_BEHIND])
        for epoch in history:
            values = [f"{one.value:.6g}" for one in epoch.measured]
            row = [epoch.number, f"{epoch.lr:.6g}", f"{epoch.loss:.6g}", *values, int(epoch.is_best)]
            writer.writerow([*row, f"{epoch.seconds:.1f}"])
        files.write_bytes(self.path / LOG, text.getvalue().encode())

    @property
    def result(self) -> list[dict[str, Any]] | None:
        """The epochs of a finished run; None while it is not."""
        about = self._whole()
        found: list[dict[str, Any]] | None = None if about is None else about["epochs"]
        return found or None

    def _about(self) -> dict[str, Any] | None:
        about = self._whole()
        made_from: dict[str, Any] | None = None if about is None else about["made_from"]
        return made_from

    def _whole(self) -> dict[str, Any] | None:
        path = self.path / RUN
        try:
            about: Any = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} cannot be read ({error}): choose another folder, --out DIR") from error
        if not isinstance(about, dict) or not {"schema_version", "made_from", "epochs"} <= about.keys():
            raise ConfigError(f"{path} is of no run of edgekit train: choose another folder, --out DIR")
        if about["schema_version"] != _SCHEMA_VERSION:
            raise ConfigError(f"{path} was written by another version of edgekit: choose another folder, --out DIR")
        return about

    def _write(self, made_from: Mapping[str, Any], history: Sequence[Epoch]) -> None:
        epochs = [
            {
                "number": epoch.number,
                "lr": epoch.lr,
                "loss": epoch.loss,
                "measured": {one.metric.name: one.value for one in epoch.measured},
                "is_best": epoch.is_best,
                "seconds": epoch.seconds,
            }
            for epoch in history
        ]
        about = {"schema_version": _SCHEMA_VERSION, "made_from": made_from, "epochs": epochs}
        files.write_bytes(self.path / RUN, (json.dumps(about, indent=1) + "\n").encode())


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs, in words: "lr was 0.1 and is 0.2"."""
    found = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new)
        elif old != new and key in _DIGESTS:
            found.append(_DIGESTS[key])
        elif old != new:
            found.append(f"{key} was {old} and is {new}")
    return found
