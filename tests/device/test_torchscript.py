"""Files that would do something when they are opened: none does, and what edgekit wrote opens as before."""

from __future__ import annotations

import itertools
import os
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner

from edgekit.cli.app import app
from edgekit.defaults import FOLDER as DEFAULTS
from edgekit.device import torchscript
from edgekit.device.engines import open_file
from edgekit.device.torchscript import program
from edgekit.device.worker import noise
from edgekit.errors import ArtifactError, CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip("torch")

import torch

from edgekit.exporters.torch import script
from edgekit.models import readers

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning", "ignore:Duplicate name:UserWarning")

MARK = "written"  # the file that hostile ones write
FOLDER = "archive"
CALIBRATION = str(DEFAULTS / "calibration.npz")


@pytest.fixture
def good(exported: Path) -> Path:
    return next(exported.glob("*.int8.pt"))


def rewritten(good: Path, path: Path, changes: dict[str, bytes | None]) -> Path:
    """A copy of a file with other entries; None leaves one out."""
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as new:
        entries = {name.partition("/")[2]: old.read(name) for name in old.namelist()}
        for entry, data in {**entries, **changes}.items():
            if data is not None:
                new.writestr(f"{FOLDER}/{entry}", data)
    return path


def dressed(module: Any, good: Path, path: Path) -> Path:
    """A script module saved as another tool would, with the texts that edgekit writes beside a program."""
    texts = torchscript.read(good, [torchscript.METADATA, torchscript.PROGRAM])
    extra = {name.removeprefix("extra/"): text.decode() for name, text in texts.items()}
    torch.jit.save(module, path, _extra_files=extra)
    return path


# --- files whose opening writes a file, each in its own way --------------------------------------------------------
# TorchScript takes source from files only, so each is a class of this module; the name of the file that it writes is an
# attribute.


class Saves(torch.nn.Module):
    """Loading it calls aten::save."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.where, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.where = state[0]
        self.training = state[1]
        torch.save(torch.zeros(1), self.where)


class Maps(torch.nn.Module):
    """Loading it calls aten::from_file, which makes the file."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where
        self.mapped = torch.zeros(1)  # what is not kept is not made

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.where, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.where = state[0]
        self.training = state[1]
        self.mapped = torch.from_file(self.where, shared=True, size=4)


class Nested(torch.nn.Module):
    """What it holds does the deed."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.inner(x)
        return answer


class Helped(torch.nn.Module):
    """__setstate__ only calls a method."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def mean(self, where: str) -> None:
        torch.save(torch.zeros(1), where)

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.where, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.where = state[0]
        self.training = state[1]
        self.mean(self.where)


class Answers(torch.nn.Module):
    """Loading does nothing, running does."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, self.where)
        return torch.mean(x, [2, 3])[:, :1].expand(-1, 10)


class System:
    """Unpickling it runs a command."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.where}'",)


def scripted(kind: Callable[[str], Any]) -> Callable[[Path, Path, str], Path]:
    return lambda good, path, where: dressed(torch.jit.script(kind(where)), good, path)


OF_LOADING = {
    "__getstate__": "def __getstate__(self) -> Tuple[str, bool]:\n    return self.where, self.training\n",
    "__setstate__": """\
def __setstate__(self, state: Tuple[str, bool]) -> None:
    self.where, self.training = state
    torch.save(self.training, self.where)
""",
}


def in_the_class_of_edgekit(good: Path, path: Path, where: str) -> Path:
    """Made by edgekit's own writer: only the program tells it from a good one."""
    hostile = script.Program(OF_LOADING)
    hostile.attribute("where", where)
    for method in OF_LOADING:
        hostile.call(method)
    hostile.takes("x")
    hostile.returns(["torch.relu(x)"])
    texts = torchscript.read(good, [torchscript.METADATA, torchscript.PROGRAM])
    path.write_bytes(hostile.to_bytes({name.removeprefix("extra/"): text.decode() for name, text in texts.items()}))
    return path


def in_the_pickle(good: Path, path: Path, where: str) -> Path:
    return rewritten(good, path, {"data.pkl": pickle.dumps(System(where), protocol=2)})


def a_plain_pickle(good: Path, path: Path, where: str) -> Path:
    path.write_bytes(pickle.dumps(System(where)))
    return path


