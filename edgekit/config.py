"""edgekit.toml -> frozen settings. Flags of the command line override single keys; unknown keys are refused."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgekit.errors import ConfigError, did_you_mean

FILE_NAME = "edgekit.toml"

Target = Literal["onnx", "tflite", "coreml", "torch"]
PrecisionName = Literal["float32", "float16", "int8"]


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """[model]: the trained network; what is None is read from the checkpoint."""

    checkpoint: Path | None = None
    family: str | None = None
    classes: int | None = None
    resolution: int | None = None
    padding: Literal["same", "symmetric"] | None = None
    bn_eps: float | None = None
    labels: Path | None = None


@dataclass(frozen=True, slots=True)
class PreprocessingSettings:
    """[preprocessing]: from an image file to the network's input; what is None is the usual for the checkpoint's layout."""

    resize: int | str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    order: Literal["RGB", "BGR"] = "RGB"


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """[calibration]: where the ranges of an int8 model come from."""

    data: Path | None = None
    ranges: Path | None = None
    method: Literal["minmax", "percentile", "entropy", "mse"] = "percentile"
    percentile: float = 99.99
    images: int | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """[export]: what is written, and where."""

    targets: tuple[Target, ...] = ("onnx", "tflite")
    precisions: tuple[PrecisionName, ...] = ("float32",)
    io_dtype: Literal["float32", "int8", "uint8"] = "float32"
    input: Literal["pixels", "normalized"] = "pixels"
    onnxruntime: str | None = None
    torch_engine: Literal["fbgemm", "qnnpack"] = "fbgemm"
    out: Path = Path("exported")
    verify: bool = True


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """[verify]: on what, and in how many images, finished files are checked."""

    data: Path | None = None
    images: int | None = None


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """[bench]: how latency is measured."""

    threads: int = 1
    runs: int = 200
    warmup: int = 20


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be configured.

    Attributes:
        source: the file that was read; None for the built-in defaults.
    """

    model: ModelSettings = field(default_factory=ModelSettings)
    preprocessing: PreprocessingSettings = field(default_factory=PreprocessingSettings)
    calibration: CalibrationSettings = field(default_factory=CalibrationSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    verify: VerifySettings = field(default_factory=VerifySettings)
    bench: BenchSettings = field(default_factory=BenchSettings)
    source: Path | None = None


Overrides = Mapping[str, Mapping[str, Any]]


def load(path: Path | None, overrides: Overrides | None = None) -> Settings:
    """Settings from a file, with single keys overridden.

    Args:
        path: an edgekit.toml, whose relative paths start from its own folder; None for the built-in defaults.
        overrides: section -> key -> value; None as a value means "not given".

    Raises:
        ConfigError: the file cannot be read, or a section, key or value is wrong.
    """
    settings = Settings() if path is None else _from_toml(path)
    for section, values in (overrides or {}).items():
        given = {key: value for key, value in values.items() if value is not None}
        current = getattr(settings, section)
        changed = dataclasses.replace(current, **_checked(type(current), given, section, "the command line", None))
        settings = dataclasses.replace(settings, **{section: changed})
    return settings


def _from_toml(path: Path) -> Settings:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    sections = {f.name: f for f in dataclasses.fields(Settings) if f.name != "source"}
    loaded: dict[str, Any] = {}
    for name, values in tables.items():
        if name not in sections:
            raise ConfigError(f"{path}: unknown section [{name}]: {did_you_mean(name, sections)}")
        if not isinstance(values, dict):
            raise ConfigError(f"{path}: {name} is a section: write [{name}] and its keys below")
        kind = typing.get_type_hints(Settings)[name]
        loaded[name] = kind(**_checked(kind, values, name, str(path), path.parent))
    return Settings(**loaded, source=path)


def _checked(kind: type[Any], values: Mapping[str, Any], section: str, where: str, base: Path | None) -> dict[str, Any]:
    """``values`` as the types that ``kind`` declares; paths start from ``base``."""
    hints = typing.get_type_hints(kind)
    checked = {}
    for key, value in values.items():
        if key not in hints:
            raise ConfigError(f"{where}: unknown key {section}.{key}: {did_you_mean(key, hints)}")
        checked[key] = _convert(hints[key], value, f"{where}: {section}.{key}", base)
    return checked


def _convert(hint: Any, value: Any, where: str, base: Path | None) -> Any:  # noqa: ANN401, PLR0911 - any type, one return each
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{where} is {value!r}: {did_you_mean(str(value), arguments)}")
        return value
    if origin in {typing.Union, types.UnionType}:
        options = [a for a in arguments if a is not type(None)]
        for option in options[:-1]:
            try:
                return _convert(option, value, where, base)
            except ConfigError:
                continue
        return _convert(options[-1], value, where, base)
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise ConfigError(f"{where} is {value!r}: a list is wanted")
        return tuple(_convert(arguments[0], item, where, base) for item in value)
    if hint is Path and isinstance(value, str | Path):
        return Path(value) if base is None else base / value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise ConfigError(f"{where} is {value!r}: {hint.__name__} is wanted")
