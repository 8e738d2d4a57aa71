"""Images and a space of networks -> one supernet, what each network would reach, and the best within a budget.

=====================  ================================================================================================
supernet/              the run that trained the largest network together with its parts (``pipeline/making/run.py``)
search.json            what was searched: a search that was interrupted goes on where it says the same
trials.jsonl           a network a line: which, what it costs, and what it reached
front.svg              the same as a picture
chosen.toml            the best network within the budget, as ``edgekit train --arch`` takes it
chosen.safetensors     the same with the weights that it has in the supernet, as ``edgekit train --pretrained`` takes it
=====================  ================================================================================================
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from edgekit import extras, files
from edgekit.errors import ConfigError
from edgekit.models import tables
from edgekit.models.folders import BEST
from edgekit.pipeline.making.run import RunFolder
from edgekit.pipeline.making.train import prepared
from edgekit.progress import Progress, silent
from edgekit.tasks.values import Better

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import nn

    from edgekit.compression.search.proposing import Trial
    from edgekit.compression.search.space import Space
    from edgekit.compression.search.supernet import Supernet
    from edgekit.config import Settings
    from edgekit.models.architecture import Architecture
    from edgekit.models.tables import Value
    from edgekit.pipeline.making.train import Opened, Training
    from edgekit.tasks.values import Measured, Metric
    from edgekit.training.loop import Epoch

SUPERNET, TRIALS, ABOUT = "supernet", "trials.jsonl", "search.json"
CHOSEN_TABLE, CHOSEN = "chosen.toml", "chosen.safetensors"
_SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True, eq=False)  # functions have no equality
class Budget:
    """What a network may cost.

    Attributes:
        cost: what is counted, for people, with its unit ("latency in LiteRT, ms").
        unit: of the same.
        most: that is allowed.
        of: what a network costs.
    """

    cost: str
    unit: str
    most: float
    of: Callable[[Architecture], float] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tried:
    """A network that was measured.

    Attributes:
        trial: which, what it costs and how good it is.
        number: from 1.
        is_best: of all so far.
        reached: what it reached, for people.
        unit: of what it costs.
    """

    trial: Trial
    number: int
    is_best: bool
    reached: str
    unit: str


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What came of a search.

    Attributes:
        folder: of the search.
        networks: how many the space has.
        cost: what is counted, for people.
        unit: of the same.
        budget: the most that a network was allowed to cost.
        metric: that networks were measured by.
        tried: those that were measured, and proposals that cost too much, in order.
        front: those that no cheaper one beats, the cheapest first.
        chosen: the best of them.
        table: of the chosen one's stages.
        checkpoint: of the chosen one, with the weights that it has in the supernet.
    """

    folder: Path
    networks: int
    cost: str
    unit: str
    budget: float
    metric: Metric
    tried: tuple[Trial, ...]
    front: tuple[Trial, ...]
    chosen: Trial
    table: Path
    checkpoint: Path

    @property
    def scored(self) -> tuple[Trial, ...]:
        """Those that were measured."""
        return tuple(trial for trial in self.tried if trial.score is not None)

    def value(self, trial: Trial) -> float:
        """What a network that was measured reached, as the metric has it."""
        assert trial.score is not None, "it was measured"
        return trial.score if self.metric.better is Better.HIGHER else -trial.score


