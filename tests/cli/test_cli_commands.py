"""Every command on the network that edgekit ships: the whole job, then each command by itself."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgekit.defaults import FOLDER
from edgekit.integer_model import IntegerModel
from edgekit.runtimes.processor import lacks_vnni

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    Run = Callable[..., Result]

for needed in ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

NAME = "mobilenet_v3_digits_1.0_32"
QUICK = ("--set", "calibration.images=16")


def one_object(result: Any, command: str) -> dict[str, Any]:
    """The one JSON object on stdout."""
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["schema_version"] == 3
    assert found["command"] == command
    return found


def test_the_whole_job_with_nothing_given(run: Run, tmp_path: Path) -> None:
    done = run("export", "--target", "all", "--int8", "--float32")
    assert done.exit_code == 0, done.stderr
    told = re.sub(r"weights \(\d+\)", "weights (all)", done.stderr).splitlines()
    facts = [line for line in told if re.match(r"\w+ [^:]+: (given|stated|found), ", line)]  # one a reason
    values = ", ".join(re.sub(r" \(.*?\)", "", line).partition(":")[0] for line in facts)
    named = [value.split()[0] for value in values.split(", ")]
    assert told.index("loading") < told.index(facts[0]) < told.index("calibrating (128)")  # before the work starts
    assert set(named) == {
        *("padding", "bn_eps", "activation", "head_activation", "normalization", "order", "resize", "interpolation"),
        "resolution",
    }
    clamping = [line for line in told if line.startswith("! integers may differ on this machine in ")]
    assert bool(clamping) == lacks_vnni()
    assert [line for line in told if line not in (*facts, *clamping)] == [
        "no checkpoint and no edgekit.toml: using the digits network that edgekit ships",
        "loading",
        "finding what the network expects",
        "looking at the images",
        "calibrating (128)",
        "rounding weights (all)",
        "correcting biases",
        "writing (8)",
        (
            "beside the files: *.int8.edgekit (the integer model), *.ranges.json (for --ranges), *.manifest.json "
            "(for reproduce)"
        ),
    ]
    *_, title = (line for line in done.stdout.splitlines() if "file" in line and "size" in line)
    lines = done.stdout.splitlines()[done.stdout.splitlines().index(title) + 1 :]
    assert len(lines) == 8  # it ends in one line a file
    for line in lines:
        wanted = r"[✔!]  (float32|int8)\.\w+ +\d+ kB +(100 %|–) +(0 LSB|\d\.\de-\d\d)  (LiteRT|ONNX|Core ML|torch) "
        assert re.search(wanted, line)
    assert sum("  0 LSB  " in line for line in lines) == 4
    # No tick stands beside a file that this machine's default runtime need not run as it is meant.
    clamped = {f"int8.{name}" for name in (("onnx", "pt") if lacks_vnni() else ())}
    assert {line.split()[1] for line in lines if line.startswith("!")} == clamped
    assert done.stdout.count(", the default on this machine, need not give the file's integers\n") == len(clamped)
    assert max(map(len, done.stdout.splitlines())) <= 120

    done = run("verify", "--images", 40)
    assert done.exit_code == 0, done.stderr
    assert done.stderr.splitlines() == [
        "the digits network that edgekit ships: its checkpoint and its test images are used",
        "verifying (40)",
        "finding what the network expects",
    ]
    assert "measured on 40 images" in done.stdout
    ends = r"! 8 files passed, \d+ gates; 2 warnings in" if clamped else r"✔ 8 files passed, \d+ gates in"
    assert re.search(rf"{ends} [\d.]+ s\n$", done.stdout)
    marked = re.findall(r"^([✔!])  (int8\.(?!edgekit)\w+)", done.stdout, re.MULTILINE)
    assert {name for mark, name in marked if mark == "!"} == clamped
    assert len(marked) == 4
    assert re.search(r"LiteRT \S+, builtin .* LSB [¹²]\n", done.stdout)
    assert done.stdout.count("integers may differ: TFLite's own int8 kernels round twice\n") == 1
    assert max(len(line) for line in done.stdout.splitlines() if not line.startswith("! ")) <= 80

    # Not the files for torch, whose processes take seconds to start.
    files = [path for path in Path("exported").iterdir() if path.suffix in {".tflite", ".onnx", ".mlpackage"}]
    done = run("bench", *sorted(files), "--laps", "1")
    assert done.exit_code == 0, done.stderr
    assert len(re.findall(r"int8\.\w+ .*\d–[\d.]+ .*\d–[\d.]+ ", done.stdout)) == 2  # each beside its float twin
    assert "all in 1 piece" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()[3:] if " thread, batch " not in line) <= 100
    wanted = r"measuring memory \(4\)\ntiming \(4\)\nleft out, no engine runs them: .*mlpackage\n(! dirty: .*\n)*"
    assert re.fullmatch(wanted, done.stderr)

    done = run("inspect", f"exported/{NAME}.int8.edgekit")
    assert (done.exit_code, done.stderr) == (0, "")
    assert re.search(rf"^network +{NAME}", done.stdout, re.MULTILINE)
    assert [path.name for path in tmp_path.iterdir()] == ["exported"]


def test_every_file_can_be_inspected(run: Run, exported: Path) -> None:
    paths = [path for path in sorted(exported.iterdir()) if path.suffix != ".json"]
    assert len(paths) == 13
    for path in paths:
        result = run("inspect", path)
        assert (result.exit_code, result.stderr) == (0, "")
        assert re.search(rf"^network +{NAME}", result.stdout, re.MULTILINE)
        assert re.search(r"^labels +10: 0, 1, 2, 3, …", result.stdout, re.MULTILINE)
        assert re.search(r"^padding +symmetric, stated: edgekit's own metadata$", result.stdout, re.MULTILINE)
        assert re.search(r"^(! )?interpolation +bilinear, given: ", result.stdout, re.MULTILINE)


def test_a_folder_is_inspected_file_by_file(run: Run, exported: Path) -> None:
    result = run("inspect", exported)
    assert result.exit_code == 0
    names = [path.name for path in exported.iterdir() if path.suffix != ".json"]
    titles = [line for line in result.stdout.splitlines() if line.startswith(str(exported))]
    assert {Path(line).name for line in titles} == {*names}
    files = one_object(run("inspect", exported, "--json"), "inspect")["files"]
    assert {Path(file["path"]).name for file in files} == {*names}


def test_a_checkpoint_can_be_inspected(run: Run) -> None:
    result = run("inspect", FOLDER / "digits_v3.safetensors")
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.search(rf"^network +{NAME}, 10 classes$", result.stdout, re.MULTILINE)
    assert re.search(r"^padding +symmetric, stated: edgekit's own metadata$", result.stdout, re.MULTILINE)
    assert re.search(r"^! input value +\(pixel - \[123\.675, 116\.28, 103\.53\]\) / ", result.stdout, re.MULTILINE)
    assert re.search(r"^! image +32 x 32 RGB, ", result.stdout, re.MULTILINE)
    assert re.search(r"^! normalization +imagenet \(mean 0\.485 0\.456 0\.406, ", result.stdout, re.MULTILINE)
    assert "written by" not in result.stdout
    assert re.search(r"^! order +RGB, assumed: .*; to set it: --order RGB\|BGR$", result.stdout, re.MULTILINE)
    found = one_object(run("inspect", FOLDER / "digits_v3.safetensors", "--json"), "inspect")
    assert {fact["name"]: fact["basis"] for fact in found["facts"]}["order"] == "assumed"
    assert "edgekit" not in found["provenance"]


def test_what_a_line_rests_on_marks_it(run: Run, exported: Path, tmp_path: Path) -> None:
    model = IntegerModel.load(exported / f"{NAME}.int8.edgekit")
    for basis, mark in (("assumed", "! "), ("found", "")):
        facts: list[dict[str, Any]] = [
            {"name": name, "value": value, "basis": basis, "because": "", "setting": ""}
            for name, value in (("normalization", {"mean": [0.5] * 3, "std": [0.5] * 3}), ("order", "RGB"))
        ]
        if mark:  # one alone is enough
            replace(model, provenance={**model.provenance, "facts": [facts[0] | {"name": "resolution"}]}).save(
                tmp_path / "size.edgekit"
            )
            told = run("inspect", tmp_path / "size.edgekit").stdout
            assert re.search(r"^! image +.*\ninput value ", told, re.MULTILINE)
        replace(model, provenance={**model.provenance, "facts": facts}).save(tmp_path / "m.edgekit")
        told = run("inspect", tmp_path / "m.edgekit").stdout
        assert re.search(rf"^{mark}image +", told, re.MULTILINE)
        assert re.search(rf"^{mark}input value +int8 is pixel - 128, ", told, re.MULTILINE)


# What scripts may rely on: keys are added, never taken away or renamed, without another schema_version.
SCHEMA = {
    "export": {
        *("schema_version", "command", "network", "description", "notes", "files", "integer_model", "ranges"),
        *("manifest", "recipe", "facts"),
        *("images", "data_free", "diagnosis", "skipped", "kept_float", "floor", "int16", "device", "seconds"),
        "answering",
    },
    "export.files": {
        *("target", "precision", "path", "size_bytes", "write_seconds", "summary", "parity", "proven", "unproven"),
        "parities",
        "unclaimed",
    },
    "verify": {
        *("schema_version", "command", "network", "files", "images", "noise", "skipped", "integer_reference"),
        *(
            "float_reference",
            "float_measured",
            "float_by_class",
            "labels",
            "layers",
            "differences",
            "pictures",
            "proven",
            "seconds",
        ),
        *("task", "metrics"),
        *("calibration", "latencies", "passed", "references", "facts", "notes", "warnings", "is_proven"),
        "unmeasured",
    },
    "verify.files": {
        *("path", "sha256", "summary", "gates", "parities", "unclaimed", "skipped", "divergence", "is_reference"),
        *("measured", "by_class", "failed", "passed", "warnings", "is_proven", "measured_in"),
        "is_near",
    },
    "verify.files.measured": {"metric", "value", "low", "high"},
    "verify.files.measured.metric": {"name", "title", "unit", "better"},
    "verify.files.gates": {"level", "name", "runner", "passed", "measured", "limit", "problem"},
    "verify.files.parities": {
        *("runner", "images", "values", "differences", "images_identical", "identical", "max_lsb"),
        *("relative_rms", "exact", "near", "max_lsb_allowed", "passed", "output"),
    },
    "bench": {"schema_version", "command", "results", "extras", "left_out", "device", "checked"},
    "bench.results": {"rows", "refused", "machine", "conditions", "dirty", "laps"},
    "bench.results.rows": {
        *("path", "precision", "runner", "threads", "batch", "size_bytes", "p50_ms", "p90_ms", "p99_ms", "laps_ms"),
        *("runs", "interrupted", "warmup_runs", "cold_start_ms", "load_ms", "first_ms", "peak_mib", "delegate_pieces"),
        *("outside", "ratio", "slow_because"),
    },
    "bench.results.rows.p50_ms": {"value", "low", "high", "coverage"},
    "bench.results.machine": {
        *("model", "processor", "architecture", "bits", "cores", "instructions", "governor", "clock_mhz", "memory_mib"),
        *("system", "libc", "python", "runtimes"),
    },
    "bench.results.conditions": {
        *("seconds", "others_cores", "stolen", "clock_mhz", "temperature_c", "flags", "watts", "sensor"),
    },
    "inspect": {
        *("schema_version", "command", "path", "format", "size_bytes", "operators", "float_operators", "boundary"),
        *("inputs", "outputs", "version", "metadata", "int8_share"),
        *("answers", "names", "shapes", "signatures", "facts", "notes", "irregular"),
    },
    "doctor": {
        *("schema_version", "command", "python", "machine", "cores", "instructions", "packages", "emulated"),
        "warnings",
    },
}


def test_json_of_every_command(run: Run, exported: Path) -> None:
    file = exported / f"{NAME}.int8.tflite"
    results = {
        "export": run("export", "--target", "tflite", "--int8", *QUICK, "--json"),
        "verify": run("verify", file, "--images", 40, "--json"),
        "bench": run("bench", file, "--laps", "1", "--json"),
        "inspect": run("inspect", file, "--json"),
        "doctor": run("doctor", "--json"),
    }
    found = {command: one_object(result, command) for command, result in results.items()}
    for name, keys in SCHEMA.items():
        command, *inner = name.split(".")
        value: Any = found[command]
        for key in inner:
            value = (value if isinstance(value, dict) else value[0])[key]
        assert set(value if isinstance(value, dict) else value[0]) == keys, name

    assert found["export"]["network"] == NAME
    assert found["export"]["images"] == 16
    (written,) = found["export"]["files"]
    assert written["path"] == f"exported/{NAME}.int8.tflite"
    assert written["size_bytes"] == Path(written["path"]).stat().st_size
    assert written["summary"]["int8_share"] == 1.0
    assert written["parity"]["max_lsb"] == 0
    assert Path(found["export"]["integer_model"]).exists()
    assert found["verify"]["passed"]
    assert not found["verify"]["noise"]
    assert found["verify"]["float_measured"][0]["value"] > 90
    rows = found["bench"]["results"]["rows"]
    assert [row["path"] for row in rows[1:]] == found["bench"]["extras"]
    assert rows[0]["ratio"]["value"]["value"] > 0
    assert found["inspect"]["format"] == "tflite"
    assert {package["name"] for package in found["doctor"]["packages"]} >= {"numpy", "torch"}


@pytest.mark.parametrize("io_dtype", ["int8", "uint8"])
def test_integers_at_the_boundary(run: Run, exported: Path, io_dtype: str) -> None:
    ranges = exported / f"{NAME}.ranges.json"
    given = ("--int8", "--io-dtype", io_dtype, "--ranges", ranges)
    result = run("export", "-t", "tflite,onnx,torch", *given, "-o", "deep/out")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("0 LSB") == 3
    inspected = run("inspect", f"deep/out/{NAME}.int8.tflite").stdout
    assert f"{io_dtype} 1 x 32 x 32 x 3, scale" in inspected
    verified = run("verify", "deep/out", "--data", FOLDER / "test.npz", "--images", "8")
    assert verified.exit_code == 0, verified.stdout
    assert "measured on 8 images" in verified.stdout


def test_layers_in_float(run: Run) -> None:
    layers = "features.0.0, features.0.2"
    done = run("export", "--target", "tflite", "--int8", "--keep-float", layers, "--out", "out", *QUICK)
    assert done.exit_code == 0, done.output
    assert "3 layers kept in float\n" in done.stdout
    assert "logits are near, and need not be identical: integers follow from" in " ".join(done.stdout.split())
    assert re.search(r"int8\.tflite .* 9\d\.\d+ % +\d+ LSB", done.stdout)
    inspected = run("inspect", f"out/{NAME}.int8.tflite").stdout
    assert re.search(r"kept in float +features\.0\.0, features\.0\.2\.shift, features\.0\.2\.product", inspected)
    done = run("verify", "out", "--images", 8, "--data", FOLDER / "test.npz")
    assert done.exit_code == 0, done.output
    assert "logits are near, and need not be identical: integers follow from features.0.2 in float" in done.stderr
    done = run("diff", f"out/{NAME}.int8.tflite", f"out/{NAME}.int8.edgekit", "--images", 1)
    assert done.exit_code == 0, done.output
    assert "logits are near, and need not be identical: integers follow from" in " ".join(done.stdout.split())
    done = run("export", "--int8", "--keep-float", "features.0.0,stem", *QUICK)
    assert done.exit_code == 2
    assert "has no layer 'stem': choose from avgpool, classifier, features" in done.stderr
    done = run("export", "--int8", "--target", "torch", "--int16-activations", "classifier", *QUICK)
    assert done.exit_code == 2
    assert "torch has no 16-bit activations: use --keep-float for these layers" in done.stderr


def test_saved_ranges_give_the_same_files(run: Run, exported: Path) -> None:
    ranges = exported / f"{NAME}.ranges.json"
    result = run("export", "-t", "tflite,onnx", "--int8", "--ranges", ranges)
    assert result.exit_code == 0, result.stderr
    assert "calibrat" not in result.stderr
    for suffix in ("tflite", "onnx", "edgekit"):
        name = f"{NAME}.int8.{suffix}"
        assert Path("exported", name).read_bytes() == (exported / name).read_bytes(), name


def test_an_edgekit_toml_of_ones_own(run: Run, tmp_path: Path) -> None:
    (tmp_path / "edgekit.toml").write_text(
        f"""
        [model]
        checkpoint = "{FOLDER / "digits_v3.safetensors"}"
        [preprocessing]
        resize = "whole"
        [calibration]
        data = "{FOLDER / "calibration.npz"}"
        images = 8
        method = "minmax"
        [export]
        targets = ["tflite"]
        precisions = ["int8"]
        out = "files"
        [verify]
        data = "{FOLDER / "test.npz"}"
        images = 16
        [bench]
        laps = 2
        """
    )
    result = run("export")
    assert result.exit_code == 0, result.stderr
    assert "digits network" not in result.stderr  # nothing is said of the shipped one
    assert "calibrated on 8 images → files" in result.stdout
    assert re.search(r"labels +none", run("inspect", f"files/{NAME}.int8.tflite").stdout)
    assert "measured on 16 images" in run("verify").stdout
    assert "2 laps of fresh processes" in run("bench").stdout
    assert Path("files").is_dir()
    assert not Path("exported").exists()


def test_unusual_names(run: Run, tmp_path: Path, exported: Path) -> None:
    folder = tmp_path / "mit [Leer]zeichen — ü"
    result = run("export", "--int8", "-t", "tflite", "--ranges", next(exported.glob("*.ranges.json")), "--out", folder)
    assert result.exit_code == 0, result.stderr
    assert str(folder) in result.stdout
    result = run("verify", folder, "--data", FOLDER / "test.npz", "--images", "4", "--json")
    assert one_object(result, "verify")["passed"]


def test_images_over_ranges_of_the_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "edgekit.toml").write_text('[calibration]\nranges = "old.json"')
    arguments = ("--resize", "whole", "--calib", FOLDER / "calibration.npz", *QUICK)
    result = run("export", FOLDER / "digits_v3.safetensors", "-t", "tflite", "--int8", *arguments)
    assert result.exit_code == 0, result.stderr
    assert "calibrated on 16 images" in result.stdout


def test_a_file_that_is_something_else_fails(run: Run, exported: Path, tmp_path: Path) -> None:
    for path in exported.glob(f"{NAME}.int8.*"):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    model = IntegerModel.load(exported / f"{NAME}.int8.edgekit")
    spoil(tmp_path / f"{NAME}.int8.tflite", model)
    spoil(tmp_path / f"{NAME}.int8.mlpackage" / "Data" / "com.apple.CoreML" / "weights" / "weight.bin", model)
    result = run("verify", tmp_path, "--data", FOLDER / "test.npz", "--images", "8")
    assert result.exit_code == 1, result.stderr
    assert re.search(r"✘  int8\.tflite", result.stdout)
    assert re.search(r"!  int8\.onnx", result.stdout)  # its ranges are not there
    assert re.search(r"mlpackage.*\n     well-formed: .*classifier", result.stdout)
    assert re.search(r"✘ 2 of 4 files failed, 2 of \d+ gates in [\d.]+ s\n$", result.stdout)
    found = one_object(run("verify", tmp_path, "--images", 8, "--json"), "verify")
    assert not found["passed"]
    assert [Path(file["path"]).suffix for file in found["files"] if file["failed"]] == [".mlpackage", ".tflite"]


def spoil(path: Path, model: IntegerModel) -> None:
    """Turn the signs of the weights of the last layer, which every format stores alike."""
    weights = model.graph.constants[model.graph.nodes[-1].inputs[1]]
    data = path.read_bytes()
    assert data.count(weights.tobytes()) == 1
    path.write_bytes(data.replace(weights.tobytes(), (-weights).tobytes()))


def test_files_of_another_network_on_noise(run: Run, exported: Path, tmp_path: Path) -> None:
    result = run(
        "export",
        exported / f"{NAME}.float32.onnx",
        "--int8",
        "--float32",
        "--calib",
        FOLDER / "calibration.npz",
        "--resize",
        "whole",
        *QUICK,
    )
    assert result.exit_code == 0, result.stderr
    for arguments in ((), ("exported",)):
        result = run("verify", *arguments)
        assert result.exit_code == 0, result.stderr
        assert "! no images were named (--data DIR): compared on noise, so accuracy was not" in result.stdout
        assert "measured on 16 images of noise" in result.stdout
        assert f"the checkpoint is the one that {NAME}.float32.manifest.json names" in result.stderr
        warned = "2 warnings" if lacks_vnni() else "1 warning"
        assert re.search(rf"! 4 files passed, \d+ gates; {warned} in [\d.]+ s\n$", result.stdout)
    Path("exported", f"{NAME}.float32.manifest.json").unlink()
    result = run("verify")
    assert result.exit_code == 0, result.stderr
    assert "what floats are compared with" in result.stdout
    assert "! the model itself was not checked, only that the files agree: --checkpoint FILE" in result.stdout
    assert "✔" not in result.stdout
    warned = "3 warnings" if lacks_vnni() else "2 warnings"
    said = rf"! 3 files passed, 1 other not compared, \d+ gates; {warned} in [\d.]+ s\n$"
    assert re.search(said, result.stdout)
    result = run("verify", f"exported/{NAME}.float32.float32.onnx")
    assert result.exit_code == 1
    assert "✘ nothing was compared: name the trained network, --checkpoint FILE" in result.stdout
    result = run("verify", "exported", "--checkpoint", FOLDER / "digits_v3.safetensors")
    assert result.exit_code == 1
    # Said once, of the integer model and the four files.
    assert result.stdout.count("exported from another checkpoint than") == 1
    assert result.stdout.count("well-formed: of this checkpoint, as above") == 4
    assert "nothing was run" in result.stdout


def test_reports(run: Run, exported: Path) -> None:
    paths = [Path(f"report.{suffix}") for suffix in ("html", "md", "xml", "json")]
    flags = [word for path in paths for word in ("--report", path)]
    images = ("--data", FOLDER / "test.npz", "--images", "4")
    result = run("verify", exported / f"{NAME}.int8.onnx", *images, *flags, "--latency", "--set", "bench.laps=1")
    assert result.exit_code == 0, result.stderr
    assert all(path.stat().st_size > 100 for path in paths)
    assert all(f"report: {path}\n" in result.stderr for path in paths)
    page = paths[0].read_text(encoding="utf-8")
    assert "Fresh processes of all files, in turns" in page
    assert "Some of the images that int8 was calibrated on" in page
    result = run("verify", exported / f"{NAME}.int8.onnx", "--report", "report.pdf")
    assert result.exit_code == 2
    assert "is no report that edgekit knows: its suffix decides, choose from .html" in result.stderr


def test_help_version_and_nothing(run: Run) -> None:
    assert re.fullmatch(r"edgekit \d+\.\d+\.\d+\n", run("--version").stdout)
    for command in (
        *("export", "sensitivity", "finetune", "targets", "check", "verify", "bench", "inspect", "reproduce"),
        *("emulate", "ensemble", "doctor", "stages"),
    ):
        assert run(command, "--help").exit_code == run(command, "-h").exit_code == 0
        assert command in run("--help").stdout
    assert run().exit_code == 2
    assert run("exprot").exit_code == 2
    assert run("export", "--nothing").exit_code == 2


def test_doctor_names_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.device.machine import installed
    from edgekit.pipeline.measuring import doctor

    assert run("doctor").exit_code == 0
    assert "remedy" not in run("doctor").stdout
    monkeypatch.setattr(doctor, "installed", lambda name: None if name == "onnx" else installed(name))
    assert re.search(r"–  onnx +not installed +[\d.]+ +pip install 'edgekit\[onnx\]'", run("doctor").stdout)
