"""Which network is tried next, as Optuna proposes it: a tree-structured Parzen estimator, arXiv:2304.11127.

What a proposal is depends on the seed and on what was tried before, so a search that was interrupted goes on with the
same ones.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit import extras
from edgekit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgekit.compression.search.space import Space
    from edgekit.models.tables import Value

BEGINS_WITH: Final = 16  # networks that are drawn before any is proposed
_DRAWS: Final = 5_000  # after which a budget is called too small for what is drawn
_ASKS: Final = 200  # proposals above the budget in a row, after which one is drawn instead


@dataclass(frozen=True, slots=True)
class Trial:
    """A network that was tried.

    Attributes:
        choice: which one.
        cost: of it, in the unit of the budget.
        score: how good it is, the higher the better; None where it was proposed, and costs too much.
    """

    choice: Mapping[str, Value]
    cost: float
    score: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"choice": dict(self.choice), "cost": self.cost, "score": self.score}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Trial:
        """The inverse of ``to_dict``."""
        return Trial(values["choice"], values["cost"], values["score"])


@dataclass(frozen=True, slots=True)
class Proposer:
    """Says what is tried next.

    Attributes:
        space: the networks.
        cost: of a network.
        budget: the most that it may cost.
        seed: of all that is drawn.
        learns: from what was tried; else networks are drawn to the end.
    """

    space: Space
    cost: Callable[[Mapping[str, Value]], float]
    budget: float
    seed: int = 0
    learns: bool = True

    def next(self, tried: Sequence[Trial]) -> tuple[Trial, ...]:
        """Proposals that cost too much, and last one within the budget, which has no score yet.

        Args:
            tried: before, in order, with those that cost too much; none is proposed again.

        Raises:
            ConfigError: hardly any network costs so little, or all of these were tried.
            MissingDependency: Optuna is not installed.
        """
        random = np.random.default_rng([self.seed, len(tried)])
        known = {_key(trial.choice) for trial in tried if trial.score is not None}
        if not self.learns or len(known) < BEGINS_WITH:
            return (self._drawn(known, random),)
        optuna = extras.load("optuna", "search")
        study, beyond = self._study(optuna, tried), list[Trial]()
        for _ in range(_ASKS):
            asked = study.ask()
            choice = {name: asked.suggest_categorical(name, values) for name, values in self.space.choices.items()}
            found = Trial(choice, self.cost(choice))
            if found.cost <= self.budget and _key(choice) not in known:
                return (*beyond, found)
            if found.cost > self.budget:
                beyond.append(found)
            study.tell(asked, state=optuna.trial.TrialState.PRUNED)
        return (*beyond, self._drawn(known, random))

    def _study(self, optuna: Any, tried: Sequence[Trial]) -> Any:  # noqa: ANN401 - Optuna's
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # as Optuna calls multivariate
            sampler = optuna.samplers.TPESampler(seed=self.seed + len(tried), multivariate=True, n_startup_trials=0)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        kind, states = optuna.distributions.CategoricalDistribution, optuna.trial.TrialState
        distributions = {name: kind(values) for name, values in self.space.choices.items()}
        for trial in tried:
            study.add_trial(
                optuna.trial.create_trial(
                    state=states.PRUNED if trial.score is None else states.COMPLETE,
                    value=trial.score,
                    params=dict(trial.choice),
                    distributions=distributions,
                )
            )
        return study

    def _drawn(self, known: set[tuple[Value, ...]], random: np.random.Generator) -> Trial:
        for _ in range(_DRAWS):
            choice = self.space.drawn(random)
            if _key(choice) not in known and (found := self.cost(choice)) <= self.budget:
                return Trial(choice, found)
        raise ConfigError(
            f"of {_DRAWS:,} networks that were drawn none costs {self.budget:.3g} or less and is new: allow more (the "
            f"smallest costs {self.cost(self.space.smallest):.3g}), or widen the space"
        )


def _key(choice: Mapping[str, Value]) -> tuple[Value, ...]:
    return tuple(choice[name] for name in sorted(choice))
