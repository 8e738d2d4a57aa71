"""What an export was made of, written beside its files as ``NAME.manifest.json``; ``pipeline.reproduce`` reads it.

The same export gives the same manifest, byte for byte: it holds hashes, settings and versions, and neither times nor
what took how long. Of the settings it holds the sections that decide what the files are, every key of them.

All hashes are SHA-256, hexadecimal. What a float sum comes to depends on the order of its terms, and that on how many
threads share it and on the processor's instructions. So files are the same bytes on one kind of processor with one
number of threads, and the manifest says which these were.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edgekit import config, extras, files
from edgekit.device import machine as hardware
from edgekit.device.machine import installed
from edgekit.errors import ArtifactError, BadInput, ConfigError
from edgekit.exporters.formats import FORMATS
from edgekit.facts import Fact
from edgekit.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgekit.calibration.images import ImageSource
    from edgekit.config import Settings
    from edgekit.pipeline.making.source import Source

SUFFIX = ".manifest.json"
SCHEMA_VERSION = 3  # 2 had export.onnx_batch, and files said nothing of outputs; 1 had export.input

# The sections of the settings that decide what a command writes.
_SECTIONS: Final = {
    "export": ("model", "preprocessing", "calibration", "export"),
    "finetune": ("model", "preprocessing", "calibration", "export", "finetune"),
}
# Distributions that turn bytes into a number, by suffix of the checkpoint.
_READERS: Final = {
    ".onnx": ("onnx", "onnxsim", "protobuf"),
    ".safetensors": ("safetensors",),
    ".h5": ("h5py",),
    ".keras": ("h5py",),
}
# As Linux calls them: those that decide which float kernels torch and its BLAS take.
_INSTRUCTIONS: Final = (
    *("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_int8"),
    *("asimd", "asimddp", "i8mm", "sve"),
)


@dataclass(frozen=True, slots=True)
class Images:
    """The images that were calibrated on.

    Attributes:
        sha256: over the content of all of them, in order (``ImageSource.digest``); exported files hold it, too.
        labels_sha256: over their labels; None where these are not known, or decide nothing.
        files: SHA-256 of each image by name, relative to the folder or file that was opened.
    """

    sha256: str
    labels_sha256: str | None
    files: Mapping[str, str]

    @staticmethod
    def of(source: ImageSource, settings: Settings) -> Images:
        """Those of ``source``. Nothing is read that calibration has read; labels count where there is a floor."""
        labels = source.labels_digest if settings.calibration.floor is not None else None
        return Images(source.digest, labels, source.digests)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was read; where it lies is in the settings.

    Attributes:
        checkpoint_sha256: of the checkpoint.
        labels_sha256: of the file of labels; None where there is none.
        ranges_sha256: of the file of ranges; None where there is none.
        images: that were calibrated on; None where there are none, as for float files and synthetic images.
        in_memory: what the network was, where it came from no file ("MyNet in memory", or what code made it). Then
            ``checkpoint_sha256`` is that of the file which safetensors' ``save_file`` writes of its weights.
    """

    checkpoint_sha256: str
    labels_sha256: str | None
    ranges_sha256: str | None
    images: Images | None
    in_memory: str | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it ran.

    Attributes:
        processor: its name, as the system has it.
        architecture: "x86_64", "arm64", and so on.
        system: "Linux", "Darwin".
        instructions: those that float kernels are chosen by, as Linux calls them; empty where the system does not say.
        threads: that torch computed with; None where torch had no part in it.
        gpu: the name of the one that was trained on; None where there was none.
    """

    processor: str
    architecture: str
    system: str
    instructions: tuple[str, ...]
    threads: int | None
    gpu: str | None


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file, or a package of files.

    Attributes:
        sha256: of its content; of a package as ``sha256_of`` has it.
        size_bytes: of the file, or of everything in the package.
    """

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export was made of, and what it made.

    Attributes:
        command: "export" or "finetune".
        network: its name.
        inputs: what was read.
        facts: what was taken to be true of the network and its weights do not tell.
        settings: as they took effect. What training left open (minutes, device) is here what it came to.
        versions: of edgekit, Python and everything else that had a part in it.
        machine: where it ran.
        files: what was published beside the manifest, by name.
    """

    command: str
    network: str
    inputs: Inputs
    facts: tuple[Fact, ...]
    settings: Settings
    versions: Mapping[str, str]
    machine: Machine
    files: Mapping[str, PublishedFile]

    def save(self, path: Path, place: Path) -> None:
        """Write the manifest to ``path``, all of it or nothing; ``place`` is the folder that it is meant for.

        Raises:
            BadInput: the file cannot be written.
        """
        settings = config.to_values(self.settings, place)
        values = {
            "schema_version": SCHEMA_VERSION,
            "command": self.command,
            "network": self.network,
            "inputs": dataclasses.asdict(self.inputs),
            "facts": [fact.to_dict() for fact in self.facts],
            "settings": {section: settings[section] for section in _SECTIONS[self.command]},
            "versions": dict(self.versions),
            "machine": dataclasses.asdict(self.machine),
            "files": {name: dataclasses.asdict(file) for name, file in self.files.items()},
        }
        text = json.dumps(values, indent=1, allow_nan=False)
        files.write_bytes(path, f"{text}\n".encode())

    @staticmethod
    def load(path: Path) -> Manifest:
        """Read a manifest; relative paths in it start from its folder.

        Raises:
            ArtifactError: the file is missing, damaged, or of another schema version.
            ConfigError: this edgekit lacks a setting, or refuses its value.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if (version := values["schema_version"]) == SCHEMA_VERSION:
                return _from_values(values, path)
        except FileNotFoundError as error:
            raise ArtifactError(f"{path} does not exist: name the *{SUFFIX} beside exported files") from error
        except IsADirectoryError as error:
            raise ArtifactError(f"{path} is a folder: name the *{SUFFIX} in it") from error
        except OSError as error:
            raise ArtifactError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(
                f"{path} is no manifest, or is damaged: edgekit export writes one, *{SUFFIX}"
            ) from error
        raise ArtifactError(
            f"{path} has schema version {version}, this edgekit reads {SCHEMA_VERSION}: reproduce it with the edgekit "
            f"that wrote it, {values.get('versions', {}).get('edgekit', 'of another version')}"
        )


