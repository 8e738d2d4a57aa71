"""What could be shipped: the cells of a sweep, or networks whose accuracy was published."""

from __future__ import annotations

import hashlib
import json
import math
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit import extras, files
from edgekit.errors import ArtifactError, BadInput, ConfigError, UnsupportedOperator
from edgekit.exporters.metadata import Precision
from edgekit.models.published import published
from edgekit.pipeline.making.latency import predicted
from edgekit.timing.prediction.model import Prediction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from edgekit.models.architecture import Architecture
    from edgekit.models.published import Published
    from edgekit.pipeline.choosing.store import Row
    from edgekit.progress import Progress
    from edgekit.timing.prediction.model import LatencyModel

_CLASSES: Final = 1000  # of ImageNet
_CHANNEL_BYTES: Final = (
    16  # of an output channel in a .tflite file: its bias, scale and zero point, of 4, 4 and 8 bytes
)
_STRUCTURE_BYTES: Final = 60_000  # of operators, tensors and names: 50 to 70 kB of a MobileNet
_SIZE_ERROR: Final = 0.06  # of that sum, of V1, V2 and V3 at widths from 0.25 to 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network with settings that could be shipped.

    Attributes:
        network: its name.
        family: it belongs to; None where that is not known.
        width: the multiplier of its channels.
        resolution: of its images, pixels, as text.
        precision: of the file.
        target: its format.
        settings: others that it was made with, by key of edgekit.toml.
        metric: that accuracy is measured by.
        accuracy: in the metric's unit.
        accuracy_from: where it comes from.
        latency_ms: of one image; None where it is not known.
        latency_from: where it comes from; "" without one.
        latency_error: 95 of 100 predictions are off by less than this share; 0 of what was measured.
        size_bytes: of the file; None where it is not known.
        size_from: where it comes from.
        size_error: by what share an estimated size may be too small; 0 of what was measured.
        beyond: what of the prediction was never measured, as sentences.
        row: of a sweep, that it is; None of a published network.
    """

    network: str
    family: str | None
    width: float | None
    resolution: str
    precision: str
    target: str
    settings: Mapping[str, Any]
    metric: str
    accuracy: float
    accuracy_from: str
    latency_ms: float | None = None
    latency_from: str = ""
    latency_error: float = 0.0
    size_bytes: float | None = None
    size_from: str = ""
    size_error: float = 0.0
    beyond: tuple[str, ...] = ()
    row: Row | None = None

    @property
    def slowest_ms(self) -> float:
        """The latency with all of its error."""
        return math.inf if self.latency_ms is None else self.latency_ms * (1 + self.latency_error)

    @property
    def largest_bytes(self) -> float:
        """The size with all of its error."""
        return math.inf if self.size_bytes is None else self.size_bytes * (1 + self.size_error)

    @property
    def cost(self) -> float:
        """What decides between two that are equally accurate: latency, or size where no latency is known."""
        return self.latency_ms if self.latency_ms is not None else (self.size_bytes or math.inf)

    @property
    def lowering(self) -> str:
        """How the integer model writes its operators."""
        if self.settings.get("calibration.weight_bits") == 7:
            return "seven-bit"
        mixed = any(self.settings.get(f"calibration.{key}") for key in ("keep_float", "int16_activations", "floor"))
        return "mixed" if mixed else "universal"


def of_sweep(
    rows: tuple[Row, ...], device: str | None, named: str | None, models: Mapping[str, LatencyModel], progress: Progress
) -> Iterator[Candidate]:
    """The cells of a sweep, with the latency that was measured on a device, or is predicted for it.

    Args:
        rows: of the sweep.
        device: where they were timed, as the sweep calls it; None where their latency is predicted, or not known.
        named: latency models, by name or file; None where none are.
        models: they, by format.
        progress: told about each cell.
    """
    whole = [row for row in rows if not row.error and row.accuracy is not None and device in {None, row.device}]
    seen: set[str | None] = set()
    for number, row in enumerate(whole):
        progress("looking at cells", number, len(whole))
        if device is None and row.file in seen:
            continue  # of another device, and otherwise the same
        seen.add(row.file)
        found = _of_row(row)
        if device is not None and row.latency_ms is not None:
            yield replace(found, latency_ms=row.latency_ms, latency_from=f"measured on {row.machine} in {row.runner}")
        elif named is not None and found.target in models:
            yield _predicted(found, named, models[found.target])
        else:
            yield found


def _of_row(row: Row) -> Candidate:
    assert row.accuracy is not None, "it was measured"
    return Candidate(
        network=row.network or "",
        family=row.family,
        width=row.width,
        resolution=row.resolution or "",
        precision=row.precision or "",
        target=row.target or "",
        settings=row.others,
        metric=row.metric or "",
        accuracy=row.accuracy,
        accuracy_from=f"measured on {row.images} images in the sweep",
        size_bytes=row.size_bytes,
        size_from="measured",
        row=row,
    )


def _predicted(candidate: Candidate, named: str, model: LatencyModel) -> Candidate:
    """With the latency that a model predicts, where it can: of int8 files in its format and with its boundary."""
    row = candidate.row
    assert row is not None, "it is of a sweep"
    if candidate.precision != Precision.INT8 or candidate.target != model.format or row.file is None:
        return candidate
    try:
        (found,) = predicted([Path(row.file)], named)
    except (ArtifactError, UnsupportedOperator):
        return candidate
    prediction = found.prediction
    return replace(
        candidate,
        latency_ms=prediction.ms,
        latency_from=_from_model(model, prediction.error),
        latency_error=prediction.error,
        beyond=prediction.beyond,
    )


def of_published(model: LatencyModel | None, progress: Progress) -> Iterator[Candidate]:
    """Networks whose accuracy on ImageNet was published, as int8 files.

    Args:
        model: predicts their latency; None where no device is named.
        progress: told about each network.
    """
    extras.load("torch", "torch")

    from edgekit.models.families import family_of  # noqa: PLC0415 - needs torch

    everything = published()
    for number, one in enumerate(everything):
        progress("looking at networks", number, len(everything))
        architecture = family_of(one.family).make(one.width, _CLASSES, resolution=one.resolution)
        found = _of_figures(one, architecture, "tflite" if model is None else model.format)
        if model is None or (prediction := _kept(model, architecture)) is None:
            yield found
            continue
        yield replace(
            found,
            latency_ms=prediction.ms,
            latency_from=_from_model(model, prediction.error),
            latency_error=prediction.error,
            beyond=prediction.beyond,
        )


def _kept(model: LatencyModel, architecture: Architecture) -> Prediction | None:
    """What a model predicts of a network, which takes a second, and is kept for the next goal; None where it cannot."""
    identity = hashlib.sha256(json.dumps(asdict(model), sort_keys=True).encode()).hexdigest()
    path = files.cache_folder() / "predictions" / identity / f"{architecture.name}.json"
    with suppress(OSError, ValueError, TypeError):
        ms, error, beyond = json.loads(path.read_text(encoding="utf-8"))
        return Prediction(ms, error, (), tuple(beyond))
    try:
        prediction = prediction_of(model, architecture)
    except UnsupportedOperator:
        return None
    kept = [prediction.ms, prediction.error, prediction.beyond]
    with suppress(BadInput):  # without a place to keep it, it is predicted again
        files.write_bytes(path, json.dumps(kept).encode())
    return prediction


def prediction_of(model: LatencyModel, architecture: Architecture) -> Prediction:
    """What a model predicts of a network, whose weights do not matter.

    Raises:
        UnsupportedOperator: the model has not seen one of its layers.
    """
    from edgekit.capture.torch_export import capture  # noqa: PLC0415 - needs torch
    from edgekit.models.network import build  # noqa: PLC0415 - likewise
    from edgekit.passes import integer_form  # noqa: PLC0415 - likewise

    shape = (architecture.in_channels, *architecture.size)
    return model.predict(integer_form(capture(build(architecture).eval(), architecture.name, shape)))


def _of_figures(one: Published, architecture: Architecture, target: str) -> Candidate:
    return Candidate(
        network=architecture.name,
        family=one.family,
        width=one.width,
        resolution=str(one.resolution),
        precision=Precision.INT8,
        target=target,
        settings={},
        metric="top1",
        accuracy=one.top1,
        accuracy_from=f"published for ImageNet, in float32: {one.source}",
        size_bytes=int8_bytes(architecture),
        size_from="estimated from its weights",
        size_error=_SIZE_ERROR,
    )


def int8_bytes(architecture: Architecture) -> float:
    """About how large an int8 .tflite file is: a byte a weight, what each channel carries, and the structure."""
    from edgekit.models.complexity import complexity  # noqa: PLC0415 - needs torch

    counted = complexity(architecture)
    channels = sum(block.expanded * 2 + block.out for block in architecture.blocks) + architecture.head_channels
    return counted.parameters + _CHANNEL_BYTES * (channels + architecture.num_classes) + _STRUCTURE_BYTES


def _from_model(model: LatencyModel, error: float) -> str:
    return f"predicted, within {error:.1%} of 95 in 100 networks, in {model.runner}"


def named_device(rows: tuple[Row, ...], device: str | None) -> str | None:
    """The device of a sweep that is meant; None where none of that name timed anything.

    Raises:
        ConfigError: none is named, and the sweep has several.
    """
    timed = list(dict.fromkeys(str(row.device) for row in rows if row.latency_ms is not None))
    if device is None and len(timed) > 1:
        raise ConfigError(f"the sweep timed files on {', '.join(timed)}: --device says which is meant")
    if device is None:
        return timed[0] if timed else None
    return device if device in timed else None
