"""What travels to a device: the files, what they have to answer there, and the plan."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import files
from edgekit.device import plan as plans
from edgekit.device.chain import EXIT, LOGITS, MAP, Chain
from edgekit.device.detections import EXACT
from edgekit.device.engines import open_file
from edgekit.device.plan import CHAIN, Golden, GoldenOutput
from edgekit.errors import ConfigError, MissingDependency
from edgekit.exporters.formats import format_of
from edgekit.exporters.metadata import Precision
from edgekit.progress import Progress, silent
from edgekit.remote import packing
from edgekit.runtimes.catalog import claimed_runner, default_runner, engine_of
from edgekit.runtimes.runner import encode
from edgekit.suppression import endings_of
from edgekit.verification.float_parity import TOLERANCE
from edgekit.verification.integer_parity import NEAR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgekit.device.plan import Plan, PlannedFile
    from edgekit.exporters.metadata import Metadata

SUFFIX = ".pyz"  # archives that Python runs
IMAGES = 4  # a wrong kernel is wrong everywhere
OF_STAGES = 16  # so that several exits may be taken
PATCHES = 8  # a side of an image: areas and edges of all colours


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was written.

    Attributes:
        path: of the archive.
        size_bytes: of it.
        files: names of the files in it.
        unchecked: for each of them whose answers are not known here, why.
    """

    path: Path
    size_bytes: int
    files: tuple[str, ...]
    unchecked: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Luggage:
    """What a plan takes with it.

    Attributes:
        plan: with the names that files have over there, and with golden outputs.
        contents: of every file, the plan among them, by these names.
        paths: where each planned file lies here, by its name over there.
        unchecked: for each planned file whose answers are not known here, why.
    """

    plan: Plan
    contents: Mapping[str, bytes]
    paths: Mapping[str, Path]
    unchecked: Mapping[str, str]


def bundle(plan: Plan, out: Path, *, progress: Progress = silent) -> Bundle:
    """Write an archive that ``python3`` runs on a device: it checks and times the files of a plan.

    Raises:
        ArtifactError: a file cannot be run here.
        BadInput: the archive cannot be written.
        ConfigError: ``out`` has another suffix.
    """
    if out.suffix != SUFFIX:
        raise ConfigError(f"--out {out}: a bundle's name ends with {SUFFIX}, so that Python runs it")
    luggage = pack(plan, progress=progress)
    files.write_bytes(out, packing.bundle(luggage.contents))
    return Bundle(out, files.size_bytes(out), tuple(luggage.paths), luggage.unchecked)


def pack(plan: Plan, *, progress: Progress = silent) -> Luggage:
    """Run every file of a plan here, to know what it has to answer elsewhere.

    Raises:
        ArtifactError: a file is missing, or cannot be run here.
    """
    names = _names([Path(file.path) for file in plan.files])
    arrays: dict[bytes, str] = {}  # equal ones travel once
    unchecked: dict[str, str] = {}
    packed: list[PlannedFile] = []
    for done, file in enumerate(plan.files):
        progress("running here", done, len(plan.files))
        name = names[file.path]
        answers = _answers(file)
        if isinstance(answers, str):
            unchecked[name] = answers
        golden = None if isinstance(answers, str) else answers.named(arrays)
        baseline = None if file.baseline is None else names[file.baseline]
        packed.append(replace(file, path=name, golden=golden, baseline=baseline))
    progress("running here", len(plan.files), len(plan.files))
    plan = replace(plan, files=tuple(packed))
    paths = {name: Path(path) for path, name in names.items()}
    contents = {
        plans.FILE_NAME: plan.to_json().encode(),
        **{name: array for array, name in arrays.items()},
        **{name: path.read_bytes() for name, path in paths.items()},
    }
    return Luggage(plan, contents, paths, unchecked)


def _names(paths: list[Path]) -> dict[str, str]:
    """What each file is called over there: as it reads from the nearest folder that holds all of them."""
    absolute = {str(path): Path(os.path.abspath(path)) for path in paths}  # noqa: PTH100 - links keep their names
    common = os.path.commonpath([path.parent for path in absolute.values()])
    return {name: path.relative_to(common).as_posix() for name, path in absolute.items()}


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class _Answers:
    """What a file answers here, in its own layout and type.

    Attributes:
        inputs: [N, ...].
        outputs: [N, ...] by name, with what each may differ by.
        batch: images at once.
    """

    inputs: NDArray[Any]
    outputs: Mapping[str, tuple[NDArray[Any], float]]
    batch: int

    def named(self, arrays: dict[bytes, str]) -> Golden:
        """Names of all arrays, which are added to ``arrays``."""

        def stored(array: NDArray[Any]) -> str:
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            return arrays.setdefault(content.getvalue(), f"golden/{len(arrays)}.npy")

        inputs = stored(self.inputs)
        outputs = {name: GoldenOutput(stored(array), tolerance) for name, (array, tolerance) in self.outputs.items()}
        return Golden(inputs, outputs, self.batch)