def search(  # noqa: PLR0913 - what is told while it runs
    settings: Settings,
    *,
    opened: Callable[[Opened], None] = lambda _: None,
    foretold: Callable[[float], None] = lambda _: None,
    passed: Callable[[Epoch], None] = lambda _: None,
    tried: Callable[[Tried], None] = lambda _: None,
    progress: Progress = silent,
) -> SearchResult:
    """Look for the best network of [search] within its budget; an interrupted search is gone on with by the same call.

    A search of the same folder with another budget keeps the supernet and what was measured of it.

    Args:
        settings: [search], and [train] for the supernet; [train] names no network.
        opened: told before the first step of the supernet's training.
        foretold: told after ten steps how many seconds the rest of it is going to take.
        passed: told after each of its epochs.
        tried: told after each network.
        progress: told after every step and before every network.

    Raises:
        BadInput: the space, images or a setting cannot be used, or a file cannot be written.
        GateFailed: the loss is no number any more.
        MissingDependency: torch or Optuna is not installed.
    """
    extras.load("torch", "search")
    extras.load("optuna", "search")

    from edgekit.compression.search.proposing import Proposer  # noqa: PLC0415 - needs numpy alone, and Optuna
    from edgekit.compression.search.space import Space  # noqa: PLC0415 - likewise

    wanted, seed = settings.search, settings.train.seed
    if wanted.space is None:
        raise ConfigError("no space is named: --space SPACE.toml, a table of stages in which a list is a choice")
    space, budget = Space.of(tables.read(wanted.space)), budget_of(wanted.budget)
    _check_names_no_network(settings)
    _check_data(settings.train.data)
    journal = _Journal(settings.train.out)
    journal.check()
    inner = replace(settings, train=replace(settings.train, out=journal.folder / SUPERNET))
    training = prepared(inner, space=space, progress=progress)
    classes = training.architecture.num_classes

    def cost(choice: Mapping[str, Value]) -> float:
        return budget.of(space.table(choice).architecture(classes))

    if (least := cost(space.smallest)) > budget.most:
        raise ConfigError(
            f"the smallest network of {wanted.space} costs {least:.3g} {budget.unit}, and {budget.most:.3g} are "
            f"allowed: allow more, --budget, or add smaller ones to the space"
        )
    journal.begin({"space": space.to_dict(), "seed": seed, "supernet": training.identity})
    with RunFolder(journal.folder).held():
        training.run(opened=opened, foretold=foretold, passed=passed, progress=progress)
        supernet = _with_best(training)
        found = tuple(replace(trial, cost=cost(trial.choice)) for trial in journal.trials())
        found = tuple(trial for trial in found if trial.score is not None or trial.cost > budget.most)
        proposer = Proposer(space, cost, budget.most, seed)
        while (done := len(_within(found, budget))) < wanted.trials:
            progress("searching", done, wanted.trials)
            *beyond, proposed = proposer.next(found)
            trial = replace(proposed, score=_score(supernet, proposed.choice)[0])
            found = (*found, *beyond, trial)
            journal.write(found)
            is_best = max(_within(found, budget), key=_rank) is trial
            tried(Tried(trial, done + 1, is_best, _shown(supernet, trial), budget.unit))
        return _result(training, supernet, space, budget, found)


def budget_of(text: str | None) -> Budget:
    """What ``--budget`` says.

    Raises:
        ConfigError: it says nothing that can be counted.
        ArtifactError: there is no such latency model, or it cannot be read.
    """
    kind, _, rest = (text or "").partition("=")
    number, _, of = rest.partition("@")
    try:
        most = float(number)
    except ValueError:
        most = math.nan
    if text is None:
        raise ConfigError(
            "no budget is named: --budget latency=0.35@DEVICE, in milliseconds, with what edgekit bench --fit --out "
            "DEVICE wrote, or --budget macs=12, in millions"
        )
    if kind not in {"latency", "macs"} or not most > 0 or (kind == "latency") != bool(of):
        raise ConfigError(
            f"the budget is {text!r}: write --budget latency=0.35@DEVICE, in milliseconds, with what edgekit bench "
            f"--fit --out DEVICE wrote, or --budget macs=12, in millions"
        )
    if kind == "macs":
        return Budget("multiplications and additions, millions", "M MACs", most, _millions)

    from edgekit.compression.search.latency import BlockLatency  # noqa: PLC0415 - needs torch
    from edgekit.timing.prediction import saved  # noqa: PLC0415 - numpy is enough

    model = saved.load(of).of("tflite")
    return Budget(f"predicted latency of int8 in {model.runner}, ms", "ms", most, BlockLatency(model))


def _millions(architecture: Architecture) -> float:
    from edgekit.models.complexity import complexity  # noqa: PLC0415 - needs torch

    return complexity(architecture).macs / 1e6


def _check_names_no_network(settings: Settings) -> None:
    wanted = settings.train
    for name in ("arch", "width", "resolution", "pretrained", "teacher"):
        if getattr(wanted, name):
            raise ConfigError(f"train.{name} is set, and the space says what networks there are: leave it out")
    if wanted.task != "classification":
        raise ConfigError(f"the task is {wanted.task}, and classifiers are searched: leave --task out")


def _check_data(data: Path | None) -> None:
    """Refuse annotations of boxes and masks, which no classifier learns from.

    Raises:
        ConfigError: it is such a file.
    """
    if data is not None and data.suffix.lower() == ".json":
        raise ConfigError(
            f"{data} annotates boxes or masks, and classifiers are searched: name images with classes, as edgekit "
            f"train takes them for classification"
        )


def _with_best(training: Training) -> Supernet:
    """The supernet with the weights of its best epoch."""
    from edgekit.compression.search.supernet import Supernet  # noqa: PLC0415 - needs torch
    from edgekit.models import checkpoint  # noqa: PLC0415 - likewise

    supernet = training.trainee
    assert isinstance(supernet, Supernet), "it was prepared for a space"
    best = checkpoint.load(training.folder / BEST).module
    supernet.module.load_state_dict(best.state_dict())
    return supernet


