"""Each operator of the Model Intermediate Language against torch; what no program of ours holds is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.errors import ArtifactError
from edgekit.exporters.coreml.codec import Operation, Program, Reference, ValueType
from edgekit.runtimes.mil import Interpreter

torch = pytest.importorskip("torch")
F = torch.nn.functional

RANDOM = np.random.default_rng(0)


def real(*shape: int) -> np.ndarray:
    """Multiples of 1/8: float32 holds sums of their products exactly, whatever the order in which they are added."""
    return (np.rint(RANDOM.normal(0, 16, shape)) / 8).astype(np.float32)


def value(array: np.ndarray) -> ValueType:
    return ValueType(array.dtype.name, array.shape)


def program(operator: str, x: np.ndarray, made: ValueType, parameter: str = "x", **arguments: Any) -> Program:
    """One operator that reads ``x``; everything else is constant."""
    operation = Operation(operator, {parameter: Reference("in"), **arguments}, {"out": made})
    return Program("CoreML7", {"in": value(x)}, (operation,), ("out",))


def run(operator: str, x: np.ndarray, made: ValueType, parameter: str = "x", **arguments: Any) -> np.ndarray:
    result: np.ndarray = Interpreter(program(operator, x, made, parameter, **arguments)).run({"in": x}, ("out",))["out"]
    return result


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def integer(only: int) -> np.ndarray:
    return np.array(only, np.int32)


def number(only: float) -> np.ndarray:
    return np.array(only, np.float32)


X, Y, SMALL = real(1, 6, 9, 12), real(1, 6, 9, 12), real(1, 6, 1, 1)
PLAIN, GROUPED, DEPTHWISE, BIAS = real(8, 6, 3, 3), real(8, 3, 3, 3), real(6, 1, 5, 5), real(8)
VECTOR, MATRIX = real(1, 6), real(4, 6)
SCALAR, TRUE = number(1.5), np.array(True)
T = {name: torch.from_numpy(array) for name, array in globals().items() if isinstance(array, np.ndarray) and array.ndim}

# operator, what it reads, its constants, torch's answer
CASES = [
    ("conv", X, {"weight": PLAIN, "pad_type": "valid"}, F.conv2d(T["X"], T["PLAIN"])),
    ("conv", X, {"weight": PLAIN}, F.conv2d(T["X"], T["PLAIN"])),
    ("conv", X, {"weight": PLAIN, "dilations": integers(2, 3)}, F.conv2d(T["X"], T["PLAIN"], dilation=(2, 3))),
    (
        "conv", X, {"weight": PLAIN, "bias": BIAS, "strides": integers(2, 3), "pad_type": "custom",
                    "pad": integers(1, 0, 2, 1), "groups": integer(1)},
        F.conv2d(F.pad(T["X"], (2, 1, 1, 0)), T["PLAIN"], T["BIAS"], (2, 3)),
    ),
    (
        "conv", X, {"weight": GROUPED, "groups": integer(2), "pad_type": "valid"},
        F.conv2d(T["X"], T["GROUPED"], groups=2),
    ),
    (
        "conv", X, {"weight": DEPTHWISE, "groups": integer(6), "pad_type": "same", "strides": integers(2, 2)},
        F.conv2d(F.pad(T["X"], (1, 2, 2, 2)), T["DEPTHWISE"], stride=2, groups=6),
    ),
    (
        "conv", X, {"weight": DEPTHWISE, "groups": integer(6), "pad_type": "same_lower", "strides": integers(2, 2)},
        F.conv2d(F.pad(T["X"], (2, 1, 2, 2)), T["DEPTHWISE"], stride=2, groups=6),
    ),
    ("linear", VECTOR, {"weight": MATRIX, "bias": BIAS[:4]}, F.linear(T["VECTOR"], T["MATRIX"], T["BIAS"][:4])),
    ("linear", VECTOR, {"weight": MATRIX}, F.linear(T["VECTOR"], T["MATRIX"])),
    (
        "batch_norm", X, {"mean": BIAS[:6], "variance": np.abs(BIAS[2:]), "gamma": BIAS[1:7], "beta": BIAS[:6],
                          "epsilon": number(1e-3)},
        F.batch_norm(T["X"], T["BIAS"][:6], T["BIAS"][2:].abs(), T["BIAS"][1:7], T["BIAS"][:6], eps=1e-3),
    ),
    (
        "batch_norm", X, {"mean": BIAS[:6], "variance": BIAS[2:] ** 2},
        F.batch_norm(T["X"], T["BIAS"][:6], T["BIAS"][2:] ** 2),
    ),
    ("add", X, {"y": Y}, T["X"] + T["Y"]),
    ("sub", X, {"y": SMALL}, T["X"] - T["SMALL"]),
    ("mul", X, {"y": SMALL}, T["X"] * T["SMALL"]),
    ("real_div", X, {"y": SCALAR}, T["X"] / 1.5),
    ("maximum", X, {"y": SMALL}, torch.maximum(T["X"], T["SMALL"])),
    ("minimum", X, {"y": Y}, torch.minimum(T["X"], T["Y"])),
    ("relu", X, {}, F.relu(T["X"])),
    ("relu6", X * 4, {}, F.relu6(T["X"] * 4)),
    ("clip", X, {"alpha": -SCALAR, "beta": SCALAR}, T["X"].clamp(-1.5, 1.5)),
    ("sigmoid", X * 100, {}, torch.sigmoid(T["X"] * 100)),
    ("sigmoid_hard", X, {"alpha": number(1 / 6), "beta": number(0.5)}, F.hardsigmoid(T["X"])),
    ("softmax", X, {"axis": integer(1)}, F.softmax(T["X"], 1)),
    ("softmax", VECTOR * 100, {}, F.softmax(T["VECTOR"] * 100, -1)),
    ("reduce_mean", X, {"axes": integers(2, 3), "keep_dims": TRUE}, T["X"].mean((2, 3), keepdim=True)),
    ("reduce_mean", X, {"axes": integers(-1, -2)}, T["X"].mean((2, 3))),
    ("reduce_mean", X, {}, T["X"].mean()),
    (
        "avg_pool", X, {"kernel_sizes": integers(3, 2), "strides": integers(2, 2), "pad_type": "valid"},
        F.avg_pool2d(T["X"], (3, 2), 2),
    ),
    (
        "avg_pool", X, {"kernel_sizes": integers(3, 3), "pad_type": "custom", "pad": integers(1, 1, 1, 1)},
        F.avg_pool2d(T["X"], 3, 1, 1),
    ),
    (
        "avg_pool", X, {"kernel_sizes": integers(3, 3), "pad_type": "same", "exclude_padding_from_average": TRUE},
        F.avg_pool2d(T["X"], 3, 1, 1, count_include_pad=False),
    ),
    ("pad", X, {"pad": integers(0, 1, 2, 3), "constant_val": SCALAR}, F.pad(T["X"], (2, 3, 0, 1), value=1.5)),
    ("pad", X, {"pad": integers(0, 0, 0, 0, 1, 1, 2, 0), "mode": "reflect"}, F.pad(T["X"], (2, 0, 1, 1), "reflect")),
    ("pad", X, {"pad": integers(1, 1, 2, 0), "mode": "replicate"}, F.pad(T["X"], (2, 0, 1, 1), "replicate")),
    ("reshape", X, {"shape": integers(1, -1)}, T["X"].reshape(1, -1)),
    ("reshape", X, {"shape": integers(0, 0, -1)}, T["X"].reshape(6, 9, 12)),  # from the right, as of iOS 17
    ("transpose", X, {"perm": integers(0, 2, 3, 1)}, T["X"].permute(0, 2, 3, 1)),
    ("squeeze", SMALL, {"axes": integers(2, 3)}, T["SMALL"][..., 0, 0]),
    ("squeeze", SMALL, {}, T["SMALL"].squeeze()),
    ("expand_dims", VECTOR, {"axes": integers(-1, -2)}, T["VECTOR"][..., None, None]),
    ("identity", X, {}, T["X"]),
    ("cast", X / 3, {"dtype": "fp16"}, (T["X"] / 3).half()),
    ("cast", (X / 3).astype(np.float16), {"dtype": "fp32"}, (T["X"] / 3).half().float()),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "x", "constants", "expected"), CASES, ids=[case[0] for case in CASES])
def test_an_operator(operator: str, x: np.ndarray, constants: dict[str, Any], expected: Any) -> None:
    wanted = expected.numpy()
    found = run(operator, x, value(wanted), **constants)
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-5)


def test_quantize_rounds_halves_to_even_and_saturates() -> None:
    x = np.array([0.25, 0.75, 1.25, -0.25, -0.75, 1e9, -1e9], np.float32)
    scale = number(0.5)
    plain = run("quantize", x, ValueType("int8", x.shape), "input", scale=scale, output_dtype="int8")
    assert plain.tolist() == [0, 2, 2, 0, -2, 127, -128]
    shifted = run(
        "quantize", x, ValueType("uint8", x.shape), "input",
        scale=scale, zero_point=np.array(7, np.uint8), output_dtype="uint8",
    )  # fmt: skip
    assert shifted.tolist() == [7, 9, 9, 7, 5, 255, 0]


@pytest.mark.parametrize("axis", [1, -2])
def test_a_scale_for_each_channel(axis: int) -> None:
    stored = RANDOM.integers(-128, 128, (2, 3, 4)).astype(np.int8)
    scale, zero_point = np.array([0.5, 2.0, 0.1], np.float32), np.array([1, -2, 3], np.int8)
    affine = {"scale": scale, "zero_point": zero_point, "axis": integer(axis)}
    reals = run("dequantize", stored, ValueType("float32", stored.shape), "input", **affine)
    wanted = (stored.astype(np.float32) - zero_point[:, None]) * scale[:, None]
    np.testing.assert_array_equal(reals, wanted)
    again = run("quantize", reals, ValueType("int8", stored.shape), "input", output_dtype="int8", **affine)
    np.testing.assert_array_equal(again, stored)


def test_constant_expressions_are_computed_once() -> None:
    data = RANDOM.integers(-127, 128, (4, 6)).astype(np.int8)
    scales = np.array([[0.5, 0.25], [1, 2]], np.float32)
    blocks = Operation(
        "constexpr_blockwise_shift_scale",
        {"data": data, "scale": scales, "offset": np.array([[1, 2], [3, 4]], np.int8)},
        {"w": ValueType("float32", (4, 6))},
    )
    affine = Operation(
        "constexpr_affine_dequantize",
        {
            "quantized_data": data,
            "scale": np.array(0.1, np.float16),
            "zero_point": np.array(3, np.int8),
            "axis": integer(0),
        },
        {"v": ValueType("float16", (4, 6))},
    )
    made = ValueType("float32", (1, 4))
    layers = [Operation("linear", {"x": Reference("in"), "weight": Reference(w)}, {f"{w}x": made}) for w in ("w", "v")]
    whole = Program("CoreML8", {"in": value(VECTOR)}, (blocks, affine, *layers), ("wx", "vx"))
    interpreter = Interpreter(whole)
    assert interpreter.values == ("in", "wx", "vx")
    spread = np.kron(scales, np.ones((2, 3), np.float32)) * (data - np.kron([[1, 2], [3, 4]], np.ones((2, 3))))
    found = interpreter.run({"in": VECTOR}, ("wx", "vx"))
    np.testing.assert_allclose(found["wx"], VECTOR @ spread.T, rtol=1e-5)
    rounded = ((data - np.float32(3)) * np.float32(np.float16(0.1))).astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(found["vx"], VECTOR @ rounded.T, rtol=1e-5)


def test_results_are_rounded_to_the_declared_type_once() -> None:
    """A sum of three float16 products is rounded at its end, not after each addition."""
    x = np.array([[2048, 1, 1]], np.float16)
    found = run("linear", x, ValueType("float16", (1, 1)), weight=np.ones((1, 3), np.float16))
    assert found.dtype == np.float16
    assert found == 2050  # 2048 + 1 is 2048 in float16
    assert np.isinf(run("mul", x, ValueType("float16", (1, 3)), y=x)[0, 0])


def test_a_list_of_values() -> None:
    made = ValueType("float32", (1, 12, 9, 12))
    both = Operation("concat", {"values": (Reference("in"), X), "axis": integer(1)}, {"out": made})
    found = Interpreter(Program("CoreML7", {"in": value(Y)}, (both,), ("out",))).run({"in": Y}, ("out",))
    np.testing.assert_array_equal(found["out"], np.concatenate([Y, X], 1))


def test_a_classifier() -> None:
    made = {"label": ValueType("string", ()), "scores": ValueType("dictionary", ())}
    operation = Operation("classify", {"probabilities": Reference("in"), "classes": ("a", "b", "c")}, made)
    x = np.array([[1, 3, 2]], np.float32)
    interpreter = Interpreter(Program("CoreML7", {"in": value(x)}, (operation,), tuple(made)))
    assert interpreter.run({"in": x}, tuple(made)) == {"label": "b", "scores": {"a": 1, "b": 3, "c": 2}}
    assert interpreter.values == ("in",)


def test_values_are_forgotten_unless_they_are_kept() -> None:
    chain = [
        Operation("add", {"x": Reference(a), "y": Reference(a)}, {b: value(X)})
        for a, b in (("in", "a"), ("a", "b"), ("b", "c"))
    ]
    interpreter = Interpreter(Program("CoreML7", {"in": value(X)}, tuple(chain), ("c",)))
    assert set(interpreter.run({"in": X}, ("c",))) == {"c"}
    np.testing.assert_array_equal(interpreter.run({"in": X}, interpreter.values)["c"], 8 * X)


@pytest.mark.parametrize(
    ("operator", "constants", "message"),
    [
        ("lstm", {}, "operation 'out' is a lstm, which edgekit does not run"),
        ("relu", {"slope": SCALAR}, r"operation 'out' \(relu\): got an unexpected keyword argument 'slope'"),
        ("add", {}, r"operation 'out' \(add\): missing a required argument: 'y'"),
    ],
)
def test_what_is_refused_when_it_is_loaded(operator: str, constants: dict[str, Any], message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        Interpreter(program(operator, X, value(X), **constants))


@pytest.mark.parametrize(
    ("operator", "constants", "message"),
    [
        ("add", {"y": VECTOR}, "cannot be computed: .*broadcast"),
        ("conv", {"weight": DEPTHWISE}, r"weights \[6, 1, 5, 5\] in 1 groups do not fit an input \[1, 6, 9, 12\]"),
        ("conv", {"weight": PLAIN, "pad_type": "full"}, "no padding 'full'"),
        ("avg_pool", {"kernel_sizes": integers(2, 2), "pad_type": "valid", "ceil_mode": TRUE}, "ceil_mode"),
        ("pad", {"pad": integers(1, 1), "mode": "wrap"}, "no mode 'wrap'"),
        ("cast", {"dtype": "int32"}, "casts to fp16 and fp32, not to int32"),
        ("transpose", {"perm": integers(0, 1)}, "axes don't match"),
        ("concat", {"axis": integer(0), "interleave": TRUE}, "does not interleave"),
        ("relu6", {}, r"is float32 \[1, 6, 9, 12\], but declared as int8 \[1, 6, 9, 12\]"),
    ],
)
def test_what_cannot_be_computed(operator: str, constants: dict[str, Any], message: str) -> None:
    made = ValueType("int8", X.shape)
    with pytest.raises(ArtifactError, match=rf"operation 'out' \({operator}\).*{message}"):
        run(operator, X, made, "values" if operator == "concat" else "x", **constants)


@pytest.mark.parametrize(
    ("given", "shape"), [(X[:, :5], (1, 6, 9, 12)), (X, (2, 6, 9, 12)), (X, (6, 9, 12)), (X.astype(np.int32), X.shape)]
)
def test_an_input_of_another_type(given: np.ndarray, shape: tuple[int, ...]) -> None:
    whole = Program("CoreML7", {"in": ValueType("float32", shape)}, (), ("in",))
    with pytest.raises(ArtifactError, match=r"input 'in' is .* but declared as float32"):
        Interpreter(whole).run({"in": given}, ("in",))


def test_sizes_may_be_free() -> None:
    made = ValueType("float32", (-1, 6, -1, -1))
    np.testing.assert_array_equal(run("relu", X, made), np.maximum(X, 0))


def test_quantizing_needs_an_axis_for_many_scales_and_a_type_that_exists() -> None:
    with pytest.raises(ArtifactError, match="several scales need an axis"):
        run("quantize", X, ValueType("int8", X.shape), "input", scale=np.ones(6, np.float32), output_dtype="int8")
    with pytest.raises(ArtifactError, match="no integers int4"):
        run("quantize", X, ValueType("int8", X.shape), "input", scale=SCALAR, output_dtype="int4")
