"""Saving and loading: what comes back, which bytes are written, and what is said of a file that is none."""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD
from edgekit.errors import ArtifactError, BadInput
from edgekit.integer_model import FORMAT_VERSION, IntegerModel
from edgekit.ir import (
    Add,
    Clamp,
    Conv2d,
    Dequantize,
    Graph,
    Linear,
    Mean,
    Node,
    Output,
    Padding,
    Quantize,
    Rearrange,
    Requantize,
    Tensor,
)
from edgekit.preprocessing import Preprocessing
from edgekit.quantization import QuantParams, Ratio

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def model() -> IntegerModel:
    random = np.random.default_rng(0)
    graph = Graph(
        name="tiny",
        input="image",
        outputs=(Output.logits("logits"),),
        nodes=(
            Node("stem.0", Conv2d((2, 2), Padding(0, 1, 0, 1)), ("image", "stem.0.weight", "stem.0.bias"), "stem.0"),
            Node("shift", Add(), ("stem.0", "shift.three"), "shift"),
            Node("pool", Mean(), ("shift",), "pool"),
            Node("flat", Rearrange.reshape((4,)), ("pool",), "flat"),
            Node("head", Linear(), ("flat", "head.weight", "head.bias"), "logits", Clamp(0.0)),  # infinite above
        ),
        tensors={
            t.name: t
            for t in (
                Tensor("image", (3, 8, 8)),
                Tensor("stem.0", (4, 4, 4), 6.0),
                Tensor("shift", (4, 4, 4)),
                Tensor("pool", (4, 1, 1)),
                Tensor("flat", (4,)),
                Tensor("logits", (2,)),
            )
        },
        constants={
            "stem.0.weight": random.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
            "stem.0.bias": random.integers(-(2**30), 2**30, 4).astype(np.int32),
            "shift.three": np.array([127], np.int8),
            "head.weight": random.integers(-127, 128, (2, 4)).astype(np.int8),
            "head.bias": np.array([5, -(2**30)], np.int32),
        },
    )
    scale = (1 / np.pi) ** np.arange(1, 5)  # nothing that has few digits
    params = {name: QuantParams(scale[:1].astype(np.float32), -3) for name in graph.tensors}
    params |= {name: QuantParams(scale.astype(np.float32)) for name in ("stem.0.weight", "head.weight")}
    preprocessing = Preprocessing((8, 8), "whole", IMAGENET_MEAN, IMAGENET_STD, "BGR")
    return IntegerModel(
        graph=graph,
        params={**params, "shift.three": QuantParams(scale[:1].astype(np.float32))},
        ratios={
            "stem.0": Ratio.of((1, 4095), (3, 7), (5, 9), (7, 11)),
            "shift": Ratio.of((5, 9), (2, 9)),
            "pool": Ratio.of((1, 17)),
            "head": Ratio.of((1, 3), (2, 3)),
        },
        preprocessing=preprocessing,
        normalization=preprocessing.normalization,
        pixel_input=True,
        labels=("cat", "größe", "日本"),
        provenance={"checkpoint": {"sha256": "0" * 64}, "images": 100},
    )


def test_everything_comes_back(model: IntegerModel, tmp_path: Path) -> None:
    model.save(tmp_path / "m.edgekit")
    loaded = IntegerModel.load(tmp_path / "m.edgekit")
    for name in ("preprocessing", "normalization", "pixel_input", "labels", "lowering", "provenance"):
        assert getattr(loaded, name) == getattr(model, name)
    for name in ("name", "input", "outputs", "nodes", "tensors"):
        assert getattr(loaded.graph, name) == getattr(model.graph, name)
    assert list(loaded.graph.tensors) == list(model.graph.tensors)
    assert loaded.graph.constants.keys() == model.graph.constants.keys()
    for name, array in model.graph.constants.items():
        assert loaded.graph.constants[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded.graph.constants[name], array)
    assert loaded.params.keys() == model.params.keys()
    for name, params in model.params.items():
        assert loaded.params[name].zero_point == params.zero_point
        assert loaded.params[name].scale.dtype == np.float32
        np.testing.assert_array_equal(loaded.params[name].scale, params.scale)
    for name, ratio in model.ratios.items():
        np.testing.assert_array_equal(loaded.ratios[name].numerator, ratio.numerator)
        np.testing.assert_array_equal(loaded.ratios[name].denominator, ratio.denominator)


