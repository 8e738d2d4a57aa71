"""Optional toolchains, imported where they are used, with a remedy where they are missing."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from edgekit.errors import MissingDependency


@dataclass(frozen=True, slots=True)
class Distribution:
    """A package that a format or a runtime uses.

    Attributes:
        name: as pip knows it.
        module: by which edgekit imports it; None where only other packages do.
        tested: the version that edgekit was tested with; None where it comes with another one.
    """

    name: str
    module: str | None = None
    tested: str | None = None


def load(module: str, extra: str) -> Any:  # noqa: ANN401 - a module that may lack type information
    """Import ``module``, which comes with ``pip install 'edgekit[extra]'``.

    Raises:
        MissingDependency: the module is not installed; the message holds the pip line.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise MissingDependency(
            f"{module.partition('.')[0]} is not installed: pip install 'edgekit[{extra}]'"
        ) from error
