"""Which runners a file gets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from edgekit.errors import ArtifactError
from edgekit.runtimes.catalog import all_runners, default_runner

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("suffix", "names"),
    [
        ("onnx", ["ONNX Runtime .*, ALL", "ONNX Runtime .*, EXTENDED", "ONNX Runtime .*, DISABLE_ALL"]),
        ("tflite", ["LiteRT .*, XNNPACK"]),
        ("pt", ["torch .*"]),
        ("mlpackage", []),
    ],
)
def test_runners_of_a_format(exported: Path, suffix: str, names: list[str]) -> None:
    path = next(exported.glob(f"*.int8.{suffix}"))
    runners = all_runners(path)
    assert len(runners) == len(names)
    for make, name in zip(runners, names, strict=True):
        with make() as runner:
            assert re.fullmatch(name, runner.name)
    default = default_runner(path)
    assert (default is None) == (not names)


def test_a_file_of_no_format(tmp_path: Path) -> None:
    (tmp_path / "net.xyz").touch()
    with pytest.raises(ArtifactError, match="is no file that edgekit exports"):
        default_runner(tmp_path / "net.xyz")
