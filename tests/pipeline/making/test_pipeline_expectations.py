"""What is given wrongly is told by the images of calibration, and by those of ``verify``."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit import config, facts
from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD
from edgekit.defaults import CHECKPOINT, FOLDER
from edgekit.errors import ConfigError
from edgekit.facts import Basis, Fact
from edgekit.pipeline.making.expectations import _WITHOUT_IMAGES, check_consent, needing_consent, settle
from edgekit.pipeline.making.export import export
from edgekit.pipeline.making.given import from_files
from edgekit.pipeline.making.trained import FROM_FILE
from edgekit.pipeline.proving.verify import verify
from edgekit.preprocessing import Preprocessing
from edgekit.progress import silent
from edgekit.reports import findings, junit, markdown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.pipeline.making.shown import Settled
    from edgekit.verification.gates import Gate

for needed in ("torch", "safetensors", "ai_edge_litert"):
    pytest.importorskip(needed)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, None),
        ({"mean": (0.0,) * 3, "std": (1 / 255,) * 3}, "remembers normalization tf, not normalization raw"),
    ],
)
def test_verify_asks_the_images_that_it_has(given: dict[str, Any], said: str | None, tmp_path: Path) -> None:
    # Without images, an export of float files cannot know better.
    flags: dict[str, Any] = {
        "model": {"checkpoint": CHECKPOINT},
        "export": {"targets": ["tflite", "torch"], "precisions": ["float32"], "out": tmp_path},
        "preprocessing": {"resize": "whole", "mean": (0.5,), "std": (0.5,), **given},
    }
    export(config.load(None, flags))
    wanted: dict[str, dict[str, Any]] = {
        "verify": {"data": FOLDER / "test.npz", "images": 48},
        "model": {"checkpoint": CHECKPOINT},
    }
    result = verify([tmp_path], config.load(None, wanted))
    # The file must not ship; the checkpoint that it was exported from is innocent.
    assert not any(reference.failed for reference in result.references)
    asked: list[Gate] = [
        gate for file in result.files for gate in file.gates if gate.name == "what the network expects"
    ]
    assert len(asked) == 2
    assert [gate.passed for gate in asked] == [said is None] * 2
    assert "checkpoint" not in findings.conclusion(result)
    if said is not None:
        assert all(said in gate.problem for gate in asked)
        assert findings.conclusion(result).startswith("2 of 2 files failed, 2 of ")
        (failure,) = findings.failures(result)
        assert list(failure.where) == [file.path.name for file in result.files]
        assert markdown.render(result).count(said) == 1  # once for both
        assert junit.render(result).count("<failure") == 2


# --- before an export ------------------------------------------------------------------------------------------------

SIZE = 32
M, S = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
WRONG = {
    "0 to 255": {"mean": (0.0,), "std": (1 / 255,)},
    "0 to 1": {"mean": (0.0,), "std": (1.0,)},
    "-1 to 1": {"mean": (0.5,), "std": (0.5,)},
    "mean alone": {"mean": IMAGENET_MEAN, "std": (1 / 255,)},
    "normalized twice": {"mean": tuple((M + M * S).tolist()), "std": tuple((S * S).tolist())},
    "divided by 255 twice": {"mean": tuple((M * 255).tolist()), "std": tuple((S * 255).tolist())},
    "BGR": {"order": "BGR"},
    "BGR, mean and std with it": {"order": "BGR", "mean": IMAGENET_MEAN[::-1], "std": IMAGENET_STD[::-1]},
    "BGR and -1 to 1": {"order": "BGR", "mean": (0.5,), "std": (0.5,)},
}


def pictures(number: int, seed: int) -> NDArray[np.uint8]:
    """Pictures with the spectrum of photographs, more red than blue, as these are, [N, H, W, 3]."""
    from edgekit.calibration.data_free import first_pictures

    warm = np.array([10.0, 0, -10])[:, None, None]
    pixels = (first_pictures(number, (SIZE, SIZE, 3), seed) + warm).clip(0, 255).round()
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1), np.uint8)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], config.Settings]:
    """Of a network that has seen 512 pictures, normalized as ImageNet's, with some preprocessing that is given."""
    import torch

    from edgekit.models.families.mobilenet_v2 import mobilenet_v2
    from edgekit.models.network import build

    folder = tmp_path_factory.mktemp("trained")
    torch.manual_seed(0)
    module = build(mobilenet_v2(0.35, 10, resolution=SIZE)).train()
    stem = next(layer for layer in module.modules() if isinstance(layer, torch.nn.Conv2d))
    right = Preprocessing((SIZE, SIZE), None, IMAGENET_MEAN, IMAGENET_STD)
    with torch.no_grad():
        stem.weight[::2] -= stem.weight[::2].mean(1, keepdim=True)  # every second kernel sees nothing but colour
        for layer in module.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 1.0
        module(torch.from_numpy(right.normalization(pictures(512, seed=1))))
    torch.save(module.state_dict(), folder / "net.pth")
    np.savez(folder / "images.npz", images=pictures(64, seed=2))
    flags: dict[str, dict[str, Any]] = {
        "model": {"checkpoint": folder / "net.pth", "resolution": SIZE},
        "calibration": {"data": folder / "images.npz"},
    }
    return lambda given: config.load(None, {**flags, "preprocessing": {"resize": "none", **given}})


