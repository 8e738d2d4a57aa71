"""A format and a runtime of another package: exported to, read back, verified; and one that cannot be imported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.defaults import CHECKPOINT
from edgekit.exporters.formats import FORMATS
from edgekit.runtimes.catalog import RUNTIMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

POINTS = "[edgekit.formats]\ntoy = {0}:FORMAT\n\n[edgekit.runtimes]\ntoy = {0}:RUNTIME\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a package on the path, as pip leaves it: a module, and a folder that describes it."""
    site = tmp_path / "site"

    def installed(module: str, code: str) -> None:
        about = site / f"{module}-1.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n", encoding="utf-8")
        (about / "entry_points.txt").write_text(POINTS.format(module), encoding="utf-8")
        (site / f"{module}.py").write_text(code, encoding="utf-8")

    for registry in (FORMATS, RUNTIMES):
        assert "toy" not in registry
        monkeypatch.delitem(vars(registry), "_found")  # it has to look again, and what it found is put back at the end
    monkeypatch.syspath_prepend(str(site))
    return installed


def test_a_toy_format_is_exported_and_verified(
    exported: Path, run: Callable[..., Result], install: Callable[[str, str], None], tmp_path: Path
) -> None:
    install("edgekit_toy", (Path(__file__).parent / "toy.py").read_text(encoding="utf-8"))
    ranges = next(exported.glob("*.ranges.json"))
    result = run("export", CHECKPOINT, "--target", "toy", "--int8", "--ranges", ranges, "--out", "out")
    assert result.exit_code == 0, result.output
    assert "toy on numpy" in result.output
    (path,) = Path("out").glob("*.toy")
    result = run("verify", "out", "--images", 16, "--json")
    assert result.exit_code == 0, result.output
    (file,) = json.loads(result.stdout)["files"]
    (parity,) = file["parities"]
    assert parity["runner"].startswith("toy on numpy")
    assert (parity["max_lsb"], file["failed"]) == (0, False)

    spoilt = tmp_path / "spoilt"
    shutil.copytree("out", spoilt)
    with np.load(path) as arrays:
        content = {**arrays, "shift": arrays["shift"] + np.float32(1e-3)}
    np.savez(spoilt / "x.npz", **content)
    (spoilt / "x.npz").rename(spoilt / path.name)
    result = run("verify", spoilt, "--images", 16)
    assert result.exit_code != 0
    assert "second of shift" in result.output


def test_a_plugin_that_breaks_is_named_and_breaks_nothing(
    run: Callable[..., Result], install: Callable[[str, str], None]
) -> None:
    install("edgekit_broken", "import no_such_module")
    with pytest.warns(UserWarning, match="edgekit_broken"):
        result = run("doctor")
    assert result.exit_code == 0
    said = " ".join(result.output.split())
    for group in ("edgekit.formats", "edgekit.runtimes"):
        assert f"plug-in toy of edgekit_broken ({group}) is left out: No module named 'no_such_module'" in said
