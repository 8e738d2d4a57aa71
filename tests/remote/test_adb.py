"""Over adb: against a script that answers as adb and benchmark_model do. None of this ran on a phone."""

from __future__ import annotations

import io
import json
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.device.plan import Golden, GoldenOutput, Plan, PlannedFile
from edgekit.errors import ArtifactError, BadInput, DeviceUnreachable, GateFailed, MissingDependency
from edgekit.pipeline.measuring.bench import Planned
from edgekit.pipeline.measuring.bundle import Luggage
from edgekit.pipeline.measuring.device import bench_on, connect

if TYPE_CHECKING:
    from pathlib import Path

PLANNED = Planned(Plan(()), (), ())

# A phone in a folder. Its benchmark_model answers twice what it is given, plus what "off" says, and is as slow as the
# file is long.
FAKE = r"""#!{python} -IS
import json, os, pathlib, re, shutil, sys
phone = pathlib.Path({phone!r})
state = json.loads((phone / "state.json").read_text())
words = sys.argv[1:]
with (phone / "log").open("a") as log: log.write(json.dumps(words) + "\n")
if words[0] == "-s":
    if words[1] != "R58": sys.exit(f"adb: device '{{words[1]}}' not found")
    words = words[2:]
if state["gone"]: sys.exit("adb: no devices/emulators found")
real = lambda path: phone / path.lstrip("/")
command, *rest = words
if command == "get-state": print("device")
elif command == "push": shutil.copy(rest[0], real(rest[1]))
elif command == "pull": shutil.copy(real(rest[0]), rest[1])
elif rest[0].startswith("ls"): print("/data/local/tmp/benchmark_model" if state["tool"] else "")
elif rest[0].startswith("mktemp"):
    real("/data/local/tmp/edgekit.abc").mkdir(parents=True); print("/data/local/tmp/edgekit.abc")
elif rest[0].startswith("rm -rf"): shutil.rmtree(real(rest[0].split()[-1]))
elif rest[0].startswith("getprop"): print(state["properties"].get(rest[0].split()[1], ""))
elif rest[0].startswith("cat /proc/cpuinfo"): print("Features\t: fp asimd asimddp i8mm")
elif rest[0].startswith("cat /proc/meminfo"): print("MemTotal:        8000000 kB")
elif rest[0] == "nproc": print(8)
else:
    flags = dict(re.findall(r"--(\w+)=(\S+)", rest[0].replace("'", "")))
    if state["crash"]: print("Segmentation fault"); sys.exit(139)
    if "output_filepath" in flags:
        given = bytearray(real(flags["input_layer_value_files"].partition(":")[2]).read_bytes())
        assert flags["input_layer_shape"] == "1,2,2,1"
        real(flags["output_filepath"]).write_bytes(bytes((2 * b + state["off"]) % 256 for b in given))
    us = 100 * len(real(flags["graph"]).read_bytes()) / int(flags["num_threads"])
    print(f"count=10 curr={{us}}")
    mean = us * 1.1
    print(f"count=50 first={{us}} curr={{us}} min={{us}} max={{us}} avg={{mean}} std=1" + state["median"].format(us=us))
    print(f"Inference timings in us: Init: 4000, First inference: 2000, Warmup (avg): 9e+02, Inference (avg): {{mean}}")
    print("Memory footprint delta from the start of the tool (MB): init=1.5 overall=3.25")
"""


