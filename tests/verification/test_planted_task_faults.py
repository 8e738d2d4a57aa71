"""Faults of detectors, of segmenters, and of networks with several heads: each is found, and says where it is."""

from __future__ import annotations

import functools
import json
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from edgekit import config
from edgekit.calibration.saved import load
from edgekit.config import ModelSettings, Settings
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.integer_model import IntegerModel
from edgekit.ir import Padding, Softmax
from edgekit.ir.operators.resize import ALIGNED, NEAREST
from edgekit.ir.operators.slice import Part
from edgekit.models import checkpoint
from edgekit.models.architecture import dilated
from edgekit.models.building import built
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.heads.making import deeplab, lraspp, ssd, vector
from edgekit.models.recorded import Recorded
from edgekit.models.task_architecture import TaskArchitecture
from edgekit.pipeline.making import rebuilding
from edgekit.pipeline.making.export import export
from edgekit.pipeline.making.finishing import Finish, as_wanted
from edgekit.pipeline.making.trained import FROM_FILE, Trained
from edgekit.pipeline.proving import evidence, trials
from edgekit.pipeline.proving.verify import verify
from edgekit.preprocessing import Preprocessing
from edgekit.runtimes.litert import LiteRtRunner
from edgekit.suppression import Suppression
from edgekit.tasks.detection import in_graph
from edgekit.verification.integer_parity import IntegerParity

