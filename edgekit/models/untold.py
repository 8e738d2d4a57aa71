"""What leaves no trace in weights, as facts: who says it, or what is usual, and the setting that decides it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgekit.facts import BY_SETTING, Basis, Fact
from edgekit.models.architecture import Architecture
from edgekit.models.structures import body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.models.architecture import Options
    from edgekit.models.structures import Structure

SETTINGS: Final[Mapping[str, str]] = {
    "padding": "--padding same|symmetric",
    "bn_eps": "--set model.bn_eps=1e-5|1e-3",
    "activation": "--set model.activation=relu|relu6|hard_swish",
    "head_activation": "--set model.head_activation=relu|relu6|hard_swish|none",
    "resolution": "--set model.resolution=PIXELS, or HEIGHTxWIDTH",
    "cifar_stem": "--set model.cifar_stem=true|false",
}


def facts_of(architecture: Structure, given: Options, stated: Mapping[str, str], source: str) -> tuple[Fact, ...]:
    """What leaves no trace in weights: ``stated`` holds who says it, the rest is as usual for ``source``."""
    facts = []
    for name, value in _values(architecture, given).items():
        basis, because = Basis.ASSUMED, f"usual for this layout ({source})"
        if name in given:
            basis, because = Basis.GIVEN, BY_SETTING
        elif name in stated:
            basis, because = Basis.STATED, stated[name]
        elif name == "resolution":
            because = "usual for this family, as weights do not tell it"
        elif name == "head_activation":
            because = "names and shapes of a replaced classifier do not tell the function between its layers"
        facts.append(Fact(name, value, basis, because, SETTINGS[name]))
    return tuple(facts)


def overruled(given: Options, told: Mapping[str, object], stated: Mapping[str, str]) -> tuple[Fact, ...]:
    """What the file tells, where ``given`` is something else; ``stated`` holds who says it.

    A network may be given images of another size than it was trained with.
    """
    return tuple(
        Fact(name, told[name], Basis.STATED, stated[name], SETTINGS[name])
        for name, value in given.items()
        if name in SETTINGS and name != "resolution" and name in told and told[name] != value
    )


def _values(architecture: Structure, given: Options) -> dict[str, object]:
    """What there is to be said; of an ensemble, what all its members share."""
    values: dict[str, object] = {}
    one = body(architecture)
    if isinstance(one, Architecture):
        values = {name: getattr(one, name) for name in ("padding", "bn_eps", "activation")}
    size = architecture.resolution
    values["resolution"] = size if isinstance(size, int) else list(size)
    if isinstance(one, Architecture):
        if one.hidden_channels:
            values["head_activation"] = one.head_activation or one.activation
        if one.cifar_stem or "cifar_stem" in given:
            values["cifar_stem"] = one.cifar_stem
    return values