def _score(supernet: Supernet, choice: Mapping[str, Value]) -> tuple[float, tuple[Measured, ...], nn.Module]:
    """How good a network is with the weights that it has in the supernet: the higher the better, and all of it."""
    part = supernet.part(choice)
    supernet.settle(part)
    measured = supernet.validate(part, silent)
    first = measured[0]
    return first.value * (1 if first.metric.better is Better.HIGHER else -1), measured, part.network


def _shown(supernet: Supernet, trial: Trial) -> str:
    metric, score = supernet.task.metrics[0], trial.score
    assert score is not None, "it was measured"
    return f"{metric.title} {metric.text(score if metric.better is Better.HIGHER else -score)}"


def _within(trials: Sequence[Trial], budget: Budget) -> tuple[Trial, ...]:
    """Those that were measured, and cost no more than is allowed."""
    return tuple(trial for trial in trials if trial.score is not None and trial.cost <= budget.most)


def _rank(trial: Trial) -> tuple[float, float]:
    """The better the higher; of equal ones the cheaper."""
    return (-math.inf if trial.score is None else trial.score, -trial.cost)


def _result(
    training: Training, supernet: Supernet, space: Space, budget: Budget, found: tuple[Trial, ...]
) -> SearchResult:
    from edgekit.compression.search.front import front  # noqa: PLC0415 - as ``search`` imports

    chosen, folder = max(_within(found, budget), key=_rank), training.folder.parent
    _, measured, part = _score(supernet, chosen.choice)
    values = space.values(chosen.choice)
    files.write_bytes(folder / CHOSEN_TABLE, as_toml(values).encode())
    training.save(folder / CHOSEN, part, space.table(chosen.choice).architecture(supernet.task.things), measured)
    return SearchResult(
        folder=folder,
        networks=space.size,
        cost=budget.cost,
        unit=budget.unit,
        budget=budget.most,
        metric=supernet.task.metrics[0],
        tried=found,
        front=front(
            [trial for trial in found if trial.score is not None],
            cost=lambda trial: trial.cost,
            score=lambda trial: trial.score or 0.0,
        ),
        chosen=chosen,
        table=folder / CHOSEN_TABLE,
        checkpoint=folder / CHOSEN,
    )


def as_toml(values: Mapping[str, Any]) -> str:
    """A table of stages as ``edgekit.models.tables.read`` reads it."""
    # JSON's texts, numbers and booleans are TOML's.
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if key != "stages"]
    for stage in values["stages"]:
        lines += ["", "[[stages]]", *(f"{key} = {json.dumps(value)}" for key, value in stage.items())]
    return "\n".join([*lines, ""])


@dataclass(frozen=True, slots=True)
class _Journal:
    """What a search has done so far, in its folder."""

    folder: Path

    def check(self) -> None:
        """Refuse a folder that holds something else, before time goes into images.

        Raises:
            ConfigError: it does.
        """
        if not self.folder.exists() or self._about() is not None:
            return
        if not self.folder.is_dir() or any(not entry.name.startswith(".") for entry in self.folder.iterdir()):
            raise ConfigError(f"{self.folder} holds something else than a search: choose another folder, --out DIR")

    def begin(self, about: Mapping[str, Any]) -> None:
        """Write down what is searched, JSON values; a folder of the same search is gone on with.

        Raises:
            ConfigError: the folder holds another search.
            BadInput: it cannot be written.
        """
        wanted, before = {"schema_version": _SCHEMA_VERSION, **about}, self._about()
        if before is None:
            files.write_bytes(self.folder / ABOUT, (json.dumps(wanted, indent=1) + "\n").encode())
        elif before != json.loads(json.dumps(wanted)):
            what = ", ".join(sorted(key for key in wanted if before.get(key) != wanted[key]))
            raise ConfigError(
                f"{self.folder} holds a search of another {what}: choose another folder, --out DIR, or give what it "
                f"was made with, to go on with it"
            )

    def trials(self) -> tuple[Trial, ...]:
        """Those that were written.

        Raises:
            ConfigError: the file is damaged.
        """
        from edgekit.compression.search.proposing import Trial  # noqa: PLC0415 - as ``search`` imports

        path = self.folder / TRIALS
        try:
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            return tuple(Trial.from_dict(json.loads(line)) for line in lines)
        except (OSError, KeyError, ValueError) as error:
            raise ConfigError(f"{path} cannot be read ({error}): remove it, and the search begins again") from error

    def write(self, trials: Sequence[Trial]) -> None:
        """Write all that were tried, all of it or nothing."""
        text = "".join(f"{json.dumps(trial.to_dict())}\n" for trial in trials)
        files.write_bytes(self.folder / TRIALS, text.encode())

    def _about(self) -> dict[str, Any] | None:
        path = self.folder / ABOUT
        if not path.is_file():
            return None
        try:
            about: Any = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} cannot be read ({error}): choose another folder, --out DIR") from error
        return about if isinstance(about, dict) else {}
