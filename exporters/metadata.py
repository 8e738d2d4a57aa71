"""What every exported file says about itself: one JSON object, embedded beside each format's own fields."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from edgekit.device.detections import BOXES, CLASSES, NUMBER, SCORES
from edgekit.errors import ConfigError
from edgekit.exporters.origins import ORIGINS
from edgekit.ir import MASK
from edgekit.preprocessing import Normalization, Preprocessing
from edgekit.suppression import endings_of, replaced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.exporters.origins import Recorder
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Graph
    from edgekit.quantization import QuantParams

UINT8_OFFSET = 128  # a uint8 value is the int8 value plus this, and so is its zero point
KEY = "edgekit"  # the name of the entry in each format's metadata
FLOAT16_SCALES = "-float16"  # behind the lowering of files whose scales are rounded to that
FLOAT_PROFILE = "float"  # of files that hold no integers
SCHEMA_VERSION = 2  # 1 said nothing of outputs: its files give logits
FREE = -1  # the size of a batch that is


class Precision(StrEnum):
    """What the operators of a file compute in."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"
    DYNAMIC = "dynamic"  # int8 weights; the runtime quantizes what each layer reads, image by image
    WEIGHT_ONLY = "weight-only"  # int8 weights, and float32 for all else

    @property
    def has_int8_weights(self) -> bool:
        """Whether reals are computed with weights that are stored in int8 (``edgekit.int8_weights``)."""
        return self in {Precision.DYNAMIC, Precision.WEIGHT_ONLY}


class IoDtype(StrEnum):
    """The type of the input and outputs at a file's boundary."""

    FLOAT32 = "float32"
    INT8 = "int8"
    UINT8 = "uint8"


class Head(StrEnum):
    """What a file gives: the logits alone, or beside them probabilities, which float operators make of them."""

    LOGITS = "none"
    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"


CHANNELS_LAST = "NHWC"
PROBABILITIES = "probabilities"  # what that output is called, in every format
_DETECTED = {BOXES: "NPP", CLASSES: "NP", SCORES: "NP", NUMBER: "N"}  # what suppression gives: roles and axes


