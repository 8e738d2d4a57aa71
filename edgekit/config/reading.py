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
from typing import Annotated, Any, Literal

from edgekit.config.pruning import PruneSettings
from edgekit.config.sections import (
    BenchSettings,
    CalibrationSettings,
    ExportSettings,
    FinetuneSettings,
    ModelSettings,
    PreprocessingSettings,
    VerifySettings,
)
from edgekit.config.training import SearchSettings, TrainSettings
from edgekit.config.values import OneOf, Size
from edgekit.errors import ConfigError, chosen, did_you_mean
from edgekit.profiles.profile import profile

FILE_NAME = "edgekit.toml"
OF_PROFILE = "the profile of"  # a device: who says what its profile chooses

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
    train: TrainSettings = field(default_factory=TrainSettings)
    prune: PruneSettings = field(default_factory=PruneSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    source: Path | None = None
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


Overrides = Mapping[str, Mapping[str, Any]]

_RENAMED = {  # older spellings, "section.key", which are still read
    "export.head": "probabilities",
    "export.onnx_batch": "batch",
    "finetune.device": "accelerator",
    "verify.min_top1": "limits.top1",
    "verify.min_top5": "limits.top5",
    "verify.max_drop": "limits.drop",
    "verify.min_agreement": "limits.agreement",
    "verify.min_sqnr_db": "limits.sqnr_db",
}
_REWORDED = {("export.head", "logits"): "none"}  # values that are called otherwise under the newer spelling

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
    return of_tables({} if path is None else tables_of(path), path, overrides)


def of_tables(tables: Mapping[str, Any], path: Path | None, overrides: Overrides | None = None) -> Settings:
    """Settings from sections that ``tables_of`` read, and somebody may have changed since; see ``load``.

    Raises:
        ConfigError: a section, key or value is wrong.
    """
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
        if type(value) is tuple:
            return [plain(item) for item in value]
        return dict(value) if isinstance(value, Mapping) else value

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


def tables_of(path: Path) -> dict[str, Any]:
    """The sections of a file, as they stand there.

    Raises:
        ConfigError: it cannot be read.
    """
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
        value = _REWORDED.get((f"{section}.{key}", str(value)), value)  # noqa: PLW2901 - the same, in today's word
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
        try:
            path = Path(value).expanduser()
        except RuntimeError as error:  # "~name" of nobody
            raise ConfigError(f"{where} is {str(value)!r}: there is no home folder of that name") from error
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
