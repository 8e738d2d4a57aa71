"""Inspecting shows what is taken to be true of a network: of exported files, and of what they are made from."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from edgekit.defaults import CHECKPOINT
from edgekit.errors import ArtifactError, CheckpointError
from edgekit.exporters.summary import Summary
from edgekit.facts import Basis, of_provenance
from edgekit.integer_model import SUFFIX, IntegerModel
from edgekit.models import readers
from edgekit.pipeline.making.source import Source
from edgekit.pipeline.proving.inspect import CHECKPOINTS, inspect

if TYPE_CHECKING:
    from pathlib import Path

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")
for needed in ("onnx", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

NAME = "mobilenet_v3_digits_1.0_32"
EVERYTHING = {
    *(
        "padding",
        "bn_eps",
        "activation",
        "head_activation",
        "resolution",
        "normalization",
        "order",
        "resize",
        "interpolation",
    )
}


def test_exported_files_say_what_they_carry(exported: Path) -> None:
    carried = of_provenance(IntegerModel.load(exported / f"{NAME}.int8{SUFFIX}").provenance)
    assert {fact.name for fact in carried} == EVERYTHING
    for suffix in (SUFFIX, ".tflite", ".onnx", ".pt", ".mlpackage"):
        assert inspect(exported / f"{NAME}.int8{suffix}").facts == carried


def test_a_checkpoint_says_what_is_known_without_images(tmp_path: Path) -> None:
    found = inspect(CHECKPOINT)
    assert isinstance(found.found, Source)
    bases = {fact.name: fact.basis for fact in found.facts}
    assert set(bases) == EVERYTHING
    assert bases["padding"] is Basis.STATED  # its own metadata
    assert bases["normalization"] is Basis.ASSUMED
    torch.save(safetensors_torch.load_file(CHECKPOINT), tmp_path / "net.pt")  # which may be TorchScript, too
    assert isinstance(inspect(tmp_path / "net.pt").found, Source)


def test_an_onnx_file_of_another_tool_is_a_file_and_a_network(exported: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    network = onnx.load(exported / f"{NAME}.float32.onnx")
    del network.metadata_props[:]
    onnx.save(network, tmp_path / "net.onnx")
    found = inspect(tmp_path / "net.onnx")
    assert isinstance(found.found, Summary)
    assert "normalization" in {fact.name for fact in found.facts}
    assert found.notes == ()
    (logits,) = network.graph.output
    network.graph.node.append(onnx.helper.make_node("Softmax", [logits.name], ["probabilities"], axis=1))
    logits.name = "probabilities"
    onnx.save(network, tmp_path / "probabilities.onnx")
    (note,) = inspect(tmp_path / "probabilities.onnx").notes
    assert note.startswith("Softmax at the end left out")
    integers = onnx.load(exported / f"{NAME}.int8.onnx")
    del integers.metadata_props[:]
    onnx.save(integers, tmp_path / "integers.onnx")  # no trained network
    assert inspect(tmp_path / "integers.onnx").facts == ()


def test_what_is_neither_is_named(tmp_path: Path, exported: Path) -> None:
    torch.save({"layer1.0.conv1.weight": torch.zeros(1), "layer2.0.conv1.weight": torch.zeros(1)}, tmp_path / "r.pth")
    with pytest.raises(CheckpointError, match="ResNet"):
        inspect(tmp_path / "r.pth")
    shutil.copy(tmp_path / "r.pth", tmp_path / "r.pt")
    with pytest.raises(CheckpointError, match="ResNet"):
        inspect(tmp_path / "r.pt")
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes((exported / f"{NAME}.int8.pt").read_bytes()[:-100])
    with pytest.raises(ArtifactError, match="TorchScript"):
        inspect(damaged)


def test_suffixes_are_those_of_the_readers() -> None:
    assert {*CHECKPOINTS, ".pt"} == set(readers._SUFFIXES)  # told twice, as reading them takes torch
