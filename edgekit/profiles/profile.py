"""Device profiles, read from the TOML files beside this module, one a device.

A profile is data: *facts* about a device, *choices* of how a file for it is made, and *rules* that a finished file has
to keep. Each says where it comes from. A choice with a ``setting`` is a default of edgekit.toml that the user's own
settings win over (``edgekit.config``); one without only tells. Nothing here runs a device, so all of it is prediction.

This module needs nothing but the standard library: the settings of every command are read through it.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal

from edgekit.errors import ConfigError, chosen, did_you_mean

_SUFFIX = ".toml"
_LISTS = ("runtime", "choice", "rule")  # tables that are named in the singular, as TOML repeats their heading


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What runs files on a device.

    Attributes:
        name: as people call it.
        install: the command, or what else has to be done; "" where it is part of the system.
        oldest: the oldest version that runs what edgekit writes for the device; "" where none is known to fail.
        newest: the newest version that was tried, by edgekit or by the source.
        source: of the versions.
    """

    name: str
    install: str = ""
    oldest: str = ""
    newest: str = ""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How a file for a device is made, and why.

    Attributes:
        what: is chosen, in words ("boundary").
        value: as edgekit.toml has it where it is a setting, else in words.
        setting: "section.key" of edgekit.toml; None where edgekit never does it otherwise.
        because: the reason.
        source: where the reason comes from: an address, or the command that measured it.
    """

    what: str
    value: Any
    setting: str | None = None
    because: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a file has to keep, to run on a device at all, or on its accelerator alone.

    Attributes:
        name: short, unique in a profile.
        format: of the files that it concerns; "" for all.
        check: the function of ``edgekit.profiles.checks`` that finds what breaks it.
        limits: its arguments.
        says: the rule, as a sentence.
        remedy: what to do about a file that breaks it; "{device}" in a TOML file stands for the device's name.
        source: where it comes from, an address.
        basis: "documented" by the vendor, or "reported" by those who met it.
        effect: "refused": that part of the file, and maybe all of it, does not run on the accelerator. "slower": it
            runs, and costs more than it has to. "wrong": it runs, and gives wrong results.
    """

    name: str
    format: str = ""
    check: str
    limits: dict[str, Any] = field(default_factory=dict)
    says: str
    remedy: str
    source: str
    basis: Literal["documented", "reported"] = "documented"
    effect: Literal["refused", "slower", "wrong"] = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is claimed about the integers that a device computes.

    Attributes:
        identical: they are the reference's, and so those of every other file of the same integer model.
        because: what that rests on, or what stands against it.
        source: where that comes from.
    """

    identical: bool
    because: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """What turns a file into one that the device runs, and says what runs where, so that no rule has to predict it.

    Attributes:
        name: of its package.
        accelerators: that the device is built with, by the compiler's names.
        accelerator: that is meant where none is named.
        system_config: of clocks and memories, likewise.
        memory_mode: of what lies where, likewise.
        because: the reason for these three.
        source: where they come from.
    """

    name: str
    accelerators: tuple[str, ...]
    accelerator: str
    system_config: str
    memory_mode: str
    because: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProfile:
    """What is known about a device.

    Attributes:
        name: as on the command line.
        title: as people write it.
        processor: what computes.
        formats: of the files that it runs, the preferred one first.
        precisions: that its files can have.
        layout: of the image at the boundary: "NHWC", "NCHW", or "image" for a picture.
        claim: about its integers.
        runtimes: that run its files.
        choices: how files for it are made.
        rules: that files for it have to keep.
        compiler: what decides instead of rules; None where there is none.
    """

    name: str
    title: str
    processor: str
    formats: tuple[str, ...]
    precisions: tuple[str, ...]
    layout: Literal["NHWC", "NCHW", "image"]
    claim: Claim
    runtimes: tuple[Runtime, ...]
    choices: tuple[Choice, ...]
    rules: tuple[Rule, ...] = ()
    compiler: Compiler | None = None

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """The choices that are settings, section -> key -> value, as edgekit.toml would have them."""
        tables: dict[str, dict[str, Any]] = {}
        for choice in self.choices:
            if choice.setting is not None:
                section, _, key = choice.setting.partition(".")
                tables.setdefault(section, {})[key] = choice.value
        return tables


def names() -> tuple[str, ...]:
    """Of all devices that there is a profile of."""
    found = (entry.name for entry in resources.files(__package__).iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX)))


@functools.cache
def profile(name: str) -> DeviceProfile:
    """The profile of a device.

    Raises:
        ConfigError: there is none of this name.
    """
    if (known := chosen(name, names())) is None:
        raise ConfigError(f"unknown device {name!r}: {did_you_mean(name, names())}")
    table = _table(known)
    rules, compiler = table.pop("rule", ()), table.pop("compiler", None)
    return DeviceProfile(
        name=known,
        formats=tuple(table.pop("formats")),
        precisions=tuple(table.pop("precisions")),
        claim=Claim(**table.pop("claim")),
        runtimes=tuple(Runtime(**entry) for entry in table.pop("runtime")),
        choices=tuple(Choice(**entry) for entry in table.pop("choice")),
        rules=tuple(Rule(**entry | {"remedy": entry["remedy"].replace("{device}", name)}) for entry in rules),
        compiler=compiler and Compiler(**compiler | {"accelerators": tuple(compiler["accelerators"])}),
        **table,
    )


def _table(name: str) -> dict[str, Any]:
    """What a file says. With ``like``, all that it does not say itself is what the file of another device says.

    Of a list of tables, that is what it says of the same ``what`` or ``name``.
    """
    text = resources.files(__package__).joinpath(f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    own = tomllib.loads(text)
    if "like" not in own:
        return own
    table = _table(own.pop("like"))
    for key in _LISTS:
        if key in own:
            own[key] = list({_key(entry): entry for entry in (*table.get(key, ()), *own[key])}.values())
    return table | own


def _key(entry: dict[str, Any]) -> str:
    return str(entry.get("what", entry.get("name")))
