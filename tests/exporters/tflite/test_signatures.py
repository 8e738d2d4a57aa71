"""Each head of a .tflite file runs alone: with the integers of the whole network, and without what it does not need."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.calibration.assignment import quantize
from edgekit.exporters.contents import differences
from edgekit.exporters.tflite import schema as tflite_schema
from edgekit.exporters.tflite.codec import read_contents, violations, write_integer_model
from edgekit.exporters.tflite.reader import read
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.heads.making import lraspp, ssd, vector
from edgekit.models.task_architecture import TaskArchitecture
from tests.networks import with_ranges

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

interpreter = pytest.importorskip("ai_edge_litert.interpreter")

SIZE = (64, 64)
GIVES = {"signs": {"signs_boxes", "signs_scores"}, "road": {"road_mask"}, "light": {"light"}}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    whole = mobilenet_v2(0.1, resolution=SIZE)
    blocks = tuple(whole.blocks[index] for index in (0, 1, 3, 6, 13))  # the first of each stage
    backbone = replace(whole, blocks=blocks, head_channels=16)
    heads = (
        ssd(backbone, 2, separable=True, name="signs"),
        replace(lraspp(backbone, 3, name="road"), channels=8),
        vector(backbone, "tagging", 2, name="light"),
    )
    network = TaskArchitecture(backbone, heads)
    pixels = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)
    model = quantize(*with_ranges(network, pixels, clipped=0.001))
    path = tmp_path_factory.mktemp("signatures") / "net.tflite"
    model = replace(model, provenance={**model.provenance, "architecture": network.to_dict()})
    write_integer_model(model, path, signatures=True)
    return path


def changed(file: Path, folder: Path, change: Callable[[Any], object]) -> Path:
    """The file with something changed."""
    schema = tflite_schema.load()
    model = schema.ModelT.InitFromPackedBuf(file.read_bytes(), 0)
    change(model)
    builder = tflite_schema.flatbuffer_builder(2**16)
    builder.Finish(model.Pack(builder), file_identifier=tflite_schema.FILE_IDENTIFIER)
    (folder / "changed.tflite").write_bytes(bytes(builder.Output()))
    return folder / "changed.tflite"


def test_a_head_alone_gives_what_the_whole_network_gives(file: Path) -> None:
    runtime = interpreter.Interpreter(str(file), num_threads=1)
    image = np.random.default_rng(1).random((1, *SIZE, 3), np.float32)
    whole = runtime.get_signature_runner("serving_default")(image=image)
    assert set(whole) == set.union(*GIVES.values())
    for head, names in GIVES.items():
        alone = runtime.get_signature_runner(head)(image=image)
        assert set(alone) == names
        for name, values in alone.items():
            np.testing.assert_array_equal(values, whole[name])


def test_a_summary_names_what_can_be_run(file: Path) -> None:
    assert read(file).signatures == ("serving_default", *GIVES)


def test_a_head_alone_needs_fewer_operators_and_no_weights_of_its_own(file: Path) -> None:
    model = tflite_schema.load().ModelT.InitFromPackedBuf(file.read_bytes(), 0)
    whole, *parts = model.subgraphs
    assert len(parts) == len(GIVES)
    own = {tensor.buffer for tensor in whole.tensors}
    for part in parts:
        assert len(part.operators) < len(whole.operators)
        assert {tensor.buffer for tensor in part.tensors} <= own
    assert violations(file) == ()
    assert read_contents(file).options["signatures"]


def other_weights(model: Any) -> None:
    """One head reads another layer's weights, of the same shape and scale."""
    part = model.subgraphs[2]
    reader = next(one for one in part.operators if len(one.inputs) == 3)
    part.tensors[reader.inputs[2]].buffer = 0


def without_clamp(model: Any) -> None:
    part = model.subgraphs[1]
    part.operators.pop(-3)


def other_scale(model: Any) -> None:
    tensor = next(one for one in model.subgraphs[3].tensors[5:] if one.quantization is not None)
    tensor.quantization.scale = tensor.quantization.scale * np.float32(1.01)


def unknown_output(model: Any) -> None:
    model.subgraphs[1].outputs = model.subgraphs[1].outputs - 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_weights, "does not make road_mask as the network does"),
        (without_clamp, "does not make signs_boxes, signs_scores as the network does"),
        (other_scale, "does not make light as the network does"),
        (unknown_output, "which the network does not give"),
        (lambda model: model.signatureDefs.pop(), "signatures run the subgraphs 0, 1, 2 of 4: each needs one"),
    ],
)
def test_what_is_not_the_network_s_own_part_is_found(
    file: Path, tmp_path: Path, change: Callable[[Any], object], said: str
) -> None:
    assert any(said in one.text for one in violations(changed(file, tmp_path, change)))


def test_heads_that_are_called_wrongly_differ_from_what_was_written(file: Path, tmp_path: Path) -> None:
    def swap(model: Any) -> None:
        _, one, other, _ = model.signatureDefs
        one.signatureKey, other.signatureKey = other.signatureKey, one.signatureKey

    spoilt = read_contents(changed(file, tmp_path, swap))
    assert any("signature road" in str(one) for one in differences(spoilt, read_contents(file)))
