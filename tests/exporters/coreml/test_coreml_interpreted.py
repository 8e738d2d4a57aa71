"""Packages, opened from disk and interpreted: every operator and attribute, against the integer reference and torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from edgekit.executor.float import FloatExecutor
from edgekit.exporters.coreml import codec as coreml
from edgekit.exporters.coreml.names import activation_names
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.preprocessing import Normalization
from edgekit.reference.integer import Reference
from edgekit.runtimes.coreml import CoreMlInterpreter
from edgekit.verification import compare
from edgekit.verification.float_parity import TOLERANCE
from edgekit.verification.integer_parity import NEAR, compare_integers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel

    Case = tuple[IntegerModel, NDArray[np.int8], NDArray[Any]]


def interpret(model: IntegerModel, path: Path, stored: NDArray[np.int8], precision: Precision) -> NDArray[Any]:
    """The output of a package for stored inputs, in the model's own type."""
    coreml.write_integer_model(model, path, io_dtype=IoDtype.FLOAT32, precision=precision)
    with CoreMlInterpreter(path) as runner:
        assert runner.name == f"Core ML program, interpreted, {precision}"
        found = runner.run(model.params["x"].dequantize(stored))["logits"]
    params = model.params.get(model.graph.output_tensors[0])
    return found if params is None else params.quantize(found)


def test_every_value_is_the_references(integer_case: Case, tmp_path: Path) -> None:
    model, stored, expected = integer_case
    found = interpret(model, tmp_path / "m.mlpackage", stored, Precision.FLOAT32)
    np.testing.assert_array_equal(found, expected)


def test_layers_in_float_change_nothing_around_them(
    mixed_case: Case, assert_near: Callable[..., None], tmp_path: Path
) -> None:
    model, stored, expected = mixed_case
    assert_near(model, interpret(model, tmp_path / "m.mlpackage", stored, Precision.FLOAT32), expected)


def test_rounded_scales_are_near(integer_block: Case, tmp_path: Path) -> None:
    """No more can be said of a float16 program: its scales are others."""
    model, stored, expected = integer_block
    found = interpret(model, tmp_path / "m.mlpackage", stored, Precision.FLOAT16)
    parity = compare_integers("", found, expected, near="it rounds reals")
    assert 0 < parity.max_lsb <= 8
    assert parity.relative_rms < NEAR


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
def test_floats_are_torchs(
    float_case: tuple[FloatModel, NDArray[np.float32], NDArray[np.float32]], precision: Precision, tmp_path: Path
) -> None:
    model, images, expected = float_case
    if len(images[0]) == 3:  # the input is a picture
        pixels = np.random.default_rng(0).integers(0, 256, (3, *images.shape[2:], 3), np.uint8)
        images = model.preprocessing.normalization(pixels)
        expected = FloatExecutor(model.graph)(torch.from_numpy(images))["logits"].numpy()
    coreml.write_float_model(model, tmp_path / "f.mlpackage", precision=precision)
    with CoreMlInterpreter(tmp_path / "f.mlpackage") as runner:
        found = runner.run(images)["logits"]
    # Half the bits of float16 are lost where sums cancel, so its tolerance is that of whole networks.
    tolerance = 2e-6 if precision is Precision.FLOAT32 else TOLERANCE[precision]
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


class TestPictures:
    @pytest.fixture(params=["RGB", "BGR"])
    def model(self, request: pytest.FixtureRequest, integer_block: Case) -> IntegerModel:
        """With ImageNet's means, which no integer is exact for, and names for its classes, not in their order."""
        model, *_ = integer_block
        return replace(
            model,
            pixel_input=True,
            normalization=Normalization((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
            preprocessing=replace(model.preprocessing, order=request.param),
            labels=tuple(f"class {9 - i}" for i in range(10)),
        )

    def test_pixels_come_back_from_the_batch(self, model: IntegerModel, tmp_path: Path) -> None:
        """All 256 of each channel: what is normalized for every runner is made a picture again for this one."""
        coreml.write_integer_model(model, tmp_path / "m.mlpackage", io_dtype=IoDtype.FLOAT32)
        about = coreml.read(tmp_path / "m.mlpackage").metadata
        assert about is not None
        pixels = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), np.uint8)
        pixels[0].reshape(-1, 3)[:256] = np.arange(256)[:, None]
        with CoreMlInterpreter(tmp_path / "m.mlpackage") as runner:
            found = compare.run_integers(runner, about, model, pixels)
            image = runner.trace(about.normalization(pixels))["image"]
        np.testing.assert_array_equal(image, pixels.transpose(0, 3, 1, 2))
        np.testing.assert_array_equal(found["logits"], Reference(model).run(model.encode(pixels))["logits"])


