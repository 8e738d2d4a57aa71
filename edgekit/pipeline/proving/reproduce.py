"""From a manifest to the same bytes again, or to what differs: the inputs, or else the first layer of each file."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import extras
from edgekit.calibration.images import open_images
from edgekit.device.threads import limited
from edgekit.errors import ArtifactError, CheckpointError, ConfigError, DataError
from edgekit.models.folders import file_of
from edgekit.pipeline.making.export import export
from edgekit.pipeline.making.finetune import finetune
from edgekit.pipeline.making.given import Given, from_files
from edgekit.pipeline.making.manifest import Images, Manifest, machine, sha256_of, versions
from edgekit.pipeline.making.trained import FROM_FILE, Network
from edgekit.preprocessing import Preprocessing
from edgekit.progress import Progress, silent
from edgekit.verification.same_contents import first_difference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgekit.config import Settings
    from edgekit.pipeline.making.manifest import PublishedFile

_MOST_NAMES = 3  # of images that are named in one sentence


@dataclass(frozen=True, slots=True)
class RebuiltFile:
    """One file of the manifest, or one that is too many.

    Attributes:
        name: of the file.
        identical: whether it was rebuilt byte for byte.
        difference: what differs, and in which layer first; None where nothing does.
    """

    name: str
    identical: bool
    difference: str | None


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of it.

    Attributes:
        manifest: that was reproduced.
        network: its name.
        notes: what is otherwise here than it was there: versions, processor.
        inputs: how the inputs differ from those of then; if they do, nothing was rebuilt.
        files: one a file.
        out: where the rebuilt files are; None where they were not kept.
        seconds: in all.
    """

    manifest: Path
    network: str
    notes: tuple[str, ...]
    inputs: tuple[str, ...]
    files: tuple[RebuiltFile, ...]
    out: Path | None
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether all files are the same bytes."""
        return not self.inputs and all(file.identical for file in self.files)


@dataclass(frozen=True, slots=True)
class Moved:
    """Where the inputs of an export are now; None where the manifest still says it.

    Attributes:
        checkpoint: the trained network.
        labels: the class names.
        calib: the calibration images.
        ranges: the saved ranges.
        network: what makes the trained network, where no file holds it.
    """

    checkpoint: Path | None = None
    labels: Path | None = None
    calib: Path | None = None
    ranges: Path | None = None
    network: Network | None = None


NOTHING_MOVED = Moved()


def reproduce(
    manifest: Path,
    *,
    out: Path | None = None,
    moved: Moved = NOTHING_MOVED,
    threads: int | None = None,
    progress: Progress = silent,
) -> Reproduction:
    """Make the files of ``manifest`` again, with its settings and its number of threads, and compare every byte.

    Where an input is not what it was, that is said, and nothing is rebuilt. Files are not proven again: that they are
    the same bytes says more. They are compared with the hashes in the manifest; the files beside it are needed only to
    say what differs, and where one of them is no longer what it was, that is a difference, too.

    Args:
        manifest: a file that export or finetune wrote.
        out: the folder to keep the rebuilt files in; a temporary one if None.
        moved: where its inputs are now.
        threads: that torch computes with; None for as many as then.
        progress: told of every stage.

    Raises:
        BadInput: the manifest or an input cannot be read, or a file cannot be written.
        MissingDependency: a target needs an extra that is not installed.
    """
    started = time.perf_counter()
    then = Manifest.load(manifest)
    if out is not None and out.resolve() == manifest.parent.resolve():
        raise ConfigError(f"{out} is where the files of the manifest are: choose another --out to compare with them")
    read, images = then.inputs, then.inputs.images
    _check_reachable(then, moved)
    for flag, path, was_read in (
        ("--labels", moved.labels, read.labels_sha256),
        ("--calib", moved.calib, images),
        ("--ranges", moved.ranges, read.ranges_sha256),
    ):
        if path is not None and was_read is None:
            raise ConfigError(f"{flag} is given, and nothing of that kind was read then: leave it out")
    model, calibration = then.settings.model, then.settings.calibration
    settings = replace(
        then.settings,
        model=replace(model, checkpoint=moved.checkpoint or model.checkpoint, labels=moved.labels or model.labels),
        calibration=replace(
            calibration, data=moved.calib or calibration.data, ranges=moved.ranges or calibration.ranges
        ),
    )
    progress("checking the inputs", 0, 1)
    given = from_files(settings, moved.network or FROM_FILE)
    inputs = tuple(_changed_inputs(then, settings, given))
    progress("checking the inputs", 1, 1)
    notes: tuple[str, ...] = ()
    rebuilt: tuple[RebuiltFile, ...] = ()
    if not inputs:
        wanted = threads or then.machine.threads
        notes = tuple(_notes(then, settings, wanted))
        with limited(wanted), ExitStack() as stack:
            folder = out or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgekit.")))
            settings = replace(settings, export=replace(settings.export, out=folder, verify=False))
            rebuilt = _rebuilt(then, manifest.parent, settings, given, progress)
    return Reproduction(
        manifest=manifest,
        network=then.network,
        notes=notes,
        inputs=inputs,
        files=rebuilt,
        out=out if rebuilt else None,
        seconds=time.perf_counter() - started,
    )


def _check_reachable(then: Manifest, moved: Moved) -> None:
    """Refuse what was in memory and is named by nothing.

    Raises:
        ConfigError: there is such a thing.
    """
    if then.inputs.in_memory is not None and moved.checkpoint is None and moved.network is None:
        raise ConfigError(
            f"it was exported from a {then.inputs.in_memory}, which no file leads to: name what makes it, --model "
            f"MODULE:FACTORY --weights FILE, which is run then, or its checkpoint, --checkpoint FILE (SHA-256 "
            f"{then.inputs.checkpoint_sha256})"
        )
    if then.inputs.images is not None and then.settings.calibration.data is None and moved.calib is None:
        raise ConfigError(
            "its calibration images were in memory, which no file leads to: export it again where they are, or name "
            "them, --calib FILE.npy"
        )


# --- what it was made of, then and now --------------------------------------------------------------------------------


def _changed_inputs(then: Manifest, settings: Settings, given: Given) -> Iterator[str]:
    """Sentences, one an input that is not what it was.

    Raises:
        DataError: an input is missing.
    """
    hashes = (
        ("checkpoint", settings.model.checkpoint, then.inputs.checkpoint_sha256, "--checkpoint"),
        ("file of labels", settings.model.labels, then.inputs.labels_sha256, "--labels"),
        ("file of ranges", settings.calibration.ranges, then.inputs.ranges_sha256, "--ranges"),
    )
    for what, path, sha256, flag in hashes:
        if sha256 is None:
            continue
        if what == "checkpoint" and given.network is not FROM_FILE:
            trained = given.network.load(settings.model)
            if trained.provenance["checkpoint_sha256"] != sha256:
                yield f"the weights of {trained.in_memory} are not those of then: their SHA-256 was {sha256}"
            continue
        assert path is not None, "where it has a hash, it has a path"
        try:
            changed = sha256_of(file_of(path) if what == "checkpoint" else path) != sha256
        except (OSError, CheckpointError) as error:
            raise DataError(f"the {what} {path} cannot be read: if it has moved, {flag} FILE says where to") from error
        if changed:
            yield f"the {what} {path} is not the one of then: its SHA-256 was {sha256}"
    if then.inputs.images is not None:
        yield from _changed_images(then.inputs.images, settings)


def _changed_images(then: Images, settings: Settings) -> Iterator[str]:
    wanted = settings.calibration
    assert wanted.data is not None, "images were read"
    try:
        # They are hashed, not decoded, so how they become pixels does not matter.
        source = open_images(wanted.data, Preprocessing((1, 1), None), limit=wanted.images)
    except DataError as error:
        raise DataError(f"{error}; if the calibration images have moved, --calib DIR says where to") from error
    now = Images.of(source, settings)
    common = then.files.keys() & now.files.keys()
    kinds = {
        "changed": sorted(name for name in common if then.files[name] != now.files[name]),
        "missing": sorted(then.files.keys() - common),
        "new": sorted(now.files.keys() - common),
    }
    if then.sha256 != now.sha256:
        found = [f"{len(names)} {kind} ({_some(names)})" for kind, names in kinds.items() if names]
        said = ", ".join(found) or "the same ones in another order, or some of them more often"
        yield f"the calibration images in {wanted.data} are not those of then: {said}"
    if then.labels_sha256 != now.labels_sha256:
        yield f"the labels of the calibration images in {wanted.data} are not those of then, and --floor goes by them"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")


def _notes(then: Manifest, settings: Settings, threads: int | None) -> Iterator[str]:
    """What is otherwise here than it was there, and may be why bytes differ.

    Raises:
        ConfigError: it was trained on a GPU, and there is none.
    """
    if then.machine.gpu is not None and not extras.load("torch", "torch").cuda.is_available():
        raise ConfigError(f"it was fine-tuned on {then.machine.gpu}, and torch finds no GPU here: take such a machine")
    now = versions(settings)
    for name in dict.fromkeys((*then.versions, *now)):
        before, after = then.versions.get(name), now.get(name)
        if before != after:
            yield f"{name}: {before or 'not there'} then, {after or 'not installed'} now"
    here = machine(settings, then.command)
    for what in ("processor", "architecture", "system", "instructions", "gpu"):
        before, after = getattr(then.machine, what), getattr(here, what)
        if before != after:
            yield f"{what}: {_words(before)} then, {_words(after)} now"
    cores = os.cpu_count() or 1
    if threads is not None and threads != then.machine.threads:
        yield f"threads: {then.machine.threads or 'none of torch'} then, {threads} now"
    elif threads is not None and threads > cores:
        yield f"threads: {threads} then, and this machine has {cores} cores, of which BLAS takes no more"


def _words(value: str | tuple[str, ...] | None) -> str:
    return " ".join(value) or "none" if isinstance(value, tuple) else value or "none"


# --- the files of then and now ----------------------------------------------------------------------------------------


def _rebuilt(
    then: Manifest, folder: Path, settings: Settings, given: Given, progress: Progress
) -> tuple[RebuiltFile, ...]:
    """Every file made again, and compared with the manifest's; ``folder`` may hold the files of then."""
    if then.command == "finetune":
        made = finetune(settings, given=given, progress=progress).export
    else:
        made = export(settings, given=given, progress=progress)
    now = Manifest.load(made.manifest)

    def file(name: str) -> RebuiltFile:
        kept, again = folder / name, made.manifest.parent / name
        difference = _difference(then.files.get(name), now.files.get(name), kept, again)
        return RebuiltFile(name, difference is None, difference)

    return tuple(file(name) for name in dict.fromkeys((*then.files, *now.files)))


def _difference(then: PublishedFile | None, now: PublishedFile | None, kept: Path, again: Path) -> str | None:
    """What differs, in words; None if nothing does.

    Args:
        then: what the manifest says of a file.
        now: of the one that was made again.
        kept: where the file of then may be.
        again: where the one is that was made again.
    """
    if now is None:
        return "it is not written any more"
    if then is None:
        return "it was not written then"
    there = sha256_of(kept) if kept.exists() else None
    same = now.sha256 == then.sha256
    if same and there in {None, then.sha256}:
        return None
    if there is None:
        return "other bytes; the file of then is not beside the manifest, which would say what differs"
    if not same and there != then.sha256:
        return "other bytes; the file beside the manifest is not the one of then either, so what differs is not known"
    found, wanted = (kept, again) if same else (again, kept)
    try:
        said = first_difference(found, wanted) or "it says the same, in other bytes"
    except ArtifactError as error:
        said = str(error)
    return f"rebuilt, but the file beside the manifest was changed since: {said}" if same else said
