"""A network that the user's own code makes: ``my_package.module:factory``. It runs because the user says so.

Only a command line says so: no settings file, manifest or exported file can.
"""

from __future__ import annotations

import functools
import importlib
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import extras
from edgekit.errors import CheckpointError, ConfigError, did_you_mean
from edgekit.pipeline.making.in_memory import InMemory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from edgekit.config import ModelSettings
    from edgekit.pipeline.making.trained import Trained

_PARALLEL = "module."  # what nn.DataParallel puts before every name
_SHOWN = 3  # names of weights in a message


class OwnCode:
    """A network that ``factory`` makes: a function or class without arguments, or a module. See ``trained.Network``.

    Attributes:
        factory: "package.module:name"; the module is looked for in the working directory, too.
        weights: a checkpoint of its state_dict; None for the weights that it comes with.
    """

    def __init__(self, factory: str, weights: Path | None = None) -> None:
        """Nothing is run yet.

        Raises:
            ConfigError: ``factory`` is written otherwise.
        """
        module, colon, name = factory.partition(":")
        if not (module and colon and name) or module.endswith(".py"):
            raise ConfigError(
                f"--model {factory}: write it as MODULE:FACTORY, e.g. my_package.nets:make for the function make in "
                f"my_package/nets.py"
            )
        self.factory, self.weights = factory, weights

    def load(self, settings: ModelSettings) -> Trained:
        """Make and load it; see ``trained.Network``."""
        trained = self._made.load(settings)
        with_weights = "" if self.weights is None else f" with {self.weights.name}"
        kind = str(trained.in_memory).removesuffix(" in memory")
        made = f"{kind}, made by {self.factory}{with_weights}"
        return replace(trained, path=Path(self.factory), in_memory=made, description=f"made by {self.factory}")

    def left_open(self, settings: ModelSettings) -> tuple[str, ...]:
        """As of a module in memory."""
        return self._made.left_open(settings)

    @functools.cached_property
    def _made(self) -> InMemory:
        """What it makes, once: weights may be random."""
        torch = extras.load("torch", "torch")
        found = _named(self.factory)
        module = found
        if not isinstance(found, torch.nn.Module):
            if not callable(found):
                raise CheckpointError(f"{self.factory} is a {type(found).__name__}: name a function, class or module")
            module = _called(found, self.factory)
        if not isinstance(module, torch.nn.Module | torch.export.ExportedProgram):
            raise CheckpointError(f"{self.factory} gives a {type(module).__name__}, and a torch.nn.Module is wanted")
        if self.weights is not None:
            if not isinstance(module, torch.nn.Module):
                raise ConfigError(f"{self.factory} gives a program, which has its weights: leave --weights out")
            _load(module, self.weights)
        return InMemory(module)


def _named(factory: str) -> Any:  # noqa: ANN401 - whatever the user has there
    """What a module has by that name.

    Raises:
        CheckpointError: there is no such module or name, or the module fails.
    """
    place, _, name = factory.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:  # as ``python -m`` has it
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
            raise CheckpointError(
                f"there is no module {error.name}: --model {factory} looks in {here} and in what is installed"
            ) from error
        raise _failed(f"importing {place}", error) from error
    except Exception as error:  # it is the user's code
        raise _failed(f"importing {place}", error) from error
    for part in name.split("."):
        if not hasattr(found, part):
            public = [known for known in vars(found) if not known.startswith("_")]
            raise CheckpointError(f"{place} has no {part}: {did_you_mean(part, public)}")
        found = getattr(found, part)
    return found


def _called(factory: Any, name: str) -> Any:  # noqa: ANN401 - the user's
    try:
        return factory()
    except Exception as error:  # it is the user's code
        raise _failed(f"calling {name} without arguments", error) from error


def _failed(what: str, error: Exception) -> CheckpointError:
    """What the user's code raised, and in which of its lines."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename != __file__ and "importlib" not in frame.filename]
    where = f", {own[-1].filename}, line {own[-1].lineno}" if own else ""
    return CheckpointError(f"{what} fails with {type(error).__name__}: {error}{where}")


def _load(module: nn.Module, path: Path) -> None:
    """Give ``module`` the weights of a checkpoint, every one of them.

    Raises:
        CheckpointError: the file cannot be read, or holds others.
    """
    from edgekit.models import readers  # noqa: PLC0415 - needs torch

    if not path.exists():
        raise CheckpointError(f"{path} does not exist: --weights names a checkpoint of the network's state_dict")
    wanted = module.state_dict()
    groups = [_bare(group.weights) for group in readers.read(path).groups]
    if not groups:
        raise CheckpointError(f"{path} holds no weights: save the network's state_dict()")
    best = max(groups, key=lambda weights: len(wanted.keys() & weights.keys()))
    faults = {
        "missing": [name for name in wanted if name not in best],
        "unexpected": [name for name in best if name not in wanted],
        "of another shape": [n for n, value in wanted.items() if n in best and best[n].shape != value.shape],
    }
    told = [f"{len(names)} {what} ({', '.join(names[:_SHOWN])})" for what, names in faults.items() if names]
    if told:
        raise CheckpointError(f"the weights in {path} are not those of a {type(module).__name__}: {'; '.join(told)}")
    module.load_state_dict(dict(best))


def _bare(weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights by the names that a network has, which was perhaps trained on several GPUs."""
    if not all(name.startswith(_PARALLEL) for name in weights):
        return weights
    return {name.removeprefix(_PARALLEL): value for name, value in weights.items()}