@dataclass(frozen=True, slots=True)
class OutputInfo:
    """What a caller must know to read an output of a file.

    Attributes:
        name: in the file; of a torch file, the outputs of ``forward`` are in this order.
        role: what it means ("logits"), see ``edgekit.ir.Output``; of what suppression gives, its name without a head's.
        axes: of the file's array, in order: "NC", "NCHW", or "NHWC" in TFLite; "NPP" of rows of numbers; "NHW" of a
            mask, which is int32.
        shape: of these axes, -1 for a batch that is free.
        scale: at an integer boundary, real = scale (stored - zero_point); else None.
        zero_point: likewise.
    """

    name: str
    role: str
    axes: str
    shape: tuple[int, ...]
    scale: float | None = None
    zero_point: int | None = None

    @property
    def is_mask(self) -> bool:
        """Whether it is [N, H, W] of indices of channels, int32."""
        return self.axes == "".join(MASK)

    @property
    def of_one_image(self) -> tuple[int, ...]:
        """The shape for one image, feature maps as [C, H, W], whatever the layout of the file."""
        _, *sizes = self.shape
        if self.axes != CHANNELS_LAST:
            return tuple(sizes)
        height, width, channels = sizes
        return channels, height, width


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a caller must know to feed a file and to read its answer.

    Attributes:
        network: its name ("mobilenet_v2_1.0_224").
        precision: what the operators compute in.
        io_dtype: what crosses the boundary.
        preprocessing: how an image becomes pixels.
        normalization: what the input stands for, (pixel - mean) / std: at a float32 boundary what the network was
            trained on, the preprocessing's own. Integers stand for what is left of it where the rest was folded into
            the first convolution.
        pixel_input: an int8 input is pixel - 128 and a uint8 input the pixel itself.
        labels: class names, in order; empty where none are known.
        lowering: how operators are written, of an int8 file, "float" otherwise.
        provenance: where the model comes from, JSON values.
        outputs: what the network gives, in order; probabilities, which are made of logits, are not among them. Empty in
            files of older edgekits, which give logits.
        batch: how many images it takes at once; None where that is free.
        head: what it gives. The logits are claimed identical; exp is another function in every runtime, so
            probabilities are near.
    """

    network: str
    precision: Precision
    io_dtype: IoDtype
    preprocessing: Preprocessing
    normalization: Normalization
    pixel_input: bool
    labels: tuple[str, ...]
    lowering: str
    provenance: dict[str, Any]
    outputs: tuple[OutputInfo, ...] = ()
    batch: int | None = None
    head: Head = Head.LOGITS

    def to_json(self, origins: Recorder | None = None) -> str:
        """A stable JSON text: equal metadata gives equal text. ``origins`` of the file's operators are put into it."""
        values = {
            "schema_version": SCHEMA_VERSION,
            "network": self.network,
            "precision": self.precision,
            "io_dtype": self.io_dtype,
            "preprocessing": self.preprocessing.to_dict(),
            "normalization": {"mean": self.normalization.mean, "std": self.normalization.std},
            "pixel_input": self.pixel_input,
            "labels": self.labels,
            "profile": self.lowering,
            "provenance": self.provenance,
            "outputs": [asdict(output) for output in self.outputs],
            "batch": self.batch,
            **({} if self.head is Head.LOGITS else {"head": self.head}),
            **({} if origins is None else {ORIGINS: origins.to_values()}),
        }
        return json.dumps(values, sort_keys=True, ensure_ascii=False, allow_nan=False)

    @staticmethod
    def from_json(text: str) -> Metadata:
        """The inverse of ``to_json``.

        Raises:
            KeyError, ValueError, TypeError: the text is not such an object.
        """
        values = json.loads(text)
        if values["schema_version"] > SCHEMA_VERSION:
            raise ValueError(f"version {values['schema_version']} of the metadata is not known")
        return Metadata(
            network=values["network"],
            precision=Precision(values["precision"]),
            io_dtype=IoDtype(values["io_dtype"]),
            preprocessing=Preprocessing.from_dict(values["preprocessing"]),
            normalization=Normalization(*(tuple(values["normalization"][key]) for key in ("mean", "std"))),
            pixel_input=values["pixel_input"],
            labels=tuple(values["labels"]),
            lowering=values["profile"],
            provenance=values["provenance"],
            outputs=tuple(OutputInfo(**{**o, "shape": tuple(o["shape"])}) for o in values.get("outputs", ())),
            batch=values.get("batch"),
            head=Head(values.get("head", Head.LOGITS)),
        )


def check_head(io_dtype: IoDtype, head: Head) -> None:
    """Say that a boundary has no room for probabilities.

    Raises:
        ConfigError: it has none.
    """
    if head is not Head.LOGITS and io_dtype is not IoDtype.FLOAT32:
        raise ConfigError(
            f"probabilities are float32, so a file that gives {io_dtype} cannot have any: use --io-dtype float32, or "
            f"leave --probabilities out"
        )


def logits_of(graph: Graph) -> str:
    """The tensor that probabilities are made of.

    Raises:
        ConfigError: the network gives no logits.
    """
    if graph.logits is None:
        names = ", ".join(output.name for output in graph.outputs)
        raise ConfigError(
            f"probabilities are made of logits, and {graph.name} gives {names}: leave --probabilities out"
        )
    return graph.logits.tensor


def outputs_in_float(model: IntegerModel) -> list[str]:
    """The tensors that an integer model gives as reals; masks are indices."""
    tensors = model.graph.tensors
    return [name for name in model.graph.output_tensors if name not in model.params and not tensors[name].is_mask]


