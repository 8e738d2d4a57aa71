"""Networks whose images are no colour squares: one and four channels, other shapes, from images to proven files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from edgekit import config
from edgekit.calibration.data_free import first_pictures
from edgekit.capture.onnx_head import Arithmetic
from edgekit.config import Settings
from edgekit.conventions import NORMALIZATIONS
from edgekit.errors import CheckpointError, ConfigError
from edgekit.exporters.formats import FORMATS
from edgekit.facts import Basis
from edgekit.pipeline.making.export import export
from edgekit.pipeline.making.source import open_source
from edgekit.pipeline.making.trained import _order_behind_exchange
from edgekit.pipeline.proving.verify import verify
from edgekit.reports.pages.verify.document import render
from edgekit.verification.float_parity import FloatParity
from edgekit.verification.integer_parity import IntegerParity

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.models.architecture import Architecture
    from edgekit.pipeline.making.export import ExportResult

for needed in ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)


def images_of(channels: int, number: int = 4) -> NDArray[np.uint8]:
    """Pictures [N, H, W, C] that are wider than high."""
    pixels = first_pictures(number, (40, 50, channels), seed=0)
    return pixels.clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def trained(folder: Path, architecture: Architecture) -> Path:
    """A checkpoint whose batch normalization has seen some images, so that its ranges are sensible."""
    import torch

    from edgekit.models.network import build

    torch.manual_seed(0)
    module = build(architecture)
    with torch.no_grad():
        module(torch.randn(16, architecture.in_channels, *architecture.size))
    path = folder / "net.pth"
    torch.save(module.state_dict(), path)
    return path


def exported(folder: Path, architecture: Architecture, images: Path, **sections: Any) -> ExportResult:
    flags: dict[str, Any] = {
        # Its batch normalization has seen noise: nothing shows what such a network expects.
        "model": {"checkpoint": trained(folder, architecture), "resolution": architecture.resolution, "insist": True},
        "calibration": {"data": images},
        "export": {"targets": list(FORMATS), "precisions": ["float32", "int8"], "out": folder / "out"},
    }
    return export(config.load(None, {**flags, **sections}))


def assert_proven(result: ExportResult) -> None:
    for file in result.files:
        parity = file.parity
        if isinstance(parity, IntegerParity):
            assert (parity.max_lsb, parity.identical) == (0, 1.0), file.path.name
            assert not file.summary.float_operators
        else:
            assert isinstance(parity, FloatParity)
            assert parity.passed, file.path.name


@pytest.mark.parametrize("channels", [1, 4])
def test_every_file_of_one_and_four_channels(channels: int, tmp_path: Path) -> None:
    from edgekit.models.families.mobilenet_v1 import mobilenet_v1

    pixels = images_of(channels)
    np.save(tmp_path / "images.npy", pixels[..., 0] if channels == 1 else pixels)
    architecture = mobilenet_v1(0.25, num_classes=3, resolution=32, in_channels=channels)
    result = exported(tmp_path, architecture, tmp_path / "images.npy")
    assert_proven(result)
    assert len(result.files) == 8
    for file in result.files:
        about = file.summary.metadata
        assert about is not None
        assert (about.preprocessing.order, about.preprocessing.mean) == (
            {1: "GREY", 4: "RGBA"}[channels],
            (0.5,) * channels,
        )
    settings = config.load(None, {"verify": {"data": tmp_path / "images.npy"}})
    verified = verify([tmp_path / "out"], settings)
    assert verified.passed
    assert {picture.pixels.shape for picture in verified.pictures} == {(32, 32, channels)}
    assert "data:image/png" in render(verified)


def test_a_fourth_channel_that_is_made_up_is_told(tmp_path: Path) -> None:
    from edgekit.models.families.mobilenet_v1 import mobilenet_v1

    pixels = images_of(4)
    np.save(tmp_path / "four.npy", pixels)
    np.save(tmp_path / "three.npy", pixels[..., :3])
    given = {"mean": [0.5], "std": [0.5], "order": "RGBA", "resize": "whole"}
    flags: dict[str, Any] = {
        "model": {
            "checkpoint": trained(tmp_path, mobilenet_v1(0.25, num_classes=3, resolution=32, in_channels=4)),
            "resolution": 32,
            "padding": "symmetric",
            "bn_eps": 1e-3,
            "activation": "relu6",
        },
        "preprocessing": {**given, "interpolation": "bilinear"},
        "calibration": {"data": tmp_path / "three.npy"},
        "export": {"targets": ["tflite"], "precisions": ["int8"], "out": tmp_path / "three"},
    }
    with pytest.raises(ConfigError, match="only assumed: fourth_channel 255"):
        export(config.load(None, flags))
    insisting = {**flags, "model": {**flags["model"], "insist": True}}
    result = export(config.load(None, insisting))
    (fact,) = [fact for fact in result.facts if fact.name == "fourth_channel"]
    assert fact.basis is Basis.ASSUMED
    assert "4 of 4" in fact.because
    assert not any(file.proven for file in result.files)
    of_four = {"calibration": {"data": tmp_path / "four.npy"}, "export": {**flags["export"], "out": tmp_path / "four"}}
    result = export(config.load(None, {**flags, **of_four}))
    assert all(file.proven for file in result.files)
    # Images of another kind come later: that is told, too.
    for name, told in (("four", False), ("three", True)):
        verified = verify([tmp_path / "four"], config.load(None, {"verify": {"data": tmp_path / f"{name}.npy"}}))
        assert any(fact.name == "fourth_channel" and fact.is_assumed for fact in verified.facts) == told


def test_grey_files_are_taken_from_any_folder(tmp_path: Path) -> None:
    from edgekit.models.families.mobilenet_v1 import mobilenet_v1

    folder = tmp_path / "images"
    folder.mkdir()
    for number, pixels in enumerate(images_of(3)):
        image = Image.fromarray(pixels)
        (image if number % 2 else image.convert("L")).save(folder / f"{number}.png")
    architecture = mobilenet_v1(0.25, num_classes=3, resolution=32, in_channels=1)
    result = exported(
        tmp_path,
        architecture,
        folder,
        export={"targets": ["onnx", "tflite"], "precisions": ["int8"], "out": tmp_path / "out"},
    )
    assert_proven(result)


@pytest.mark.parametrize(("size", "padding"), [((40, 25), "symmetric"), ((33, 47), "same")])
def test_every_file_of_another_shape(size: tuple[int, int], padding: Any, tmp_path: Path) -> None:
    from edgekit.models.families.mobilenet_v1 import mobilenet_v1

    folder = tmp_path / "images"
    folder.mkdir()
    for number, pixels in enumerate(images_of(3)):  # of several shapes, squares, and smaller than the network
        shape = [(50, 40), (40, 40), (30, 90), (10, 10)][number % 4]
        Image.fromarray(pixels).resize(shape).save(folder / f"{number}.png")
    architecture = mobilenet_v1(0.25, num_classes=3, resolution=size, padding=padding)
    result = exported(
        tmp_path,
        architecture,
        folder,
        model={"checkpoint": trained(tmp_path, architecture), "resolution": size, "padding": padding, "insist": True},
    )
    assert_proven(result)
    assert not result.skipped
    assert result.network.endswith(f"_{size[0]}x{size[1]}")
    about = result.files[0].summary.metadata
    assert about is not None
    assert about.preprocessing.size == size
    assert about.preprocessing.resize == tuple(round(side * 256 / 224) for side in size)


def _settings(path: Path, **sections: Any) -> Settings:
    return config.load(None, {"model": {"checkpoint": path, "resolution": 32}, **sections})


@pytest.mark.parametrize(
    ("channels", "preprocessing", "message"),
    [
        (1, {"order": "RGB"}, "preprocessing.order is RGB, .* 1 channels: GREY is wanted"),
        (4, {"order": "GREY"}, "4 channels: RGBA or BGRA is wanted"),
        (3, {"order": "RGBA"}, "3 channels: RGB or BGR is wanted"),
        (1, {"mean": [0.1, 0.2, 0.3], "std": [1.0]}, "preprocessing.mean has 3 values, .* 1 channels: one a channel"),
        (4, {"mean": [0.5], "std": [1.0, 1.0, 1.0]}, "preprocessing.std has 3 values, .* 4 channels"),
    ],
)
def test_what_does_not_fit_the_channels_is_refused(
    channels: int, preprocessing: dict[str, Any], message: str, tmp_path: Path
) -> None:
    from edgekit.models.families.mobilenet_v1 import mobilenet_v1

    path = trained(tmp_path, mobilenet_v1(0.25, num_classes=2, resolution=32, in_channels=channels))
    with pytest.raises(ConfigError, match=message):
        open_source(_settings(path, preprocessing=preprocessing))


def test_one_mean_stands_for_all_channels(tmp_path: Path) -> None:
    from edgekit.models.families.mobilenet_v1 import mobilenet_v1

    path = trained(tmp_path, mobilenet_v1(0.25, num_classes=2, resolution=32, in_channels=4))
    given = {"mean": [0.25], "std": [0.1, 0.2, 0.3, 0.4], "order": "BGRA"}
    found = open_source(_settings(path, preprocessing=given)).float_model.preprocessing
    assert (found.mean, found.std, found.order) == ((0.25,) * 4, (0.1, 0.2, 0.3, 0.4), "BGRA")


@pytest.mark.parametrize("channels", [2, 5])
def test_other_numbers_of_channels_are_refused(channels: int, tmp_path: Path) -> None:
    from edgekit.models.families.mobilenet_v1 import mobilenet_v1

    path = trained(tmp_path, mobilenet_v1(0.25, num_classes=2, resolution=32, in_channels=channels))
    with pytest.raises(
        CheckpointError, match=rf"{channels} channels, and edgekit feeds 1 \(grey\), 3 \(colours\) or 4"
    ):
        open_source(_settings(path))


# --- ONNX files


def _onnx(path: Path, **options: Any) -> Path:
    """A small V2 as torch's exporter writes it, which exchanges colours and computes with pixels by itself."""
    import warnings

    import torch

    from edgekit.models.families.mobilenet_v2 import mobilenet_v2
    from edgekit.models.network import build

    torch.manual_seed(0)
    network = build(mobilenet_v2(0.35, num_classes=3, resolution=32)).eval()

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            normalized = (x[:, [2, 1, 0]] / 255 - torch.tensor([0.4, 0.5, 0.6]).reshape(3, 1, 1)) / 0.25
            result: torch.Tensor = self.network(normalized).softmax(1)
            return result

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is deprecated, and its files will be around for long
        torch.onnx.export(Whole(), (torch.zeros(2, 3, 32, 32),), path, dynamo=False, input_names=["image"], **options)
    return path