def settled(given: config.Settings) -> Settled:
    return settle(FROM_FILE.load(given.model), given, None, from_files(given), silent)


@pytest.mark.parametrize("given", WRONG.values(), ids=WRONG)
def test_a_wrong_preprocessing_stops_an_export(
    given: dict[str, Any], settings: Callable[[dict[str, Any]], config.Settings]
) -> None:
    with pytest.raises(ConfigError, match=r"batch normalization remembers|divide by 255"):
        settled(settings(given))


def test_what_is_not_given_is_found_and_what_is_right_passes(
    settings: Callable[[dict[str, Any]], config.Settings],
) -> None:
    for given in ({}, {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, "order": "RGB"}):
        found = settled(settings(given))
        assert found.preprocessing.order == "RGB"
        np.testing.assert_allclose((found.preprocessing.mean, found.preprocessing.std), (M, S))
        assert {fact.name for fact in needing_consent(found.facts)}.isdisjoint({"normalization", "order"})


def test_what_is_insisted_on_finds_nothing_beside_it(
    settings: Callable[[dict[str, Any]], config.Settings],
) -> None:
    """With the wrong order, every normalization is wrong: none of them is found because no other one is left."""
    given = settings({"order": "BGR"})
    found = settled(replace(given, model=replace(given.model, insist=True)))
    bases = {fact.name: fact.basis for fact in found.facts}
    assert (bases["order"], bases["normalization"]) == (Basis.CONTRADICTED, Basis.ASSUMED)


HALF = {"mean": (0.5,), "std": (0.5,)}
IMAGENET = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ({**HALF, "order": "RGB"}, True),
        ({"order": "RGB"}, True),
        (HALF, True),
        ({"order": "BGR"}, False),
        ({**HALF, "order": "BGR"}, False),
        (IMAGENET, False),
        ({**IMAGENET, "order": "RGB"}, False),
        ({"mean": IMAGENET_MEAN[::-1], "std": IMAGENET_STD[::-1], "order": "BGR"}, False),
        ({"mean": (0.0,), "std": (1.0,), "order": "BGR"}, False),
    ],
)
def test_what_is_given_to_a_real_network(realdata: Path, given: dict[str, Any], fits: bool) -> None:  # noqa: FBT001 - a column
    """Trained in TensorFlow, on RGB from -1 to 1; order and normalization are also wrong together."""
    from edgekit.benchmarks.realdata import CHECKPOINTS

    settings = config.load(
        None,
        {
            "model": {"checkpoint": realdata / "models" / CHECKPOINTS["V1 0.25"]},
            "calibration": {"data": realdata / "images" / "validation"},
            "preprocessing": {"resize": 256, **given},
        },
    )
    if fits:
        bases = {fact.name: fact.basis for fact in settled(settings).facts}
        assert {bases[name] for name in ("normalization", "order", "padding")} <= {Basis.GIVEN, Basis.FOUND}
        return
    with pytest.raises(ConfigError, match="batch normalization remembers"):
        settled(settings)


