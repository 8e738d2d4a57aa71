"""Bad input is one clear sentence and exit code 2; nothing is left behind and nothing that was there is touched."""

from __future__ import annotations

import errno
import json
import pickle
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from edgekit.defaults import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    Run = Callable[..., Result]

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")
for needed in ("onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

NAME = "mobilenet_v3_digits_1.0_32"
CHECKPOINT = FOLDER / "digits_v3.safetensors"


class RunsCode:
    """A pickle that writes a file when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("open('PWNED', 'w').close()",)


def shipped() -> tuple[dict[str, Any], dict[str, str]]:
    """The shipped checkpoint: weights and metadata."""
    with safetensors.safe_open(CHECKPOINT, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118 - it is no mapping


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that are wrong, each in its way."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "truncated.safetensors").write_bytes(CHECKPOINT.read_bytes()[:20_000])
    weights, metadata = shipped()
    last = weights.pop("classifier.3.weight")
    safetensors.save_file(weights, folder / "cut.safetensors", metadata)
    safetensors.save_file({**weights, "classifier.3.weight": last * np.nan}, folder / "nan.safetensors", metadata)
    for name in ("text.pth", "text.onnx", "text.tflite", "text.edgekit", "text.json", "text.pt"):
        (folder / name).write_text("hello")
    (folder / "empty.pth").touch()
    (folder / "pickle.pth").write_bytes(pickle.dumps({"state_dict": RunsCode()}))
    torch.save({"state_dict": RunsCode()}, folder / "torch.pth")
    torch.save({"a.weight": torch.zeros(3)}, folder / "stranger.pth")
    (folder / "two.txt").write_text("cat\ndog\n")
    (folder / "latin.txt").write_bytes(b"caf\xe9\n" * 10)
    (folder / "nothing").mkdir()
    (folder / "notes").mkdir()
    (folder / "notes" / "readme.md").touch()
    for name in ("mixed", "broken"):
        (folder / name).mkdir()
        (folder / name / "broken.png").write_bytes(b"\x89PNG and nothing more")
    pixels = np.random.default_rng(0).integers(0, 256, (9, 40, 40, 3), np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / "mixed" / f"{number}.png")
    np.savez(folder / "labelled.npz", images=pixels, labels=np.arange(2, 11))
    return folder


# Arguments, in which {i} is the folder above, and what has to be said.
ERRORS = [
    # the checkpoint
    ("export {i}/missing.pth", r"missing\.pth does not exist: give the path"),
    ("export {i}", r"is a folder without config\.json beside model\.safetensors: give one of its checkpoints"),
    ("export {i}/two.txt", r"two\.txt has the suffix '\.txt', and checkpoints are"),
    ("export {i}/truncated.safetensors", r"truncated\.safetensors is damaged"),
    ("export {i}/empty.pth", r"empty\.pth is empty"),
    ("export {i}/text.pth", r"text\.pth is (damaged|no PyTorch checkpoint)"),
    ("export {i}/text.onnx", r"text\.onnx: it is no ONNX file, or damaged"),
    ("export {i}/stranger.pth", r"stranger\.pth: not a MobileNet that edgekit knows"),
    ("export {i}/cut.safetensors", r"1 missing \(classifier\.3\.weight\)"),
    ("export {i}/nan.safetensors", r"holds NaN or infinity"),
    ("export {i}/pickle.pth", r"pickle\.pth is no PyTorch checkpoint"),
    ("export {i}/torch.pth", r"torch\.pth holds code \(.*exec\).* edgekit never runs a file's code"),
    ("export --set model.classes=7", r"has 10 classes, and 7 are expected"),
    ("export --set model.family=mobilenet_v2", r"the network is a mobilenet_v3_digits, and no mobilenet_v2"),
    ("export --set model.resolution=0", r"resolution is 0"),
    ("export --padding smae", r"--padding is 'smae': did you mean 'same'\?"),
    ("export --order rbg", r"--order is 'rbg': did you mean 'RGB'\?"),
    ("export --resize whle", r"--resize is 'whle': did you mean 'whole'\?"),
    ("export --probabilities sofmax", r"--probabilities is 'sofmax': did you mean 'softmax'\?"),
    ("export --set model.padding=smae", r"--set model\.padding is 'smae': did you mean 'same'\?"),
    ("export --labels {i}/two.txt", r"two\.txt names 2 classes, and the network has 10"),
    ("export --labels {i}/latin.txt", r"latin\.txt cannot be read: one class a line, in UTF-8"),
    ("export --labels {i}/none.txt", r"none\.txt does not exist"),
    # the images
    ("export --int8 --calib {i}/none", r"none does not exist: name a folder of images"),
    ("export --int8 --calib {i}/nothing", r"there is no image in \S+nothing, it is empty"),
    ("export --int8 --calib {i}/notes", r"there is no image in \S+notes"),
    ("export --int8 --calib {i}/broken", r"none of the 1 images can be used, the first is broken\.png"),
    ("export --int8 --calib {i}/mixed --strict", r"broken\.png cannot be used"),
    ("export --int8 --calib {i}/mixed --set calibration.images=0", r"calibration\.images is 0: 1 or more"),
    ("export --int8 --calib {i}/mixed --resize 16", r"smaller than the network's 32 x 32"),
    ("export --int8 --calib {i}/mixed --ranges x.json", r"--calib and --ranges are both given"),
    ("export --int8 --ranges x.json --data-free", r"--ranges and --data-free are both given"),
    ("export --int8 --ranges {i}/none.json", r"none\.json does not exist"),
    ("export --int8 --ranges {i}/text.json", r"text\.json is not JSON"),
    ("export {c} --int8", r"int8 needs to see images .*: --calib DIR, or --ranges FILE"),
    # the targets
    ("export -t tflight", r"unknown target 'tflight': did you mean 'tflite'\?"),
    ("export -t all,tflight", r"unknown target 'tflight'"),
    ("export -t ,", r"export\.targets is empty"),
    ("export --int8 --io-dtype int4", r"--io-dtype is 'int4': did you mean 'int8'\?"),
    ("export --int8 --io-dtype int8 -t all", r"for Core ML take and give float32, not int8"),
    ("export --set export.onnxruntime=1.2", r"ONNX Runtime 1\.2 .* 1\.7 is the oldest"),
    # settings
    ("export --set export.tragets=1", r"unknown key export\.tragets: did you mean 'targets'\?"),
    ("export --set expart.targets=1", r"unknown section \[expart\]: did you mean 'export'\?"),
    ("export --set export", r"--set 'export': write it as SECTION\.KEY=VALUE"),
    ("export --config {i}/none.toml", r"none\.toml does not exist"),
    ("bench {i}/text.onnx --set bench.laps=0", r"bench\.laps is 0"),
    # where to write
    ("export --out {i}/two.txt", r"two\.txt is not a folder: choose another --out"),
    ("export --out {i}/two.txt/deep/out", r"two\.txt is not a folder: choose another --out"),
    # finished files
    ("verify nowhere", r"nowhere does not exist: name a file or a folder that edgekit export wrote"),
    ("verify {i}/nothing", r"there is no exported file in"),
    ("verify {i}/two.txt", r"is no file that edgekit exports: choose from"),
    ("verify {e}/*.int8.tflite --data {i}/labelled.npz", r"has the label 10, and the network has 10 classes, 0 to 9"),
    ("verify {e}/*.int8.tflite --data {i}/mixed --strict", r"broken\.png cannot be used"),
    ("verify {e}/*.int8.tflite {i}/text.edgekit", r"text\.edgekit is not an edgekit integer model"),
    ("bench nowhere", r"nowhere does not exist"),
    ("bench {i}/nothing", r"there is no file to time"),
    ("bench {i}/text.onnx --threads two", r"--threads two: whole numbers are wanted, with commas: 1,2,4"),
    ("bench {i}/text.tflite", r"text\.tflite"),
    ("bench {i}/text.onnx", r"ONNX Runtime \S+ refuses .*text\.onnx"),
    ("bench {e}/*.int8.mlpackage", r"needs an Apple system to run"),
    ("inspect nowhere.onnx", r"nowhere\.onnx does not exist"),
    ("inspect {i}/text.onnx", r"text\.onnx is not an ONNX file"),
    ("inspect {i}/text.pt", r"text\.pt is not a TorchScript file"),
    ("inspect {i}/text.edgekit", r"text\.edgekit is not an edgekit integer model"),
    ("inspect {i}/two.txt", r"is no file that edgekit exports"),
]


def arguments_of(line: str, inputs: Path, exported: Path) -> list[str]:
    words = [word.format(i=inputs, e=exported, c=CHECKPOINT) for word in line.split()]
    return [str(next(exported.glob(Path(word).name))) if "*" in word else word for word in words]


@pytest.mark.parametrize(("line", "said"), ERRORS)
def test_bad_input_is_one_sentence(
    run: Run, inputs: Path, exported: Path, tmp_path: Path, line: str, said: str
) -> None:
    before = sorted(inputs.rglob("*")) + sorted(exported.rglob("*"))
    result = run(*arguments_of(line, inputs, exported))
    assert result.exit_code == 2
    assert result.stdout == ""
    (sentence,) = (text for text in result.stderr.splitlines() if text.startswith("✘ "))
    assert result.stderr.endswith(f"{sentence}\n")
    assert re.search(said, sentence), sentence
    assert list(tmp_path.iterdir()) == []  # the working directory
    assert sorted(inputs.rglob("*")) + sorted(exported.rglob("*")) == before


def test_a_wrong_toml_names_its_key(run: Run, tmp_path: Path) -> None:
    (tmp_path / "edgekit.toml").write_text("[export]\ntarget = ['onnx']")
    for command in ("export", "verify", "bench"):
        result = run(command)
        assert result.exit_code == 2
        assert result.stderr == "✘ edgekit.toml: unknown key export.target: did you mean 'targets'?\n"
    (tmp_path / "edgekit.toml").write_text("")
    assert "no checkpoint is named" in run("export").stderr
    assert "nowhere does not exist: give the path of a trained checkpoint" in run("export", "nowhere", "--int8").stderr


def test_broken_images_are_named_and_skipped(run: Run, inputs: Path) -> None:
    result = run("export", "-t", "tflite", "--int8", "--calib", inputs / "mixed")
    assert result.exit_code == 0, result.stderr
    assert "1 image skipped (broken.png: it is no image): --strict refuses them" in result.stderr
    assert "calibrated on 9 images" in result.stdout
    (file,) = Path("exported").glob("*.int8.tflite")
    assert "(broken.png: it is no image)\n" in run("predict", file, inputs / "mixed").stderr  # there is no --strict
    result = run("verify", "exported", "--data", inputs / "mixed")
    assert result.exit_code == 0, result.stderr
    assert "1 image skipped" in result.stderr
    assert "measured on 9 images" in result.stdout


NO_SPACE = (errno.ENOSPC, "no space left on the disk while writing")
DISK = [(suffix, *NO_SPACE) for suffix in ("onnx", "tflite", "mlpackage", "pt", "edgekit", "json")]


@pytest.mark.parametrize(("suffix", "number", "said"), [*DISK, ("pt", errno.EACCES, "no permission to write")])
def test_a_full_disk_leaves_earlier_files_alone(
    run: Run, tmp_path: Path, exported: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, number: int, said: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / f"{NAME}.int8.onnx").write_text("earlier")
    write_bytes = Path.write_bytes

    def fails(path: Path, data: bytes) -> int:
        if any(f".{suffix}" in part and part.startswith(NAME) for part in path.parts):
            write_bytes(path, data[:10])
            raise OSError(number, "as the system has it", str(path))
        return write_bytes(path, data)

    ranges = next(exported.glob("*.ranges.json"))
    monkeypatch.setattr(Path, "write_bytes", fails)
    result = run("export", "-t", "all", "--int8", "--no-verify", "--ranges", ranges, "--out", out)
    assert result.exit_code == 2, result.stderr
    assert result.stderr.splitlines()[-1].startswith(f"✘ {said} {out}/{NAME}.")
    assert [path.name for path in out.iterdir()] == [f"{NAME}.int8.onnx"]
    assert (out / f"{NAME}.int8.onnx").read_text() == "earlier"


def test_a_folder_without_permission(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", "exported")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    result = run("export")
    assert result.exit_code == 2
    assert "✘ no permission to write exported/*: choose another --out" in result.stderr


MISSING_TORCH = [  # a module, the extra that brings it, and what needs it
    (
        "torch",
        "torch",
        [
            "export -t torch",
            "export -t tflite",
            "export {e}/*.float32.onnx -t tflite --int8 --calib x.png",
            "inspect {e}/*.int8.pt",
            "verify {e}/*.int8.pt",
        ],
    ),
]
MISSING = [  # likewise, in an order in which no module is imported before it is missing
    ("onnx", "onnx", ["export -t onnx", "inspect {e}/*.int8.onnx"]),
    ("onnxruntime", "onnx", ["verify {e}/*.int8.onnx"]),
    ("onnxsim", "onnx", ["export -t onnx"]),
    ("ai_edge_litert", "tflite", ["export -t tflite", "inspect {e}/*.int8.tflite"]),
    ("coremltools", "coreml", ["export -t coreml"]),
]


@pytest.mark.parametrize("missing", [MISSING_TORCH, MISSING], ids=["torch", "others"])
def test_a_missing_extra_is_named_with_its_remedy(
    environment: dict[str, str], exported: Path, tmp_path: Path, missing: list[tuple[str, str, list[str]]]
) -> None:
    """Modules are missing one after the other in one process, which imports torch once."""
    code = """
import json, sys
from typer.testing import CliRunner
from edgekit.cli.app import app
answers = []
for module, commands in json.loads(sys.argv[1]):
    assert module not in sys.modules, module
    sys.modules[module] = None
    results = [CliRunner().invoke(app, command) for command in commands]
    answers.append([[result.exit_code, result.stderr] for result in results])
    del sys.modules[module]
print(json.dumps(answers))
"""
    commands = [(module, [arguments_of(line, tmp_path, exported) for line in lines]) for module, _, lines in missing]
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(commands)],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    for (module, extra, lines), answers in zip(missing, json.loads(done.stdout), strict=True):
        for line, (exit_code, stderr) in zip(lines, answers, strict=True):
            assert exit_code == 3, (line, stderr)
            assert re.search(rf"✘ .*\b{module}\b.*: pip install 'edgekit\[{extra}\]'\n$", stderr), line
    assert list(tmp_path.iterdir()) == []


def test_our_own_mistakes_keep_their_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.pipeline.proving import inspect

    def mistake(_: Path) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(inspect, "inspect", mistake)
    with pytest.raises(ZeroDivisionError, match="ours"):
        run("inspect", "x.onnx")
