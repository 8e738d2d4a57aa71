"""``--model MODULE:FACTORY --weights FILE``: the user's own code, which runs because the user says so."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import edgekit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typer.testing import Result

    Run = Callable[..., Result]

CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.stem(x).mean((2, 3)))

class Inner:
    @staticmethod
    def make():
        return Net()

def fails():
    return Net().nothing

def of_size(side):
    return Net()

number = 7
"""
GIVEN = ("--preprocessing", "imagenet", "--order", "RGB", "--set", "model.resolution=8", "--no-verify", "-t", "tflite")
AS_THEY_ARE = ("--resize", "none")
CALIBRATED = ("--int8", "--calib", "calib.npz", *GIVEN)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A working directory with code, weights and images."""
    (tmp_path / "ownnets.py").write_text(CODE, encoding="utf-8")
    sys.path.insert(0, str(tmp_path))
    import ownnets  # type: ignore[import-not-found]

    torch.manual_seed(3)
    weights = {f"module.{name}": value for name, value in ownnets.Net().state_dict().items()}  # as of several GPUs
    torch.save({"epoch": 3, "state_dict": weights}, tmp_path / "w.pth")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "calib.npz", images=pixels)
    yield tmp_path
    sys.modules.pop("ownnets")
    sys.path.remove(str(tmp_path))


def test_it_is_exported_verified_and_reproduced(run: Run, folder: Path) -> None:
    named = ("--model", "ownnets:Net", "--weights", "w.pth")
    done = run("export", *named, *CALIBRATED)
    assert done.exit_code == 0, done.output
    found = json.loads(run("verify", "exported", *named, "--json").stdout)
    gates = {gate["name"] for file in (*found["references"], *found["files"]) for gate in file["gates"]}
    assert "integers made again" in gates, "from the code"
    manifest = folder / "exported" / "net.manifest.json"
    assert json.loads(manifest.read_text())["inputs"]["in_memory"] == "Net, made by ownnets:Net with w.pth"
    done = run("reproduce", manifest)
    assert done.exit_code == 2
    assert "made by ownnets:Net with w.pth, which no file leads to: name what makes it, --model" in done.stderr
    done = run("reproduce", manifest, *named)
    assert done.exit_code == 0, done.output
    done = run("reproduce", manifest, "--model", "ownnets:Net")
    assert done.exit_code == 1, "other weights"
    assert "are not those of then" in done.output


def test_it_gives_the_bytes_of_the_same_module_in_memory(run: Run, folder: Path) -> None:
    import ownnets

    assert (
        run("export", "--model", "ownnets:Inner.make", "--weights", "w.pth", *CALIBRATED, *AS_THEY_ARE).exit_code == 0
    )
    module = ownnets.Net()
    weights = torch.load(folder / "w.pth", weights_only=True)["state_dict"]
    module.load_state_dict({name.removeprefix("module."): value for name, value in weights.items()})
    images = np.load(folder / "calib.npz")["images"]
    edgekit.export(
        module,
        calibration=images,
        resolution=8,
        preprocessing="imagenet",
        order="RGB",
        resize="none",
        targets="tflite",
        verify=False,
        out=folder / "memory",
    )
    for name in ("net.int8.tflite", "net.int8.edgekit", "net.ranges.json"):
        assert (folder / "exported" / name).read_bytes() == (folder / "memory" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "ownnets:Nett"), "ownnets has no Nett: did you mean 'Net'?"),
        (("--model", "nonets:Net"), "there is no module nonets"),
        (("--model", "ownnets.py:Net"), "write it as MODULE:FACTORY"),
        (("--model", "ownnets"), "write it as MODULE:FACTORY"),
        (("--model", "ownnets:number"), "ownnets:number is a int"),
        (("--model", "ownnets:fails"), "calling ownnets:fails without arguments fails with AttributeError"),
        (("--model", "ownnets:of_size"), "without arguments fails with TypeError"),
        (("--model", "ownnets:Inner"), "ownnets:Inner gives a Inner, and a torch.nn.Module is wanted"),
        (("--model", "ownnets:Net", "--weights", "no.pth"), "no.pth does not exist"),
        (("--model", "ownnets:Net", "--weights", "other.pth"), "1 missing (head.bias); 1 unexpected (more)"),
        (("--weights", "w.pth"), "--model MODULE:FACTORY names it"),
        (("w.pth", "--model", "ownnets:Net"), "both name the network"),
    ],
)
def test_what_is_wrong_is_explained(run: Run, folder: Path, arguments: tuple[str, ...], said: str) -> None:
    import ownnets

    weights = ownnets.Net().state_dict()
    weights["more"] = weights.pop("head.bias")
    torch.save(weights, folder / "other.pth")
    done = run("export", *arguments, *GIVEN)
    assert done.exit_code == 2
    assert said in done.stderr


def test_it_is_inspected(run: Run, folder: Path) -> None:
    done = run("inspect", "--model", "ownnets:Net", "--set", "model.resolution=8")
    assert done.exit_code == 0, done.output
    assert "made by ownnets:Net" in done.stdout
    assert "no file is named" in run("inspect").stderr


def test_no_file_can_name_code(run: Run, folder: Path) -> None:
    (folder / "edgekit.toml").write_text("[model]\nmodel = 'ownnets:Net'\n", encoding="utf-8")
    done = run("export", *GIVEN)
    assert done.exit_code == 2
    assert "unknown key model.model" in done.stderr
