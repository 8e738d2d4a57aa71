"""The examples of the documentation: what can be run of them is run, and the rest is held against what is there."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

yaml = pytest.importorskip("yaml", reason="reads the examples of workflows")
for needed in ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

from PIL import Image  # noqa: E402 - after what may be missing
from typer.testing import CliRunner  # noqa: E402 - likewise

from edgekit import config  # noqa: E402 - likewise
from edgekit.cli.app import app  # noqa: E402 - likewise
from edgekit.defaults import CHECKPOINT, FOLDER  # noqa: E402 - likewise
from edgekit.runtimes.machines import MACHINES  # noqa: E402 - likewise

ROOT = Path(__file__).resolve().parents[1]
CI = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
INSTALLS = ("pip install", "apt-get", "edgekit emulate")  # and what needs that they were run
NEEDS_IT = ("--emulate",)


def example(name: str) -> str:
    """The fenced block whose first lines name the file that it is."""
    blocks = re.findall(r"^```\w+\n(.*?)^```$", CI, re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if f"# {name}\n" in block]
    return str(found)


def workflow() -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(example(".github/workflows/models.yml"))
    return found


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def edgekit_commands(text: str) -> list[list[str]]:
    """The arguments of every line that calls edgekit."""
    lines = [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines()]
    return [words[1:] for words in lines if words[:1] == ["edgekit"]]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples say that a repository holds, with the network that edgekit ships, and with few images."""
    folder = tmp_path_factory.mktemp("repository")
    settings = example("edgekit.toml")
    (folder / "edgekit.toml").write_text(settings, encoding="utf-8")
    names = tomllib.loads(settings)
    shutil.copy(CHECKPOINT, folder / names["model"]["checkpoint"])
    shutil.copy(FOLDER / "labels.txt", folder / names["model"]["labels"])
    for images, few, source in (("calibration", 16, "calibration.npz"), ("verify", 24, "test.npz")):
        place = folder / names[images]["data"]
        place.mkdir(parents=True)
        with np.load(FOLDER / source) as arrays:
            for i, pixels in enumerate(arrays["images"][:few]):
                Image.fromarray(pixels).save(place / f"{i:03}.png")
            if "labels" in arrays:
                rows = [("file", "label"), *((f"{i:03}.png", label) for i, label in enumerate(arrays["labels"][:few]))]
                with (place / "labels.csv").open("w", newline="") as stream:
                    csv.writer(stream).writerows(rows)
    return folder


def test_the_settings_are_edgekit_s(repository: Path) -> None:
    settings = config.load(repository / "edgekit.toml")
    assert settings.model.checkpoint == repository / "mobilenet_v3.safetensors"


def test_the_workflow_is_one() -> None:
    found = workflow()
    assert set(found) == {"name", True, "permissions", "jobs"}  # YAML 1.1 takes "on" for a truth value
    assert found["permissions"] == {"contents": "read"}
    assert set(found[True]) == {"pull_request", "push"}
    for job in found["jobs"].values():
        assert re.fullmatch(r"ubuntu-\d\d\.04", job["runs-on"])
        assert job["timeout-minutes"] <= 60
        assert all(need in found["jobs"] for need in [job.get("needs", "prove")])
        assert job["steps"]
    for step in steps(found):
        assert set(step) <= {"name", "uses", "with", "run", "if"}
        assert ("uses" in step) != ("run" in step)
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/any@v1"))
        assert step.get("if") in {None, "${{ !cancelled() }}"}


def test_what_the_workflow_keeps_is_what_edgekit_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    uses = {step["uses"].partition("@")[0]: step["with"] for step in steps(workflow()) if "with" in step}
    assert Path(uses["actions/cache"]["path"]).expanduser() == MACHINES["aarch64"].folder.parent
    kept = [Path(path) for path in uses["actions/upload-artifact"]["path"].split()]
    assert uses["actions/download-artifact"]["name"] == uses["actions/upload-artifact"]["name"]
    written = [
        Path(words[i + 1]) for words in everything() for i, word in enumerate(words) if word in {"--out", "--report"}
    ]
    assert written
    assert all(any(path.is_relative_to(folder) for folder in kept) for path in written)


def everything() -> list[list[str]]:
    return [words for step in steps(workflow()) for words in edgekit_commands(step.get("run", ""))]


def test_the_steps_of_the_workflow(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of edgekit in this process, other commands in the shell that GitHub takes; nothing is installed."""
    summary = tmp_path / "summary.md"
    monkeypatch.chdir(repository)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    ran = []
    for step in steps(workflow()):
        command = step.get("run", INSTALLS[0])
        if command.startswith(INSTALLS) or any(flag in command for flag in NEEDS_IT):
            continue
        if command.startswith("edgekit "):
            call(command)
        else:
            subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command], check=True)
        ran.append(step["name"])
    assert ran == ["Export", "Verify", "Show the summary"]
    reports = repository / "reports"
    assert summary.read_text() == (reports / "summary.md").read_text() != ""
    assert ET.parse(reports / "junit.xml").getroot().tag == "testsuites"
    assert (reports / "report.html").read_text().lower().startswith("<!doctype html>")
    call(yaml.safe_load(example(".pre-commit-config.yaml"))["repos"][0]["hooks"][0]["entry"])


def call(command: str) -> None:
    """One command of edgekit, which has to pass."""
    (arguments,) = edgekit_commands(command)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, f"{command}: {done.output} {done.exception}"


def test_the_hook_of_pre_commit() -> None:
    (hooks,) = yaml.safe_load(example(".pre-commit-config.yaml"))["repos"]
    (hook,) = hooks["hooks"]
    assert set(hook) == {"id", "name", "entry", "language", "files", "pass_filenames"}
    assert hooks["repo"] == "local"
    assert (hook["language"], hook["pass_filenames"]) == ("system", False)
    for path, matters in (("exported/net.int8.tflite", True), ("edgekit.toml", True), ("src/edgekit.toml.py", False)):
        assert bool(re.search(hook["files"], path)) == matters


def test_the_script_does_what_the_workflow_does() -> None:
    script = example("ci/models.sh")
    subprocess.run(["sh", "-n", "-c", script], check=True)
    assert edgekit_commands(script) == [
        words for words in everything() if words[0] != "emulate" and "--emulate" not in words
    ]
    job = yaml.safe_load(example(".gitlab-ci.yml"))["models"]
    assert job["script"] == ["sh ci/models.sh"]
    reports = [words[i + 1] for words in edgekit_commands(script) for i, word in enumerate(words) if word == "--report"]
    assert job["artifacts"]["reports"]["junit"] in reports


def test_the_documents_that_are_named_are_there() -> None:
    links = re.findall(r"\]\(([\w-]+\.md)\)", CI)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
