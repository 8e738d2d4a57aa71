"""How long exported files would take on a device, by the latency model that was fitted there: nothing is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import ArtifactError
from edgekit.exporters.formats import format_of
from edgekit.exporters.metadata import Precision
from edgekit.integer_model import SUFFIX, IntegerModel
from edgekit.pipeline.making.artifacts import expand
from edgekit.timing.prediction import saved

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.device.machine import Machine
    from edgekit.timing.prediction.model import DeviceLatency, Prediction


@dataclass(frozen=True, slots=True)
class PredictedLatency:
    """What was predicted of a file.

    Attributes:
        path: of the file.
        machine: that the model was fitted on.
        runner: runtime, version and kernels there.
        threads: of one run.
        prediction: how long it would take.
    """

    path: Path
    machine: Machine
    runner: str
    threads: int
    prediction: Prediction


def predicted(artifacts: Sequence[Path], model: str) -> tuple[PredictedLatency, ...]:
    """The latency of int8 files, from the integer model that lies beside each.

    Args:
        artifacts: exported files, or folders of them; of a folder, only files in formats that were measured are meant,
            and of these the int8 ones.
        model: what ``edgekit bench --fit`` wrote, by its name or its path.

    Raises:
        ArtifactError: a file is missing, is no int8 file of edgekit, or differs from what was measured in its format or
            its boundary; or ``model`` holds no model.
        UnsupportedOperator: a network has a kind of layer that was not measured.
    """
    known = saved.load(model)
    named, (files, _) = set(artifacts), expand(artifacts)
    measured = {one.format for one in known.models}
    suited = [path for path in files if path in named or (format_of(path).name in measured and _is_int8(path))]
    return tuple(_one(path, known) for path in suited)


def _is_int8(path: Path) -> bool:
    about = format_of(path).read(path).metadata
    return about is not None and about.precision is Precision.INT8


def _one(path: Path, known: DeviceLatency) -> PredictedLatency:
    form = format_of(path)
    about = form.read(path).metadata
    if about is None or about.precision is not Precision.INT8:
        raise ArtifactError(f"{path} is no int8 file of edgekit: latency is predicted of these alone")
    model = known.of(form.name)
    if about.io_dtype != model.io_dtype:
        raise ArtifactError(
            f"{path} takes {about.io_dtype}, and files that take {model.io_dtype} were measured: edgekit export "
            f"--io-dtype {model.io_dtype}, or edgekit bench --fit --set export.io_dtype={about.io_dtype}"
        )
    beside = path.with_suffix(SUFFIX)
    if not beside.exists():
        raise ArtifactError(f"{beside} is missing: put the integer model that export wrote beside the file")
    prediction = model.predict(IntegerModel.load(beside).graph)
    return PredictedLatency(path, known.machine, model.runner, model.threads, prediction)