for needed in ("onnx", "onnxruntime", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel
    from edgekit.pipeline.proving.verdicts import FileVerdict

SIZE, LABELS = (64, 64), ("stop", "yield", "road", "sky", "tree", "left", "right", "day", "night")
PLACES = (4, 4, 6)  # rows, columns and prior boxes of the finest map
ROWS = 96
BOXES, SCORES, ATROUS = "signs.boxes.0.1", "signs.scores.0.1", "parts.0.convs.1.0"
TAIL = "signs_corners"  # the name of what decodes boxes
NAMED = "road_classes.largest"  # of what names the classes of a mask


# --- the network ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that nobody trained: a detector, two segmenters and a classifier on one backbone; and its ranges."""
    folder = tmp_path_factory.mktemp("faults")
    torch.manual_seed(0)
    whole = mobilenet_v2(0.25, resolution=SIZE)
    blocks = tuple(whole.blocks[index] for index in (0, 1, 3, 6, 13))  # the first of each stage
    backbone = dilated(replace(whole, blocks=blocks, head_channels=32), 16)
    heads = (
        replace(ssd(backbone, 2, separable=True, name="signs"), extras=(16, 16)),
        replace(lraspp(backbone, 3, name="road"), channels=16),
        replace(deeplab(backbone, 2, rates=(2,), name="parts"), channels=8),
        vector(backbone, "classification", 2, name="light"),
    )
    architecture = TaskArchitecture(backbone, heads)
    module = built(architecture).eval()
    for name, values in module.state_dict().items():
        if name.startswith("signs") and name.endswith("bias"):
            values.normal_(0, 3)  # so that boxes are not their prior ones, and it is sure of something
    recorded = Recorded(Preprocessing(SIZE, "whole"), "several", LABELS)
    checkpoint.save(folder / "net.safetensors", module, architecture, recorded)
    patches = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    np.save(folder / "images.npy", patches.repeat(8, 1).repeat(8, 2))
    wanted: dict[str, dict[str, object]] = {
        "model": {"checkpoint": folder / "net.safetensors"},
        "calibration": {"data": folder / "images.npy"},
        "export": {"targets": ["tflite"], "precisions": ["int8"], "out": folder / "out", "verify": False},
    }
    export(config.load(None, wanted))
    return folder


@pytest.fixture(scope="module")
def trained(made: Path) -> Trained:
    found = FROM_FILE.load(ModelSettings(checkpoint=made / "net.safetensors"))
    return replace(found, capture=functools.cache(found.capture))


@pytest.fixture(autouse=True)
def read_once(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint is read and captured once, not in every test; and one image of noise is enough."""
    monkeypatch.setattr(evidence, "load_as_exported", lambda *_: trained)
    monkeypatch.setattr(trials, "NOISE_IMAGES", 1)


@pytest.fixture(scope="module")
def settings(made: Path) -> Settings:
    return config.load(None, {"model": {"checkpoint": made / "net.safetensors"}})


@pytest.fixture(scope="module")
def good(made: Path, trained: Trained) -> IntegerModel:
    """With boxes decoded and classes named inside."""
    (saved,) = (made / "out").glob("*.int8.edgekit")
    (ranges,) = (made / "out").glob("*.ranges.json")
    wanted = as_wanted(trained, Finish("decoded"))
    return rebuilding.integer_model(wanted, wanted.capture(), load(ranges), IntegerModel.load(saved))


@pytest.fixture(scope="module")
def floats(trained: Trained, good: IntegerModel) -> FloatModel:
    wanted = as_wanted(trained, Finish("decoded"))
    return rebuilding.float_model(wanted, wanted.capture(), good.preprocessing, good.labels)


# --- what is done to it -----------------------------------------------------------------------------------------------


def changing(layer: str, change: Callable[[NDArray[Any]], NDArray[Any]], *parts: str) -> Callable[[Any], Any]:
    """Spoils the constants of a layer: weight and bias, or the parts that are named."""

    def spoil(model: Any) -> Any:
        names = [f"{layer}.{part}" for part in parts or ("weight", "bias")]
        constants = model.graph.constants
        changed = {name: np.ascontiguousarray(change(constants[name])) for name in names}
        assert any(not np.array_equal(changed[name], constants[name]) for name in names)
        return replace(model, graph=replace(model.graph, constants={**constants, **changed}))

    return spoil


def node(layer: str, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Spoils a node."""

    def spoil(model: Any) -> Any:
        (before,) = (one for one in model.graph if one.name == layer)
        nodes = tuple(change(one) if one is before else one for one in model.graph)
        return replace(model, graph=replace(model.graph, nodes=nodes))

    return spoil


def operator(layer: str, **changes: Any) -> Callable[[Any], Any]:
    """Spoils attributes of a node's operator."""
    return node(layer, lambda one: replace(one, op=replace(one.op, **changes)))


def reading(layer: str, *order: int) -> Callable[[Any], Any]:
    """Spoils the order of what a node reads."""
    return node(layer, lambda one: replace(one, inputs=tuple(one.inputs[index] for index in order)))


def one_after_another(*changes: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda model: functools.reduce(lambda found, change: change(found), changes, model)


def ends_called(*order: int) -> Callable[[Any], Any]:
    """Spoils which output has which name."""

    def spoil(model: Any) -> Any:
        before = model.graph.outputs
        names = [before[index].name for index in order]
        outputs = tuple(replace(one, name=name) for one, name in zip(before, names, strict=True))
        return replace(model, graph=replace(model.graph, outputs=outputs))

    return spoil


def grouped(size: int, order: Sequence[int]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Spoils the order within each group of ``size`` channels."""
    return lambda values: values.reshape(-1, size, *values.shape[1:])[:, list(order)].reshape(values.shape)


def rows_first(*order: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Spoils the order of the finest map's prior boxes: of rows, columns and boxes."""

    def change(values: NDArray[Any]) -> NDArray[Any]:
        finest = values[:ROWS].reshape(*PLACES, -1).transpose(*order, 3).reshape(ROWS, -1)
        return np.concatenate([finest, values[ROWS:]])

    return change


def scale(tensor: str) -> Callable[[Any], Any]:
    def spoil(model: Any) -> Any:
        params = model.params[tensor]
        wider = replace(params, scale=params.scale * np.float32(1.01))
        return replace(model, params={**model.params, tensor: wider})

    return spoil


def zero_point(tensor: str) -> Callable[[Any], Any]:
    def spoil(model: Any) -> Any:
        params = model.params[tensor]
        return replace(model, params={**model.params, tensor: replace(params, zero_point=params.zero_point + 1)})

    return spoil


def without(*outputs: str) -> Callable[[Any], Any]:
    """A head left out, with the layers that only it needs."""

    def spoil(model: Any) -> Any:
        kept = tuple(one for one in model.graph.outputs if one.name not in outputs)
        needed, nodes = {one.tensor for one in kept}, []
        for one in reversed(model.graph.nodes):
            if one.output in needed:
                needed |= set(one.inputs)
                nodes.append(one)
        tensors = {name: one for name, one in model.graph.tensors.items() if name in needed}
        constants = {name: one for name, one in model.graph.constants.items() if name in needed}
        graph = replace(model.graph, nodes=tuple(nodes[::-1]), outputs=kept, tensors=tensors, constants=constants)
        if isinstance(model, IntegerModel):
            params = {name: one for name, one in model.params.items() if name in needed}
            ratios = {one.name: model.ratios[one.name] for one in nodes if one.name in model.ratios}
            return replace(model, graph=graph, params=params, ratios=ratios)
        return replace(model, graph=graph)

    return spoil


def labels(change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> Callable[[Any], Any]:
    return lambda model: replace(model, labels=change(model.labels))


def flat_rows(layer: str, values: int) -> Callable[[Any], Any]:
    """Channels first read as if they were last."""
    return operator(layer, split=(values * ROWS,), order=(0,))


def half_a_place(values: NDArray[Any]) -> NDArray[Any]:
    """Prior boxes of another grid, whose centres are the corners of places."""
    return values - np.concatenate([np.full((ROWS, 2), 1 / 8), np.zeros((len(values) - ROWS, 2))]).astype(np.float32)


def pooled(values: NDArray[Any]) -> NDArray[Any]:
    """Nothing of the image pooling branch, which comes last."""
    kept = values.copy()
    kept[:, values.shape[1] * 2 // 3 :] = 0
    return kept


def smaller_mask(model: Any) -> Any:
    """Of half as many rows and columns."""
    graph = one_after_another(
        operator("road.low_classifier", stride=(2, 2)), operator("road.upsample_bilinear2d", size=(4, 4))
    )(model).graph
    tensors = dict(graph.tensors)
    for name in ("road.low_classifier", "road.upsample_bilinear2d", "road.high_classifier", "road.add"):
        tensors[name] = replace(tensors[name], shape=(tensors[name].shape[0], 4, 4))
    tensors[NAMED] = replace(tensors[NAMED], shape=(4, 4))
    return replace(model, graph=replace(graph, tensors=tensors))


@dataclass(frozen=True)
class Fault:
    """What is wrong with a network.

    Attributes:
        name: of it.
        spoil: makes it, of the good one.
        layer: that has to be named first; None for the model as a whole.
        words: of which one has to be said.
        only_int8: floats have no such thing.
    """

    name: str
    spoil: Callable[[Any], Any]
    layer: str | None
    words: tuple[str, ...]
    only_int8: bool = False

    def __str__(self) -> str:
        return self.name


def fault(name: str, spoil: Callable[[Any], Any], layer: str | None, *words: str, only_int8: bool = False) -> Fault:
    return Fault(name, spoil, layer, words, only_int8)


RESIZED, ORDER, NUMBERS = "road.upsample_bilinear2d", "another order", "numbers"
FAULTS = (
    # Boxes as codings.
    fault("x and y exchanged", changing(BOXES, grouped(4, (1, 0, 2, 3))), BOXES, ORDER),
    fault("width and height exchanged", changing(BOXES, grouped(4, (0, 1, 3, 2))), BOXES, ORDER),
    fault("sizes before centres", changing(BOXES, grouped(4, (2, 3, 0, 1))), BOXES, ORDER),
    fault("background last", changing(SCORES, grouped(3, (1, 2, 0))), SCORES, ORDER),
    fault("rows box by box", operator("signs.reshape", split=(6, 4, 16), order=(0, 2, 1)), "signs.reshape", ""),
    fault("columns before rows", operator("signs.reshape", split=(24, 4, 4), order=(2, 1, 0)), "signs.reshape", ""),
    fault("channels last taken for first", flat_rows("signs.reshape_4", 3), "signs.reshape_4", ""),
    fault("maps in another order", reading("signs.cat", 1, 0, 2), "signs.cat", ""),
    fault("one head's scale", scale("signs.cat_2"), "signs.cat_2", "instead of", only_int8=True),
    fault("one head's zero point", zero_point("road.add"), "road.add", "zero point", only_int8=True),
    # Boxes that are decoded in the file.
    fault(
        "another variance of centres", changing(f"{TAIL}.shift", lambda v: v * 2, "constant"), f"{TAIL}.shift", NUMBERS
    ),
    fault("another variance of sizes", changing(f"{TAIL}.u", lambda v: v / 2, "constant"), f"{TAIL}.u", ""),
    fault("priors box by box", changing(f"{TAIL}.centre", rows_first(2, 0, 1), "constant"), f"{TAIL}.centre", ORDER),
    fault("priors by columns", changing(f"{TAIL}.centre", rows_first(1, 0, 2), "constant"), f"{TAIL}.centre", ORDER),
    fault("priors of another grid", changing(f"{TAIL}.centre", half_a_place, "constant"), f"{TAIL}.centre", NUMBERS),
    fault(
        "priors one row off",
        changing(f"{TAIL}.centre", lambda v: np.roll(v, 1, 0), "constant"),
        f"{TAIL}.centre",
        ORDER,
    ),
    fault(
        "prior boxes too large by a half",
        changing(f"{TAIL}.more", lambda v: v * 1.5, "constant"),
        f"{TAIL}.more",
        NUMBERS,
    ),
    fault("right and bottom before left and top", reading(f"{TAIL}.boxes", 1, 0), f"{TAIL}.boxes", ""),
    fault("centres read from sizes", operator(f"{TAIL}.moved", parts=(Part(0, 126), Part(2, 2))), f"{TAIL}.moved", ""),
    fault(
        "classes from the background on",
        operator(f"{TAIL}.scores", parts=(Part(0, 126), Part(0, 2))),
        f"{TAIL}.scores",
        "",
    ),
    fault(
        "soft-max over boxes", node(f"{TAIL}.softmax", lambda one: replace(one, op=Softmax(1))), f"{TAIL}.softmax", ""
    ),
    fault("boxes beyond the image", node(f"{TAIL}.low", lambda one: replace(one, activation=None)), f"{TAIL}.low", ""),
    fault("sizes without a bound", node(f"{TAIL}.u", lambda one: replace(one, activation=None)), f"{TAIL}.u", ""),
    fault(
        "a term of the exponential function",
        changing(f"{TAIL}.plus3", lambda v: v * 3, "constant"),
        f"{TAIL}.plus3",
        "",
    ),
    # Masks.
    fault("corners aligned", operator(RESIZED, mode=ALIGNED), RESIZED, ""),
    fault("nearest neighbours", operator(RESIZED, mode=NEAREST), RESIZED, ""),
    fault("a gate of another scale", scale("road.scale.1"), "road.scale.1", "scale", only_int8=True),
    fault("no gate", reading("road.mul", 0, 0), "road.", ""),
    fault("a dilation of 1", operator(ATROUS, dilation=(1, 1), padding=Padding(1, 1, 1, 1)), ATROUS, ""),
    fault("no image pooling", changing("parts.0.project.0", pooled, "weight"), "parts.0.project.0", NUMBERS),
    fault("branches in another order", reading("parts.0.cat", 1, 0, 2), "parts.0.cat", ""),
    fault("classes of a mask in another order", changing("parts.1", lambda v: v[::-1]), "parts.1", "swapped"),
    fault("a mask of another size", smaller_mask, "road.", ""),
    fault("classes of an enlarged mask", operator(NAMED, size=(8, 8)), NAMED, ""),
    # Several heads.
    fault("two masks exchanged", ends_called(0, 1, 3, 2, 4), None, "road_classes"),
    fault("boxes and probabilities exchanged", ends_called(1, 0, 2, 3, 4), None, "signs_"),
    fault("a head left out", without("parts_classes"), "parts", ""),
    fault("labels shifted by one", labels(lambda names: (*names[1:], names[0])), None, "labels"),
    fault("labels of two heads exchanged", labels(lambda names: (*names[7:], *names[2:7], *names[:2])), None, "labels"),
)


# --- models that are wrong --------------------------------------------------------------------------------------------


def write(model: IntegerModel | FloatModel, folder: Path, target: str) -> Path:
    form = FORMATS[target]
    if isinstance(model, IntegerModel):
        path = folder / f"{model.graph.name}.int8{form.suffix}"
        form.write_integer_model(model, path, io_dtype=IoDtype.FLOAT32)
    else:
        path = folder / f"{model.graph.name}.float32{form.suffix}"
        form.write_float_model(model, path, precision=Precision.FLOAT32)
    return path


def target_of(wrong: Fault, among: Sequence[Fault]) -> str:
    """Each of the formats in turn."""
    return list(FORMATS)[among.index(wrong) % len(FORMATS)]


def problems(verdict: FileVerdict) -> list[str]:
    return [gate.problem for gate in verdict.gates if not gate.passed]


def assert_named(wrong: Fault, verdict: FileVerdict) -> None:
    found = problems(verdict)
    assert found, "not found"
    assert any((wrong.layer or "") in problem and any(word in problem for word in wrong.words) for problem in found), (
        found
    )


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """With the ranges."""
    (ranges,) = (made / "out").glob("*.ranges.json")
    shutil.copy(ranges, tmp_path)
    return tmp_path


def test_what_computes_boxes_is_no_layer_that_was_kept_in_float(good: IntegerModel) -> None:
    assert good.answering_nodes == good.float_nodes != ()
    assert good.notes == ()


@pytest.mark.parametrize("wrong", FAULTS, ids=str)
def test_it_is_found_where_the_saved_model_has_it_too(
    wrong: Fault, good: IntegerModel, settings: Settings, folder: Path
) -> None:
    model = wrong.spoil(good)
    model.save(folder / f"{model.graph.name}.int8.edgekit")
    write(model, folder, target_of(wrong, FAULTS))
    result = verify([folder], settings)
    (file,), (saved,) = result.files, result.references
    assert_named(wrong, saved)
    assert_named(wrong, file)


@pytest.mark.parametrize("wrong", [one for one in FAULTS if not one.only_int8][::3], ids=str)
def test_it_is_found_in_a_float_file(wrong: Fault, floats: FloatModel, settings: Settings, tmp_path: Path) -> None:
    path = write(wrong.spoil(floats), tmp_path, target_of(wrong, FAULTS))
    (file,) = verify([path], settings).files
    assert_named(wrong, file)


# --- what a file says of its heads ------------------------------------------------------------------------------------


def saying(change: Callable[[dict[str, Any]], None]) -> Callable[[Any], Any]:
    """Spoils what a model says of the network that it is made of."""

    def spoil(model: Any) -> Any:
        provenance = json.loads(json.dumps(dict(model.provenance)))
        change(provenance)
        return replace(model, provenance=provenance)

    return spoil


def levels(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[Any], Any]:
    """Spoils what it says of the prior boxes, map by map."""
    return saying(lambda provenance: change(provenance["architecture"]["heads"][0]["priors"]["levels"]))


def heads(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[Any], Any]:
    """Spoils what it says of the heads."""
    return saying(lambda provenance: change(provenance["architecture"]["heads"]))


STATED = (
    fault("priors that are wider", levels(lambda maps: maps[0]["shapes"].__setitem__(0, [0.3, 0.2])), "priors", "0.3"),
    fault("priors in another order", levels(lambda maps: maps[0]["shapes"].reverse()), "priors", ""),
    fault("maps of priors in another order", levels(lambda maps: maps.reverse()), "priors.levels.0", ""),
    fault(
        "priors of another grid", levels(lambda maps: maps[0].update(rows=8, columns=2)), "priors.levels.0", "columns"
    ),
    fault("more priors than boxes", levels(lambda maps: maps[0].update(rows=5)), "priors.levels.0.rows", "5"),
    fault("one class more", heads(lambda all_of: all_of[0].update(things=3)), "heads.0.things", "3 instead of 2"),
    fault("names of heads exchanged", heads(lambda all_of: all_of[1].update(name="sky")), "heads.1.name", "sky"),
    fault("heads in another order", heads(lambda all_of: all_of.reverse()), "heads.0", ""),
    fault("a head without prior boxes", heads(lambda all_of: all_of[0].pop("priors")), "priors", "missing"),
    fault("codings taken for boxes", saying(lambda of: of.pop("outputs")), "outputs", "decoded"),
    fault("images of another size", saying(lambda of: of["architecture"].update(resolution=96)), "resolution", "96"),
)


@pytest.mark.parametrize("wrong", STATED, ids=str)
def test_an_int8_file_that_says_it_is_found(wrong: Fault, good: IntegerModel, settings: Settings, folder: Path) -> None:
    good.save(folder / f"{good.graph.name}.int8.edgekit")
    path = write(wrong.spoil(good), folder, target_of(wrong, STATED))
    known = STATED.index(wrong) % 2 == 0
    (file,) = verify([path], settings if known else Settings()).files
    assert_named(wrong, file)


@pytest.mark.parametrize("wrong", STATED, ids=str)
def test_a_float_file_that_says_it_is_found_by_the_others(wrong: Fault, floats: FloatModel, tmp_path: Path) -> None:
    target = target_of(wrong, STATED)
    path = write(wrong.spoil(floats), tmp_path, target)
    for other in [one for one in FORMATS if one != target][:2]:
        write(floats, tmp_path, other)
    (file,) = (file for file in verify([tmp_path], Settings()).files if file.failed)
    assert file.path == path
    assert_named(wrong, file)


@pytest.mark.parametrize("wrong", STATED[1:9:3], ids=str)
def test_a_float_file_that_says_it_is_found_by_the_checkpoint(
    wrong: Fault, floats: FloatModel, settings: Settings, tmp_path: Path
) -> None:
    (file,) = verify([write(wrong.spoil(floats), tmp_path, target_of(wrong, STATED))], settings).files
    assert_named(wrong, file)


# --- what edgekit itself decodes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["CENTRE_VARIANCE", "_LEAST_GROWTH"])
def test_wrong_nodes_are_found_where_everything_has_them(
    number: str, trained: Trained, good: IntegerModel, settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code that writes nodes behind the integers is the one that makes what files are held against."""
    monkeypatch.setattr(in_graph, number, 0.2)
    wanted, (ranges,) = as_wanted(trained, Finish("decoded")), folder.glob("*.ranges.json")
    model = rebuilding.integer_model(wanted, wanted.capture(), load(ranges), good)
    model.save(folder / f"{model.graph.name}.int8.edgekit")
    write(model, folder, "tflite")
    (saved,) = verify([folder], settings).references
    (problem,) = problems(saved)
    assert "values of signs_corners are off by" in problem


# --- good ones --------------------------------------------------------------------------------------------------------


def test_good_files_are_no_alarm(good: IntegerModel, floats: FloatModel, settings: Settings, folder: Path) -> None:
    good.save(folder / f"{good.graph.name}.int8.edgekit")
    for target in FORMATS:
        write(good, folder, target)
        write(floats, folder, target)
    result = verify([folder], settings)
    assert result.passed, [problems(verdict) for verdict in (*result.files, *result.references)]
    assert len(result.files) == 2 * len(FORMATS)
    heads = {"signs.cat", "signs.cat_2"}  # the last integers, behind which boxes are decoded
    for file in result.files:
        inside = [parity for parity in file.parities if isinstance(parity, IntegerParity) and parity.output in heads]
        assert {parity.output for parity in inside} == (heads if ".int8." in file.path.name else set())
        assert all(parity.identical == 1 for parity in inside)


def test_boxes_are_found_that_a_runtime_suppresses_otherwise(
    trained: Trained, good: IntegerModel, settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file says what it has to, and its integers are right: what is left of its boxes is not."""
    wanted, (ranges,) = as_wanted(trained, Finish("final", Suppression(0.3, 0.5, 20))), folder.glob("*.ranges.json")
    model = rebuilding.integer_model(wanted, wanted.capture(), load(ranges), good)
    model.save(folder / f"{model.graph.name}.int8.edgekit")
    write(model, folder, "tflite")
    assert verify([folder], settings).passed
    run = LiteRtRunner.run

    def last_box_lost(runner: LiteRtRunner, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        found = run(runner, batch)
        return found | {"signs_num_detections": found["signs_num_detections"] - 2}

    monkeypatch.setattr(LiteRtRunner, "run", last_box_lost)
    (file,) = verify([folder], settings).files
    assert_named(fault("lost", lambda model: model, "signs_detection_boxes", "suppression leaves other boxes"), file)


def test_there_are_enough() -> None:
    assert len(FAULTS) + len(STATED) >= 25
    for among in (FAULTS, STATED):
        assert len({one.name for one in among}) == len(among)
