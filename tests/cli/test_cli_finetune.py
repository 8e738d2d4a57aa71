"""``edgekit finetune`` as users call it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

for needed in ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert"):
    pytest.importorskip(needed)

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    Run = Callable[..., Result]

NAME = "mobilenet_v3_digits_1.0_32"
QUICK = ("--set", "calibration.images=24", "--epochs", "2", "--target", "tflite")


def test_the_shipped_network(run: Run) -> None:
    result = run("finetune", *QUICK)
    assert result.exit_code == 0
    assert "fine-tuning (2)" in result.stderr.splitlines()
    written = {f"{NAME}.int8.tflite", f"{NAME}.int8.edgekit", f"{NAME}.manifest.json"}
    assert {path.name for path in Path("exported").iterdir()} == written
    assert "2 epochs of 19 images on" in result.stdout
    assert "compared with float on 5 others" in result.stdout
    calibrated, tuned = result.stdout.splitlines()[-2:]
    assert ("✔" in calibrated) != ("✔" in tuned)
    assert calibrated.endswith(" dB")
    assert tuned.endswith(" dB")


def test_json(run: Run) -> None:
    found = json.loads(run("finetune", *QUICK, "--json", "--no-verify").stdout)
    assert set(found) == {"schema_version", "command", "finetuning", "export"}
    assert set(found["finetuning"]) == {
        *("improved", "before", "after", "images", "held_out", "epochs", "accelerator", "resumed", "seconds"),
    }
    assert set(found["finetuning"]["before"]) == {"agreement", "sqnr_db"}
    assert found["export"]["files"][0]["path"] == f"exported/{NAME}.int8.tflite"
    assert found["export"]["ranges"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--epochs", "3", "--minutes", "1"), "set one of them"),
        (("--minutes", "0"), "a positive number is wanted"),
        (("--device", "tpu"), "finetune.accelerator"),
        (("checkpoint.pth",), "--calib DIR"),
    ],
)
def test_what_cannot_work_is_refused(run: Run, arguments: tuple[str, ...], said: str) -> None:
    result = run("finetune", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
