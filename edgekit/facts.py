"""What edgekit takes to be true of a network and cannot read off its weights, and why.

A proof is worth what it starts from. So each such statement is a value that says where it comes from, and it travels
with the network: export shows it before the work starts, every file carries it, verify and the reports repeat it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEY = "facts"  # the entry of a provenance that holds them
BY_SETTING = "a setting of the export"  # why a fact is given: a file is the same whichever flag or file said it


class Basis(StrEnum):
    """Where a fact comes from."""

    GIVEN = "given"  # the user said so: a flag or a setting
    STATED = "stated"  # the file of the network says so
    FOUND = "found"  # measured: batch normalization or the answers show it
    ASSUMED = "assumed"  # usual for networks of this kind, and nothing shows whether it holds here
    CONTRADICTED = "contradicted"  # given or stated, and evidence speaks against it: the user insisted


@dataclass(frozen=True, slots=True)
class Fact:
    """One statement about a network.

    Attributes:
        name: what it is about ("padding").
        value: what edgekit takes to be true, a JSON value.
        basis: where that comes from.
        because: the evidence in words, for people ("batch normalization, 0.12 against 0.16 for the next").
        setting: the flag or key that decides it, as it is typed ("--padding same|symmetric").
    """

    name: str
    value: Any
    basis: Basis
    because: str
    setting: str

    @property
    def is_assumed(self) -> bool:
        """Whether nothing shows that it holds, or evidence speaks against it: then no tick may stand beside it."""
        return self.basis in {Basis.ASSUMED, Basis.CONTRADICTED}

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "name": self.name,
            "value": self.value,
            "basis": str(self.basis),
            "because": self.because,
            "setting": self.setting,
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Fact:
        """The inverse of ``to_dict``.

        Raises:
            KeyError, ValueError: the values are not such an object.
        """
        return Fact(values["name"], values["value"], Basis(values["basis"]), values["because"], values["setting"])


def of_provenance(provenance: Mapping[str, Any]) -> tuple[Fact, ...]:
    """The facts that a file carries; none where it was written before files carried them.

    Raises:
        KeyError, ValueError: the entry holds something else.
    """
    return tuple(Fact.from_dict(values) for values in provenance.get(KEY, ()))


def assumed(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """Those of ``facts`` that nothing shows to hold."""
    return tuple(fact for fact in facts if fact.is_assumed)


def replaced(facts: Iterable[Fact], others: Iterable[Fact]) -> tuple[Fact, ...]:
    """``facts``, of which those that ``others`` are about too give way to these; new ones come last."""
    by_name = {fact.name: fact for fact in facts}
    by_name.update({fact.name: fact for fact in others})
    return tuple(by_name.values())
