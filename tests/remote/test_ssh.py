"""Over a real OpenSSH server: what works, and what is told where it does not."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgekit.device.plan import Plan
from edgekit.errors import ArtifactError, BadInput, DeviceUnreachable, EdgekitError, GateFailed, MissingDependency
from edgekit.pipeline.measuring.bench import Planned
from edgekit.pipeline.measuring.device import bench_on, connect

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.pipeline.measuring.bundle import Luggage

    from .conftest import Device  # noqa: TID252 - fixtures have no other home

PLANNED = Planned(Plan(()), (), ())  # what else there is to say about a plan


def test_files_are_checked_and_timed(device: Device, luggage: Luggage) -> None:
    stages = []
    with connect(device.address, engines=["onnxruntime"]) as there:
        measured = bench_on(there, PLANNED, luggage, progress=lambda stage, done, total: stages.append(stage))
        assert len(list(device.temporary.iterdir())) == 1
    assert [(file.path, file.images, file.values, file.different) for file in measured.checked] == [
        ("linear net.onnx", 4, 40, 0)
    ]
    (row,) = measured.results.rows
    assert row.path == "linear net.onnx"
    assert 0 < row.p50_ms.value < 1000
    assert list(dict.fromkeys(stages)) == ["sending", "checking", "measuring memory", "timing"]
    assert device.leftovers() == []


def test_the_command(device: Device, net: Path) -> None:
    from typer.testing import CliRunner

    from edgekit.cli.app import app

    command = ["bench", str(net), "--device", device.address, "--laps", "1"]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert "linear net.onnx" in shown.stdout
    assert "ONNX Runtime" in shown.stdout
    device.has_python(device.folder / "bin", "-I", "-S")
    missing = CliRunner().invoke(app, [*command, "--json"])
    found = json.loads(missing.stdout)
    assert (missing.exit_code, found["exit_code"], found["error"]["type"]) == (3, 3, "MissingDependency")
    assert found["error"]["message"].startswith(f"{device.address}: ")


def test_what_a_login_prints_is_no_answer(device: Device) -> None:
    device.becomes(before="echo Welcome; printf '{\"edge'; echo 'mail!' >&2")
    with connect(device.address) as there:
        assert there.examine().machine.bits in {32, 64}


def test_a_wrong_answer_is_not_timed(device: Device, luggage: Luggage) -> None:
    wrong = {name: bytes(content) for name, content in luggage.contents.items()}
    (file,) = luggage.plan.files
    assert file.golden is not None
    (output,) = file.golden.outputs.values()
    name = output.array
    content = bytearray(wrong[name])
    content[-1] ^= 0x40  # the sign of an exponent
    wrong[name] = bytes(content)
    with (
        connect(device.address) as there,
        pytest.raises(GateFailed, match=r"linear net\.onnx \(ONNX Runtime .*\): 1 of 40 outputs differ, by up to .*"),
    ):
        bench_on(there, PLANNED, replace(luggage, contents=wrong))


def test_a_file_that_a_runtime_refuses(device: Device, luggage: Luggage) -> None:
    damaged = {**luggage.contents, "linear net.onnx": b"no network"}
    with (
        connect(device.address) as there,
        pytest.raises(ArtifactError, match=rf"^{device.address}: ONNX Runtime .* refuses linear net\.onnx"),
    ):
        bench_on(there, PLANNED, replace(luggage, contents=damaged))


# --- which Python


def test_a_virtual_environment_is_found(device: Device, luggage: Luggage) -> None:
    device.has_python(device.folder / "bin", "-I", "-S")  # the system's has nothing
    device.has_python(device.home / "project" / ".venv" / "bin")
    with connect(device.address, engines=["onnxruntime"]) as there:
        assert "onnxruntime" in there.examine().machine.runtimes


def test_one_that_is_named(device: Device) -> None:
    device.has_python(device.folder / "bin", "-I", "-S")
    device.has_python(device.home / "deep" / "in a" / "folder" / "bin")
    with connect(device.address, python="~/deep/in a/folder/bin/python3") as there:
        assert "onnxruntime" in there.examine().machine.runtimes
    with pytest.raises(MissingDependency, match=r"nowhere/python.* not found: correct bench\.python"):
        connect(device.address, python="/nowhere/python")


def test_no_python(device: Device) -> None:
    device.becomes(PATH="/nowhere")
    with pytest.raises(MissingDependency, match="has no python3: sudo apt install python3"):
        connect(device.address)


def test_no_runtime(device: Device, luggage: Luggage) -> None:
    device.has_python(device.folder / "bin", "-I", "-S")
    with connect(device.address) as there:
        found = there.examine()
        assert {runtime.package: runtime.installed for runtime in found.runtimes} == {
            "ai-edge-litert": None,
            "tflite-runtime": None,
            "onnxruntime": None,
            "torch": None,
        }
        with pytest.raises(
            MissingDependency, match=r"has no onnxruntime: .*(pip install onnxruntime|there is no wheel)"
        ):
            bench_on(there, PLANNED, luggage)
    assert device.leftovers() == []


# --- disks


def test_a_file_larger_than_allowed(device: Device, luggage: Luggage) -> None:
    device.becomes(before="ulimit -f 400")  # blocks of 512 bytes
    with (
        connect(device.address) as there,
        pytest.raises(BadInput, match=r"big of 1\.0 MiB cannot be written: File too large"),
    ):
        there.send({"big": bytes(1 << 20)})
    assert device.leftovers() == []


def test_more_than_the_disk_holds(device: Device) -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 1 << 60

    with (
        connect(device.address) as there,
        pytest.raises(BadInput, match=r"temporary has .* MiB left, and 1099511627776\.0 MiB are needed: free some"),
    ):
        there.send({"huge": Huge()})


def test_no_room_for_the_agent(device: Device) -> None:
    device.becomes(before="ulimit -f 2")
    with pytest.raises(
        BadInput, match=r"File too large: .* MiB left, and 0\.\d MiB are needed: free some, or set TMPDIR"
    ):
        connect(device.address)
    assert device.leftovers() == []


# --- connections


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ssh://127.0.0.1:1", "Connection refused"),
        ("ssh://nosuchhost.invalid", "[Cc]ould not resolve hostname|resolution"),
    ],
)
def test_nobody_there(device: Device, address: str, said: str) -> None:
    with pytest.raises(DeviceUnreachable, match=f"{address}: .*({said})") as raised:
        connect(address)
    assert raised.value.exit_code == 4


def test_no_access(device: Device) -> None:
    port = device.address.rpartition(":")[2]
    with pytest.raises(DeviceUnreachable, match=r"Permission denied \(.*publickey.*\): .*ssh-copy-id"):
        connect(f"ssh://stranger:{port}")


def test_a_connection_that_is_lost_while_files_are_timed(device: Device, luggage: Luggage) -> None:
    """Whatever the device is at then, it stops, and deletes what it was sent."""
    lost: list[EdgekitError] = []
    timing = threading.Event()

    def work() -> None:
        with connect(device.address) as there:
            try:
                many = replace(luggage.plan, laps=1000).to_json().encode()
                bench_on(
                    there,
                    PLANNED,
                    replace(luggage, contents={**luggage.contents, "plan.json": many}),
                    progress=lambda stage, *_: timing.set() if stage == "timing" else None,
                )
            except EdgekitError as error:
                lost.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    assert timing.wait(60)
    started = time.monotonic()
    for pid in device.sessions():
        os.kill(pid, signal.SIGKILL)
    worker.join(30)
    assert time.monotonic() - started < 10
    (error,) = lost
    assert isinstance(error, DeviceUnreachable)
    assert re.search("closed by remote host|reset|Broken pipe|lost", str(error))
    assert device.leftovers() == []


@pytest.mark.skipif(sys.platform == "win32", reason="terminals are different there")
def test_what_ssh_asks_it_asks_on_the_terminal(device: Device) -> None:
    """A passphrase takes the way that a password does: to ssh, and to nobody else."""
    port = device.address.rpartition(":")[2]
    spawn = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
    ours = [sys.executable, "-m", "edgekit", "doctor", "--device", f"ssh://locked:{port}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "COLUMNS": "200"}
    environment.pop("SSH_AUTH_SOCK", None)
    with subprocess.Popen(
        [sys.executable, "-c", spawn, *ours], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        said = b""
        while b"Enter passphrase" not in said:
            more = os.read(process.stdout.fileno(), 4096)
            assert more, said
            said += more
        time.sleep(0.2)  # what is typed before the question is thrown away
        process.stdin.write(b"open sesame\n")
        process.stdin.flush()
        said += process.stdout.read()
    assert process.returncode == 0, said
    assert b"64-bit Python" in said
    assert b"sesame" not in said


def test_there_is_no_ssh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match="there is no ssh on this machine"):
        connect("ssh://pi")