def _answers(file: PlannedFile) -> _Answers | str:
    """What a file answers here, or why that is not known."""
    path = Path(file.path)
    if path.name == CHAIN:
        return _answers_of_stages(path.parent, file.engine)
    try:
        shape, dtype = _boundary(file)
        summary = format_of(path).read(path)
        ours = summary.metadata is not None
        # Without VNNI the default may clamp sums that a device does not. Of edgekit's files, all claimed runners answer
        # the same; of another tool's, that is not known.
        make_runner = claimed_runner(path) if ours and summary.int8_share else default_runner(path)
    except MissingDependency as error:
        return str(error)
    if shape is None or dtype is None or make_runner is None:
        return "the file does not say what it takes"
    is_turned = format_of(path).channels_last
    height, width, channels = shape[1:] if is_turned else (*shape[2:], shape[1])
    pixels = images(height, width, channels, -(-IMAGES // shape[0]) * shape[0])  # as often as the file takes them
    batch = _inputs(pixels, summary.metadata, np.dtype(dtype))
    with make_runner() as runner:
        if summary.int8_share and runner.differs_because is not None:
            return f"{runner.name} here: {runner.differs_because}"
        answers = runner.run(batch)
    given = {name: answers[name] for name in summary.names if name in answers}

    def own(array: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(array.transpose(0, 2, 3, 1) if is_turned and array.ndim == len(shape) else array)

    precision = summary.metadata.precision if summary.metadata is not None else Precision(file.precision or "float16")
    is_exact = not summary.float_operators
    allowed = tolerances(given, summary.metadata, precision, is_exact=is_exact)
    if not allowed:
        return "last bits decide between boxes, or classes, that are equally sure"
    outputs = {name: (own(given[name]), tolerance) for name, tolerance in allowed.items()}
    return _Answers(own(batch), outputs, shape[0])


def _answers_of_stages(folder: Path, engine: str) -> _Answers | str:
    """Where images leave a chain, and with which logits, one at a time; or why that is not known."""
    chain = Chain.load(folder)
    first = folder / chain.stages[0].files[engine]
    about = format_of(first).read(first).metadata
    assert about is not None, "edgekit wrote it"
    height, width, channels = about.preprocessing.shape
    given = inputs = _inputs(images(height, width, channels, OF_STAGES), about, np.dtype(about.io_dtype))
    found: dict[int, tuple[int, NDArray[Any]]] = {}
    there = np.arange(OF_STAGES)
    try:
        for place, stage in enumerate(chain.stages):
            with claimed_runner(folder / stage.files[engine])() as runner:
                answers = runner.run(given)
            logits = answers[stage.exit]
            leaves = stage.rule.leaves(logits) | (place == len(chain.stages) - 1)
            found |= {image: (place, row) for image, row in zip(there[leaves], logits[leaves], strict=True)}
            there = there[~leaves]
            if not there.size:
                break
            given = np.ascontiguousarray(answers[MAP][~leaves])
    except MissingDependency as error:
        return str(error)
    exits = np.array([[found[image][0]] for image in range(OF_STAGES)], np.int8)
    rows = np.stack([found[image][1] for image in range(OF_STAGES)])
    own = inputs.transpose(0, 2, 3, 1) if format_of(first).channels_last else inputs
    return _Answers(np.ascontiguousarray(own), {EXIT: (exits, 0.0), LOGITS: (rows, 0.0)}, 1)


def tolerances(
    given: Mapping[str, NDArray[Any]], about: Metadata | None, precision: Precision, *, is_exact: bool
) -> dict[str, float]:
    """By how much outputs of a file may differ elsewhere, by name.

    Boxes that are suppressed, and classes of places, follow from integers where all of these are claimed. Elsewhere
    last bits may decide between two of them: they are left out.
    """
    provenance = {} if about is None else about.provenance
    detections = {name for one in endings_of(provenance) for name in one.names}
    classes = {name for name, array in given.items() if array.dtype == np.int32}
    is_claimed = precision is Precision.INT8 and not (provenance.get("kept_float") or provenance.get("int16"))
    found = {}
    for name, array in given.items():
        if name not in detections | classes:
            found[name] = _tolerance(array, precision, is_exact=is_exact)
        elif is_claimed:
            found[name] = EXACT if name in detections else 0.0
    return found


def _tolerance(output: NDArray[Any], precision: Precision, *, is_exact: bool) -> float:
    """By how much an output of a file may differ elsewhere."""
    if precision is not Precision.INT8:
        return TOLERANCE[precision] * float(np.abs(output).max())
    return 0.0 if is_exact else NEAR * float(output.std())


def _boundary(file: PlannedFile) -> tuple[tuple[int, ...] | None, str | None]:
    """Shape and type of the input, in the file's own layout."""
    if file.shape is not None and file.dtype is not None:
        return file.shape, file.dtype
    path = Path(file.path)
    name = engine_of(format_of(path).name)  # the processor's: a GPU may be over there only
    assert name is not None, "it is in a plan"
    engine = open_file(path, name)
    return engine.shape, engine.dtype


def images(height: int, width: int, channels: int, number: int = IMAGES) -> NDArray[np.uint8]:
    """Reproducible ones, [N, H, W, C]: patches of random colours."""
    colours = np.random.default_rng(0).integers(0, 256, (number, PATCHES, PATCHES, channels), np.uint8)
    rows, columns = (np.arange(size) * PATCHES // size for size in (height, width))
    return colours[:, rows][:, :, columns]


def _inputs(pixels: NDArray[np.uint8], metadata: Metadata | None, dtype: np.dtype[Any]) -> NDArray[Any]:
    """[N, C, H, W], of the type that a file takes."""
    if metadata is not None and (metadata.io_dtype == "float32" or metadata.pixel_input):
        return encode(pixels, metadata, None)
    planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    if dtype == np.uint8:
        return planes
    return (planes.astype(np.int16) - 128).astype(np.int8) if dtype == np.int8 else (planes / 127.5 - 1).astype(dtype)
