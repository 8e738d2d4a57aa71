"""Networks of a kind: a table of stages (``edgekit.models.tables``) in which a list is a choice.

NOTES for developers: no torch in here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edgekit.errors import ConfigError
from edgekit.models.tables import Table, Value, table_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np

# What parts of one network cannot differ in: they would share no weights, or not see the same images.
_FIXED: Final = ("in_channels", "padding", "bn_eps", "residuals", "gate", "squeeze_first")


@dataclass(frozen=True, slots=True)
class Space:
    """Networks that differ in what is a list.

    Attributes:
        template: as the TOML file has it.
        choices: what each key may be, by its name ("resolution", "stages[2].kernel").

    Raises:
        ConfigError: nothing is a choice, a choice has nothing to choose from, or a key cannot be one.
    """

    template: Mapping[str, Any]
    choices: Mapping[str, tuple[Value, ...]]

    @classmethod
    def of(cls, template: Mapping[str, Any]) -> Space:
        """The space of a TOML file."""
        choices = {name: tuple(value) for name, value in _entries(template) if isinstance(value, list)}
        for name, values in choices.items():
            if not values or len(set(values)) < len(values):
                raise ConfigError(f"{name} is {list(values)}: give each choice once, and at least one")
            if len({isinstance(value, str) for value in values}) > 1:
                raise ConfigError(f"{name} is {list(values)}: choose from numbers, or from words")
            if name in _FIXED:
                raise ConfigError(f"{name} is a list, and all networks of a space have the same: choose one")
        if not any(len(values) > 1 for values in choices.values()):
            raise ConfigError("nothing is left to search: make a list of a key, kernel = [3, 5]")
        if any(isinstance(value, str) for value in choices.get("resolution", ())):
            raise ConfigError("resolution is a list of texts: choose from numbers of pixels, [160, 192]")
        hidden = choices.get("hidden", ())
        if 0 in hidden and len(hidden) > 1:
            raise ConfigError("hidden is 0 in some networks alone, and their last layers share no weights: choose one")
        space = cls(template, choices)
        for choice in (space.largest, space.smallest):
            space.table(choice)
        return space

    def to_dict(self) -> dict[str, Any]:
        """As the TOML file has it, JSON values."""
        return dict(self.template)

    @property
    def size(self) -> int:
        """How many networks there are."""
        return math.prod(len(values) for values in self.choices.values())

    @property
    def largest(self) -> dict[str, Value]:
        """The choice of which all others are parts."""
        return {name: _most(values) for name, values in self.choices.items()}

    @property
    def smallest(self) -> dict[str, Value]:
        """The other end."""
        return {name: _least(values) for name, values in self.choices.items()}

    def drawn(self, random: np.random.Generator) -> dict[str, Value]:
        """A choice in which all that is possible is equally likely."""
        return {name: values[random.integers(len(values))] for name, values in self.choices.items()}

    def table(self, choice: Mapping[str, Value]) -> Table:
        """The network of a choice.

        Raises:
            ConfigError: it is none of this space, or a value is invalid.
        """
        return table_of(self.values(choice))

    def values(self, choice: Mapping[str, Value]) -> dict[str, Any]:
        """The same as a TOML file would have it.

        Raises:
            ConfigError: the choice is none of this space.
        """
        for name, values in self.choices.items():
            if choice.get(name) not in values:
                raise ConfigError(f"{name} is {choice.get(name)!r}, which is none of {list(values)}")
        found = {key: choice.get(key, value) for key, value in self.template.items() if key != "stages"}
        found["stages"] = [
            {key: choice.get(f"stages[{place}].{key}", value) for key, value in stage.items()}
            for place, stage in enumerate(self.template["stages"])
        ]
        return found


def _entries(template: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every key that is no table, by its name."""
    for key, value in template.items():
        if key != "stages":
            yield key, value
            continue
        for place, stage in enumerate(value if isinstance(value, list) else ()):
            for inner, own in stage.items() if isinstance(stage, dict) else ():
                yield f"stages[{place}].{inner}", own


def _most(values: tuple[Value, ...]) -> Value:
    return values[0] if isinstance(values[0], str) else max(values)


def _least(values: tuple[Value, ...]) -> Value:
    return values[0] if isinstance(values[0], str) else min(values)
