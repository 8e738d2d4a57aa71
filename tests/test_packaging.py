"""What is installed, what it needs, and that the files which describe edgekit describe what is there."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edgekit.pipeline.measuring.doctor import distributions

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
BESIDE = ("benchmarks", "calibration", "exporters")  # beside edgekit/, imported inside it

# Everything that an extra brings. With them blocked, a process is a machine with edgekit's own dependencies alone.
TOOLCHAINS = (
    *("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "tflite_runtime", "flatbuffers"),
    *("google.protobuf", "coremltools", "h5py", "keras", "tensorflow", "sklearn", "scipy", "ethosu"),
)
LITERT = ("ai_edge_litert", "flatbuffers", "google.protobuf")
# The only modules that import a toolchain by being imported. Those in front of them import them where they are used.
NEED_A_TOOLCHAIN = (
    *(
        "edgekit.benchmarks.adaptive",
        "edgekit.benchmarks.claims.*",
        "edgekit.benchmarks.diagnosis",
        "edgekit.benchmarks.accelerators",
        "edgekit.benchmarks.false_alarms",
        "edgekit.benchmarks.finding",
        "edgekit.benchmarks.advice",
        "edgekit.benchmarks.latency_prediction",
        "edgekit.benchmarks.peers*",
        "edgekit.benchmarks.random_graphs",
        "edgekit.benchmarks.rebuilding",
        "edgekit.benchmarks.relatives.*",
        "edgekit.benchmarks.training.*",
        "edgekit.benchmarks.troubles",
    ),
    *("edgekit.calibration.balancing", "edgekit.calibration.bias_correction", "edgekit.calibration.observing"),
    *("edgekit.calibration.saved", "edgekit.calibration.steps*"),
    *("edgekit.calibration.data_free", "edgekit.calibration.diagnosis", "edgekit.calibration.equalization"),
    *("edgekit.calibration.families", "edgekit.calibration.finding", "edgekit.calibration.one_at_a_time"),
    *("edgekit.calibration.recipe", "edgekit.calibration.stem", "edgekit.calibration.witness"),
    *("edgekit.calibration.rounding", "edgekit.calibration.output_error"),
    *("edgekit.compression.search.latency", "edgekit.compression.search.supernet"),
    *("edgekit.capture.torch_*", "edgekit.defaults.train", "edgekit.executor.*", "edgekit.exporters.onnx.*"),
    *("edgekit.compression.pruning.*", "edgekit.models.anatomy", "edgekit.models.resizing"),
    *("edgekit.models.backbone", "edgekit.models.blocks", "edgekit.models.checkpoint", "edgekit.models.network"),
    *("edgekit.models.families*", "edgekit.models.heads*", "edgekit.models.inference", "edgekit.models.layouts*"),
    *(
        "edgekit.models.numbers",
        "edgekit.models.selection",
        "edgekit.models.readers",
        "edgekit.models.readers.*",
        "edgekit.models.building",
        "edgekit.models.choosing",
        "edgekit.models.complexity",
        "edgekit.models.ensemble",
        "edgekit.models.sums",
        "edgekit.models.writing",
    ),
    *("edgekit.diagnosis.layers", "edgekit.diagnosis.network"),
    *("edgekit.exporters.torch.*", "edgekit.training.*", "edgekit.verification.closeness"),
)


def packages() -> dict[str, Path]:
    """Folders with code, by the name that they are imported under."""
    found = {"edgekit": ROOT / "edgekit", **{f"edgekit.{name}": ROOT / name for name in BESIDE}}
    for name, top in list(found.items()):
        for folder, folders, files in os.walk(top):  # does not follow the three links
            folders[:] = [f for f in folders if f != "__pycache__"]
            if any(file.endswith(".py") for file in files):
                found[".".join((name, *Path(folder).relative_to(top).parts))] = Path(folder)
    return found


def python(code: str, *arguments: str) -> Any:
    """What ``code`` prints as JSON, in a process of its own."""
    command = [sys.executable, "-c", code, *arguments]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


# --- packages


def test_pyproject_names_every_package() -> None:
    assert SETUPTOOLS["packages"] == sorted(packages())
    assert SETUPTOOLS["package-dir"] == {f"edgekit.{name}": name for name in BESIDE}


def test_every_file_of_a_package_is_installed() -> None:
    """Data files need a pattern of their package; markers of editors and systems are hidden files."""
    missing = [
        str(file.relative_to(ROOT))
        for name, folder in packages().items()
        for file in folder.iterdir()
        if file.is_file() and file.suffix not in {".py", ".pyc"} and not file.name.startswith(".")
        if not any(fnmatch(file.name, pattern) for pattern in SETUPTOOLS["package-data"].get(name, ()))
    ]
    assert not missing


@pytest.mark.parametrize("name", BESIDE)
def test_a_relative_link_leads_to_each_folder_beside(name: str) -> None:
    assert (ROOT / "edgekit" / name).readlink() == Path("..", name)


def test_type_information_is_installed() -> None:
    assert "py.typed" in SETUPTOOLS["package-data"]["edgekit"]
    assert (ROOT / "edgekit" / "py.typed").is_file()


@pytest.mark.parametrize("name", sorted(packages()))
def test_a_package_says_in_one_line_what_it_is_for(name: str) -> None:
    tree = ast.parse((packages()[name] / "__init__.py").read_text(encoding="utf-8"))
    first, *rest = (ast.get_docstring(tree) or "").split("\n")
    assert first.endswith("."), "the first line of the docstring is a whole sentence"
    assert not rest or not rest[0], "an empty line follows it"


# --- what is imported when


def test_the_command_line_starts_without_anything_heavy() -> None:
    code = "import json, sys, edgekit.cli.app; print(json.dumps(sorted(sys.modules)))"
    assert not set(python(code)) & {"numpy", "PIL", "rich", *TOOLCHAINS}


def test_modules_import_with_the_base_dependencies_alone() -> None:
    code = """