def of_integer_model(  # noqa: PLR0913 - likewise
    model: IntegerModel,
    io_dtype: IoDtype,
    head: Head = Head.LOGITS,
    *,
    batch: int | None = None,
    channels_last: bool = False,
    suppresses: bool = True,
) -> Metadata:
    """The metadata of an int8 file.

    Args:
        model: that it is written from.
        io_dtype: what crosses its boundary.
        head: what it gives beside the network's outputs.
        batch: how many images it takes at once; None where that is free.
        channels_last: whether its feature maps are [N, H, W, C].
        suppresses: whether what is known of outputs is what suppression leaves, where there is any, and not what it
            reads.

    Raises:
        ConfigError: an output is kept in float, or is to be probabilities, and ``io_dtype`` is not float32; or it is to
            take several images at once, and suppresses boxes.
    """
    check_head(io_dtype, head)
    if (real := outputs_in_float(model)) and io_dtype is not IoDtype.FLOAT32:
        raise ConfigError(
            f"the output {real[0]!r} is kept in float, so the file cannot take and give {io_dtype}: "
            f"use --io-dtype float32, or leave that layer out of --keep-float"
        )
    given = model.taken if io_dtype is IoDtype.FLOAT32 else model.normalization
    batch = batch_of(model.provenance, batch)
    return Metadata(
        model.graph.name, Precision.INT8, io_dtype, model.preprocessing, given, model.pixel_input,
        model.labels, model.lowering, dict(model.provenance),
        _outputs(model, io_dtype, model.params, batch=batch, channels_last=channels_last, suppresses=suppresses),
        batch, head,
    )  # fmt: skip


def of_float_model(  # noqa: PLR0913 - likewise
    model: FloatModel,
    precision: Precision,
    head: Head = Head.LOGITS,
    *,
    batch: int | None = None,
    channels_last: bool = False,
    suppresses: bool = True,
) -> Metadata:
    """The metadata of a float file, as ``of_integer_model``; float16 files keep a float32 boundary.

    Raises:
        ConfigError: it is to take several images at once, and suppresses boxes.
    """
    batch = batch_of(model.provenance, batch)
    return Metadata(
        model.graph.name, precision, IoDtype.FLOAT32, model.preprocessing, model.preprocessing.normalization, False,
        model.labels, FLOAT_PROFILE, dict(model.provenance),
        _outputs(model, IoDtype.FLOAT32, {}, batch=batch, channels_last=channels_last, suppresses=suppresses),
        batch, head,
    )  # fmt: skip


def batch_of(provenance: Mapping[str, Any], batch: int | None) -> int | None:
    """How many images a file takes at once: one where boxes are suppressed, which operators do of one image.

    Raises:
        ConfigError: it is to take several, and suppresses boxes.
    """
    if not endings_of(provenance):
        return batch
    if batch not in {None, 1}:
        raise ConfigError(
            f"export.outputs is final, which is computed of one image at a time, and export.batch is {batch}: leave "
            f"--batch out, or use --outputs decoded"
        )
    return 1


def _outputs(  # noqa: PLR0913 - a model, and how its file is written
    model: FloatModel | IntegerModel,
    io_dtype: IoDtype,
    params: Mapping[str, QuantParams],
    *,
    batch: int | None,
    channels_last: bool,
    suppresses: bool,
) -> tuple[OutputInfo, ...]:
    graph, found = model.graph, dict[str, OutputInfo]()
    for output in graph.outputs:
        tensor = graph.tensors[output.tensor]
        axes, shape = "".join(tensor.axes), (FREE if batch is None else batch, *tensor.shape)
        if channels_last and tensor.is_image:
            batches, channels, *size = shape
            axes, shape = CHANNELS_LAST, (batches, *size, channels)
        info = OutputInfo(output.name, output.role, axes, shape)
        if io_dtype is not IoDtype.FLOAT32 and not tensor.is_mask:
            quantized = params[output.tensor]
            offset = UINT8_OFFSET if io_dtype is IoDtype.UINT8 else 0
            info = replace(info, scale=float(quantized.scale[0]), zero_point=quantized.zero_point + offset)
        found[output.name] = info
    made = {
        ending: [
            OutputInfo(name, role, axes, (1, *shape))
            for name, shape, (role, axes) in zip(ending.names, ending.shapes, _DETECTED.items(), strict=True)
        ]
        for ending in (endings_of(model.provenance) if suppresses else ())
    }
    return tuple(replaced(found, made).values())
