"""Every example in a docstring is true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import warnings

import pytest

import edgekit


def modules() -> list[str]:
    """Every module of edgekit but those that are programs."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = [module.name for module in pkgutil.walk_packages(edgekit.__path__, "edgekit.")]
    return [name for name in found if not name.endswith("__main__")]


@pytest.mark.parametrize("name", modules())
def test_examples(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("edgekit"):
            raise
        pytest.skip(f"{error.name} is not installed")
    failed, _ = doctest.testmod(module)
    assert failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [
        test
        for name in ("edgekit.errors", "edgekit.words")
        for test in finder.find(importlib.import_module(name))
        if test.examples
    ]
    assert len(examples) >= 4
