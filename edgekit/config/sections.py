"""The sections of edgekit.toml, each a frozen value of its keys."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - the types of keys are read when edgekit runs
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from edgekit.config.values import Accelerator, OneOf, PrecisionName, Size, Target, at_least, key, positive, shorter
from edgekit.conventions import USUAL_ORDER, WITHOUT_ANTIALIAS, Interpolation
from edgekit.device.plan import LAPS
from edgekit.errors import ConfigError
from edgekit.exporters import formats
from edgekit.exporters.formats import FORMATS
from edgekit.profiles.profile import profile
from edgekit.tasks.registry import TASKS

_RATIOS = ("max_size_ratio", "max_memory_ratio", "max_latency_ratio")


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """[model]: the trained network; what is None is read from the checkpoint, or found.

    With ``insist`` the work goes on with what is only assumed, or what evidence contradicts.
    """

    checkpoint: Path | None = key("the trained network: .pth, .safetensors, .h5, .keras or .onnx", default=None)
    family: str | None = key("what it has to be, such as mobilenet_v2; any by default", default=None)
    classes: int | None = key("how many it has to tell apart; any by default", default=None)
    resolution: int | Size | None = key(
        "of its images, pixels; where nothing tells it, as usual for its family", default=None
    )
    padding: Literal["same", "symmetric"] | None = key(
        "how it was trained: same (TensorFlow) or symmetric (PyTorch); found where that can be done", default=None
    )
    bn_eps: float | None = key("epsilon of its batch normalization; found where that can be done", default=None)
    activation: Literal["relu", "relu6", "hard_swish"] | None = key(
        "of its body; found where that can be done", default=None
    )
    head_activation: Literal["relu", "relu6", "hard_swish", "none"] | None = key(
        "between the linear layers of its classifier; as usual for its layout", default=None
    )
    cifar_stem: bool | None = key(
        "whether its first strides were taken out, so that images of 32 x 32 leave a map of 4 x 4", default=None
    )
    heads: tuple[str, ...] | None = key(
        "heads that files have, of a network with several, by name; all by default", default=None
    )
    labels: Path | None = key("class names, one a line, stored in every file", default=None)
    task: Annotated[str, OneOf(TASKS)] | None = key(
        "what it is for; classification, as is usual for one output of [N, classes]", default=None
    )
    insist: bool = key("go on with what is only assumed of the network, or contradicted by evidence", default=False)

    def __post_init__(self) -> None:
        at_least(1, "model.resolution", shorter(self.resolution))


@dataclass(frozen=True, slots=True)
class PreprocessingSettings:
    """[preprocessing]: from an image file to the network's input; what is None is read from the checkpoint, or found.

    One mean, or one std, stands for all channels. ``crop`` is the share of the resized image's side that the network
    sees (timm's crop_pct); it decides the resize, so one of the two is set.
    """

    resize: int | Size | Literal["whole", "none"] | None = key(
        "before the centre crop: pixels of the shorter side, HEIGHTxWIDTH to cover, whole or none; 256 for 224",
        default=None,
    )
    mean: tuple[float, ...] | None = key(
        "of pixels from 0 to 1, one a channel or one for all; found where that can be done", default=None
    )
    std: tuple[float, ...] | None = key("standard deviation, likewise", default=None)
    order: Literal["GREY", "RGB", "BGR", "RGBA", "BGRA"] | None = key(
        "of the channels, as the network was trained; found where that can be done", default=None
    )
    interpolation: Interpolation | None = key("one of Pillow's filters; bilinear, as is usual", default=None)
    antialias: bool | None = key("average over the pixels that resizing shrinks away; true, as is usual", default=None)
    crop: float | None = key(
        "share of the resized image's side that the network sees (timm's crop_pct), instead of resize", default=None
    )

    def __post_init__(self) -> None:
        at_least(1, "preprocessing.resize", shorter(self.resize))
        if self.crop is not None and not 0.1 <= self.crop <= 1:
            raise ConfigError(f"preprocessing.crop is {self.crop:g}: a share of the side, 0.1 to 1, is wanted")
        if self.crop is not None and self.resize is not None:
            raise ConfigError("preprocessing.crop and preprocessing.resize both decide the resize: set one of them")
        if self.antialias is False and self.interpolation not in {None, *WITHOUT_ANTIALIAS}:
            raise ConfigError(
                f"preprocessing.interpolation is {self.interpolation}, which always averages: without antialias it is "
                f"{', '.join(WITHOUT_ANTIALIAS)}"
            )
        if (self.mean is None) != (self.std is None):
            raise ConfigError("preprocessing.mean and .std (--mean and --std) belong together: set both, or neither")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) not in {1, *USUAL_ORDER}:
                raise ConfigError(
                    f"preprocessing.{name} has {len(values)} values: one a channel is wanted, 1, 3 or 4, or one for all"
                )
            if values is not None and max(values) > 1:
                divided = ",".join(f"{value / 255:.4g}" for value in values)
                raise ConfigError(
                    f"preprocessing.{name} is {list(values)}, and pixels of 0 to 1 are meant: divide by 255, "
                    f"--{name} {divided}"
                )
        if self.std is not None and min(self.std) <= 0:
            raise ConfigError(f"preprocessing.std is {list(self.std)}: positive numbers are wanted")


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """[calibration]: where the ranges of an int8 model come from, and which layers are more precise."""

    data: Path | None = key("calibration images: a folder, pattern, .npz, .npy or .csv", default=None)
    ranges: Path | None = key("ranges saved by an earlier export, instead of images", default=None)
    method: Literal["minmax", "percentile", "entropy", "mse"] = key(
        "how the range of a tensor follows from what was seen of it", default="percentile"
    )
    percentile: float = key("of what was seen, that the range holds; for the method of this name", default=99.997)
    images: int | None = key("how many to take, evenly spread; all by default", default=None)
    strict: bool = key("refuse a broken image instead of skipping it", default=False)
    data_free: bool = key(
        "without images: on synthetic ones, made from the checkpoint's batch normalization", default=False
    )
    keep_float: tuple[str, ...] = key(
        "layers that stay in float inside int8 files; features.4 means all of that block", default=()
    )
    floor: float | None = key(
        "keep as few layers in float as it takes to lose no more (points of top-1, or of another task's metric)",
        default=None,
    )
    int16_activations: tuple[str, ...] = key(
        "layers with 16-bit activations, for TFLite and ONNX; int8 weights stay. Slow, outside of XNNPACK", default=()
    )
    per_tensor_weights: bool = key("one weight scale a layer, for targets that have no scale a channel", default=False)
    weight_bits: int = key("8, or 7 for x86 without VNNI, whose kernels clamp sums of 8-bit products", default=8)

    def __post_init__(self) -> None:
        at_least(1, "calibration.images", self.images)
        if not 50 < self.percentile <= 100:
            raise ConfigError(f"calibration.percentile is {self.percentile:g}: above 50 and at most 100 is wanted")
        if self.weight_bits not in {7, 8}:
            raise ConfigError(f"calibration.weight_bits is {self.weight_bits}: 7 or 8 is wanted")
        if self.floor is not None and self.floor < 0:
            raise ConfigError(
                f"calibration.floor is {self.floor:g}: 0 or more is wanted, of what the task is measured in (points of "
                f"top-1)"
            )


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """[export]: what is written, and where.

    With a device, what its profile chooses takes the place of the defaults (``edgekit.profiles``).
    """

    device: str | None = key(
        "what the files are for (edgekit devices); it decides what flags and files do not", default=None
    )
    targets: tuple[Target, ...] = key("formats to write", default_factory=formats.defaults)
    precisions: tuple[PrecisionName, ...] = key(
        "float32, float16, int8, dynamic, weight-only, or several of them", default=("float32",)
    )
    io_dtype: Literal["float32", "int8", "uint8"] = key("what int8 files take and give", default="float32")
    pixels: bool = key(
        "float32 boundaries of int8 files take pixels, 0 to 255, not what the network was trained on: for MediaPipe, "
        "which normalizes all channels alike",
        default=False,
    )
    probabilities: Literal["none", "softmax", "sigmoid"] = key(
        "of classifiers: probabilities beside the logits, by softmax or sigmoid, in every file", default="none"
    )
    outputs: Literal["raw", "enlarged", "decoded", "final"] = key(
        "computed inside every file; of detectors: codings and logits (raw), corners of boxes and probabilities "
        "(decoded), or the boxes that non-maximum suppression leaves (final); of segmenters: logits at their stride "
        "(raw) or the image's size (enlarged), or classes at their stride (decoded) or the image's size (final)",
        default="raw",
    )
    least_score: float = key("of final outputs: what the score of a box has to exceed", default=0.05)
    most_boxes: int = key("likewise: how many boxes of an image there are at most", default=100)
    onnxruntime: str | None = key(
        "the oldest ONNX Runtime that .onnx files have to run in, such as 1.17; the installed one by default",
        default=None,
    )
    batch: Literal["free"] | int = key(
        "images that a file takes at once: any number (free), or so many; Core ML's takes one where it is free",
        default="free",
    )
    coreml_program: Literal["float32", "float16"] = key(
        "precision of the program in int8 .mlpackage files; float16 is for Apple's Neural Engine, and near",
        default="float32",
    )
    torch_engine: Literal["fbgemm", "qnnpack"] = key(
        "whose quantized operators int8 .pt files hold: fbgemm for x86, qnnpack for ARM", default="fbgemm"
    )
    signatures: bool = key(
        "a signature in .tflite files for each of several heads, to run it alone: larger by up to a half, and twice "
        "as slow to load",
        default=False,
    )
    out: Path = key("folder to write to", default=Path("exported"))
    verify: bool = key("prove every file in the runtimes of this machine before it is published", default=True)

    def __post_init__(self) -> None:
        for name, values in (("targets", self.targets), ("precisions", self.precisions)):
            if not values:
                raise ConfigError(f"export.{name} is empty, so there is nothing to export: name at least one")
        if self.batch != "free":
            at_least(1, "export.batch", self.batch)
        at_least(1, "export.most_boxes", self.most_boxes)
        if not 0 <= self.least_score < 1:
            raise ConfigError(f"export.least_score is {self.least_score:g}: 0 or more is wanted, and less than 1")
        if self.device is not None:
            profile(self.device)


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """[verify]: on what finished files are checked, and what is allowed; a tolerance that is None is the usual one.

    Tolerances are relative to the largest logit. ``limits`` is the table [verify.limits]: of each metric of the
    network's task (``edgekit.tasks``) by name, the least or largest value that passes, in the metric's own unit.
    """

    data: Path | None = key("images; labelled ones give accuracy", default=None)
    images: int | None = key("how many to take, evenly spread; all by default", default=None)
    strict: bool = key("refuse a broken image instead of skipping it", default=False)
    float32_tolerance: float | None = key(
        "by how much float32 files may differ, relative to the largest logit; the usual one by default", default=None
    )
    float16_tolerance: float | None = key("likewise, float16 files", default=None)
    max_lsb: int = key("by how much integers may differ where they have to be identical", default=0)
    limits: Mapping[str, float] = key(
        "a table [verify.limits]: of each metric of the network's task by name, what passes, such as top1 = 75",
        default_factory=dict,
    )
    onnxruntime: str | None = key("the oldest ONNX Runtime that .onnx files have to run in", default=None)
    litert: str | None = key("likewise, LiteRT and .tflite files", default=None)
    coreml: str | None = key("likewise, Core ML and .mlpackage files, such as iOS15", default=None)
    emulate: bool = key("also on emulated processors that edgekit emulate set up; slow", default=False)
    latency: bool = key("time every file, too: size and latency beside accuracy", default=False)
    baseline: Path | None = key("what edgekit baseline kept: no larger, no slower", default=None)
    max_size_ratio: float = key("a file's size over the baseline's, at most", default=1.02)
    max_memory_ratio: float = key("likewise, its memory", default=1.05)
    max_latency_ratio: float = key("likewise, its latency", default=1.07)

    def runtime(self, target: str) -> str | None:
        """The oldest runtime that files of a format have to run in, if it was named."""
        key = FORMATS[target].oldest_runtime
        named: str | None = None if key is None else getattr(self, key)
        return named

    def __post_init__(self) -> None:
        at_least(1, "verify.images", self.images)
        at_least(0, "verify.max_lsb", self.max_lsb)
        for name in ("float32_tolerance", "float16_tolerance", *_RATIOS):
            positive(f"verify.{name}", getattr(self, name))


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """[bench]: how latency is measured; python is the one of a device, as a shell there takes it ("~/venv/bin/python").

    With threads "all", from one to as many as there are cores.
    """

    threads: tuple[int, ...] | Literal["all"] = key(
        "of one run, or several numbers of them; all is 1 to all cores", default=(1,)
    )
    batches: tuple[int, ...] = key("images of one run, or several numbers of them", default=(1,))
    laps: int = key("fresh processes of each file", default=LAPS)
    gpu: bool = key("on the GPU as well, where there is one", default=False)
    python: str | None = key(
        'of a device, as a shell there takes it ("~/venv/bin/python"); the one that has most of what is needed',
        default=None,
    )

    def __post_init__(self) -> None:
        for name, values in (("threads", self.threads), ("batches", self.batches)):
            if not values:
                raise ConfigError(f"bench.{name} is empty, so there is nothing to measure: name at least one number")
            for value in values if isinstance(values, tuple) else ():
                at_least(1, f"bench.{name}", value)
        at_least(1, "bench.laps", self.laps)

    @property
    def first_threads(self) -> int:
        """Threads for what is not timed under several conditions."""
        return 1 if self.threads == "all" else self.threads[0]


@dataclass(frozen=True, slots=True)
class FinetuneSettings:
    """[finetune]: how long to train, and on what; without epochs and minutes it is as long as usually helps."""

    epochs: int | None = key("how long to train; as long as usually helps by default", default=None)
    minutes: float | None = key("or for so many minutes, instead of epochs", default=None)
    accelerator: Accelerator | None = key("what to train on; cuda where there is a GPU", default=None)
    seed: int = key("of the order of the images", default=0)

    def __post_init__(self) -> None:
        at_least(1, "finetune.epochs", self.epochs)
        at_least(0, "finetune.seed", self.seed)
        positive("finetune.minutes", self.minutes)
        if self.epochs is not None and self.minutes is not None:
            raise ConfigError("finetune.epochs and finetune.minutes both decide how long to train: set one of them")
