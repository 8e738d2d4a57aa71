"""Which runners a file gets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from edgekit.errors import ArtifactError, MissingDependency
from edgekit.runtimes import catalog, processor
from edgekit.runtimes.catalog import RUNTIMES, all_runners, claimed_runner, default_runner

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("suffix", "names"),
    [
        ("onnx", ["ONNX Runtime .*, ALL", "ONNX Runtime .*, EXTENDED", "ONNX Runtime .*, DISABLE_ALL"]),
        ("tflite", ["LiteRT .*, XNNPACK"]),
        ("pt", ["torch .*"]),
        ("mlpackage", ["Core ML program, interpreted, float32"]),
    ],
)
def test_runners_of_a_format(exported: Path, suffix: str, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "_system", lambda: "linux")
    monkeypatch.setattr(processor, "lacks_vnni", lambda: False)
    path = next(exported.glob(f"*.int8.{suffix}"))
    runners = all_runners(path)
    assert len(runners) == len(names)
    for make, name in zip(runners, names, strict=True):
        with make() as runner:
            assert re.fullmatch(name, runner.name)
    assert (default_runner(path) is None) == (suffix == "mlpackage")  # no application interprets one


def test_without_vnni_another_engine_shows_what_a_torch_file_computes(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "lacks_vnni", lambda: True)
    usual, other = all_runners(next(exported.glob("*.int8.pt")))
    with usual() as clamping, other() as widening:
        assert clamping.name.endswith(", fbgemm")
        assert clamping.differs_because is not None
        assert widening.name.endswith(", qnnpack")
        assert widening.differs_because is None


@pytest.mark.parametrize(("suffix", "kernels"), [("onnx", "DISABLE_ALL"), ("pt", "qnnpack"), ("tflite", "XNNPACK")])
def test_without_vnni_the_claimed_runner_is_one_that_does_not_clamp(
    exported: Path, suffix: str, kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "lacks_vnni", lambda: True)
    with claimed_runner(next(exported.glob(f"*.int8.{suffix}")))() as runner:
        assert runner.name.endswith(f", {kernels}")
        assert runner.differs_because is None


def test_where_nothing_is_claimed_the_reasons_are_told(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "lacks_vnni", lambda: True)
    path = next(exported.glob("*.int8.onnx"))
    monkeypatch.setattr(catalog, "all_runners", lambda path, threads: all_runners(path, threads=threads)[:2])
    with pytest.raises(
        MissingDependency, match=r"it is meant: ONNX Runtime .*, ALL: on x86 without VNNI, .*EXTENDED: "
    ):
        claimed_runner(path)


def test_on_a_mac_the_framework_runs_beside_the_interpreter(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "_system", lambda: "darwin")
    path = next(exported.glob("*.int8.mlpackage"))
    default, *others = (getattr(make, "func", None) for make in (default_runner(path), *all_runners(path)))
    assert default is RUNTIMES["coreml"].open
    assert others == [RUNTIMES["coreml"].open, RUNTIMES["coreml-interpreted"].open]


def test_a_file_of_no_format(tmp_path: Path) -> None:
    (tmp_path / "net.xyz").touch()
    with pytest.raises(ArtifactError, match="is no file that edgekit exports"):
        default_runner(tmp_path / "net.xyz")
