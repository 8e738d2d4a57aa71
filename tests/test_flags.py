"""Flags that are named as the way out say what was meant, when they are typed."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest

from edgekit.cli.groups import NetworkFlags
from edgekit.cli.options import load_settings
from edgekit.conventions import NORMALIZATIONS
from edgekit.facts import BY_SETTING, Basis, Fact
from edgekit.flags import flag, flags
from edgekit.pipeline.making.expectations import Contradicted
from edgekit.words import plain

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.config import Settings


def typed(line: str, file: Path | None = None) -> Settings:
    """The settings of a command line of flags."""
    words = shlex.split(line)
    given = list(zip(words[::2], words[1::2], strict=True))
    assert len(dict(given)) == len(given), "a flag is there twice"
    named: dict[str, Any] = {name[2:]: value for name, value in given if name != "--set"}
    network = NetworkFlags(**named).overrides(None)
    return load_settings(file, network, [value for name, value in given if name == "--set"])


def fact(name: str, value: object, basis: Basis = Basis.GIVEN) -> Fact:
    return Fact(name, value, basis, BY_SETTING if basis is Basis.GIVEN else "why", "")


@pytest.mark.parametrize("is_reversed", [False, True])
@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_a_usual_normalization_is_told_by_the_name_that_its_flag_takes(name: str, is_reversed: bool) -> None:  # noqa: FBT001 - a parameter
    usual = [list(numbers[::-1] if is_reversed else numbers) for numbers in NORMALIZATIONS[name]]
    turned = " in BGR" if is_reversed and usual != [list(numbers) for numbers in NORMALIZATIONS[name]] else ""
    assert plain(dict(zip(("mean", "std"), usual, strict=True))).startswith(f"{name}{turned} (mean ")


@pytest.mark.parametrize("value", [{"mean": [0.4] * 3, "std": [0.2] * 3}, {"mean": [0.5], "var": [0.5]}, {"mean": 0.5}])
def test_what_is_no_usual_normalization_has_no_name(value: dict[str, Any]) -> None:
    assert plain(value).startswith("mean 0.")


def test_sizes_are_told_as_their_flag_takes_them() -> None:
    assert flag("resize", [219, 293]) == f"--resize {plain([219, 293])}"
    assert typed(f"--resize {plain([219, 293])}").preprocessing.resize == (219, 293)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_a_usual_normalization_is_named(name: str, order: str) -> None:
    mean, std = (list(numbers[::-1] if order == "BGR" else numbers) for numbers in NORMALIZATIONS[name])
    line = flags({"normalization": {"mean": mean, "std": std}, "order": order}, "RGB")
    assert f"--preprocessing {name}" in line
    found = typed(line).preprocessing
    assert found.mean is not None
    assert found.order == order
    assert list(found.mean * (3 // len(found.mean))) == pytest.approx(mean)


@pytest.mark.parametrize(
    ("name", "value", "line", "section", "key"),
    [
        ("order", "BGR", "--order BGR", "preprocessing", "order"),
        ("padding", "same", "--padding same", "model", "padding"),
        ("bn_eps", 1e-3, "--set model.bn_eps=0.001", "model", "bn_eps"),
        ("bn_eps", 1e-5, "--set model.bn_eps=1e-05", "model", "bn_eps"),
        ("activation", "relu6", "--set model.activation=relu6", "model", "activation"),
        ("head_activation", "none", "--set model.head_activation=none", "model", "head_activation"),
        ("resize", 256, "--resize 256", "preprocessing", "resize"),
        ("resize", (128, 256), "--resize 128x256", "preprocessing", "resize"),
        ("resize", "whole", "--resize whole", "preprocessing", "resize"),
        ("interpolation", "bicubic", "--set preprocessing.interpolation=bicubic", "preprocessing", "interpolation"),
    ],
)
def test_a_flag_says_the_value(name: str, value: object, line: str, section: str, key: str) -> None:
    assert flag(name, value) == line
    assert getattr(getattr(typed(line), section), key) == value


def test_a_normalization_of_its_own_is_given_in_numbers() -> None:
    line = flag("normalization", {"mean": [0.1, 0.2, 0.3], "std": [0.25] * 3})
    assert line == "--mean 0.1,0.2,0.3 --std 0.25"
    assert typed(line).preprocessing.std == (0.25,)


def test_a_contradiction_names_what_is_right_and_nothing_else() -> None:
    error = Contradicted([fact("padding", "same"), fact("bn_eps", 1e-3)], "RGB")
    assert "Correct it, --padding same --set model.bn_eps=0.001; or go on all the same, --insist" in str(error)
    assert "|" not in str(error)
