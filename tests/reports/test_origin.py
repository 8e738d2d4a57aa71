"""Words for where facts come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit import config
from edgekit.cli.groups import NetworkFlags
from edgekit.cli.options import load_settings
from edgekit.defaults import CONFIG
from edgekit.facts import BY_SETTING, Basis, Fact
from edgekit.reports.origin import reason

if TYPE_CHECKING:
    from pathlib import Path


def fact(name: str, value: object, basis: Basis = Basis.GIVEN) -> Fact:
    return Fact(name, value, basis, BY_SETTING if basis is Basis.GIVEN else "why", "")


def test_what_was_given_says_by_what(tmp_path: Path) -> None:
    file = tmp_path / "edgekit.toml"
    file.write_text("[preprocessing]\norder = 'RGB'\nmean = [0.5]\nstd = [0.5]\n[model]\npadding = 'same'\n")
    named = NetworkFlags(preprocessing="tf").overrides(None)
    settings = load_settings(file, named, ["model.bn_eps=1e-3"])
    assert reason(fact("normalization", {}), settings) == "--preprocessing tf"
    assert reason(fact("bn_eps", 1e-3), settings) == "--set model.bn_eps"
    assert reason(fact("order", "RGB"), settings) == reason(fact("padding", "same"), settings) == str(file)
    assert reason(fact("order", "RGB", Basis.FOUND), settings) == "why"
    assert reason(fact("resize", 256), settings) == BY_SETTING  # nobody here: of an earlier export
    insisted = Fact("padding", "same", Basis.CONTRADICTED, f"given ({BY_SETTING}), but no", "")
    assert reason(insisted, settings) == f"given ({file}), but no"
    shipped = reason(fact("order", "RGB"), config.load(CONFIG))
    assert shipped == "the edgekit.toml of the network that edgekit ships"
