"""Whether what a file takes to be true of its network is what the rest of it says, and what the checkpoint says."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edgekit.facts import KEY, Basis, of_provenance
from edgekit.words import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgekit.exporters.metadata import Metadata
    from edgekit.facts import Fact

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


def against(about: Metadata, stated: Iterable[Fact]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where a file was exported with something else than its checkpoint states.

    Args:
        about: what the file says.
        stated: facts that the checkpoint itself states.

    Returns:
        Sentences, one such fact each: where nobody asked for it, which is wrong; and where the user gave it, insisting.
    """
    values = dict(_elsewhere(about))
    given = set[str]()
    with suppress(KeyError, ValueError, TypeError):  # ``contradictions`` says so
        given = {
            fact.name for fact in of_provenance(about.provenance) if fact.basis in {Basis.GIVEN, Basis.CONTRADICTED}
        }
    found = {
        fact.name: f"{fact.name} is {plain(fact.value)} by the checkpoint ({fact.because}), and the file was exported "
        f"with {plain(values[fact.name])}"
        for fact in stated
        if fact.name in values and _rounded(fact.value) != _rounded(values[fact.name])
    }
    wrong = tuple(f"{text}: export it again" for name, text in found.items() if name not in given)
    return wrong, tuple(f"{text}, as was given" for name, text in found.items() if name in given)


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
