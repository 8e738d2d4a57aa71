"""edgekit.toml -> frozen settings. Flags of the command line override single keys; unknown keys are refused."""

from __future__ import annotations

import dataclasses
import math
import os
import re
import tomllib
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from edgekit.conventions import USUAL_ORDER, WITHOUT_ANTIALIAS, Interpolation
from edgekit.device.plan import LAPS
from edgekit.errors import ConfigError, chosen, did_you_mean
from edgekit.exporters import formats
from edgekit.exporters.formats import FORMATS
from edgekit.profiles.profile import profile
from edgekit.tasks.registry import TASKS

FILE_NAME = "edgekit.toml"
OF_PROFILE = "the profile of"  # a device: who says what its profile chooses


@dataclass(frozen=True, slots=True, eq=False)  # what names there are is not known yet
class OneOf:
    """What a text has to be: one of some names that are known only when edgekit runs, such as those of plug-ins."""

    names: Collection[str]


Target: TypeAlias = Annotated[str, OneOf(FORMATS)]
PrecisionName = Literal["float32", "float16", "int8"]
Accelerator = Literal["cpu", "cuda"]

_RATIOS = ("max_size_ratio", "max_memory_ratio", "max_latency_ratio")

Size = tuple[int, int]  # height and width in pixels, "192x256" or [192, 256]

# How a type is called in a message.
_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Path: "a path"}


