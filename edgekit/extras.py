"""Optional toolchains, imported where they are used, with a remedy where they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from edgekit.errors import MissingDependency


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
