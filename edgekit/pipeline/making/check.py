"""Whether files suit a device, by the rules of its profile: nothing is run, so all of it is predicted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edgekit.errors import ArtifactError, ConfigError
from edgekit.exporters.formats import FORMATS, format_of
from edgekit.pipeline.making.artifacts import expand
from edgekit.pipeline.making.latency import PredictedLatency, predicted
from edgekit.profiles.checks import Finding, findings
from edgekit.profiles.profile import DeviceProfile, profile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from edgekit.config import Settings

NOTHING_ELSE: Final[Mapping[str, str]] = {}
_NAMED = 3  # layers that a sentence names


@dataclass(frozen=True, slots=True)
class FileCheck:
    """A file against the rules of a device.

    Attributes:
        path: of the file.
        operators: how many it has.
        findings: what breaks a rule.
        irregular: what is not as edgekit writes it, in a file that says edgekit wrote it.
    """

    path: Path
    operators: int
    findings: tuple[Finding, ...]
    irregular: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing in it is refused or computed wrongly; what is slower than it had to be is told, no more."""
        return not self.irregular and all(finding.rule.effect == "slower" for finding in self.findings)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was predicted.

    Attributes:
        device: its profile; None where no rules were asked for.
        files: one result a file; nothing likewise.
        latencies: one a file, of those that int8 latency was asked of.
    """

    device: DeviceProfile | None
    files: tuple[FileCheck, ...]
    latencies: tuple[PredictedLatency, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every file did."""
        return all(file.passed for file in self.files)


def check(artifacts: Sequence[Path], device: str | None = None, *, latency: str | None = None) -> CheckResult:
    """Hold files, whoever wrote them, against the rules of a device, and say how long they would take.

    Args:
        artifacts: files, or folders of them; of a folder, those in formats that the device does not run are left out,
            and those that no latency is predicted of.
        device: its name; None asks for no rules.
        latency: latency models, by their name or their file's path; None predicts no latency.

    Raises:
        ArtifactError: a file is missing, damaged, or in a format that the device does not run, or whose latency was not
            measured.
        ConfigError: there is no profile of this name, or no rule in it; or neither was named.
        MissingDependency: reading a format needs an extra that is not installed.
        UnsupportedOperator: a network has a kind of layer that was not measured.
    """
    if device is None and latency is None:
        raise ConfigError(
            "name what the files have to run on: --device NAME for its rules, --latency NAME|FILE for its speed"
        )
    ruled = CheckResult(None, ()) if device is None else _ruled(artifacts, device)
    return ruled if latency is None else replace(ruled, latencies=predicted(artifacts, latency))


def _ruled(artifacts: Sequence[Path], device: str) -> CheckResult:
    """The rules of a device."""
    wanted = profile(device)
    if not wanted.rules:
        asks = f": its compiler says what runs on it, edgekit compile FILE --device {device}"
        raise ConfigError(
            f"there are no rules of {wanted.title}{asks if wanted.compiler else ' that a file could break'}"
        )
    named, (files, _) = set(artifacts), expand(artifacts)
    suited = [path for path in files if path in named or format_of(path).name in wanted.formats]
    for path in suited or files:
        if (form := format_of(path)).name not in wanted.formats:
            titles = " or ".join(FORMATS[name].title for name in wanted.formats)
            raise ArtifactError(
                f"{path} is {form.title}, and {wanted.title} runs {titles} files: edgekit export --device {device} "
                f"writes them"
            )
    return CheckResult(wanted, tuple(_file(path, wanted) for path in suited))


def _file(path: Path, device: DeviceProfile) -> FileCheck:
    form = format_of(path)
    contents = form.contents(path)
    found = findings(device, form.name, contents)
    return FileCheck(path, len(contents.operators), found, form.irregularities(path))


def check_contents(device: DeviceProfile, path: Path) -> tuple[Finding, ...]:
    """What in a file breaks a rule of a device."""
    form = format_of(path)
    return findings(device, form.name, form.contents(path))


def told(found: Sequence[Finding]) -> list[str]:
    """A sentence for each rule that is broken: where, what, and what to do."""
    sentences = []
    for rule in dict.fromkeys(finding.rule.name for finding in found):
        broken = [finding for finding in found if finding.rule.name == rule]
        first = broken[0]
        layers = list(dict.fromkeys(finding.layer for finding in broken if finding.layer is not None))
        more = ", …" if len(layers) > _NAMED else ""
        where = f"layer {', '.join(layers[:_NAMED])}{more}: " if layers else ""
        sentences.append(f"{where}{first.text}. {_capital(first.rule.says)}; {first.rule.remedy}")
    return sentences


def departures(settings: Settings, instead: Mapping[str, str] = NOTHING_ELSE) -> tuple[str, ...]:
    """Where settings are others than the profile of their device chooses; nothing without one.

    Args:
        settings: as they took effect.
        instead: why, where a user did not ask for it, by the setting's name; otherwise what the choice is for is told.
    """
    device = settings.export.device
    return () if device is None else tuple(_departures(settings, profile(device), instead))


def _departures(settings: Settings, device: DeviceProfile, instead: Mapping[str, str]) -> Iterator[str]:
    for choice in device.choices:
        if choice.setting is None:
            continue
        section, _, key = choice.setting.partition(".")
        value = getattr(getattr(settings, section), key)
        wanted = tuple(choice.value) if isinstance(choice.value, list) else choice.value
        fewer = isinstance(value, tuple) and set(value) <= set(wanted)
        if value != wanted and not fewer:
            yield (
                f"{choice.setting} is {_plain(value)}, where the profile of {device.title} has {_plain(wanted)}: "
                f"{instead.get(choice.setting, choice.because)}"
            )


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
