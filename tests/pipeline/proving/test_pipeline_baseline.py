"""The baseline: kept on purpose, all or nothing; and what is measured against it."""

from __future__ import annotations

import errno
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgekit.errors import ArtifactError, BadInput
from edgekit.files import size_bytes
from edgekit.pipeline.making.manifest import sha256_of
from edgekit.pipeline.proving import baseline as module
from edgekit.pipeline.proving.baseline import Baseline, check, keep
from edgekit.timing.comparison import Estimate, LatencyRatio
from edgekit.verification.budgets import Limits
from tests.pipeline.conftest import tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.device.plan import PlannedFile

LIMITS = Limits(max_size_ratio=1.02, max_memory_ratio=1.05, max_latency_ratio=1.07)


@pytest.fixture
def files(exported: Path) -> list[Path]:
    return [next(exported.glob(f"*.int8.{suffix}")) for suffix in ("tflite", "mlpackage")]


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Memory and latency as they are set here, by the name of the folder that a file is in."""
    values = {"mib": 20.0, "new_mib": 20.0, "ratio": 1.0}

    def peak_memory(file: PlannedFile, _: object) -> tuple[str, float]:
        return "fake", values["new_mib"] if Path(file.path).parent.name == "new" else values["mib"]

    def compare_latency(
        candidate: PlannedFile, baseline: PlannedFile, *, limit: float, progress: object
    ) -> LatencyRatio:
        assert [Path(file.path).parent.name for file in (candidate, baseline)] == ["new", "baseline"]
        ratio = values["ratio"]
        return LatencyRatio("fake", Estimate(ratio, ratio - 0.01, ratio + 0.01, 7), limit, 2.0 * ratio, 2.0, 5.0)

    monkeypatch.setattr(module, "peak_memory", peak_memory)
    monkeypatch.setattr(module, "compare_latency", compare_latency)
    return values


def test_what_is_kept(files: list[Path], tmp_path: Path) -> None:
    tflite, package = files
    result = keep(files, tmp_path / "baseline", accuracy={tflite.name: {"top1": 0.75}})
    assert result.before == {}
    kept = tree(tmp_path / "baseline")
    assert kept.pop("baseline.json")
    assert set(kept) == {tflite.name, *(f"{package.name}/{name}" for name in tree(package))}
    for path in files:
        assert sha256_of(tmp_path / "baseline" / path.name) == sha256_of(path) == result.files[path.name].sha256
        assert result.files[path.name].size_bytes == size_bytes(path)
        assert result.files[path.name].int8_share == 1.0
    assert result.files[package.name].memory_mib is None
    assert result.files[tflite.name].accuracy == {"top1": 0.75}
    assert (result.files[tflite.name].runner or "").startswith("LiteRT")
    if sys.platform == "linux":
        assert 1 < (result.files[tflite.name].memory_mib or 0) < 100
    assert Baseline.load(tmp_path / "baseline") == Baseline(tmp_path / "baseline", result.files)


def test_a_folder_is_kept_without_what_is_no_file_to_ship(exported: Path, tmp_path: Path, costs: object) -> None:
    result = keep([exported], tmp_path / "baseline")
    assert len(result.files) == 12
    assert not list((tmp_path / "baseline").glob("*.edgekit"))


def test_it_is_replaced_on_purpose(files: list[Path], tmp_path: Path, costs: object) -> None:
    first = keep(files, tmp_path / "baseline")
    second = keep(files[:1], tmp_path / "baseline")
    assert second.before == first.files
    assert sorted(path.name for path in (tmp_path / "baseline").iterdir()) == sorted([files[0].name, "baseline.json"])
    (tmp_path / "link").symlink_to(tmp_path / "baseline")
    keep(files[1:], tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert list(Baseline.load(tmp_path / "baseline").files) == [files[1].name]


@pytest.mark.parametrize(
    ("error", "raised"),
    [(OSError(errno.ENOSPC, "No space left on device"), BadInput), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_a_failure_leaves_what_was_there(
    files: list[Path],
    tmp_path: Path,
    costs: object,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    raised: type[BaseException],
) -> None:
    keep(files, tmp_path / "baseline")
    before = tree(tmp_path)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(shutil, "copytree", fail)
    with pytest.raises(raised):
        keep(files, tmp_path / "baseline")
    assert tree(tmp_path) == before


def test_what_cannot_be_kept(files: list[Path], tmp_path: Path, costs: object) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").touch()
    with pytest.raises(ArtifactError, match=r"thesis.tex is no part of the baseline: move it away"):
        keep(files, out)
    (tmp_path / "twice").mkdir()
    shutil.copy(files[0], tmp_path / "twice")
    with pytest.raises(ArtifactError, match="have the same name: keep one of them"):
        keep([files[0], tmp_path / "twice"], tmp_path / "baseline")
    with pytest.raises(ArtifactError, match="there is no exported file"):
        keep([out], tmp_path / "baseline")
    assert not (tmp_path / "baseline").exists()


def damaged(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "baseline.json").write_text(text, encoding="utf-8")

    return write


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "baseline.json").unlink(), "holds no baseline: edgekit baseline FOLDER --out"),
        (damaged("{"), "is damaged: remove"),
        (damaged('{"schema_version": 1, "files": {"x": {}}}'), "is damaged: remove"),
        (damaged('{"schema_version": 2}'), "has schema version 2, this edgekit reads 1"),
    ],
)
def test_what_is_no_baseline(
    files: list[Path], tmp_path: Path, costs: object, damage: Callable[[Path], None], said: str
) -> None:
    keep(files, tmp_path / "baseline")
    damage(tmp_path / "baseline")
    with pytest.raises(ArtifactError, match=said):
        Baseline.load(tmp_path / "baseline")


# --- comparing


@pytest.fixture
def new(files: list[Path], tmp_path: Path, costs: object) -> Path:
    """A file to compare with the baseline of one with the same name: not the same bytes."""
    keep(files, tmp_path / "baseline")
    path = tmp_path / "new" / files[0].name
    path.parent.mkdir()
    path.write_bytes(files[0].read_bytes() + b"\0")
    return path


def by_name(path: Path, limits: Limits = LIMITS) -> dict[str, Any]:
    baseline = Baseline.load(path.parents[1] / "baseline")
    return {gate.name: gate for gate in check(path, baseline, limits)}


def test_the_same_bytes_are_not_measured(files: list[Path], new: Path, costs: dict[str, float]) -> None:
    costs["ratio"] = 2.0
    for path in files:
        gates = check(path, Baseline.load(new.parents[1] / "baseline"), LIMITS)
        assert {gate.measured for gate in gates} == {"the same bytes as the baseline"}


def test_a_file_that_costs_the_same(new: Path) -> None:
    gates = by_name(new)
    assert list(gates) == ["size", "int8 operators", "memory", "latency"]
    assert all(gate.passed for gate in gates.values())
    assert [gate.runner for gate in gates.values()] == [None, None, "fake", "fake"]


def test_a_file_that_costs_more(new: Path, costs: dict[str, float]) -> None:
    costs |= {"new_mib": 22.0, "ratio": 1.15}
    new.write_bytes(new.read_bytes() * 2)
    assert [name for name, gate in by_name(new).items() if not gate.passed] == ["size", "memory", "latency"]
    generous = Limits(max_size_ratio=2.1, max_memory_ratio=1.2, max_latency_ratio=1.2)
    assert all(gate.passed for gate in by_name(new, generous).values())


def test_memory_that_the_system_does_not_tell(
    new: Path, costs: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "peak_memory", lambda *_: ("fake", None))
    assert list(by_name(new)) == ["size", "int8 operators", "latency"]


def test_a_file_that_nothing_runs_is_counted(files: list[Path], new: Path) -> None:
    package = new.with_name(files[1].name)
    shutil.copytree(files[1], package)
    (package / "more").write_bytes(b"\0")
    assert list(by_name(package)) == ["size", "int8 operators"]


def test_a_file_that_was_never_kept(files: list[Path], new: Path) -> None:
    (gate,) = by_name(new.rename(new.with_name("other.tflite"))).values()
    assert not gate.passed
    assert gate.problem.endswith("keep it as the new baseline: edgekit baseline")


def test_a_kept_file_that_was_changed(new: Path) -> None:
    kept = new.parents[1] / "baseline" / new.name
    kept.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ArtifactError, match="is not the file that was kept: restore it"):
        by_name(new)


def test_the_file_says_which_schema_it_has(files: list[Path], tmp_path: Path, costs: object) -> None:
    keep(files[:1], tmp_path / "baseline")
    values = json.loads((tmp_path / "baseline" / "baseline.json").read_text(encoding="utf-8"))
    assert list(values) == ["schema_version", "edgekit", "files"]
    assert values["schema_version"] == 1
