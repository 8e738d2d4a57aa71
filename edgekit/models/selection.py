"""Which of the networks in a file is meant: averaged weights before raw ones, a student and never its teacher."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointError
from edgekit.models import strays
from edgekit.models.layouts import layouts
from edgekit.models.names import first_few

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from edgekit.models.names import Layout
    from edgekit.models.readers import Group

_AVERAGED = frozenset(("ema", "averaged", "average", "avg", "swa", "shadow", "polyak"))
_OTHERS = frozenset(("teacher", "target", "momentum", "reference", "ref", "old", "previous", "prev", "initial", "init"))


@dataclass(frozen=True, slots=True, eq=False)  # tensors have no single truth value
class Network:
    """A network in a file.

    Attributes:
        layout: of its names.
        root: what stands before them.
        weights: of the network alone, by the file's names; and what training left there.
        notes: what was looked through and left aside; which was chosen of several, and how another is taken.
    """

    layout: Layout
    root: str
    weights: Mapping[str, Tensor] = field(repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    group: Group
    layout: Layout
    root: str

    @property
    def words(self) -> set[str]:
        text = ".".join((*self.group.path, self.root)).lower()
        return {word for part in re.split(r"[^a-z]+", text) for word in (part, part.removeprefix("model"))}

    @property
    def is_averaged(self) -> bool:
        return bool(self.words & _AVERAGED) or "n_averaged" in self.group.weights

    @property
    def is_meant(self) -> bool:
        return not self.words & _OTHERS

    @property
    def has_statistics(self) -> bool:
        """Averages that hold parameters only are no network: batch normalization's statistics are missing."""
        return any(key.startswith(self.root) and key.endswith(_STATISTICS) for key in self.group.weights)

    @property
    def place(self) -> str:
        """The mapping that it is in."""
        wrapping = "".join(f"[{name!r}]" for name in self.group.path)
        return wrapping or "the file's top"


_STATISTICS = ("running_var", "moving_variance")


def choose(groups: Sequence[Group]) -> Network | None:
    """The network that is meant; None where no MobileNet is in the file.

    Raises:
        CheckpointError: several are, and nothing tells which is meant.
    """
    found = [candidate for group in groups if (candidate := _in_group(group)) is not None]
    whole = [candidate for candidate in found if candidate.has_statistics] or found
    meant = [candidate for candidate in whole if candidate.is_meant] or whole
    if not meant:
        return None
    averaged = [candidate for candidate in meant if candidate.is_averaged]
    chosen = (averaged or meant)[0]
    notes = []
    others = [candidate for candidate in found if candidate is not chosen]
    if others:
        kind = "averaged weights" if chosen.is_averaged else "weights"
        path = "".join(f"[{name!r}]" for name in others[0].group.path)
        notes.append(
            f"{kind} taken from {chosen.place}; {' and '.join(other.place for other in others)}"
            f" {'holds' if len(others) == 1 else 'hold'} a network, too. To take that:"
            f" torch.save(torch.load(FILE){path}, 'other.pth')"
        )
    weights, left = _without_others(chosen)
    if left:
        notes.append(
            f"{'averaged weights' if chosen.is_averaged else 'the network'} under {chosen.root!r} taken; another"
            f" network is there under {', '.join(map(repr, left))}: to take that, save its state_dict alone"
        )
    taken = _taken(chosen, weights, is_alone=not others)
    return Network(chosen.layout, chosen.root, weights, (*taken, *notes))


def _in_group(group: Group) -> _Candidate | None:
    """The network that is meant among the names of one state dict.

    Raises:
        CheckpointError: several are, and nothing tells which is meant.
    """
    for layout in layouts():
        candidates = [_Candidate(group, layout, root) for root in layout.roots(group.weights)]
        if not candidates:
            continue
        meant = [candidate for candidate in candidates if candidate.is_meant] or candidates
        averaged = [candidate for candidate in meant if candidate.is_averaged and candidate.has_statistics]
        raw = [candidate for candidate in meant if not candidate.is_averaged]
        best = averaged if "n_averaged" not in group.weights and averaged else raw or meant
        if len(best) > 1:
            names = ", ".join(repr(candidate.root) for candidate in best)
            raise CheckpointError(
                f"{len(best)} networks are in one state dict, with names that begin with {names}: save the state_dict"
                " of the one that is meant"
            )
        return best[0]
    return None


def _taken(chosen: _Candidate, weights: Mapping[str, Tensor], *, is_alone: bool) -> Iterator[str]:
    """Where the weights were, in what form, and what stood beside them, for people; nothing where all is plain."""
    how = [f"from {chosen.place}"] if is_alone and chosen.group.path else []
    if prefix := _prefix(chosen.root, weights):
        how.append(f"without {prefix!r} before their names")
    types = {str(tensor.dtype).removeprefix("torch.") for tensor in weights.values() if tensor.is_floating_point()}
    if others := sorted(types - {"float32"}):
        how.append(f"as float32, where they are {' or '.join(others)}")
    if how:
        yield f"weights taken {', '.join(how)}"
    if is_alone and chosen.group.beside:
        yield f"left aside beside the weights: {first_few(chosen.group.beside)}"


def _prefix(root: str, weights: Mapping[str, Tensor]) -> str:
    """What stands before every name of a network, the classifier's too."""
    names = [key for key in weights if not strays.is_named(key)]
    starts = ["", *accumulate(f"{part}." for part in root.split(".")[:-1])]
    return next(start for start in reversed(starts) if all(name.startswith(start) for name in names))


def _without_others(chosen: _Candidate) -> tuple[dict[str, Tensor], list[str]]:
    """The weights without those of other networks beside, and how the names of these begin."""
    weights = dict(chosen.group.weights)
    left: list[str] = []
    for root in chosen.layout.roots(weights):
        if root == chosen.root:
            continue
        mine, theirs = chosen.root.split("."), root.split(".")
        while mine and theirs and mine[-1] == theirs[-1]:
            mine, theirs = mine[:-1], theirs[:-1]
        own, other = ".".join((*mine, "")).lstrip("."), ".".join((*theirs, "")).lstrip(".")
        left.append(other or "the others")
        weights = {
            key: tensor
            for key, tensor in weights.items()
            if (not key.startswith(other) if other else key.startswith(own))
        }
    return weights, left