class Typed(str):
    """A value as it was typed on the command line: TOML where that fits ("1e-3", "[0.5, 0.5]"), else plain text."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Said:
    """A value that overrides a key, and what it was said by, as it is typed ("--order")."""

    value: Any
    by: str


def _key(meaning: str, **default: Any) -> Any:  # noqa: ANN401 - as dataclasses.field
    """A key of a section, with what it means, for people."""
    return field(metadata={"meaning": meaning}, **default)


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """[model]: the trained network; what is None is read from the checkpoint, or found.

    With ``insist`` the work goes on with what is only assumed, or what evidence contradicts.
    """

    checkpoint: Path | None = _key("the trained network: .pth, .safetensors, .h5, .keras or .onnx", default=None)
    family: str | None = _key("what it has to be, such as mobilenet_v2; any by default", default=None)
    classes: int | None = _key("how many it has to tell apart; any by default", default=None)
    resolution: int | Size | None = _key(
        "of its images, pixels; where nothing tells it, as usual for its family", default=None
    )
    padding: Literal["same", "symmetric"] | None = _key(
        "how it was trained: same (TensorFlow) or symmetric (PyTorch); found where that can be done", default=None
    )
    bn_eps: float | None = _key("epsilon of its batch normalization; found where that can be done", default=None)
    activation: Literal["relu", "relu6", "hard_swish"] | None = _key(
        "of its body; found where that can be done", default=None
    )
    head_activation: Literal["relu", "relu6", "hard_swish", "none"] | None = _key(
        "between the linear layers of its classifier; as usual for its layout", default=None
    )
    cifar_stem: bool | None = _key(
        "whether its first strides were taken out, so that images of 32 x 32 leave a map of 4 x 4", default=None
    )
    labels: Path | None = _key("class names, one a line, stored in every file", default=None)
    task: Annotated[str, OneOf(TASKS)] | None = _key(
        "what it is for; classification, as is usual for one output of [N, classes]", default=None
    )
    insist: bool = _key("go on with what is only assumed of the network, or contradicted by evidence", default=False)

    def __post_init__(self) -> None:
        _at_least(1, "model.resolution", _shorter(self.resolution))


@dataclass(frozen=True, slots=True)
class PreprocessingSettings:
    """[preprocessing]: from an image file to the network's input; what is None is read from the checkpoint, or found.

    One mean, or one std, stands for all channels. ``crop`` is the share of the resized image's side that the network
    sees (timm's crop_pct); it decides the resize, so one of the two is set.
    """

    resize: int | Size | Literal["whole", "none"] | None = _key(
        "before the centre crop: pixels of the shorter side, HEIGHTxWIDTH to cover, whole or none; 256 for 224",
        default=None,
    )
    mean: tuple[float, ...] | None = _key(
        "of pixels from 0 to 1, one a channel or one for all; found where that can be done", default=None
    )
    std: tuple[float, ...] | None = _key("standard deviation, likewise", default=None)
    order: Literal["GREY", "RGB", "BGR", "RGBA", "BGRA"] | None = _key(
        "of the channels, as the network was trained; found where that can be done", default=None
    )
    interpolation: Interpolation | None = _key("one of Pillow's filters; bilinear, as is usual", default=None)
    antialias: bool | None = _key("average over the pixels that resizing shrinks away; true, as is usual", default=None)
    crop: float | None = _key(
        "share of the resized image's side that the network sees (timm's crop_pct), instead of resize", default=None
    )

    def __post_init__(self) -> None:
        _at_least(1, "preprocessing.resize", _shorter(self.resize))
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

    data: Path | None = _key("calibration images: a folder, pattern, .npz, .npy or .csv", default=None)
    ranges: Path | None = _key("ranges saved by an earlier export, instead of images", default=None)
    method: Literal["minmax", "percentile", "entropy", "mse"] = _key(
        "how the range of a tensor follows from what was seen of it", default="percentile"
    )
    percentile: float = _key("of what was seen, that the range holds; for the method of this name", default=99.997)
    images: int | None = _key("how many to take, evenly spread; all by default", default=None)
    strict: bool = _key("refuse a broken image instead of skipping it", default=False)
    data_free: bool = _key(
        "without images: on synthetic ones, made from the checkpoint's batch normalization", default=False
    )
    keep_float: tuple[str, ...] = _key(
        "layers that stay in float inside int8 files; features.4 means all of that block", default=()
    )
    floor: float | None = _key(
        "keep as few layers in float as it takes to lose no more (points of top-1, or of another task's metric)",
        default=None,
    )
    int16_activations: tuple[str, ...] = _key(
        "layers with 16-bit activations, for TFLite and ONNX; int8 weights stay. Slow, outside of XNNPACK", default=()
    )
    per_tensor_weights: bool = _key("one weight scale a layer, for targets that have no scale a channel", default=False)
    weight_bits: int = _key("8, or 7 for x86 without VNNI, whose kernels clamp sums of 8-bit products", default=8)

    def __post_init__(self) -> None:
        _at_least(1, "calibration.images", self.images)
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

    device: str | None = _key(
        "what the files are for (edgekit devices); it decides what flags and files do not", default=None
    )
    targets: tuple[Target, ...] = _key("formats to write", default_factory=formats.defaults)
    precisions: tuple[PrecisionName, ...] = _key("float32, float16, int8, or several of them", default=("float32",))
    io_dtype: Literal["float32", "int8", "uint8"] = _key("what int8 files take and give", default="float32")
    head: Literal["logits", "softmax", "sigmoid"] = _key(
        "logits, or beside them probabilities by softmax or sigmoid, in every file", default="logits"
    )
    onnxruntime: str | None = _key(
        "the oldest ONNX Runtime that .onnx files have to run in, such as 1.17; the installed one by default",
        default=None,
    )
    batch: Literal["free"] | int = _key(
        "images that a file takes at once: any number (free), or so many; Core ML's takes one where it is free",
        default="free",
    )
    coreml_program: Literal["float32", "float16"] = _key(
        "precision of the program in int8 .mlpackage files; float16 is for Apple's Neural Engine, and near",
        default="float32",
    )
    torch_engine: Literal["fbgemm", "qnnpack"] = _key(
        "whose quantized operators int8 .pt files hold: fbgemm for x86, qnnpack for ARM", default="fbgemm"
    )
    out: Path = _key("folder to write to", default=Path("exported"))
    verify: bool = _key("prove every file in the runtimes of this machine before it is published", default=True)

    def __post_init__(self) -> None:
        for name, values in (("targets", self.targets), ("precisions", self.precisions)):
            if not values:
                raise ConfigError(f"export.{name} is empty, so there is nothing to export: name at least one")
        if self.batch != "free":
            _at_least(1, "export.batch", self.batch)
        if self.device is not None:
            profile(self.device)


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """[verify]: on what finished files are checked, and what is allowed; a tolerance that is None is the usual one.

    Tolerances are relative to the largest logit. ``limits`` is the table [verify.limits]: of each metric of the
    network's task (``edgekit.tasks``) by name, the least or largest value that passes, in the metric's own unit.
    """

    data: Path | None = _key("images; labelled ones give accuracy", default=None)
    images: int | None = _key("how many to take, evenly spread; all by default", default=None)
    strict: bool = _key("refuse a broken image instead of skipping it", default=False)
    float32_tolerance: float | None = _key(
        "by how much float32 files may differ, relative to the largest logit; the usual one by default", default=None
    )
    float16_tolerance: float | None = _key("likewise, float16 files", default=None)
    max_lsb: int = _key("by how much integers may differ where they have to be identical", default=0)
    limits: Mapping[str, float] = _key(
        "a table [verify.limits]: of each metric of the network's task by name, what passes, such as top1 = 75",
        default_factory=dict,
    )
    onnxruntime: str | None = _key("the oldest ONNX Runtime that .onnx files have to run in", default=None)
    litert: str | None = _key("likewise, LiteRT and .tflite files", default=None)
    coreml: str | None = _key("likewise, Core ML and .mlpackage files, such as iOS15", default=None)
    emulate: bool = _key("also on emulated processors that edgekit emulate set up; slow", default=False)
    latency: bool = _key("time every file, too, for the report", default=False)
    baseline: Path | None = _key("what edgekit baseline kept: no larger, no slower", default=None)
    max_size_ratio: float = _key("a file's size over the baseline's, at most", default=1.02)
    max_memory_ratio: float = _key("likewise, its memory", default=1.05)
    max_latency_ratio: float = _key("likewise, its latency", default=1.07)

    def runtime(self, target: str) -> str | None:
        """The oldest runtime that files of a format have to run in, if it was named."""
        key = FORMATS[target].oldest_runtime
        named: str | None = None if key is None else getattr(self, key)
        return named

    def __post_init__(self) -> None:
        _at_least(1, "verify.images", self.images)
        _at_least(0, "verify.max_lsb", self.max_lsb)
        for name in ("float32_tolerance", "float16_tolerance", *_RATIOS):
            if (value := getattr(self, name)) is not None and value <= 0:
                raise ConfigError(f"verify.{name} is {value:g}: a positive number is wanted")


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """[bench]: how latency is measured; python is the one of a device, as a shell there takes it ("~/venv/bin/python").

    With threads "all", from one to as many as there are cores.
    """

    threads: tuple[int, ...] | Literal["all"] = _key(
        "of one run, or several numbers of them; all is 1 to all cores", default=(1,)
    )
    batches: tuple[int, ...] = _key("images of one run, or several numbers of them", default=(1,))
    laps: int = _key("fresh processes of each file", default=LAPS)
    gpu: bool = _key("on the GPU as well, where there is one", default=False)
    python: str | None = _key(
        'of a device, as a shell there takes it ("~/venv/bin/python"); the one that has most of what is needed',
        default=None,
    )

    def __post_init__(self) -> None:
        for name, values in (("threads", self.threads), ("batches", self.batches)):
            if not values:
                raise ConfigError(f"bench.{name} is empty, so there is nothing to measure: name at least one number")
            for value in values if isinstance(values, tuple) else ():
                _at_least(1, f"bench.{name}", value)
        _at_least(1, "bench.laps", self.laps)

    @property
    def first_threads(self) -> int:
        """Threads for what is not timed under several conditions."""
        return 1 if self.threads == "all" else self.threads[0]


@dataclass(frozen=True, slots=True)
class FinetuneSettings:
    """[finetune]: how long to train, and on what; without epochs and minutes it is as long as usually helps."""

    epochs: int | None = _key("how long to train; as long as usually helps by default", default=None)
    minutes: float | None = _key("or for so many minutes, instead of epochs", default=None)
    accelerator: Accelerator | None = _key("what to train on; cuda where there is a GPU", default=None)
    seed: int = _key("of the order of the images", default=0)

    def __post_init__(self) -> None:
        _at_least(1, "finetune.epochs", self.epochs)
        _at_least(0, "finetune.seed", self.seed)
        if self.minutes is not None and self.minutes <= 0:
            raise ConfigError(f"finetune.minutes is {self.minutes:g}: a positive number is wanted")
        if self.epochs is not None and self.minutes is not None:
            raise ConfigError("finetune.epochs and finetune.minutes both decide how long to train: set one of them")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be configured.

    Attributes:
        source: the file that was read; None for the built-in defaults.
        origins: who set a key, "section.key" to "edgekit.toml" or "--order"; no more than is known.
    """

    model: ModelSettings = field(default_factory=ModelSettings)
    preprocessing: PreprocessingSettings = field(default_factory=PreprocessingSettings)
    calibration: CalibrationSettings = field(default_factory=CalibrationSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    verify: VerifySettings = field(default_factory=VerifySettings)
    bench: BenchSettings = field(default_factory=BenchSettings)
    finetune: FinetuneSettings = field(default_factory=FinetuneSettings)
    source: Path | None = None
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


Overrides = Mapping[str, Mapping[str, Any]]

_RENAMED = {  # older spellings, "section.key", which are still read
    "export.onnx_batch": "batch",
    "finetune.device": "accelerator",
    "verify.min_top1": "limits.top1",
    "verify.min_top5": "limits.top5",
    "verify.max_drop": "limits.drop",
    "verify.min_agreement": "limits.agreement",
    "verify.min_sqnr_db": "limits.sqnr_db",
}

_SECTIONS: dict[str, type[Any]] = {
    name: kind for name, kind in typing.get_type_hints(Settings).items() if name not in {"source", "origins"}
}


def meaning(name: str) -> str:
    """What a key ("export.head") means, for people: an end of a sentence.

    >>> meaning("bench.laps")
    'fresh processes of each file'
    """
    section, _, key = name.partition(".")
    (found,) = (field for field in dataclasses.fields(_SECTIONS[section]) if field.name == key)
    said: str = found.metadata["meaning"]
    return said


def load(path: Path | None, overrides: Overrides | None = None) -> Settings:
    """Settings from a file, with single keys overridden; where they name a device, in place of its profile's.

    Args:
        path: an edgekit.toml, whose relative paths start from its own folder; None for the built-in defaults.
        overrides: section -> key -> value; None as a value means "not given", a ``Typed`` value is yet to be read, and
            ``Said`` tells who gives a value.

    Raises:
        ConfigError: the file cannot be read, or a section, key or value is wrong.
    """
    tables = {} if path is None else _tables_of(path)
    given = {section: {k: v for k, v in keys.items() if v is not None} for section, keys in (overrides or {}).items()}
    settings = _of_device(_device(given, "the command line") or _device(tables, str(path)))
    if path is not None:
        settings = _from_tables(tables, path, settings)
    for section, values in given.items():
        settings = _changed(settings, section, values, "the command line", None)
    device = settings.export.device
    origins = {
        f"{section}.{key}": f"{OF_PROFILE} {device}"
        for section, values in ({} if device is None else profile(device).settings).items()
        for key in values
    }
    origins |= {
        f"{section}.{key}": str(path)
        for section, values in tables.items()
        for key in _gathered(values, section, str(path))
    }
    for section, values in given.items():
        for key, value in _gathered(values, section, "the command line").items():
            name = f"{section}.{key}"
            before = [origins[name]] if name in origins and isinstance(value, dict) else []  # other entries of a table
            origins[name] = ", ".join([*before, _by(value)])
    return dataclasses.replace(settings, origins=origins)


def _by(value: Any) -> str:  # noqa: ANN401 - any type
    """Who says an overriding value; of a table, who says its entries."""
    if isinstance(value, dict):
        return ", ".join(dict.fromkeys(map(_by, value.values())))
    return value.by if isinstance(value, Said) else "the command line"


def to_values(settings: Settings, base: Path) -> dict[str, dict[str, Any]]:
    """Settings as JSON values, section -> key -> value; what is not set is None.

    Paths are as they read from the folder ``base``, or absolute where they share nothing with it but the root.
    """

    def plain(value: Any) -> Any:  # noqa: ANN401 - any type
        if isinstance(value, Path):
            return _seen_from(base, value)
        return list(value) if type(value) is tuple else dict(value) if isinstance(value, Mapping) else value

    return {
        section: {key.name: plain(getattr(values, key.name)) for key in dataclasses.fields(values)}
        for section, values in ((name, getattr(settings, name)) for name in _SECTIONS)
    }


def from_values(values: Mapping[str, Mapping[str, Any]], path: Path) -> Settings:
    """Settings from what ``to_values`` made of them, or from some of its sections.

    Args:
        values: section -> key -> value; None as a value means "not set".
        path: of the file that they were found in, in the folder that relative paths start from.

    Raises:
        ConfigError: a section, key or value is wrong.
    """
    tables = {
        section: {key: value for key, value in keys.items() if value is not None} for section, keys in values.items()
    }
    return _from_tables(tables, path, Settings())


def _seen_from(base: Path, path: Path) -> str:
    """``path`` as ``to_values`` gives it; links in between are followed, as the system does on its way back."""
    base, path = base.resolve(), path.parent.resolve() / path.name
    shared = os.path.commonpath([base, path])
    return str(path) if shared == path.anchor else Path(os.path.relpath(path, base)).as_posix()


def _of_device(name: str | None) -> Settings:
    """The defaults, or what the profile of a device chooses in their place."""
    settings = Settings()
    if name is None:
        return settings
    for section, values in profile(name).settings.items():
        settings = _changed(settings, section, values, f"{OF_PROFILE} {name}", None)
    return settings


def _device(tables: Mapping[str, Any], where: str) -> str | None:
    """The device that some sections name, as they were found."""
    section = tables.get("export")
    given = section.get("device") if isinstance(section, dict) else None
    return None if given is None else _checked(ExportSettings, {"device": given}, "export", where, None)["device"]


def _tables_of(path: Path) -> dict[str, Any]:
    """The sections of a file, as they stand there."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist: name a settings file, or leave --config out") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def _from_tables(tables: Mapping[str, Any], path: Path, defaults: Settings) -> Settings:
    """Settings from sections as they were found in the file ``path``, in place of ``defaults``."""
    settings = defaults
    for name, values in tables.items():
        _section(name, str(path))
        if not isinstance(values, dict):
            raise ConfigError(f"{path}: {name} is a section: write [{name}] and its keys below")
        settings = _changed(settings, name, values, str(path), path.parent)
    return dataclasses.replace(settings, source=path)


def _changed(settings: Settings, section: str, values: Mapping[str, Any], where: str, base: Path | None) -> Settings:
    """Settings with some keys of a section changed; of a table within it, only the entries that are given."""
    kind, before = _section(section, where), getattr(settings, section)
    checked = _checked(kind, _gathered(values, section, where), section, where, base)
    tables = {key: {**getattr(before, key), **value} for key, value in checked.items() if isinstance(value, dict)}
    try:
        return dataclasses.replace(settings, **{section: dataclasses.replace(before, **(checked | tables))})
    except ConfigError as error:
        if base is None:
            raise
        raise ConfigError(f"{where}: {error}") from error


def _gathered(values: Mapping[str, Any], section: str, where: str) -> dict[str, Any]:
    """The keys of a section as they are spelled today; what is given as "limits.top1" is an entry of the table there.

    >>> _gathered({"limits.top1": 75, "max_drop": 1, "images": 8}, "verify", "edgekit.toml")
    {'limits': {'top1': 75, 'drop': 1}, 'images': 8}
    """
    gathered: dict[str, Any] = {}
    spelled: dict[str, str] = {}  # every key and entry, and how it was given
    for key, value in values.items():
        called = _RENAMED.get(f"{section}.{key}", key)
        if isinstance(value, dict):
            gathered.setdefault(called, {})
        for path, given in _entries(called, value).items():
            if path in spelled:
                old = key if called != key else spelled[path]
                raise ConfigError(
                    f"{where}: {section}.{old} is now called {path}, and both are given: leave the first out"
                )
            spelled[path] = key
            name, is_entry, entry = path.partition(".")
            gathered[name] = {**gathered.get(name, {}), entry: given} if is_entry else given
    return gathered


def _entries(key: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - any type
    """What a key holds, each entry of a table by a path of its own."""
    return {f"{key}.{entry}": given for entry, given in value.items()} if isinstance(value, dict) else {key: value}


def _section(name: str, where: str) -> type[Any]:
    if name not in _SECTIONS:
        raise ConfigError(f"{where}: unknown section [{name}]: {did_you_mean(name, _SECTIONS)}")
    return _SECTIONS[name]


def _checked(kind: type[Any], values: Mapping[str, Any], section: str, where: str, base: Path | None) -> dict[str, Any]:
    """``values`` as the types that ``kind`` declares; paths start from ``base``."""
    hints = typing.get_type_hints(kind, include_extras=True)
    checked = {}
    for key, value in values.items():
        if key not in hints:
            raise ConfigError(f"{where}: unknown key {section}.{key}: {did_you_mean(key, hints)}")
        hint, said = hints[key], f"{where}: {section}.{key}"
        if isinstance(value, dict) and typing.get_origin(hint) is Mapping:
            (_, kept) = typing.get_args(hint)
            checked[key] = {entry: _value(kept, given, f"{said}.{entry}", base) for entry, given in value.items()}
        else:
            checked[key] = _value(hint, value, said, base)
    return checked


def _value(hint: Any, value: Any, where: str, base: Path | None) -> Any:  # noqa: ANN401 - any type
    """One value as its declared type; what was said by a flag is called by that."""
    if isinstance(value, Said):
        value, where = value.value, value.by
    read = _read_typed if isinstance(value, Typed) else _convert
    return read(hint, value, where, base)


def _read_typed(hint: Any, text: Typed, where: str, base: Path | None) -> Any:  # noqa: ANN401 - any type
    """``text`` as TOML if that is what the key wants, else as it stands: 1.10 is a number, or a version."""
    try:
        return _convert(hint, tomllib.loads(f"value = {text}")["value"], where, base)
    except (tomllib.TOMLDecodeError, ConfigError):
        return _convert(hint, str(text).strip(), where, base)


def _convert(hint: Any, value: Any, where: str, base: Path | None) -> Any:  # noqa: ANN401 - any type
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        return _convert_union(hint, value, where, base)
    choices = _choices(hint)
    if choices and isinstance(value, str):
        if (choice := chosen(value, choices)) is None:
            raise ConfigError(f"{where} is {value!r}: {did_you_mean(value, choices)}")
        return choice
    if hint == Size and isinstance(value, str) and re.fullmatch(r"\d+x\d+", value):
        value = [int(side) for side in value.split("x")]
    if origin is tuple and isinstance(value, list | tuple) and (hint != Size or len(value) == 2):
        return tuple(_convert(arguments[0], item, where, base) for item in value)
    if hint is Path and isinstance(value, str | Path):
        path = Path(value).expanduser()
        return path if base is None else base / path
    if hint is float and type(value) in {int, float} and math.isfinite(value):
        return float(value)
    if hint in {int, str, bool} and type(value) is hint:  # True is an int to isinstance
        return value
    raise ConfigError(f"{where} is {value!r}: {_wanted(hint)} is wanted")


def _convert_union(hint: Any, value: Any, where: str, base: Path | None) -> Any:  # noqa: ANN401 - any type
    options = [option for option in typing.get_args(hint) if option is not type(None)]
    if len(options) == 1:
        return _convert(options[0], value, where, base)
    for option in options:
        try:
            return _convert(option, value, where, base)
        except ConfigError:
            continue
    words = [word for option in options if typing.get_origin(option) is Literal for word in typing.get_args(option)]
    meant = did_you_mean(value, words) if isinstance(value, str) and words else ""
    raise ConfigError(f"{where} is {value!r}: {meant if meant.endswith('?') else f'{_wanted(hint)} is wanted'}")


def _choices(hint: Any) -> Collection[str]:  # noqa: ANN401 - any type
    """The texts that a type allows; none where it is not of texts that are listed."""
    if typing.get_origin(hint) is Annotated:
        return next(about.names for about in hint.__metadata__ if isinstance(about, OneOf))
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()


def wanted(name: str) -> str:
    """What a key takes, in words.

    >>> wanted("model.padding"), wanted("bench.laps")
    ("'same' or 'symmetric'", 'a whole number')
    """
    section, _, key = name.partition(".")
    return _wanted(typing.get_type_hints(_SECTIONS[section], include_extras=True)[key])


def _wanted(hint: Any) -> str:  # noqa: ANN401 - any type
    """A type in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint == Size:
        return "HEIGHTxWIDTH"
    if origin in {tuple, Mapping}:
        return "a list in brackets" if origin is tuple else "a table, with a key for each value,"
    if choices := _choices(hint):
        return " or ".join(repr(value) for value in choices)
    if arguments:
        return " or ".join(_wanted(option) for option in arguments if option is not type(None))
    return _WORDS[hint]


def _shorter(size: int | Size | str | None) -> int | None:
    """The shorter side of what is given in pixels; None where it is not."""
    return min(size) if isinstance(size, tuple) else size if isinstance(size, int) else None


def _at_least(least: int, name: str, value: int | None) -> None:
    if value is not None and value < least:
        raise ConfigError(f"{name} is {value}: {least} or more is wanted")
