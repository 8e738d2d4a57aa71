"""Fitting a latency model: what is timed where, and going on after an interruption."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.capture.builder import GraphBuilder
from edgekit.config import BenchSettings, ExportSettings, Settings
from edgekit.device import machine
from edgekit.device.fastest import Fastest
from edgekit.device.plan import FILE_NAME, Plan
from edgekit.errors import ConfigError, DeviceUnreachable
from edgekit.passes import integer_form
from edgekit.pipeline.measuring import fit as module
from edgekit.pipeline.measuring.fit import fit_latency
from edgekit.progress import Progress, silent
from edgekit.remote.examined import Examined
from edgekit.timing.prediction.layers import Tiling
from edgekit.timing.prediction.model import DeviceLatency, Error, Fit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgekit.ir import Graph
    from edgekit.timing.prediction.fitting import Sample

SETTINGS = Settings(export=ExportSettings(targets=("tflite",), io_dtype="int8"))


@dataclass
class Elsewhere:
    """A device whose files take as many milliseconds as were timed before, and that is lost after some rounds."""

    lasts: int = 100
    sent: list[Mapping[str, bytes]] = field(default_factory=list)

    def examine(self) -> Examined:
        return Examined(machine.examine(), None, ())

    def send(self, contents: Mapping[str, bytes], progress: Progress = silent) -> None:
        if len(self.sent) == self.lasts:
            raise DeviceUnreachable("it is gone")
        self.sent.append(contents)

    def fastest(self, progress: Progress = silent) -> tuple[Fastest, ...]:
        plan = Plan.from_json(self.sent[-1][FILE_NAME].decode())
        return tuple(Fastest(file.path, "a runtime", float(len(self.sent))) for file in plan.files)


def tiny(number: int) -> Graph:
    builder = GraphBuilder("image", (3, 4, 4))
    weight = np.random.default_rng(number).normal(size=(4, 3, 1, 1))
    x = builder.mean("mean", builder.conv2d("conv", "image", weight, None))
    return integer_form(builder.finish("tiny", {"logits": x}))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Sample]]:
    """What is fitted; of networks that are tiny and few."""
    found: list[Sequence[Sample]] = []

    def fitted(samples: Sequence[Sample], progress: Progress = silent) -> Fit:
        found.append(samples)
        return Fit(Tiling(), {"boundary: calls": 1.0}, {"boundary: calls": 1.0}, (1.0, 2.0), Error(8, 0.0, 0.0, 1.0))

    for name, value in {"network": tiny, "fit": fitted, "FEWEST": 8, "MINUTES": 0.0}.items():
        monkeypatch.setattr(module, name, value)
    return found


def test_an_interrupted_run_goes_on(seen: list[Sequence[Sample]], tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    with pytest.raises(DeviceUnreachable):
        fit_latency(SETTINGS, out, device=Elsewhere(lasts=1))
    assert not out.exists()
    device = Elsewhere()
    found = fit_latency(SETTINGS, out, device=device)
    assert (found.networks, len(device.sent)) == (8, 1)  # the first four were timed before
    assert [sample.ms for sample in seen[0]] == [1.0] * 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latency.json"]
    assert DeviceLatency.load(out) == found.latency
    (model,) = found.latency.models
    assert (model.format, model.runner, model.threads, model.io_dtype) == ("tflite", "a runtime", 1, "int8")


def test_several_conditions_are_refused(tmp_path: Path) -> None:
    for settings in (BenchSettings(threads=(1, 2)), BenchSettings(batches=(4,))):
        with pytest.raises(ConfigError, match="one number of threads"):
            fit_latency(Settings(bench=settings), tmp_path / "x.json")
