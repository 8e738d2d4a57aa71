"""Descriptors by name: edgekit's own, and those that other packages register as entry points.

A package adds a format, for example, by these lines of its pyproject.toml, and nothing else has to be told::

    [project.entry-points."edgekit.formats"]
    toy = "edgekit_toy:FORMAT"
"""

from __future__ import annotations

import functools
import importlib.metadata
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator


class Descriptor(Protocol):
    """What is registered."""

    @property
    def name(self) -> str:
        """By which it is found."""
        ...


Entry = TypeVar("Entry", bound=Descriptor)


class Registry(Mapping[str, Entry], Generic[Entry]):
    """Descriptors by name, edgekit's own first. All are looked for when the first is asked for.

    A plug-in that cannot be used is left out: a warning names it, and so does ``edgekit doctor``.
    """

    def __init__(
        self,
        group: str,
        kind: type[Entry],
        own: Callable[[], Iterable[Entry]],
        *,
        claims: Callable[[Entry], Collection[str]] = lambda _: (),
    ) -> None:
        """Nothing is looked for yet.

        Args:
            group: of the entry points of other packages.
            kind: what they have to be.
            own: gives edgekit's own descriptors.
            claims: of a descriptor: what it may share with no other, besides its name.
        """
        self._group, self._kind, self._own, self._claims = group, kind, own, claims

    @property
    def failed(self) -> tuple[str, ...]:
        """A sentence for each plug-in that was left out: its name, its package, and why."""
        return self._found[1]

    @functools.cached_property
    def _found(self) -> tuple[dict[str, Entry], tuple[str, ...]]:
        entries = {entry.name: entry for entry in self._own()}
        failed = []
        for point in sorted(importlib.metadata.entry_points(group=self._group), key=lambda point: point.name):
            try:
                entry = self._usable(point, entries)
            except Exception as error:  # noqa: BLE001 - whatever a stranger's module raises must not break edgekit
                package = point.dist.name if point.dist is not None else "an unknown package"
                reason = str(error) or type(error).__name__
                failed.append(f"the plug-in {point.name} of {package} ({self._group}) is left out: {reason}")
                warnings.warn(failed[-1], stacklevel=2)
            else:
                entries[entry.name] = entry
        return entries, tuple(failed)

    def _usable(self, point: importlib.metadata.EntryPoint, taken: Mapping[str, Entry]) -> Entry:
        entry = point.load()
        if not isinstance(entry, self._kind):
            raise TypeError(f"{point.value} is no {self._kind.__module__}.{self._kind.__qualname__}")
        for other in taken.values():
            if entry.name == other.name:
                raise ValueError(f"there is another one that is called {entry.name}")
            for claimed in self._claims(entry):
                if claimed in self._claims(other):
                    raise ValueError(f"{claimed} belongs to {other.name}")
        return entry

    def __getitem__(self, name: str) -> Entry:
        return self._found[0][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found[0])

    def __len__(self) -> int:
        return len(self._found[0])
