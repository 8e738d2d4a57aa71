"""What a family is, and those that there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Unpack

from edgekit.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from edgekit.models.architecture import Architecture, Options
    from edgekit.models.names import Layout
    from edgekit.models.wiring import Wiring


class Factory(Protocol):
    """Makes a family's architecture."""

    def __call__(self, width: float = ..., num_classes: int = ..., **options: Unpack[Options]) -> Architecture:
        """The architecture at a width."""


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Networks that differ in their width and in options.

    Attributes:
        name: as it is typed, and as checkpoints of edgekit's own call it.
        make: the architecture at a width, out of the family's table.
        wiring: what the blocks are, and what edgekit calls their modules.
        namings: what others call them, one a public implementation; of several that fit, the first is meant.
    """

    name: str
    make: Factory = field(repr=False)
    wiring: Wiring = field(repr=False)
    namings: tuple[Layout, ...] = field(default=(), repr=False)


FAMILIES: dict[str, Family] = {}  # in the order in which they are tried


def register(family: Family) -> None:
    """Makes a family known to ``build``, and to all that reads checkpoints.

    Raises:
        ConfigError: another has its name, its architectures have the name of another, or weights would not tell its
            wiring from another one.
    """
    if family.name in FAMILIES:
        raise ConfigError(f"family {family.name!r} is registered already: give the new one a name of its own")
    made = family.make().family
    if made != family.name:
        raise ConfigError(f"family {family.name!r} makes architectures of {made!r}: give both the same name")
    for other in FAMILIES.values():
        if other.wiring.mark == family.wiring.mark and other.wiring is not family.wiring:
            raise ConfigError(
                f"blocks of family {family.name!r} are told by {family.wiring.mark!r}, and so are those of"
                f" {other.name!r}: share its wiring, or call the module otherwise"
            )
    FAMILIES[family.name] = family


def family_of(name: str) -> Family:
    """The family of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in FAMILIES:
        raise ConfigError(f"unknown family {name!r}: {did_you_mean(name, FAMILIES)}")
    return FAMILIES[name]
