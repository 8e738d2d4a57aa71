"""Descriptors of other packages: found by their entry points, and left out with a reason where they are of no use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from edgekit.plugins import Registry

if TYPE_CHECKING:
    from pathlib import Path

GROUP = "edgekit.things"
IMPORT = f"from {__name__} import Thing\n"


@dataclass(frozen=True)
class Thing:
    """Stands for a format or a runtime."""

    name: str
    suffix: str


OWN = Thing("own", ".own")


def registry() -> Registry[Thing]:
    return Registry(GROUP, Thing, lambda: [OWN], claims=lambda thing: (thing.suffix,))


def install(folder: Path, package: str, code: str) -> None:
    """What pip leaves of a package with one module and one entry point: the module, and a folder that describes it."""
    about = folder / f"{package}-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(f"[{GROUP}]\n{package} = {package}:THING\n", encoding="utf-8")
    (folder / f"{package}.py").write_text(code, encoding="utf-8")


def test_a_plugin_stands_behind_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    things = registry()
    install(tmp_path, "things_of_another", f"{IMPORT}THING = Thing('theirs', '.theirs')\n")
    assert list(things) == ["own", "theirs"]  # looked for now, and not when the registry was made
    assert (things["own"], things["theirs"], things.failed) == (OWN, Thing("theirs", ".theirs"), ())


@pytest.mark.parametrize(
    ("package", "code", "why"),
    [
        ("breaks", "1 / 0", "division by zero"),
        ("lacks", "import no_such_module", "No module named 'no_such_module'"),
        ("empty", "", "module 'empty' has no attribute 'THING'"),
        ("other", "THING = 'theirs'", "is no "),
        (
            "named",
            f"{IMPORT}THING = Thing('own', '.x')",
            "there is another one that is called own",
        ),
        ("suffixed", f"{IMPORT}THING = Thing('x', '.own')", ".own belongs to own"),
    ],
)
def test_a_plugin_of_no_use_is_left_out_and_named(
    package: str, code: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, package, code)
    things = registry()
    with pytest.warns(UserWarning, match=f"the plug-in {package} of {package} .* is left out"):
        assert dict(things) == {"own": OWN}
    (sentence,) = things.failed
    assert why in sentence
