"""MobileOne as Apple and timm publish it, trained or deployed: keys and logits were recorded from their own code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from edgekit.errors import CheckpointError
from edgekit.models.checkpoint import load
from edgekit.models.families.mobileone import mobileone
from tests.models.families.timm_networks import conv, digest, filled, image, norm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from tests.models.families.timm_networks import Entry, Shapes

    Names = tuple[str, str, str, str, str, str, str, int, str]

STAGES = ((64, 2), (128, 8), (256, 10), (512, 1))
SCALES = {
    "s0": (0.75, 1.0, 1.0, 2.0),
    "s1": (1.5, 1.5, 2.0, 2.5),
    "s2": (1.5, 2.0, 2.5, 4.0),
    "s3": (2.0, 2.5, 3.0, 4.0),
    "s4": (3.0, 3.5, 3.5, 4.0),
}
SQUEEZING = {"s4": (0, 0, 5, 1)}
# Of convolutions, of the 1x1 one, of batch normalization alone, of squeeze-and-excite, of stages, of the classifier.
APPLE = ("rbr_conv", "rbr_scale", "rbr_skip", "se.reduce", "se.expand", "stage0", "stage{}", 1, "linear")
TIMM = ("conv_kxk", "conv_scale", "identity", "attn.fc1", "attn.fc2", "stem", "stages.{}", 0, "head.fc")


def shapes_of(scale: str, names: Names, *, deployed: bool) -> Shapes:
    convs, one, skip, squeeze, excite, stem, stages, first, classifier = names

    def block(name: str, out: int, inside: int, kernel: int, branches: int, *, skips: bool) -> Iterator[Entry]:
        if deployed:
            yield from conv(f"{name}.reparam_conv", out, inside, kernel, bias=True)
            return
        for branch in range(branches):
            yield from conv(f"{name}.{convs}.{branch}.conv", out, inside, kernel)
            yield from norm(f"{name}.{convs}.{branch}.bn", out)
        if kernel > 1:
            yield from conv(f"{name}.{one}.conv", out, inside, 1)
            yield from norm(f"{name}.{one}.bn", out)
        if skips:
            yield from norm(f"{name}.{skip}", out)

    before, branches = min(64, int(64 * SCALES[scale][0])), 4 if scale == "s0" else 1
    shapes = dict(block(stem, before, 3, 3, 1, skips=False))
    for stage, ((channels, pairs), factor) in enumerate(zip(STAGES, SCALES[scale], strict=True)):
        out, squeezing = int(channels * factor), SQUEEZING.get(scale, (0, 0, 0, 0))[stage]
        for pair in range(pairs):
            name, gates = stages.format(stage + first), pair >= pairs - squeezing
            shapes |= dict(block(f"{name}.{2 * pair}", before, 1, 3, branches, skips=pair > 0))
            shapes |= dict(block(f"{name}.{2 * pair + 1}", out, before, 1, branches, skips=out == before))
            for place, wide in ((2 * pair, before), (2 * pair + 1, out)) if gates else ():
                shapes |= dict(conv(f"{name}.{place}.{squeeze}", wide // 16, wide, 1, bias=True))
                shapes |= dict(conv(f"{name}.{place}.{excite}", wide, wide // 16, 1, bias=True))
            before = out
    return shapes | {f"{classifier}.weight": (1000, before), f"{classifier}.bias": (1000,)}


@pytest.mark.parametrize(
    ("scale", "names", "deployed", "keys", "logits"),
    [
        ("s0", APPLE, False, "dfe232ff644297c9", [18.6856, 11.2838, 21.5244]),
        ("s0", TIMM, False, "0bca81ab9e372c64", [3.0902, 11.3287, -0.6866]),
        ("s1", APPLE, True, "f729941f8c168ad9", [-0.0481, 0.081, -0.0107]),
        ("s4", TIMM, False, "1ce7a692d82a39af", [-0.0058, -0.0217, -0.1474]),
    ],
)
def test_a_published_network(
    scale: str, names: Names, *, deployed: bool, keys: str, logits: list[float], tmp_path: Path
) -> None:
    shapes = shapes_of(scale, names, deployed=deployed)
    assert digest(shapes) == keys
    torch.save(filled(shapes, 1.0 if deployed else {"s0": 0.28}.get(scale, 0.5)), tmp_path / "m.pth")
    checkpoint = load(tmp_path / "m.pth", resolution=64)
    assert checkpoint.architecture == mobileone(scale, resolution=64)
    assert any("merged" in note for note in checkpoint.notes) is not deployed
    with torch.no_grad():
        torch.testing.assert_close(checkpoint.module(image(64))[0, :3], torch.tensor(logits), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("scale", "names", "keys"),
    [
        ("s1", TIMM, "eb42fa33e6aa3c82"),
        ("s2", APPLE, "fff8ad7ebc8e8bca"),
        ("s3", TIMM, "99be7a12ec08dade"),
    ],
)
def test_channels_tell_the_scale(scale: str, names: Names, keys: str, tmp_path: Path) -> None:
    shapes = shapes_of(scale, names, deployed=False)
    assert digest(shapes) == keys
    torch.save({f"module.{key}": torch.zeros(shape) for key, shape in shapes.items()}, tmp_path / "m.pth")
    assert load(tmp_path / "m.pth").architecture == mobileone(scale)


def test_what_a_block_does_not_have_is_refused(tmp_path: Path) -> None:
    state = filled(shapes_of("s0", APPLE, deployed=True))
    torch.save(state | {"stage1.0.attention.weight": torch.zeros(48, 48)}, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=r"the body holds what no MobileNet has there \(stage1\.0\.attention"):
        load(tmp_path / "m.pth")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage1.0.rbr_scale.bn.bias": None}, r"weight 'stage1\.0\.rbr_scale\.bn\.bias' is missing"),
        ({"stage1.0.rbr_scale.conv.weight": torch.zeros(8, 1, 1, 1)}, r"branches of stage1\.0\. have other shapes"),
        ({"stage1.0.rbr_conv.0.bn.running_var": torch.full((48,), -1.0)}, "holds a negative variance"),
        ({"stage1.0.rbr_conv.0.conv.weight": torch.full((48, 1, 3, 3), torch.nan)}, "holds NaN or infinity"),
    ],
)
def test_branches_that_do_not_belong_together_are_refused(
    change: dict[str, Tensor | None], message: str, tmp_path: Path
) -> None:
    shapes = shapes_of("s0", APPLE, deployed=False)
    state = {key: change.get(key, torch.zeros(shape)) for key, shape in shapes.items()}
    torch.save({key: tensor for key, tensor in state.items() if tensor is not None}, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / "m.pth")