import importlib, json, sys
blocked, modules = map(json.loads, sys.argv[1:])
sys.modules |= dict.fromkeys(blocked)
failed = {}
for module in modules:
    try:
        importlib.import_module(module)
    except Exception as error:
        failed[module] = repr(error)
print(json.dumps(failed))
"""
    modules = [
        name if file.stem == "__init__" else f"{name}.{file.stem}"
        for name, folder in packages().items()
        for file in sorted(folder.glob("*.py"))
        if file.stem != "__main__"
    ]
    free = [name for name in modules if not any(fnmatch(name, pattern) for pattern in NEED_A_TOOLCHAIN)]
    assert {"edgekit.models.architecture", "edgekit.reference.integer", "edgekit.runtimes.litert"} <= set(free)
    assert python(code, json.dumps(TOOLCHAINS), json.dumps(free)) == {}


# What is typed, and the extra that is named in the answer.
SUFFIXES = {".tflite": "tflite", ".onnx": "onnx", ".pt": "torch"}
WITHOUT_EXTRAS = [
    *(
        ([command, f"x{suffix}"], extra)
        for command in ("verify", "bench", "inspect")
        for suffix, extra in SUFFIXES.items()
    ),
    *((["export", "--int8", "--target", extra], extra) for extra in ("tflite", "onnx", "coreml", "torch")),
    (["compile", "x.tflite", "--device", "ethos-u55"], "ethos-u"),
]
WITH_LITERT_ALONE = [
    (["export", "--int8", "--target", "tflite"], "torch"),
    (["export", "x.pth", "--target", "tflite"], "torch"),
    (["export", "x.onnx", "--target", "tflite"], "onnx"),
    (["finetune", "--target", "tflite"], "torch"),
    (["sensitivity"], "torch"),
    (["verify", "x.onnx"], "onnx"),
]


@pytest.mark.parametrize(
    ("installed", "cases"), [((), WITHOUT_EXTRAS), (LITERT, WITH_LITERT_ALONE)], ids=["without-extras", "litert-alone"]
)
def test_a_command_names_the_extra_that_it_lacks(
    installed: tuple[str, ...],
    cases: list[tuple[list[str], str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    subtests: pytest.Subtests,
) -> None:
    code = """