@pytest.mark.parametrize(
    ("profile", "limit"), [("universal", 127), ("mixed", 127), ("seven-bit", 64), ("seven-bit-mixed", 64)]
)
def test_the_profile_says_how_large_weights_are(model: IntegerModel, profile: str, limit: int) -> None:
    assert replace(model, lowering=profile).weight_limit == limit


def test_bytes_that_an_image_moves(model: IntegerModel) -> None:
    """Weights, biases, what is read and what is written, layer by layer; reals take four bytes."""
    stem, shift, pool, flat, head = 108 + 16 + 192 + 64, 1 + 64 + 64, 64 + 4, 4 + 4, 8 + 8 + 4 + 2
    assert model.moved_bytes == stem + shift + pool + flat + head
    real = replace(model, params={name: one for name, one in model.params.items() if name != "logits"})
    assert real.moved_bytes == model.moved_bytes + 2 * 3


def test_equal_models_give_equal_bytes(model: IntegerModel, tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.edgekit" for n in "abc"]
    model.save(paths[0])
    model.save(paths[1])
    IntegerModel.load(paths[0]).save(paths[2])
    assert paths[0].read_bytes() == paths[1].read_bytes() == paths[2].read_bytes()


def test_other_models_give_other_bytes(model: IntegerModel, tmp_path: Path) -> None:
    model.save(tmp_path / "a.edgekit")
    replace(model, labels=("cat", "dog")).save(tmp_path / "b.edgekit")
    assert (tmp_path / "a.edgekit").read_bytes() != (tmp_path / "b.edgekit").read_bytes()


def test_a_file_is_replaced_as_a_whole(model: IntegerModel, tmp_path: Path) -> None:
    path = tmp_path / "new" / "m.edgekit"
    model.save(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        replace(model, provenance={"loss": float("nan")}).save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"m\.edgekit does not exist"):
        IntegerModel.load(tmp_path / "m.edgekit")


def test_a_folder(tmp_path: Path, model: IntegerModel) -> None:
    with pytest.raises(ArtifactError, match="cannot read"):
        IntegerModel.load(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="is not a folder"):
        model.save(tmp_path / "file" / "m.edgekit")


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


FOREIGN = {
    "empty": b"",
    "text": b"not a model\n",
    "json": json.dumps({"format_version": FORMAT_VERSION}).encode(),
    "pickle": pickle.dumps({"format_version": FORMAT_VERSION}),
    "one array": npy(np.zeros(3)),
    "arrays": npz(a=np.zeros(3)),
    "text in an array": npz(**{"model.json": np.array(["{"])}),
    "no json": npz(**{"model.json": np.frombuffer(b"{", np.uint8)}),
    "a list": npz(**{"model.json": np.frombuffer(b"[1]", np.uint8)}),
    "no version": npz(**{"model.json": np.frombuffer(b"{}", np.uint8)}),
    "version only": npz(
        **{"model.json": np.frombuffer(json.dumps({"format_version": FORMAT_VERSION}).encode(), np.uint8)}
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "m.edgekit"
    path.write_bytes(FOREIGN[kind])
    with pytest.raises(ArtifactError, match=r"m\.edgekit is not an edgekit integer model, or is damaged"):
        IntegerModel.load(path)


def test_code_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (tmp_path.joinpath("sprung").touch, ())

    buffer = io.BytesIO()
    np.savez(buffer, **{"model.json": np.array([Trap()], object)}, allow_pickle=True)
    (tmp_path / "m.edgekit").write_bytes(buffer.getvalue())
    with pytest.raises(ArtifactError):
        IntegerModel.load(tmp_path / "m.edgekit")
    assert not (tmp_path / "sprung").exists()


def test_another_version(model: IntegerModel, tmp_path: Path) -> None:
    header, path = header_of(model, tmp_path), tmp_path / "m.edgekit"
    write(path, model, header | {"format_version": FORMAT_VERSION + 1})
    with pytest.raises(
        ArtifactError,
        match=f"format version {FORMAT_VERSION + 1}, this edgekit reads 2 to {FORMAT_VERSION}: export it again",
    ):
        IntegerModel.load(path)


def test_a_file_whose_outputs_have_no_names_is_a_classifiers(model: IntegerModel, tmp_path: Path) -> None:
    """Version 2: outputs were names of tensors, and axes were left to the rank."""
    header, path = header_of(model, tmp_path), tmp_path / "m.edgekit"
    graph = header["graph"]
    graph["outputs"] = [output["tensor"] for output in graph["outputs"]]
    for tensor in graph["tensors"]:
        del tensor["axes"]
    write(path, model, header | {"format_version": 2})
    found = IntegerModel.load(path)
    assert found.graph.outputs == model.graph.outputs
    assert found.graph.tensors == model.graph.tensors


def test_a_file_that_flattens_rearranges(model: IntegerModel, tmp_path: Path) -> None:
    """Version 3: what makes a vector of a map of one pixel was an operator of its own."""
    header, path = header_of(model, tmp_path), tmp_path / "m.edgekit"
    moves = [node for node in header["graph"]["nodes"] if node["op"]["op"] == "Rearrange"]
    assert moves
    for node in moves:
        node["op"] = {"op": "Flatten"}
    write(path, model, header | {"format_version": 3})
    assert IntegerModel.load(path).graph.nodes == model.graph.nodes


def header_of(model: IntegerModel, tmp_path: Path) -> dict[str, Any]:
    model.save(tmp_path / "whole.edgekit")
    with np.load(tmp_path / "whole.edgekit") as archive:
        header: dict[str, Any] = json.loads(archive["model.json"].tobytes())
    return header


def write(path: Path, model: IntegerModel, header: dict[str, Any], **constants: Any) -> None:
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    path.write_bytes(npz(**{"model.json": text, **model.graph.constants, **constants}))


def test_a_header_that_was_not_changed_is_fine(model: IntegerModel, tmp_path: Path) -> None:
    write(tmp_path / "m.edgekit", model, header_of(model, tmp_path))
    assert IntegerModel.load(tmp_path / "m.edgekit").labels == model.labels


@pytest.mark.parametrize(
    "change",
    [
        {"graph": {}},
        {"params": {}},
        {"ratios": {"no such layer": {"numerator": [1], "denominator": [3]}}},
        {"preprocessing": None},
        {"normalization": {"mean": [0]}},
        {"labels": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_header_that_makes_no_sense(change: dict[str, Any], model: IntegerModel, tmp_path: Path) -> None:
    write(tmp_path / "m.edgekit", model, header_of(model, tmp_path) | change)
    with pytest.raises(ArtifactError, match="damaged"):
        IntegerModel.load(tmp_path / "m.edgekit")


def test_an_even_denominator_is_refused_by_name(model: IntegerModel, tmp_path: Path) -> None:
    header = header_of(model, tmp_path)
    name = next(iter(header["ratios"]))
    header["ratios"][name]["denominator"][-1] += 1
    write(tmp_path / "m.edgekit", model, header)
    with pytest.raises(ArtifactError, match=rf"m\.edgekit: the ratio of .*\(layer '{name}'\) has an even denominator"):
        IntegerModel.load(tmp_path / "m.edgekit")


def test_constants_are_integers(model: IntegerModel, tmp_path: Path) -> None:
    write(tmp_path / "m.edgekit", model, header_of(model, tmp_path), **{"head.bias": np.zeros(2)})
    with pytest.raises(ArtifactError, match="damaged"):
        IntegerModel.load(tmp_path / "m.edgekit")


def mixed(model: IntegerModel) -> IntegerModel:
    """``model`` with its mean kept in float."""
    graph = model.graph
    border = {"shift.float32": Tensor("shift.float32", (4, 4, 4)), "pool.int8": Tensor("pool.int8", (4, 1, 1))}
    nodes = (
        *graph.nodes[:2],
        Node("shift.float32", Dequantize(), ("shift",), "shift.float32"),
        replace(graph.nodes[2], inputs=("shift.float32",), activation=Clamp(-1.0)),
        Node("pool.int8", Quantize(), ("pool",), "pool.int8"),
        replace(graph.nodes[3], inputs=("pool.int8",)),
        graph.nodes[4],
    )
    params = {"pool.int8" if name == "pool" else name: value for name, value in model.params.items()}
    ratios = {name: ratio for name, ratio in model.ratios.items() if name != "pool"}
    return replace(model, graph=graph.with_nodes(nodes, border), params=params, ratios=ratios, lowering="mixed")


def test_layers_in_float_come_back(model: IntegerModel, tmp_path: Path) -> None:
    assert (model.float_nodes, model.exact) == ((), True)
    mixed(model).save(tmp_path / "m.edgekit")
    loaded = IntegerModel.load(tmp_path / "m.edgekit")
    assert loaded.graph.nodes == mixed(model).graph.nodes
    assert [node.name for node in loaded.float_nodes] == ["pool"]
    assert (loaded.exact, loaded.lowering) == (False, "mixed")
    reals = np.ones((1, 4, 1, 1), np.float32)
    assert loaded.real("pool", reals) is reals
    assert loaded.real("pool.int8", np.array([[-2]], np.int8)) == loaded.params["pool.int8"].scale


@pytest.mark.parametrize(("missing", "added"), [("image", None), ("shift", None), ("pool.int8", None), (None, "pool")])
def test_reals_and_integers_meet_at_borders_only(
    missing: str | None, added: str | None, model: IntegerModel, tmp_path: Path
) -> None:
    header = header_of(mixed(model), tmp_path)
    if missing is not None:
        del header["params"][missing]
    if added is not None:
        header["params"][added] = header["params"]["shift"]
    write(tmp_path / "m.edgekit", mixed(model), header)
    with pytest.raises(ArtifactError, match="damaged"):
        IntegerModel.load(tmp_path / "m.edgekit")


def test_widths_come_back(model: IntegerModel, tmp_path: Path) -> None:
    wide = replace(model, params={**model.params, "logits": replace(model.params["logits"], bits=16, zero_point=0)})
    graph = wide.graph
    nodes = (
        *graph.nodes[:4],
        Node("flat.int16", Requantize(), ("flat",), "flat.int16"),
        replace(graph.nodes[4], inputs=("flat.int16", *graph.nodes[4].inputs[1:])),
    )
    params = {**wide.params, "flat.int16": wide.params["logits"]}
    wide = replace(wide, graph=graph.with_nodes(nodes, {"flat.int16": Tensor("flat.int16", (4,))}), params=params)
    wide.save(tmp_path / "m.edgekit")
    loaded = IntegerModel.load(tmp_path / "m.edgekit")
    assert [loaded.width(name) for name in ("flat", "flat.int16", "logits", "nothing")] == [8, 16, 16, None]
    assert [node.name for node in loaded.int16_nodes] == ["head"]
    for name, bits in (("logits", 8), ("flat.int16", 8), ("flat", 16), ("image", 16), ("logits", 12)):
        header = header_of(wide, tmp_path)
        header["params"][name]["bits"] = bits
        write(tmp_path / "m.edgekit", wide, header)
        with pytest.raises(ArtifactError, match="damaged"):
            IntegerModel.load(tmp_path / "m.edgekit")


def test_a_missing_weight(model: IntegerModel, tmp_path: Path) -> None:
    header, constants = header_of(model, tmp_path), dict(model.graph.constants)
    del constants["head.weight"]
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    (tmp_path / "m.edgekit").write_bytes(npz(**{"model.json": text, **constants}))
    with pytest.raises(ArtifactError, match="damaged"):
        IntegerModel.load(tmp_path / "m.edgekit")


def test_damage_is_found_or_harmless(model: IntegerModel, tmp_path: Path) -> None:
    """One changed byte anywhere, or a file cut short: an ArtifactError, or nothing that a model consists of changed."""
    path = tmp_path / "m.edgekit"
    model.save(path)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for position in random.integers(0, len(whole), 250):
        damaged = bytearray(whole)
        damaged[position] ^= int(random.integers(1, 256))
        path.write_bytes(bytes(damaged))
        try:
            loaded = IntegerModel.load(path)
        except ArtifactError:
            continue
        loaded.save(path)
        assert path.read_bytes() == whole
    for length in random.integers(0, len(whole), 50):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactError):
            IntegerModel.load(path)
