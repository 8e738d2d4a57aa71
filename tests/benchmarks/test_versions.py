"""Runtimes in folders of their own: here those that are installed."""

from __future__ import annotations

import importlib.metadata
import site
import tomllib
from pathlib import Path

import pytest

import edgekit
from edgekit.benchmarks import versions
from edgekit.benchmarks.versions import Network, Result, Results
from edgekit.verification.proven import machine


@pytest.fixture(scope="module")
def network(exported: Path) -> Network:
    return Network.open(exported, None)


def test_int8_files_are_found(network: Network) -> None:
    assert {path.suffix for path in network.files} == {".tflite", ".onnx", ".pt", ".mlpackage"}
    assert network.expected["logits"].shape == (versions.IMAGES, 10)


def test_a_version_is_run_in_a_process_of_its_own(network: Network, tmp_path: Path) -> None:
    """The folder stands for what pip installs."""
    for place in site.getsitepackages():
        for entry in Path(place).glob("*"):  # Debian names some that do not exist
            if not entry.name.startswith(("edgekit", "__editable__")):
                (tmp_path / entry.name).symlink_to(entry)
    (tmp_path / "edgekit").symlink_to(Path(edgekit.__file__).parent)
    results: Results = {}
    version = importlib.metadata.version("ai-edge-litert")
    versions._run_installed(tmp_path, "ai-edge-litert", version, [network], results)
    (result,) = results["LiteRT, XNNPACK"].values()
    assert result.refused is None
    assert result.values == network.expected["logits"].size
    assert result.sentence == "identical"


def test_what_does_not_start_is_refused(network: Network, tmp_path: Path) -> None:
    (tmp_path / "edgekit").symlink_to(Path(edgekit.__file__).parent)
    results: Results = {}
    versions._run_installed(tmp_path, "ai-edge-litert", "0.1", [network], results)
    sentence = results["LiteRT, XNNPACK"]["0.1"].sentence
    assert sentence.startswith("refused: ")
    assert "numpy" in sentence


def test_results_are_kept_as_toml(network: Network) -> None:
    results = {
        "LiteRT, XNNPACK": {"1.2.0": Result(80, 80), "2.3.0": Result(80, 80)},
        "tflite-runtime, builtin": {"2.14.0": Result(80, 60, 3, "it rounds twice")},
        "ONNX Runtime, ALL": {"1.15.1": Result(refused='no operator "X"')},
    }
    kept = tomllib.loads(versions._to_toml([network], results))[machine()]
    assert kept == {
        "networks": ["mobilenet_v3_digits_1.0_32"],
        "logits": 80,
        "identical": {"LiteRT, XNNPACK": ["1.2.0", "2.3.0"]},
        "not_identical": {
            "tflite-runtime, builtin": {"2.14.0": "75.00% identical, up to 3 LSB: it rounds twice"},
            "ONNX Runtime, ALL": {"1.15.1": 'refused: no operator "X"'},
        },
    }


def test_nothing_compared_is_nothing() -> None:
    assert not Result().passed