import json, sys
from typer.testing import CliRunner
from edgekit.cli.app import app
results = [CliRunner().invoke(app, command) for command in json.loads(sys.argv[1])]
print(json.dumps([[r.exit_code, r.output, repr(r.exception)] for r in results]))
"""
    blocked = {name: None for name in TOOLCHAINS if name not in installed}
    # Every process imports this first, so it also reaches those that bench starts.
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules |= {blocked}\n", encoding="utf-8")
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    )
    monkeypatch.chdir(tmp_path)
    for name in ("x.tflite", "x.onnx", "x.pt", "x.pth"):
        (tmp_path / name).touch()
    results = python(code, json.dumps([command for command, _ in cases]))
    for (command, extra), (exit_code, output, exception) in zip(cases, results, strict=True):
        with subtests.test(" ".join(command)):
            assert exit_code == 3, f"{exception}: {output}"
            assert f"pip install 'edgekit[{extra}]'" in output


# --- tested versions


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert lines[1:] == sorted(lines[1:], key=str.casefold)
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines[1:])}


def test_every_requirement_is_pinned_to_a_version_that_it_allows() -> None:
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"].values()
    wanted = [Requirement(text) for texts in (project["dependencies"], *extras) for text in texts]
    for requirement in wanted:
        if requirement.name != "edgekit":
            assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)]), requirement


def test_doctor_compares_with_the_pinned_versions() -> None:
    for name, (wanted, tested) in distributions().items():
        assert f"{pins()[canonicalize_name(name)]}.".startswith(f"{tested}."), name
        assert Requirement(wanted).name == "edgekit"
        assert Requirement(wanted).extras <= PYPROJECT["project"]["optional-dependencies"].keys()


# --- what is written about it


def readme_commands() -> dict[str, str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^<!-- command: (\w+) -->\n```\w*\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL))


def test_readme_marks_two_commands() -> None:
    assert (ROOT / "README.md").read_text(encoding="utf-8").count("<!-- command:") == 2
    assert list(readme_commands()) == ["run", "test"]


def test_the_command_that_readme_runs(tmp_path: Path) -> None:
    """What it does after installing, in an empty folder."""
    for toolchain in ("torch", "onnx", "ai_edge_litert"):
        if find_spec(toolchain) is None:
            pytest.skip(f"{toolchain} is not installed")
    steps = re.split(r"&&|\n", readme_commands()["run"].replace("\\\n", " "))
    words = [words for step in steps if (words := shlex.split(step, comments=True))]
    ours = [arguments for command, *arguments in words if Path(command).name == "edgekit"]
    assert ours, "it runs edgekit"
    for arguments in ours:
        subprocess.run([sys.executable, "-m", "edgekit", *arguments], cwd=tmp_path, check=True)


@pytest.fixture
def ci(tmp_path: Path) -> Path:
    (tmp_path / ".ci").mkdir()
    return Path(shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run"))


def test_ci_runs_the_test_command_of_readme(ci: Path, tmp_path: Path) -> None:
    """README's own text, with another command in the place of the real one, which would test within the test."""
    real, other = readme_commands()["test"], "false ||\n    printf '%s' \"$PWD\" > 'the place' && exit 7"
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count(real) == 1
    (tmp_path / "README.md").write_text(text.replace(real, other), encoding="utf-8")
    done = subprocess.run([ci], cwd="/", check=False, stdout=subprocess.PIPE, text=True)
    assert (done.returncode, done.stdout) == (7, other + "\n")
    assert (tmp_path / "the place").read_text(encoding="utf-8") == str(tmp_path)


@pytest.mark.parametrize("readme", ["", "<!-- command: test -->\n\n```bash\ntrue\n```\n", "```bash\ntrue\n```\n"])
def test_ci_says_when_readme_has_no_test_command(ci: Path, tmp_path: Path, readme: str) -> None:
    (tmp_path / "README.md").write_text(readme, encoding="utf-8")
    done = subprocess.run([ci], check=False, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "<!-- command: test -->" in done.stderr


def architecture_rows() -> list[str]:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_what_architecture_names_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    assert [path for path in (*architecture_rows(), *links) if not (ROOT / path).exists()] == []


def test_architecture_says_what_each_file_of_calibration_is_for() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    modules = {path.name for path in (ROOT / "calibration").glob("*.py")} - {"__init__.py"}
    assert sorted(name for name in modules if f"`{name}`" not in text and f"/{name}`" not in text) == []


def test_architecture_names_what_is_there() -> None:
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split()]
    shown = [p for p in (*ROOT.iterdir(), *(ROOT / "edgekit").iterdir()) if not p.name.startswith((".", "__"))]
    folders = [p for p in shown if p.is_dir() and not p.is_symlink() and any(p.rglob("*.py"))]
    modules = [p for p in shown if p.suffix == ".py" and p.stem != "version"]
    there = {f"{p.relative_to(ROOT)}/" for p in folders} | {str(p.relative_to(ROOT)) for p in modules}
    there = {path for path in there if not any(fnmatch(path.rstrip("/"), pattern) for pattern in ignored)}
    rows = set(architecture_rows())
    rooms = {f"{room.relative_to(ROOT)}/" for room in (ROOT / "edgekit" / "pipeline").iterdir() if room.is_dir()}
    rooms = {room for room in rooms if "__" not in room}
    assert there - {"edgekit/", "edgekit/pipeline/"} | rooms == rows


def test_the_image_is_built_from_what_the_wheel_is() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line[1:] for line in lines if line.startswith("!")}
    project = PYPROJECT["project"]
    needed = {"pyproject.toml", "constraints.txt", "edgekit", *BESIDE, project["readme"], *project["license-files"]}
    assert let_through == needed
