"""``edgekit sensitivity`` and ``edgekit export --floor`` as users call them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

for needed in ("torch", "safetensors", "ai_edge_litert"):
    pytest.importorskip(needed)

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    Run = Callable[..., Result]

NAME = "mobilenet_v3_digits_1.0_32"
QUICK = ("--set", "calibration.images=16")


def test_a_table(run: Run) -> None:
    result = run("sensitivity", *QUICK, "--images", "8", "--out", "pictures")
    assert result.exit_code == 0
    assert "simulated on 8 images: the worst 20 of 116" in result.stdout
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[-3:]] == ["activations", "weights", "everything"]
    assert len(lines) == 2 + 1 + 20 + 1 + 1 + 3
    assert Path(f"pictures/{NAME}.sensitivity.svg").is_file()


def test_json(run: Run) -> None:
    found = json.loads(run("sensitivity", *QUICK, "--images", "8", "--json").stdout)
    assert (found["network"], found["kind"], found["images"], found["picture"]) == (NAME, "simulated", 8, None)
    parts = found["parts"]
    assert set(parts[0]) == {"layer", "part", "place", "closeness"}
    assert set(parts[0]["closeness"]) == {"agreement", "sqnr_db"}
    ranked = [part["closeness"]["sqnr_db"] for part in parts]
    assert ranked == sorted(ranked)
    assert sorted(part["place"] for part in parts) == list(range(116))
    together = [found[name]["sqnr_db"] for name in ("activations", "weights", "everything")]
    assert 20 < min(together) <= max(together) < max(ranked)


def test_too_few_images(run: Run) -> None:
    result = run("sensitivity", "--set", "calibration.images=4")
    assert result.exit_code == 2
    assert "4 images are too few to tell how sensitive a layer is: give 8 or more" in result.stderr


def test_a_floor_that_needs_nothing(run: Run) -> None:
    result = run("export", "--int8", "--target", "tflite", "--floor", "100", *QUICK)
    assert result.exit_code == 0
    assert "calibrated on 13 images" in result.stdout
    assert "without any layer in float for it, 100 allowed (simulated on 3 held-out images" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--floor", "-1"), "0 or more is wanted"),
        (("--floor", "1", "--data-free"), "give them, --calib DIR"),
        (("--floor", "1", "--set", "calibration.images=9"), "there are 9 images, too few for --floor"),
    ],
)
def test_a_floor_that_cannot_be_measured(run: Run, arguments: tuple[str, ...], said: str) -> None:
    result = run("export", "--int8", "--target", "tflite", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