def a_checkpoint(good: Path, path: Path, where: str) -> Path:
    torch.save({"weight": torch.zeros(1), "hook": System(where)}, path)
    return path


def a_tar(good: Path, path: Path, where: str) -> Path:
    """What torch.save wrote before 1.6 was a tar file once."""
    content = path.with_suffix(".pickle")
    content.write_bytes(pickle.dumps(System(where)))
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            archive.add(content, name)
    content.unlink()
    return path


def a_name_twice(good: Path, path: Path, where: str) -> Path:
    """The program and pickle of a good file stand first, those of a hostile one behind."""
    hostile = dressed(torch.jit.script(Saves(where)), good, path.with_name("other.pt"))
    rewritten(good, path, {})
    with zipfile.ZipFile(hostile) as other, zipfile.ZipFile(path, "a") as both:
        for name in other.namelist():
            if name.endswith((".py", ".pkl")):
                both.writestr(f"{FOLDER}/{name.partition('/')[2]}", other.read(name))
    hostile.unlink()
    return path


def another_folder(good: Path, path: Path, where: str) -> Path:
    """The same, in another folder of the archive, before the good one."""
    hostile = dressed(torch.jit.script(Saves(where)), good, path)
    with zipfile.ZipFile(good) as other, zipfile.ZipFile(hostile, "a") as both:
        for name in other.namelist():
            both.writestr(f"second/{name.partition('/')[2]}", other.read(name))
    return path


def a_second_class(good: Path, path: Path, where: str) -> Path:
    """The class of a constant, in a file of its own beside the program."""
    hostile = dressed(torch.jit.script(Nested(Saves(where))), good, path.with_name("other.pt"))
    with zipfile.ZipFile(hostile) as other:
        code = {n.partition("/")[2]: other.read(n) for n in other.namelist() if "/code/" in n and n.endswith(".py")}
    hostile.unlink()
    return rewritten(good, path, {f"code/__torch__/more/{i}.py": text for i, text in enumerate(code.values())})


HOSTILE: dict[str, Callable[[Path, Path, str], Path]] = {
    "__setstate__ in edgekit's class": in_the_class_of_edgekit,
    "aten::save in __setstate__": scripted(Saves),
    "aten::from_file in __setstate__": scripted(Maps),
    "in a submodule": scripted(lambda where: Nested(Saves(where))),
    "two levels down": scripted(lambda where: Nested(Nested(Maps(where)))),
    "in a second method": scripted(Helped),
    "in forward": scripted(Answers),
    "os.system in the archive's pickle": in_the_pickle,
    "os.system in a plain pickle": a_plain_pickle,
    "os.system in a checkpoint": a_checkpoint,
    "os.system in a tar": a_tar,
    "a name twice": a_name_twice,
    "another folder": another_folder,
    "the class of a constant": a_second_class,
}