def test_every_tensor_can_be_seen(integer_block: Case, tmp_path: Path) -> None:
    model, stored, _ = integer_block
    coreml.write_integer_model(model, tmp_path / "m.mlpackage", io_dtype=IoDtype.FLOAT32)
    with CoreMlInterpreter(tmp_path / "m.mlpackage") as runner:
        found = runner.trace(model.params["x"].dequantize(stored))
    expected = Reference(model).run_all(stored)
    names = activation_names(model.graph)
    for tensor, wanted in expected.items():
        values = found[names[tensor][0]]
        offset = 128 if values.dtype == np.uint8 else 0
        np.testing.assert_array_equal(values.astype(int) - offset, wanted)
    assert not set(found) & {name.replace(".", "_") for name in model.graph.constants}


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # coremltools leaves its temporary folder to the collector
def test_the_package_of_another_tool(tmp_path: Path, coremltools: Any) -> None:
    """Spelt as a converter might: pools, batch normalization, padding by name, weights with scales along other axes."""
    builder = coremltools.converters.mil.Builder
    random = np.random.default_rng(0)
    weight = random.integers(-127, 128, (8, 4, 3, 3)).astype(np.int8)
    mean, variance = random.normal(0, 1, 8).astype(np.float32), random.uniform(1, 2, 8).astype(np.float32)
    scale = random.uniform(0.01, 0.02, 4).astype(np.float32)

    specs = [builder.TensorSpec((1, 9, 8, 4))]

    @builder.program(input_specs=specs, opset_version=coremltools.target.iOS17)  # type: ignore[untyped-decorator]
    def program(x: Any) -> Any:
        x = builder.transpose(x=x, perm=[0, 3, 1, 2])
        kernel = builder.constexpr_affine_dequantize(
            quantized_data=weight, scale=scale, zero_point=np.zeros(4, np.int8), axis=np.int32(1)
        )
        x = builder.conv(x=x, weight=kernel, pad_type="same", strides=[2, 2])
        x = builder.relu6(x=builder.batch_norm(x=x, mean=mean, variance=variance))
        x = builder.concat(values=[x, builder.sigmoid(x=x)], axis=1)
        x = builder.avg_pool(x=x, kernel_sizes=[5, 4], pad_type="valid")
        x = builder.squeeze(x=builder.real_div(x=x, y=np.float32(0.25)), axes=[2, 3])
        return builder.softmax(x=builder.identity(x=x), axis=-1, name="scores")

    model = coremltools.convert(
        program, skip_model_load=True, minimum_deployment_target=coremltools.target.iOS17,
        compute_precision=coremltools.precision.FLOAT32, pass_pipeline=coremltools.PassPipeline.EMPTY,
    )  # fmt: skip
    model.save(str(tmp_path / "theirs.mlpackage"))
    batch = random.normal(0, 1, (3, 9, 8, 4)).astype(np.float32)
    with CoreMlInterpreter(tmp_path / "theirs.mlpackage") as runner:
        (found,) = runner.run(batch).values()
    x = torch.from_numpy(batch).permute(0, 3, 1, 2)
    kernel = torch.from_numpy(weight * scale[:, None, None])
    x = F.conv2d(F.pad(x, (0, 1, 1, 1)), kernel, stride=2)
    x = F.relu6(F.batch_norm(x, torch.from_numpy(mean), torch.from_numpy(variance)))
    expected = F.softmax(torch.cat([x, x.sigmoid()], 1).mean((2, 3)) / 0.25, -1)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5)