@pytest.mark.parametrize(
    ("said", "given", "flag"),
    [
        ({"padding": "same"}, {"padding": "symmetric"}, "--padding same"),
        ({"bn_eps": 1e-5}, {"bn_eps": 1e-3}, "--set model.bn_eps=1e-05"),
        ({"activation": "relu"}, {"activation": "relu6"}, "--set model.activation=relu"),
    ],
)
def test_what_is_given_against_the_file_stops_an_export(
    said: dict[str, Any], given: dict[str, Any], flag: str, tmp_path: Path
) -> None:
    from edgekit.models.checkpoint import save
    from edgekit.models.families.mobilenet_v2 import mobilenet_v2
    from edgekit.models.network import build

    architecture = mobilenet_v2(0.1, 10, resolution=32, **said)
    save(tmp_path / "net.safetensors", build(architecture), architecture)

    def ask(**more: object) -> tuple[Fact, ...]:
        flags = {"model": {"checkpoint": tmp_path / "net.safetensors", **more}}
        wanted = config.load(None, flags)
        return settle(FROM_FILE.load(wanted.model), wanted, None, from_files(wanted), silent).facts

    with pytest.raises(ConfigError, match=re.escape(flag)):
        ask(**given)
    ((name, value),) = given.items()
    insisted = {fact.name: fact for fact in ask(**given, insist=True)}[name]
    assert (insisted.value, insisted.basis) == (value, Basis.CONTRADICTED)
    assert {fact.name: fact.basis for fact in ask(**said)}[name] is Basis.GIVEN


def test_images_decide_between_the_file_and_what_is_given(
    settings: Callable[[dict[str, Any]], config.Settings],
) -> None:
    said = Fact("normalization", {"mean": [0.5] * 3, "std": [0.5] * 3}, Basis.STATED, "config.json", "")

    def ask(**given: object) -> Fact:
        wanted = settings(given)
        trained = FROM_FILE.load(wanted.model)
        stated = replace(trained, facts=facts.replaced(trained.facts, [said]))
        return {fact.name: fact for fact in settle(stated, wanted, None, from_files(wanted), silent).facts}[
            "normalization"
        ]

    with pytest.raises(ConfigError, match=r"what the file states does not fit .* --preprocessing imagenet"):
        ask()
    right = ask(mean=IMAGENET_MEAN, std=IMAGENET_STD)
    assert (right.basis, right.value["mean"]) == (Basis.GIVEN, list(IMAGENET_MEAN))
    assert "although the file says" in right.because
    with pytest.raises(ConfigError, match=r"what was given does not fit .* --preprocessing imagenet"):
        ask(mean=(0.0,) * 3, std=(1.0,) * 3)


@pytest.mark.parametrize(
    ("because", "way"),
    [
        (_WITHOUT_IMAGES, r"\. Give images that show it, --calib DIR; say what is right"),
        ("usual", r" \(usual\)\. Say what is right"),
    ],
)
def test_the_ways_out_of_an_assumption_are_a_sentence(because: str, way: str) -> None:
    open_fact = Fact("order", "RGB", Basis.ASSUMED, because, "--order RGB|BGR")
    with pytest.raises(ConfigError, match=rf"only assumed: order RGB{way} \(--order RGB\|BGR\), or go on"):
        check_consent([open_fact], insists=False)
    check_consent([open_fact], insists=True)


@pytest.mark.parametrize(("said", "smaller"), [(64, 32), (32, None)])
def test_the_usual_size_of_images_stays_assumed(
    said: int, smaller: int | None, settings: Callable[[dict[str, Any]], config.Settings]
) -> None:
    wanted = settings({"mean": IMAGENET_MEAN, "std": IMAGENET_STD, "resize": said})
    sized = replace(wanted, model=replace(wanted.model, resolution=said))
    trained = FROM_FILE.load(sized.model)
    usual = Fact("resolution", said, Basis.ASSUMED, "usual for this family", "")
    found = settle(
        replace(trained, facts=facts.replaced(trained.facts, [usual])), sized, None, from_files(sized), silent
    ).facts
    known = {fact.name: fact for fact in found}["resolution"]
    assert known.basis is Basis.ASSUMED
    assert (f"images of {smaller} fit" in known.because) is (smaller is not None)
