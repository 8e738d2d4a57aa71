"""Whether what a file says is taken to be true of its network is what the rest of the file says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.facts import KEY, of_provenance
from edgekit.words import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.exporters.metadata import Metadata

_DIGITS = 6  # of mean and standard deviation: files keep more, and other tools write as many


def contradictions(about: Metadata) -> tuple[str, ...]:
    """Sentences, one a fact that is not what the architecture or the preprocessing of the same file says."""
    try:
        facts = of_provenance(about.provenance)
    except (KeyError, ValueError, TypeError):
        return (f"what is taken to be true of the network cannot be read: provenance.{KEY} is damaged",)
    values = dict(_elsewhere(about))
    return tuple(
        f"it gives {fact.name} as {plain(fact.value)} among its facts, and as {plain(values[fact.name])} elsewhere: "
        f"export it again"
        for fact in facts
        if fact.name in values and _rounded(fact.value) != _rounded(values[fact.name])
    )


def _elsewhere(about: Metadata) -> Iterator[tuple[str, Any]]:
    """The same statements as the rest of a file makes them, by the names of facts."""
    architecture = about.provenance.get("architecture") or {}
    yield from architecture.items()
    fed = about.preprocessing
    yield "normalization", {"mean": fed.mean, "std": fed.std}
    yield "order", fed.order


def _rounded(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float | int) and not isinstance(value, bool) else value
