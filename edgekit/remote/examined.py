"""What there is to say about a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.device.machine import Machine
from edgekit.device.wheels import Python, Runtime

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Examined:
    """A device.

    Attributes:
        machine: the machine.
        python: what was found to run on it; None where files are run without.
        runtimes: all that could run files there, installed or not.
    """

    machine: Machine
    python: Python | None
    runtimes: tuple[Runtime, ...]

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Examined:
        """What an agent answers, JSON values."""
        runtimes = tuple(Runtime(**runtime) for runtime in values["runtimes"])
        return cls(Machine(**_tuples(values["machine"])), Python(**_tuples(values["python"])), runtimes)


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows lists alone, frozen values have tuples."""

    def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
        return tuple(map(plain, value)) if isinstance(value, list) else value

    return {key: plain(value) for key, value in values.items()}