def test_an_onnx_file_states_how_it_is_fed(tmp_path: Path) -> None:
    source = open_source(Settings(model=config.ModelSettings(_onnx(tmp_path / "net.onnx"))))
    about = source.float_model.preprocessing
    assert about.order == "BGR"
    (order,) = (fact for fact in source.facts if fact.name == "order")
    assert order.basis is Basis.ASSUMED  # of what the file takes nothing is known
    assert about.mean == pytest.approx((0.4, 0.5, 0.6))
    assert about.std == pytest.approx((0.25,) * 3)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"image": pixels.transpose(0, 3, 1, 2).astype(np.float32)})
    logits = source.outputs(about.normalization(pixels[..., ::-1]))["logits"]
    found = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_an_order_is_given_for_a_file_that_exchanges_channels(order: str, tmp_path: Path) -> None:
    flags: dict[str, Any] = {"model": {"checkpoint": _onnx(tmp_path / "net.onnx")}, "preprocessing": {"order": order}}
    source = open_source(config.load(None, flags))
    assert source.float_model.preprocessing.order == order
    assert {fact.name: fact.basis for fact in source.facts}["order"] is Basis.GIVEN


@pytest.mark.parametrize(
    ("name", "is_reversed", "unit", "order"),
    [
        ("imagenet", False, 255.0, "RGB"),  # OpenCV's BGR, turned to RGB
        ("imagenet", True, 1.0, "BGR"),
        ("caffe", True, 255.0, "BGR"),
        ("tf", False, 255.0, "BGR"),  # which tells nothing
        ("imagenet", False, None, "BGR"),  # of what was normalized before
    ],
)
def test_usual_means_tell_the_order_behind_an_exchange(
    name: str, *, is_reversed: bool, unit: float | None, order: str
) -> None:
    mean, std = (tuple(v * (unit or 1) for v in n[:: -1 if is_reversed else 1]) for n in NORMALIZATIONS[name])
    fact = _order_behind_exchange("BGR", Arithmetic(mean, std, unit))
    assert (fact.value, fact.basis) == (order, Basis.ASSUMED)


def test_a_normalization_that_is_not_the_files_is_refused(tmp_path: Path) -> None:
    path = _onnx(tmp_path / "net.onnx")
    with pytest.raises(ConfigError, match=r"the file says normalization mean 0.4 0.5 0.6, .* not tf \(mean 0.5"):
        open_source(config.load(None, {"model": {"checkpoint": path}, "preprocessing": {"mean": [0.5], "std": [0.5]}}))


def test_an_open_size_is_given_once(tmp_path: Path) -> None:
    """Verify takes the size that the export had."""
    axes = {"image": {0: "batch", 2: "height", 3: "width"}}
    path = _onnx(tmp_path / "net.onnx", dynamic_axes=axes)
    flags: dict[str, Any] = {"export": {"targets": ["tflite"], "precisions": ["float32"], "out": tmp_path / "out"}}
    result = export(config.load(None, {"model": {"checkpoint": path, "resolution": [24, 40]}, **flags}))
    about = result.files[0].summary.metadata
    assert about is not None
    assert about.preprocessing.size == (24, 40)
    verified = verify([tmp_path / "out"], config.load(None, {"model": {"checkpoint": path}}))
    assert verified.passed
