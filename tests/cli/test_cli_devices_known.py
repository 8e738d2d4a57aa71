"""Devices: what is known of them, exporting for one, and holding files against its rules."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from edgekit.profiles.profile import names, profile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from edgekit.profiles.profile import Choice, Claim, Rule, Runtime

    Run = Callable[..., Result]

NAME = "mobilenet_v3_digits_1.0_32"
EXPORTS = ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools")


def words(result: Result) -> str:
    return " ".join(result.stdout.split())


# --- devices ----------------------------------------------------------------------------------------------------------


def test_the_devices_in_a_table(run: Run) -> None:
    result = run("devices")
    assert (result.exit_code, result.stderr) == (0, "")
    _, *rows = result.stdout.splitlines()
    assert [row.split()[0] for row in rows] == list(names())
    assert re.search(r"x86 +x86-64 without VNNI +onnx, tflite +int8 +float32 +1 +promised\n", result.stdout)
    assert re.search(r"ethos-u85 .* – +not promised\n", result.stdout)


def test_the_command_s_older_name(run: Run) -> None:
    assert run("targets").stdout == run("devices").stdout


@pytest.mark.parametrize("name", names())
def test_one_device_with_every_source(run: Run, name: str) -> None:
    result, device = run("devices", name), profile(name)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{name}: {device.title}\n")
    entries: tuple[Claim | Runtime | Choice | Rule, ...] = (*device.runtimes, *device.choices, *device.rules)
    for entry in (device.claim, *entries, *([device.compiler] if device.compiler else ())):
        assert entry.source in result.stdout
    for rule in device.rules:
        assert f"{rule.says}. {rule.effect}, {rule.basis}. Remedy: {rule.remedy}" in words(result)


def test_devices_as_json(run: Run) -> None:
    found = json.loads(run("devices", "--json").stdout)
    assert found["command"] == "devices"
    assert [device["name"] for device in found["devices"]] == list(names())
    (one,) = json.loads(run("devices", "edgetpu", "--json").stdout)["devices"]
    assert set(one) == {
        *("name", "title", "processor", "formats", "precisions", "layout", "claim", "runtimes", "choices", "rules"),
        *("compiler", "settings"),
    }
    assert set(one["rules"][0]) == {
        *("name", "format", "check", "limits", "says", "remedy", "source", "basis", "effect"),
    }
    assert one["settings"]["export"]["io_dtype"] == "int8"


def test_latency_models_that_are_kept(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert "latency models" not in run("devices").stdout
    (tmp_path / "edgekit" / "devices").mkdir(parents=True)
    (tmp_path / "edgekit" / "devices" / "pi.latency.json").write_text("{}")
    assert run("devices").stdout.splitlines()[-1].endswith("latency=12@NAME: pi")
    assert json.loads(run("devices", "--json").stdout)["latency_models"] == ["pi"]
    result = run("check", ".", "--latency", "pie")
    assert result.exit_code == 2
    assert "no latency model is called 'pie': did you mean 'pi'?" in words_of(result)


def words_of(result: Result) -> str:
    return " ".join(result.stderr.split())


def test_an_unknown_device(run: Run) -> None:
    for command in (("targets", "raspberypi4"), ("export", "--device", "raspberypi4")):
        result = run(*command)
        assert result.exit_code == 2
        assert "unknown device 'raspberypi4': did you mean 'raspberrypi4'?" in result.stderr


# --- export and check -------------------------------------------------------------------------------------------------


@pytest.fixture
def toolchains() -> None:
    for needed in EXPORTS:
        pytest.importorskip(needed)


@pytest.mark.usefixtures("toolchains")
def test_for_a_device_and_checked(run: Run, exported: Path) -> None:
    ranges = exported / f"{NAME}.ranges.json"
    done = run("export", "--device", "edgetpu", "--ranges", ranges, "--no-verify")
    assert done.exit_code == 0, done.stderr
    assert "made for Coral Edge TPU: edgekit devices edgetpu says how, and why" in done.stderr
    assert "int8.tflite" in done.stdout
    checked = run("check", "exported", "--device", "edgetpu")
    assert (checked.exit_code, checked.stderr) == (
        0,
        "predicted from 15 rules of Coral Edge TPU (edgekit devices edgetpu), not run\n",
    )
    assert re.fullmatch(rf"✔ exported/{NAME}\.int8\.tflite: \d+ operators, no rule is broken\n", checked.stdout)
    assert "made for edgetpu" in words(run("inspect", f"exported/{NAME}.int8.tflite"))


@pytest.mark.usefixtures("toolchains")
def test_what_breaks_a_rule(run: Run, exported: Path) -> None:
    path = exported / f"{NAME}.float32.tflite"
    result = run("check", path, "--device", "edgetpu")
    assert result.exit_code == 1
    assert re.search(rf"✘ .*{NAME}\.float32\.tflite: \d+ of \d+ operators refused or wrong\n", result.stdout)
    assert "  integers (refused, documented): tensors have to be 8-bit integers" in result.stdout
    assert re.search(r"\n    … and \d+ more\n    remedy: leave --keep-float", result.stdout)
    assert "    source: https://coral.ai/docs/edgetpu/models-intro/#model-requirements\n" in result.stdout
    found = json.loads(run("check", path, "--device", "edgetpu", "--json").stdout)
    assert (found["command"], found["passed"], found["device"]["name"]) == ("check", False, "edgetpu")
    (file,) = found["files"]
    assert set(file) == {"path", "operators", "irregular", "findings", "passed"}
    assert set(file["findings"][0]) == {"rule", "operator", "name", "layer", "text"}


@pytest.mark.usefixtures("toolchains")
def test_what_is_slower_only(run: Run, exported: Path) -> None:
    """A float boundary: its conversions, and the ADD before them."""
    result = run("check", exported / f"{NAME}.int8.tflite", "--device", "edgetpu")
    assert result.exit_code == 0
    assert re.search(
        r"✔ .*: \d+ operators, some slower than they had to be\n  boundary \(slower, reported\)", result.stdout
    )
    assert "the file: it takes float32\n" in result.stdout
    assert "ADD" not in result.stdout


@pytest.mark.usefixtures("toolchains")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--device", "ethos-u55"), "there are no rules of Arm Ethos-U55: "),
        (("--device", "edgetp"), "did you mean 'edgetpu'?"),
        ((), "name what the files have to run on: --device NAME"),
    ],
)
def test_what_cannot_be_checked(run: Run, exported: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run("check", exported / f"{NAME}.int8.tflite", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.usefixtures("toolchains")
def test_a_program_in_float16_is_told(run: Run, exported: Path) -> None:
    ranges = exported / f"{NAME}.ranges.json"
    done = run("export", "--device", "apple-neural-engine", "--ranges", ranges)
    assert done.exit_code == 0, done.stderr
    assert "logits are near, and need not be identical: scales are rounded to float16" in done.stdout


@pytest.mark.usefixtures("toolchains")
def test_a_device_in_a_file(run: Run, exported: Path, tmp_path: Path) -> None:
    """The shipped network's settings, with a device; a flag wins, and that is told."""
    from edgekit.defaults import FOLDER

    text = (FOLDER / "edgekit.toml").read_text(encoding="utf-8").replace('= "digits_v3', f'= "{FOLDER}/digits_v3')
    text = re.sub(r'= "(labels\.txt|calibration\.npz|test\.npz)"', rf'= "{FOLDER}/\1"', text)
    (tmp_path / "edgekit.toml").write_text(f'{text}\n[export]\ndevice = "raspberrypi4"\n', encoding="utf-8")
    flags = ("--ranges", exported / f"{NAME}.ranges.json", "--no-verify", "--io-dtype", "uint8")
    done = run("export", *flags)
    assert done.exit_code == 0, done.stderr
    assert "made for Raspberry Pi 4" in done.stderr
    assert "export.io_dtype is uint8, where the profile of Raspberry Pi 4 has int8" in " ".join(done.stderr.split())
    assert "uint8 1 x 32 x 32 x 3" in run("inspect", f"exported/{NAME}.int8.tflite").stdout
