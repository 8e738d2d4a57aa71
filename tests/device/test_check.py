"""Golden outputs: what counts as different, and what is said of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.device import check as module
from edgekit.device import machine
from edgekit.device.check import Checked, check, check_file
from edgekit.device.plan import Golden, GoldenOutput, Plan, PlannedFile
from edgekit.errors import ArtifactError, MissingDependency

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class Doubling:
    """An engine that answers twice its input, and is off where it is told."""

    name = "fake 1.0, builtin"
    kernels = "builtin"
    off: float = 0

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        assert batch.shape == (1, 4)
        answer = batch * 2
        answer[0, 0] += self.off
        return {"doubled": answer}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Doubling:
    engine = Doubling()
    monkeypatch.setattr(module, "opened", lambda *_, **__: engine)
    monkeypatch.setattr(machine, "flags", lambda: {"asimddp"})  # kernels of x86 may be excused
    return engine


def planned(folder: Path, dtype: str, *, engine: str = "onnxruntime", tolerance: float = 0.0) -> PlannedFile:
    inputs = np.arange(12).reshape(3, 4).astype(dtype)
    np.save(folder / "inputs.npy", inputs)
    np.save(folder / "outputs.npy", inputs * 2)
    golden = Golden("inputs.npy", {"doubled": GoldenOutput("outputs.npy", tolerance)})
    return PlannedFile("net", engine, golden=golden)


def test_all_as_it_has_to_be(tmp_path: Path, engine: Doubling) -> None:
    (found,) = check_file(planned(tmp_path, "int8"), tmp_path)
    assert found == Checked("net", "", engine.name, 3, 12, 0, 0.0, "LSB", None)
    assert found.passed


def test_integers_that_differ(tmp_path: Path, engine: Doubling) -> None:
    engine.off = 2
    (found,) = check_file(planned(tmp_path, "int8"), tmp_path)
    assert not found.passed
    assert found.sentence == "3 of 12 outputs differ, by up to 2 LSB"


def test_unsigned_integers_do_not_wrap(tmp_path: Path, engine: Doubling) -> None:
    (found,) = check_file(planned(tmp_path, "uint8"), tmp_path)
    assert found.passed
    outputs = np.load(tmp_path / "outputs.npy")
    np.save(tmp_path / "outputs.npy", outputs + np.uint8(1))  # one more than what comes
    assert check_file(planned(tmp_path, "uint8"), tmp_path)[0].largest == 0
    np.save(tmp_path / "outputs.npy", outputs + np.uint8(1))
    file = PlannedFile("net", "onnxruntime", golden=Golden("inputs.npy", {"doubled": GoldenOutput("outputs.npy", 0.0)}))
    assert check_file(file, tmp_path)[0].sentence == "12 of 12 outputs differ, by up to 1 LSB"


@pytest.mark.parametrize(("tolerance", "different"), [(0.5, 0), (0.1, 3)])
def test_reals_within_a_tolerance(tmp_path: Path, engine: Doubling, tolerance: float, different: int) -> None:
    engine.off = 0.25
    (found,) = check_file(planned(tmp_path, "float32", tolerance=tolerance), tmp_path)
    assert (found.different, found.largest, found.unit) == (different, 0.25, "")


def test_integers_behind_a_float_boundary_differ_in_lsb(tmp_path: Path, engine: Doubling) -> None:
    engine.off = 4.0  # inputs are 0, 1, 2, …, so outputs lie 2 apart
    assert check_file(planned(tmp_path, "float32"), tmp_path)[0].sentence == "3 of 12 outputs differ, by up to 2 LSB"


def test_nothing_is_not_near(tmp_path: Path, engine: Doubling) -> None:
    engine.off = float("nan")
    assert check_file(planned(tmp_path, "float32", tolerance=1e9), tmp_path)[0].different == 3


def test_kernels_that_round_twice_are_excused(tmp_path: Path, engine: Doubling) -> None:
    engine.off = 1
    (found,) = check_file(planned(tmp_path, "int8", engine="litert"), tmp_path)
    assert found.passed
    assert "round twice, so these integers cannot be the same: use ai-edge-litert" in found.sentence
    (real,) = check_file(planned(tmp_path, "float32", engine="litert", tolerance=0.1), tmp_path)
    assert not real.passed


@pytest.mark.parametrize(("flags", "passed"), [({"avx2"}, True), ({"avx2", "avx_vnni"}, False), ({"asimddp"}, False)])
def test_kernels_that_saturate_are_excused(
    tmp_path: Path, engine: Doubling, monkeypatch: pytest.MonkeyPatch, flags: set[str], *, passed: bool
) -> None:
    engine.off = 1
    monkeypatch.setattr(machine, "flags", lambda: flags)
    assert check_file(planned(tmp_path, "int8"), tmp_path)[0].passed is passed


def test_nothing_to_compare_with(tmp_path: Path) -> None:
    (found,) = check_file(PlannedFile("net", "litert"), tmp_path)
    assert found.passed
    assert found.sentence == "nothing is known that it should answer"


def test_a_runtime_that_crashes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CODE", "import os; os.abort()")
    stages: list[tuple[str, int, int]] = []
    with pytest.raises(ArtifactError, match=r"net crashed its runtime \(SIGABRT\)"):
        check(Plan((PlannedFile("net", "litert"),)), tmp_path, lambda *step: stages.append(step))
    assert stages == [("checking", 0, 1)]


def test_a_runtime_that_cannot_be_imported_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CODE", "import no_such_library")
    with pytest.raises(ArtifactError, match=r"net crashed .*No module named 'no_such_library'"):
        check(Plan((PlannedFile("net", "litert"),)), tmp_path)


def test_a_file_in_a_process_of_its_own(tmp_path: Path) -> None:
    plan = Plan((planned(tmp_path, "int8"),))
    (tmp_path / "plan.json").write_text(plan.to_json(), encoding="utf-8")
    with pytest.raises((ArtifactError, MissingDependency), match=r"refuses|exist|not installed"):
        check(plan, tmp_path)  # there is no such file


def test_boxes_that_are_equally_sure_may_stand_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = {
        "signs_detection_boxes": np.array([[[0.1, 0, 1, 1], [0.2, 0, 1, 1], [0.3, 0, 1, 1]]], np.float32),
        "signs_detection_classes": np.array([[0, 1, 0]], np.float32),
        "signs_detection_scores": np.array([[0.9, 0.5, 0.5]], np.float32),
    }
    rows = {"here": [0, 1, 2], "elsewhere": [0, 2, 1], "wrong": [0, 0, 2]}
    for name, array in golden.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.save(tmp_path / "inputs.npy", np.zeros((1, 4)))
    file = PlannedFile(
        "net", "litert", golden=Golden("inputs.npy", {n: GoldenOutput(f"{n}.npy", 1e-5) for n in golden})
    )
    monkeypatch.setattr(machine, "flags", lambda: {"asimddp"})
    for what, order in rows.items():
        given = {name: array[:, order] for name, array in golden.items()}
        engine = SimpleNamespace(name="fake 1.0", kernels="XNNPACK", run=lambda _, given=given: given)
        monkeypatch.setattr(module, "opened", lambda *_, engine=engine, **__: engine)
        assert all(one.passed for one in check_file(file, tmp_path)) == (what != "wrong")