def build(folder: Path, source: Source, images: Images | None, settings: Settings, *, command: str) -> Manifest:
    """The manifest of an export whose files are in ``folder``, and nothing else is.

    Args:
        folder: where they are now.
        source: the network that was exported.
        images: that were calibrated on.
        settings: as they took effect.
        command: "export" or "finetune".
    """
    labels, ranges = settings.model.labels, settings.calibration.ranges
    read_ranges = "int8" in settings.export.precisions and not settings.calibration.data_free
    inputs = Inputs(
        source.float_model.provenance["checkpoint_sha256"],
        None if labels is None else sha256_of(labels),
        None if ranges is None or not read_ranges else sha256_of(ranges),
        images,
        source.in_memory,
    )
    return Manifest(
        command,
        source.float_model.graph.name,
        inputs,
        source.facts,
        settings,
        versions(settings),
        machine(settings, command),
        {entry.name: PublishedFile(sha256_of(entry), files.size_bytes(entry)) for entry in sorted(folder.iterdir())},
    )


def check_earlier(path: Path, checkpoint_sha256: str, settings: Settings) -> str | None:
    """What an export replaces whose manifest will be ``path``: a remark where the same checkpoint has changed since.

    Args:
        path: where the manifest will be; what lies there now is of an earlier export.
        checkpoint_sha256: of the checkpoint that is exported.
        settings: as they took effect.

    Raises:
        ConfigError: files of another checkpoint would be lost.
    """
    try:
        earlier = Manifest.load(path)
    except BadInput:  # there is none, or nothing that can be read
        return None
    if earlier.inputs.checkpoint_sha256 == checkpoint_sha256:
        return None
    then, now = (made.model.checkpoint or "a network in memory" for made in (earlier.settings, settings))
    if isinstance(then, str) and isinstance(now, str):
        return f"another {earlier.network} in memory was exported to {path.parent} before: its files are replaced"
    if not isinstance(then, str) and not isinstance(now, str) and then.resolve() == now.resolve():
        return f"{now.name} has changed since the last export: its files are replaced"
    raise ConfigError(
        f"{path.parent} holds {earlier.network} already, made of another checkpoint, {then}, and the files of {now} "
        f"would have the same names: choose another --out, or delete those first"
    )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file; of a folder, over the names and hashes of all its files.

    A file in a folder counts with its path in it, in UTF-8 with slashes, a zero byte, and the SHA-256 of its content,
    32 bytes; files are sorted by that path.
    """
    if not path.is_dir():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    inside = sorted((entry.relative_to(path).as_posix(), entry) for entry in path.rglob("*") if entry.is_file())
    parts = (name.encode() + b"\0" + bytes.fromhex(sha256_of(entry)) for name, entry in inside)
    return hashlib.sha256(b"".join(parts)).hexdigest()


def versions(settings: Settings) -> dict[str, str]:
    """Of edgekit, Python, and everything else here that has a part in an export by these settings."""
    wanted = {"numpy", "pillow", *_READERS.get(_checkpoint_suffix(settings), ())}
    wanted |= _writers(settings)
    if needs_torch(settings):
        wanted.add("torch")
    found = {name: version for name in sorted(wanted) if (version := installed(name)) is not None}
    own = {"edgekit": __version__, "python": platform.python_version(), "zlib": zlib.ZLIB_RUNTIME_VERSION}
    return own | found


def _writers(settings: Settings) -> set[str]:
    """Distributions that turn a number into bytes of the files that are wanted."""
    return {used.name for target in settings.export.targets for used in FORMATS[target].distributions}


def machine(settings: Settings, command: str) -> Machine:
    """This machine, as far as it has a part in an export by these settings."""
    flags = hardware.flags()
    torch = extras.load("torch", "torch") if needs_torch(settings) else None
    trained_on_gpu = command == "finetune" and settings.finetune.accelerator == "cuda"
    return Machine(
        processor=hardware.processor(),
        architecture=platform.machine(),
        system=platform.system(),
        instructions=tuple(name for name in _INSTRUCTIONS if name in flags),
        threads=None if torch is None else torch.get_num_threads(),
        gpu=torch.cuda.get_device_name() if torch is not None and trained_on_gpu else None,
    )


def needs_torch(settings: Settings) -> bool:
    """Whether torch has a part in an export: float files of an ONNX file do without, unless they are torch's own."""
    wanted = settings.export
    return _checkpoint_suffix(settings) != ".onnx" or "int8" in wanted.precisions or "torch" in _writers(settings)


def _checkpoint_suffix(settings: Settings) -> str:
    return "" if settings.model.checkpoint is None else settings.model.checkpoint.suffix.lower()


def _from_values(values: Mapping[str, Any], path: Path) -> Manifest:
    """A manifest from what was saved at ``path``; raises anything if that makes no sense."""
    command, inputs, there = values["command"], values["inputs"], values["machine"]
    settings = {section: values["settings"][section] for section in _SECTIONS[command]}
    images = inputs["images"]
    return Manifest(
        command=command,
        network=str(values["network"]),
        inputs=Inputs(**{**inputs, "images": None if images is None else Images(**images)}),
        facts=tuple(Fact.from_dict(fact) for fact in values["facts"]),
        settings=config.from_values(settings, path),
        versions=dict(values["versions"]),
        machine=Machine(**{**there, "instructions": tuple(there["instructions"])}),
        files={name: PublishedFile(**file) for name, file in values["files"].items()},
    )
