"""Results as verification gives them, made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.exporters.metadata import IoDtype, Metadata, Precision
from edgekit.exporters.summary import Endpoint, Summary
from edgekit.pipeline.proving.verdicts import FileVerdict, Picture, Saying, VerifyResult
from edgekit.preprocessing import Preprocessing
from edgekit.tasks.classification import Classification
from edgekit.tasks.scoring import metrics
from edgekit.tasks.values import Differences, Disagreement, Measured
from edgekit.verification.cases import Cause
from edgekit.verification.divergence import Divergence, Example, Where
from edgekit.verification.float_parity import FloatParity
from edgekit.verification.gates import Gate, Level, parity
from edgekit.verification.integer_parity import IntegerParity
from edgekit.verification.layers import LayerComparison

# What breaks out of HTML, Markdown or XML, or cannot be in them.
HOSTILE = (
    '<script>alert("1")</script>', '"><img src=x onerror=alert(1)>', "</style></title>", "]]>&amp;&#1;", "a|b`c``d",
    "*b* _i_ [l](http://e.org) ![i](http://e.org/i) ~~s~~ @everyone #1",
    "\x00\x1b[31m\x7f", "\udcff\ufffe", "two\nlines\r|\t", "\\|",
)  # fmt: skip


METRICS = metrics(Classification("logits", 3))
TOP1, TOP5, DROP, AGREEMENT, SQNR = METRICS
MEASURED = (
    *(Measured(TOP1, 75.0), Measured(TOP5, 100.0), Measured(DROP, 25.0, -17.4, 67.4)),
    *(Measured(AGREEMENT, 75.0, 30.1, 95.4), Measured(SQNR, 23.4)),
)


def metadata(precision: Precision, labels: tuple[str, ...] = (), provenance: dict[str, Any] | None = None) -> Metadata:
    preprocessing = Preprocessing((8, 8), 9)
    origin = {"checkpoint_sha256": "c" * 64, "architecture": {"family": "mobilenet_v2"}, "edgekit": "0.1.0"}
    if precision is Precision.INT8:
        origin |= {"calibration": {"digest": "d" * 64, "images": 256, "method": "percentile"}}
    return Metadata(
        "net", precision, IoDtype.FLOAT32, preprocessing, preprocessing.normalization, False, labels, "universal",
        origin if provenance is None else provenance,
    )  # fmt: skip


def summary(path: Path, about: Metadata, classes: int = 3) -> Summary:
    operators = {"CONV_2D": 30, "ADD": 5}
    floats = () if about.precision is Precision.INT8 else tuple(operators)
    endpoints = Endpoint("image", "float32", (1, 8, 8, 3)), Endpoint("logits", "float32", (-1, classes))
    return Summary(
        path, "tflite", 3_512_345, operators, floats, ("QUANTIZE",), (endpoints[0],), (endpoints[1],), "schema 3", about
    )


def integers(runner: str, differences: dict[int, int], images: int = 4) -> IntegerParity:
    values = sum(differences.values())
    right = images if set(differences) == {0} else images - 1
    return IntegerParity(runner, images, values, differences, right, 0.01)


def layer(name: str, noise: float) -> LayerComparison:
    return LayerComparison(name, f"{name}.out", "Conv2d", 100, 0, {}, 0.01, 100.0, noise)


def file(
    name: str, *gates: Gate, parities: tuple[IntegerParity | FloatParity, ...] = (), **changes: Any
) -> FileVerdict:
    path = Path("exported") / name
    about = metadata(Precision.INT8 if "int8" in name else Precision.FLOAT32, ("cat", "dog", "owl"))
    return replace(
        FileVerdict(
            path=path,
            sha256="a" * 64,
            summary=summary(path, about),
            gates=(Gate(Level.WELL_FORMED, "readable", None, True, "TFLite, schema 3", "none"), *gates),
            parities=parities,
            measured=MEASURED,
        ),
        **changes,
    )


def result(*files: FileVerdict, **changes: Any) -> VerifyResult:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    said = (
        (Saying(("label", "float", "int8"), "cat", wrong=False),),
        (
            Saying(("label", "float"), "dog", wrong=False),
            Saying(("int8",), "owl", wrong=True),
        ),
    )
    return replace(
        VerifyResult(
            network="net",
            files=files,
            images=4,
            noise=False,
            skipped={"broken.png": "it is no image"},
            integer_reference=Path("exported/net.int8.edgekit"),
            float_reference=Path("net.pth"),
            task="classification",
            metrics=METRICS,
            float_measured=(Measured(TOP1, 100.0), Measured(TOP5, 100.0)),
            labels=("cat", "dog", "owl"),
            layers=(layer("input", 0.0), layer("features.0", 0.1), layer("features.1", 10.0), layer("classifier", 1.0)),
            proven={"LiteRT 2.3.0, XNNPACK": "identical on x86-64 with VNNI, 24,080 logits of 4 networks"},
            differences=Differences(
                "int8 names another class than float on 1 of 4 images.",
                (Disagreement("dog", "owl", ("b.png",)),),
                ("cat", "dog", "owl"),
            ),
            pictures=tuple(Picture(f"{n}.png", pixels[i], said[i == 1]) for i, n in enumerate("abcd")),
            seconds=1.5,
        ),
        **changes,
    )


@pytest.fixture
def passing() -> VerifyResult:
    exact = integers("LiteRT 2.3.0, XNNPACK", {0: 12})
    near = FloatParity("torch 2.13.0", 4, 1e-6, 1e-7, 0.5, 1e-4, Precision.FLOAT32)
    return result(
        file("net.int8.tflite", parity(exact), parities=(exact,)),
        file(
            "net.float32.pt",
            parity(near),
            parities=(near,),
            measured=(*MEASURED[:2], Measured(AGREEMENT, 100.0), Measured(SQNR, float("inf"))),
        ),
    )


@pytest.fixture
def failing(passing: VerifyResult) -> VerifyResult:
    """A file that differs in two runtimes that have to agree and in one that does not, one that is damaged, and one
    that was not compared.
    """
    found = tuple(integers(f"ONNX Runtime 1.31.1, {level}", {0: 9, 1: 2, 40: 1}) for level in ("ALL", "EXTENDED"))
    other = integers("ONNX Runtime without VNNI", {0: 10, 2: 2})
    parts = Divergence(
        "features.4", "features.4.conv", "Conv2d", 3.0, "LSB", 0.25, (0, 7), 96, Where.EVERYWHERE,
        (Example((0, 7, 1, 2), 5.0, 4.0, 4.25),), "net.int8.onnx", Cause.SCALE, "it is twice as large",
        "export it again",
    )  # fmt: skip
    damaged = Gate(Level.WELL_FORMED, "readable", None, False, "1 problem", "none", "it ends early: export it again")
    return replace(
        passing,
        files=(
            *passing.files,
            file(
                "net.int8.onnx",
                *(parity(one, parts.sentence) for one in found),
                parities=(*found, other),
                unclaimed={other.runner: "it clamps sums to 16 bits"},
                skipped=("no emulated Raspberry Pi on this machine: edgekit emulate aarch64",),
                divergence=parts,
            ),
            replace(file("net.int8.pt"), gates=(damaged,), summary=None, measured=()),
            file("net.float16.mlpackage", measured=()),
        ),
    )


@pytest.fixture
def uncompared() -> VerifyResult:
    """Nothing is wrong with the only file, and nothing was compared, either."""
    return result(
        file("net.float32.tflite", is_reference=True, measured=()),
        integer_reference=None, float_measured=(), layers=(), differences=None, pictures=(), skipped={},
    )  # fmt: skip


def named(evil: str) -> VerifyResult:
    """A result in which everything that has a name has this one."""
    found = integers(evil, {0: 11, 3: 1})
    gate = Gate(Level.INTEGER, evil, evil, False, evil, evil, evil)
    parts = Divergence(
        evil, evil, evil, 3.0, evil, 0.25, (), 96, Where.BORDER, (), evil, Cause.SCALE, evil, evil,
    )  # fmt: skip
    about = metadata(
        Precision.INT8, (evil,), {"checkpoint_sha256": evil, "calibration": evil, "int16": [evil, {evil: 1}]}
    )
    path = Path("exported") / f"{evil}.onnx"
    return result(
        replace(
            file("net.int8.onnx", gate, parities=(found,), unclaimed={evil: evil}, skipped=(evil,), divergence=parts),
            path=path,
            summary=replace(summary(path, about), operators={evil: 1}, boundary=(evil,), version=evil),
        ),
        network=evil,
        skipped={evil: evil},
        integer_reference=Path(f"{evil}.edgekit"),
        float_reference=Path(f"{evil}.pth"),
        labels=(evil, "dog", evil),
        layers=(layer(evil, 1.0),),
        proven={evil: evil},
        differences=Differences(evil, (Disagreement(evil, "dog", (evil,) * 5),), (evil, "dog")),
        pictures=(Picture(evil, np.zeros((8, 8, 3), np.uint8), (Saying(("label", "float"), evil, wrong=True),)),),
    )


@pytest.fixture(scope="session")
def real(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[VerifyResult, VerifyResult]:
    """What verification found on files of the network that edgekit ships: good ones, and with one that is damaged."""
    from edgekit import config
    from edgekit.defaults import CHECKPOINT, FOLDER
    from edgekit.pipeline.proving.verify import verify

    names = [f"mobilenet_v3_digits_1.0_32.{kind}" for kind in ("int8.tflite", "float32.onnx", "int8.onnx")]
    good = [exported / name for name in names]
    damaged = tmp_path_factory.mktemp("damaged") / names[2]
    damaged.write_bytes(good[2].read_bytes()[:-1000])
    flags: dict[str, dict[str, Any]] = {
        "verify": {"data": FOLDER / "test.npz", "images": 8},
        "model": {"checkpoint": CHECKPOINT},
    }
    settings = config.load(None, flags)
    return verify(good, settings), verify([*good[:2], damaged, exported / f"{names[2][:-5]}.edgekit"], settings)


@pytest.fixture(params=HOSTILE, ids=range(len(HOSTILE)))
def hostile(request: pytest.FixtureRequest) -> VerifyResult:
    """Names that are no names."""
    return named(request.param)


@pytest.fixture(params=["passing", "failing", "uncompared", *range(len(HOSTILE))])
def any_result(request: pytest.FixtureRequest) -> VerifyResult:
    """Each of them."""
    which: str | int = request.param
    found: VerifyResult = named(HOSTILE[which]) if isinstance(which, int) else request.getfixturevalue(which)
    return found
