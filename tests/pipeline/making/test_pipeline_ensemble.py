"""Networks of several families as one checkpoint, and as one int8 file that every runtime computes alike."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("ai_edge_litert")

import torch

from edgekit import config
from edgekit.errors import CheckpointError, ConfigError
from edgekit.exporters.formats import FORMATS
from edgekit.facts import Basis
from edgekit.models.checkpoint import load, save
from edgekit.models.ensemble import Ensemble
from edgekit.models.ensemble_architecture import EnsembleArchitecture
from edgekit.models.families import FAMILIES
from edgekit.models.network import build
from edgekit.models.recorded import Recorded
from edgekit.models.structures import from_dict
from edgekit.pipeline.making.ensemble import combine
from edgekit.pipeline.making.export import export
from edgekit.pipeline.proving.evidence import gather
from edgekit.pipeline.proving.records import Records
from edgekit.pipeline.proving.verify import verify
from edgekit.preprocessing import Preprocessing
from edgekit.reports import markdown
from edgekit.tasks.values import measured_as

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.models.architecture import Architecture

LABELS = ("dark", "middle", "bright")
KNOWN = Recorded(Preprocessing((16, 16), None, (0.4,) * 3, (0.3,) * 3), "classification", LABELS, {"top1": "88.0 %"})


def tiny(family: str, resolution: int = 16) -> Architecture:
    whole = FAMILIES[family].make(0.25, 3, resolution=resolution)
    return replace(whole, blocks=whole.blocks[:2])


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Checkpoints of three networks that tell dark images from bright ones, and images of these."""
    folder = tmp_path_factory.mktemp("members")
    random = np.random.default_rng(0)
    labels = np.arange(48) % 3
    pixels = np.clip(random.normal(60 + 70 * labels[:, None, None, None], 30, (48, 16, 16, 3)), 0, 255).astype(np.uint8)
    np.savez(folder / "images.npz", images=pixels, labels=labels)
    images, targets = torch.from_numpy(KNOWN.preprocessing.normalization(pixels)), torch.from_numpy(labels)
    paths = []
    for family in ("mobilenet_v2", "mobilenet_v3_digits", "mobilenet_v1_cifar"):
        torch.manual_seed(0)
        network = build(tiny(family))
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        for _ in range(20):
            optimizer.zero_grad()
            torch.autograd.backward(torch.nn.functional.cross_entropy(network(images), targets))
            optimizer.step()
        paths.append(folder / f"{family}.safetensors")
        save(paths[-1], network, tiny(family), KNOWN)
    return paths


def test_the_logits_are_the_mean_and_everything_else_is_kept(members: list[Path], tmp_path: Path) -> None:
    made = combine(members, tmp_path / "all.safetensors")
    assert (made.name, made.classes) == ("ensemble_of_3_16", 3)
    found, parts = load(made.path), [load(path) for path in members]
    assert [member.sha256 for member in made.members] == [part.sha256 for part in parts]
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        expected = torch.stack([part.module(x).double() for part in parts]).mean(0)
        torch.testing.assert_close(found.module(x).double(), expected, rtol=0, atol=1e-6)
    assert found.recorded == replace(KNOWN, measured={})
    assert {fact.basis for fact in found.facts} == {Basis.STATED}
    assert from_dict(json.loads(json.dumps(found.structure.to_dict()))) == found.structure
    other = load(made.path, resolution=24).structure
    assert isinstance(other, EnsembleArchitecture)
    assert [member.resolution for member in other.members] == [24] * 3
    with pytest.raises(ConfigError, match=r"model\.padding is set, and each network of an ensemble says that itself"):
        load(made.path, padding="same")


def test_it_is_exported_as_one_file_in_which_runtimes_agree(members: list[Path], tmp_path: Path) -> None:
    made = combine(members, tmp_path / "all.safetensors")
    data = members[0].parent / "images.npz"
    given: dict[str, dict[str, object]] = {
        "model": {"checkpoint": made.path},
        "calibration": {"data": data},
        "export": {"targets": ["tflite", "onnx"], "precisions": ["int8"], "out": tmp_path / "out", "verify": False},
        "verify": {"data": data},
    }
    settings = config.load(None, given)
    assert not [fact for fact in export(settings).facts if fact.is_assumed]
    (path,) = (tmp_path / "out").glob("*.int8.tflite")
    about = FORMATS["tflite"].read(path).metadata
    assert about is not None
    assert about.labels == gather([path], [about], None, Records(), settings).labels == LABELS
    result = verify([tmp_path / "out"], settings)
    assert result.passed, markdown.render(result)
    for file in result.files:
        top1 = measured_as("top1", file.measured)
        assert top1 is not None
        assert top1.value > 90


def test_networks_that_do_not_belong_together_are_refused(members: list[Path], tmp_path: Path) -> None:
    first, out = members[0], tmp_path / "all.safetensors"
    network = tiny("mobilenet_v2")

    def refused(said: str, recorded: Recorded | None, architecture: Architecture = network) -> None:
        other = tmp_path / "other.safetensors"
        save(other, build(architecture), architecture, recorded)
        with pytest.raises((CheckpointError, ConfigError), match=said):
            combine([first, other], out)

    refused("does not say how images become its input", None)
    refused("labels is dark middle bright of the one, and a b c", replace(KNOWN, labels=("a", "b", "c")))
    seen = replace(KNOWN.preprocessing, mean=(0.5,) * 3)
    refused("mean is 0.4 of the one, and 0.5 of the other", replace(KNOWN, preprocessing=seen))
    larger = replace(KNOWN, preprocessing=replace(KNOWN.preprocessing, size=(24, 24)))
    refused("size is 16x16 of the one, and 24x24", larger, tiny("mobilenet_v2", 24))
    combine([first, first], out)
    with pytest.raises(CheckpointError, match="ensemble_of_2_16 is an ensemble, and one network is wanted"):
        combine([first, out], tmp_path / "more.safetensors")
    with pytest.raises(ConfigError, match="of one network is that network"):
        combine([first], out)
    with pytest.raises(ConfigError, match=r"ends with \.safetensors"):
        combine(members, tmp_path / "all.pth")


def test_any_modules_of_the_same_classes_have_a_mean() -> None:
    members = [torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)]
    x = torch.randn(5, 4)
    torch.testing.assert_close(Ensemble(members)(x), (members[0](x) + members[1](x)) / 2)
    other = replace(tiny("mobilenet_v2"), num_classes=4)
    with pytest.raises(ConfigError, match="cannot be averaged, for they have classes: 3 and 4"):
        EnsembleArchitecture((tiny("mobilenet_v2"), other))