def hostile(name: str, good: Path, tmp_path: Path) -> Path:
    """Such a file, alone in its folder."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    return HOSTILE[name](good, folder / "net.int8.pt", str(folder / MARK))


@pytest.mark.parametrize("name", [name for name, make in HOSTILE.items() if "setstate" in name or "level" in name])
def test_they_are_hostile(name: str, good: Path, tmp_path: Path) -> None:
    """Else the tests below would prove nothing."""
    path = HOSTILE[name](good, tmp_path / "net.pt", str(tmp_path / MARK))
    (tmp_path / MARK).unlink(missing_ok=True)
    torch.jit.load(path)  # type: ignore[no-untyped-call]
    assert (tmp_path / MARK).exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_is_written_by_opening(name: str, good: Path, tmp_path: Path) -> None:
    path = hostile(name, good, tmp_path)
    with pytest.raises(ArtifactError, match=r"net\.int8\.pt is .*(was not loaded|not a TorchScript file)"):
        open_file(path, "torch")
    assert [file.name for file in path.parent.iterdir()] == [path.name]


# --- files that are no program of edgekit, in ways that nothing above has -------------------------------------------


def code_of(good: Path) -> str:
    return torchscript.read(good, ["code/__torch__.py"])["code/__torch__.py"].decode()


REPLACED = {  # a part of a good program, what stands there instead, and what the refusal names
    "print": ("    return torch.dequantize(", "    print(x)\n    return torch.dequantize(", "print(x)"),
    "save": ("torch.dequantize(", "torch.save(", "torch.save"),
    "another namespace": ("ops.quantized.linear(", "ops.profiler.linear(", "ops.profiler.linear"),
    "a class of torch": ("torch.dequantize(", "__torch__.torch.classes.dist_rpc.WorkerInfo(", "dist_rpc"),
    "a string": ("torch.dequantize(", 'torch.dequantize("x", ', "comments or strings"),
    "a comment": ("    return torch.dequantize(", "    #\n    return torch.dequantize(", "comments or strings"),
    "a loop": (
        "    return torch.dequantize(",
        "    while True:\n      x = x\n    return torch.dequantize(",
        "while True",
    ),
    "a method of loading": ("  def mean(", "  def __setstate__(", "__setstate__"),
    "a method that calls itself": ("torch.int_repr(x)", "(self).mean(x, True, 0, 1.0, 1.0, 0, )", "self.mean"),
    "a default": ("zero_point: int)", "zero_point: int=0)", "arguments of the method mean"),
    "a decorator": ("  def forward", "  @mean\n  def forward", "comments or strings"),
    "a second class": (
        "class Network(Module):",
        "class Other(Module):\n  training : bool\nclass Network(Module):",
        "other classes",
    ),
    "another base": ("(Module):", "(NamedTuple):", "no Module"),
    "a name for torch": ("    return torch.dequantize(", "    torch = x\n    return torch.dequantize(", "torch = x"),
    "an unknown name": ("torch.dequantize(", "torch.dequantize(y, ", "(y)"),
    "an attribute less": ("  training : bool\n", "", "other attributes"),
    "broken": ("torch.dequantize(", "torch.dequantize((", "cannot be read"),
    "deep": ("torch.dequantize(", "torch.dequantize(" + "[" * 5000 + "]" * 5000 + ", ", "cannot be read"),
}


@pytest.mark.parametrize("name", REPLACED)
def test_another_program_is_refused(name: str, good: Path, tmp_path: Path) -> None:
    there, instead, named = REPLACED[name]
    code = code_of(good)
    assert there in code
    path = rewritten(good, tmp_path / "net.pt", {"code/__torch__.py": code.replace(there, instead).encode()})
    with pytest.raises(ArtifactError) as refused:
        torchscript.load(path, torch)
    assert named in str(refused.value)


def pickled(good: Path, old: bytes, new: bytes) -> dict[str, bytes | None]:
    data = torchscript.read(good, ["data.pkl"])["data.pkl"]
    assert old in data
    return {"data.pkl": data.replace(old, new, 1)}


PICKLES: dict[str, Callable[[Path], dict[str, bytes | None]]] = {
    "an opcode": lambda good: pickled(good, b"c__torch__\nNetwork\n", b"c__torch__\nNetwork\n0c__torch__\nNetwork\n"),
    "a function": lambda good: pickled(good, b"ctorch._utils\n_rebuild_tensor_v2\n", b"cos\nsystem\n"),
    "a class": lambda good: pickled(good, b"Conv2dPackedParamsBase\n", b"Conv3dPackedParamsBase\n"),
    "a type": lambda good: pickled(good, b"List[Optional[Tensor]]", b"List[Optional[Device]]"),
    "bytes behind it": lambda good: {"data.pkl": torchscript.read(good, ["data.pkl"])["data.pkl"] + b"."},
    "constants": lambda good: {"constants.pkl": b"\x80\x02K\x00\x85."},
    "a short record": lambda good: {"data/1": b"\0"},
    "no record": lambda good: {"data/1": None},
    "a shape beyond its record": lambda good: pickled(good, b"(K\x10K\x03K\x03K\x03t", b"(K\x11K\x03K\x03K\x03t"),
    "strides beyond it": lambda good: pickled(good, b"(K\x1bK\x01K\x09K\x03t", b"(K\x1cK\x01K\x09K\x03t"),
    "no groups": lambda good: {"data/0": np.array([2, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0], "<i2").tobytes()},
    "stride 0": lambda good: {"data/0": np.array([2, 0, 1, 1, 1, 1, 1, 0, 0, 1, 0], "<i2").tobytes()},
}


@pytest.mark.parametrize("name", PICKLES)
def test_another_pickle_is_refused(name: str, good: Path, tmp_path: Path) -> None:
    path = rewritten(good, tmp_path / "net.pt", PICKLES[name](good))
    with pytest.raises(ArtifactError, match="was not loaded"):
        torchscript.load(path, torch)


@pytest.mark.parametrize("entry", ["extra/other.json", "code/__torch__/other.py", "data/x", "data/0/1", "other"])
def test_another_name_is_refused(entry: str, good: Path, tmp_path: Path) -> None:
    path = rewritten(good, tmp_path / "net.pt", {entry: b""})
    with pytest.raises(ArtifactError, match=r"(it holds|entries) .* was not loaded"):
        torchscript.read(path, [])


def test_what_is_loaded_is_what_was_checked(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch gets the entries that were looked at, from a file that nobody else writes."""
    handed: list[str] = []

    def load(path: str, map_location: str) -> None:
        assert Path(path).parent != good.parent
        with zipfile.ZipFile(path) as archive:
            handed.extend(name.partition("/")[2] for name in archive.namelist())

    monkeypatch.setattr(torch.jit, "load", load)
    torchscript.load(good, torch)
    assert {name for name in handed if not name.startswith("data/")} == {
        "version", "byteorder", "constants.pkl", "data.pkl", "code/__torch__.py",
    }  # fmt: skip


