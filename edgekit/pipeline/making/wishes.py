"""Wishes of a device's profile that a network cannot have: they are left out and told, a user's own are refused.

Profiles are written for classifiers first, so one may wish for probabilities where no logits are, or for integers at
the boundary of a file that is asked to compute in float.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edgekit.config import ExportSettings
from edgekit.config.reading import OF_PROFILE
from edgekit.errors import ConfigError
from edgekit.exporters.metadata import Head, logits_of
from edgekit.tasks.registry import heads_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.config import Settings
    from edgekit.ir import Graph

_HEAD, _IO_DTYPE = "export.probabilities", "export.io_dtype"


@dataclass(frozen=True, slots=True)
class Granted:
    """Settings that can be had.

    Attributes:
        settings: without what was left out.
        instead: why a setting is another than the profile's, by its name.
    """

    settings: Settings
    instead: Mapping[str, str] = field(default_factory=dict)


def granted(graph: Graph, settings: Settings, floats: Sequence[str] = ()) -> Granted:
    """What can be had of a network.

    Args:
        graph: of it.
        settings: what is wished.
        floats: outputs that files compute in float.

    Raises:
        ConfigError: a user asks for probabilities of a network that gives no logits, or for integers at a boundary that
            gives what is computed in float.
    """
    found, wanted = Granted(settings), settings.export
    if floats and wanted.io_dtype != "float32":
        if not _is_of_profile(settings, _IO_DTYPE):
            raise ConfigError(
                f"export.outputs is {wanted.outputs}, which files compute in float32 ({', '.join(floats)}), and "
                f"export.io_dtype is {wanted.io_dtype}: leave one of them out"
            )
        found = _without(found, _IO_DTYPE, "float32", f"{wanted.outputs} outputs are computed in float32")
    if Head(wanted.probabilities) is Head.LOGITS or graph.logits is not None:
        return found
    if not _is_of_profile(settings, _HEAD):
        logits_of(graph)  # says what is wrong
    gives = ", ".join(output.name for output in graph.outputs)
    because = f"that is for classifiers, and this network gives {gives}"
    return _without(found, _HEAD, str(Head.LOGITS), because)


def check_effect(settings: Settings, provenance: Mapping[str, Any]) -> None:
    """Refuse a setting that changes nothing of a network's files: whoever sets it expects something else.

    Raises:
        ConfigError: there is such a one.
    """
    wanted, usual = settings.export, ExportSettings()
    for name in ("least_score", "most_boxes"):
        if wanted.outputs != "final" and getattr(wanted, name) != getattr(usual, name):
            raise ConfigError(
                f"export.{name} is of final outputs, and export.outputs is {wanted.outputs}: add --outputs final, or "
                f"leave it out"
            )
    if wanted.signatures and len(heads_of(provenance)) < 2:
        raise ConfigError("export.signatures is for networks with several heads, and this one has one: leave it out")


def _is_of_profile(settings: Settings, name: str) -> bool:
    return settings.origins.get(name, "").startswith(OF_PROFILE)


def _without(before: Granted, name: str, value: Any, because: str) -> Granted:  # noqa: ANN401 - any setting's
    _, _, key = name.partition(".")
    settings = replace(before.settings, export=replace(before.settings.export, **{key: value}))
    return Granted(settings, {**before.instead, name: because})