class Phone:
    """A folder; ``becomes`` says how it behaves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.becomes()

    def becomes(self, **state: object) -> None:
        properties = {"ro.product.manufacturer": "Acme", "ro.product.model": "One", "ro.product.cpu.abi": "arm64-v8a"}
        usual = {"gone": False, "tool": True, "crash": False, "off": 0, "median": " p5=1 median={us} p95=2"}
        values = {**usual, "properties": properties, **state}
        (self.folder / "state.json").write_text(json.dumps(values), encoding="utf-8")

    @property
    def left(self) -> list[str]:
        return [path.name for path in (self.folder / "data/local/tmp").glob("*")]


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Phone:
    folder = tmp_path / "phone"
    (folder / "data/local/tmp").mkdir(parents=True)
    (tmp_path / "adb").write_text(FAKE.format(python=sys.executable, phone=str(folder)), encoding="utf-8")
    (tmp_path / "adb").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return Phone(folder)


def npy(values: object) -> bytes:
    content = io.BytesIO()
    np.save(content, np.array(values, np.int8))
    return content.getvalue()


@pytest.fixture
def luggage(tmp_path: Path) -> Luggage:
    golden = Golden("in.npy", {"logits": GoldenOutput("out.npy", 0.0)})
    int8 = PlannedFile("a/net.int8.tflite", "litert", golden=golden, precision="int8", baseline="net.float32.tflite")
    plan = Plan((int8, PlannedFile("net.float32.tflite", "litert")), threads=(1, 2), batches=(1, 4), laps=1)
    images = np.arange(8).reshape(2, 2, 2, 1)
    contents = {
        "plan.json": plan.to_json().encode(),
        "a/net.int8.tflite": bytes(10),
        "net.float32.tflite": bytes(40),
        "in.npy": npy(images),
        "out.npy": npy(2 * images.reshape(2, 4)),
    }
    return Luggage(plan, contents, {}, {})


def test_files_are_checked_and_timed(phone: Phone, luggage: Luggage) -> None:
    with connect("adb://") as there:
        found = bench_on(there, PLANNED, luggage)
    assert [(file.images, file.different) for file in found.checked] == [(2, 0), (0, 0)]
    rows = {(row.path, row.threads): row for row in found.results.rows}
    assert {key: row.p50_ms.value for key, row in rows.items()} == {
        ("a/net.int8.tflite", 1): 1.0,
        ("net.float32.tflite", 1): 4.0,
        ("a/net.int8.tflite", 2): 0.5,
        ("net.float32.tflite", 2): 2.0,
    }
    int8 = rows["a/net.int8.tflite", 1]
    assert int8.ratio is not None
    assert (int8.ratio.value.value, int8.cold_start_ms, int8.peak_mib, int8.size_bytes) == (0.25, 6.0, 3.25, 10)
    machine = found.results.machine
    assert (machine.model, machine.bits, machine.cores, machine.libc) == ("Acme One", 64, 8, "bionic")
    assert machine.instructions == ("int8 dot products (NEON dotprod)", "int8 matrix products (NEON i8mm)")
    assert len(found.results.refused) == 2  # of batch 4
    assert phone.left == []


def test_older_tools_give_the_mean(phone: Phone, luggage: Luggage) -> None:
    phone.becomes(median="")
    with connect("adb://R58") as there:
        assert bench_on(there, PLANNED, luggage).results.rows[0].p50_ms.value == pytest.approx(1.1)


def test_a_wrong_answer_is_not_timed(phone: Phone, luggage: Luggage) -> None:
    phone.becomes(off=3)
    with connect("adb://") as there, pytest.raises(GateFailed, match="8 of 8 outputs differ, by up to 3 LSB"):
        bench_on(there, PLANNED, luggage)
    assert phone.left == []


def test_what_does_not_work(phone: Phone, luggage: Luggage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(DeviceUnreachable, match="adb://R59: device 'R59' not found: see adb devices"):
        connect("adb://R59")
    phone.becomes(tool=False)
    with pytest.raises(MissingDependency, match=r"has no /data/local/tmp/benchmark_model: fetch .* && adb shell chmod"):
        connect("adb://")
    phone.becomes()
    onnx = replace(luggage.plan, files=(PlannedFile("net.onnx", "onnxruntime"),)).to_json().encode()
    with connect("adb://") as there:
        with pytest.raises(BadInput, match=r"net\.onnx: over adb, \.tflite files can be timed alone"):
            there.send({"plan.json": onnx})
        phone.becomes(crash=True)
        with pytest.raises(ArtifactError, match="Segmentation fault"):
            bench_on(there, PLANNED, luggage)
        phone.becomes(gone=True)
        with pytest.raises(DeviceUnreachable, match="no devices/emulators found"):
            there.bench()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(MissingDependency, match="there is no adb on this machine"):
        connect("adb://")