# --- what edgekit writes, today and before --------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_good_files_run_as_torch_runs_them(precision: str, exported: Path) -> None:
    from edgekit.device.engines.torch import deprecations_silenced

    path = next(exported.glob(f"*.{precision}.pt"))
    opened = open_file(path, "torch")
    assert opened.shape is not None
    batch = noise(opened.shape, "float32")
    with deprecations_silenced(), torch.inference_mode():
        former, torch.backends.quantized.engine = torch.backends.quantized.engine, "qnnpack"
        expected = torch.jit.load(path)(torch.from_numpy(batch)).numpy()  # type: ignore[no-untyped-call]
        torch.backends.quantized.engine = former
    found = open_file(path, "torch", kernels="qnnpack").run(batch)["logits"]
    np.testing.assert_array_equal(found, expected)


def test_every_method_of_the_writer_is_known() -> None:
    from edgekit.exporters.metadata import PROBABILITIES
    from edgekit.exporters.torch.integer import METHODS

    assert {*METHODS, "forward", PROBABILITIES} == program.METHODS


# --- the commands ---------------------------------------------------------------------------------------------------

COMMANDS = {
    "inspect": ["inspect", "BAD"],
    "verify": ["verify", "BAD"],
    "verify a folder": ["verify", "FOLDER"],
    "diff": ["diff", "BAD", "GOOD"],
    "diff, the other way": ["diff", "GOOD", "BAD"],
    "bench": ["bench", "BAD", "--laps", "1"],
    "bench against it": ["bench", "GOOD", "--against", "BAD", "--laps", "1"],
    "check": ["check", "BAD", "--device", "raspberrypi4"],
    "profile": ["profile", "BAD"],
    "bundle": ["bundle", "BAD"],
    "export": ["export", "BAD"],
    "sensitivity": ["sensitivity", "BAD", "--calib", CALIBRATION],
    "finetune": ["finetune", "BAD", "--calib", CALIBRATION],
}


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt"])
@pytest.mark.parametrize("name", [name for name in HOSTILE if name.startswith("os.system")])
def test_no_checkpoint_runs_code(name: str, suffix: str, good: Path, tmp_path: Path) -> None:
    path = hostile(name, good, tmp_path).rename(tmp_path / f"net{suffix}")
    with pytest.raises(CheckpointError, match="net"):
        readers.read(path)
    assert list((tmp_path / "hostile").iterdir()) == []


# Opening is tried with all of them above: here each command is given one, in turn.
GIVEN = ("__setstate__ in edgekit's class", "os.system in the archive's pickle", "a name twice")


@pytest.mark.parametrize(("command", "name"), list(zip(COMMANDS, itertools.cycle(GIVEN), strict=False)))
def test_no_command_writes(
    command: str, name: str, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = hostile(name, good, tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    words = {"BAD": str(path), "GOOD": str(good), "FOLDER": str(path.parent)}
    result = CliRunner().invoke(app, [words.get(word, word) for word in COMMANDS[command]])
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert result.exit_code == (1 if "verify" in command else 2), result.output
    assert "net.int8.pt" in result.output
