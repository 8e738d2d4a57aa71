"""A TorchScript module in the making, and the bytes of its file.

The file is what ``torch.jit.load`` reads in Python and C++. It also carries bytecode, what the lite interpreter of the
phones reads (``LiteModuleLoader`` on Android, ``LibTorch-Lite`` on iOS). TorchScript is deprecated since torch
2.5, yet nothing has taken its place here: ``torch.export`` refuses modules with packed int8 weights, and the .pt2 files
that it saves are read by Python only, until another compiler has lowered them for one device.

The module is compiled from source text that edgekit writes, into a compilation unit of its own. ``torch.jit.script``
would use the one of the process, which numbers its classes (``___torch_mangle_3``): the second file that a process
writes would differ from the first.
"""

# ruff: noqa: SLF001 - torch._C is where torch keeps its bindings, and compilation units have no public face

from __future__ import annotations

import contextlib
import keyword
import re
from typing import TYPE_CHECKING, Any

import torch

from edgekit.device.engines import torch as engines
from edgekit.errors import MissingDependency
from edgekit.exporters.origins import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgekit.ir import Padding

_INDENT = "    "
_WORDS = ("self", "torch", "Tensor")  # no variable is called like these


def packing_engine() -> str:
    """The engine that packs fastest: a file holds weights unpacked, and only their strides tell who packed them."""
    supported = torch.backends.quantized.supported_engines
    return next(engine for engine in ("qnnpack", "fbgemm", *supported) if engine in supported)


def available(engine: str | None) -> str:
    """``engine``, or qnnpack where this build of torch lacks it; None takes torch's default."""
    return str(torch.backends.quantized.engine) if engine is None else engines.available(engine)


@contextlib.contextmanager
def pinned(engine: str) -> Iterator[None]:
    """Make ``engine`` the one that packs weights and runs quantized operators; the former one is restored.

    Raises:
        MissingDependency: this build of torch does not have it.
    """
    former = torch.backends.quantized.engine
    try:
        torch.backends.quantized.engine = engine
    except RuntimeError as error:
        supported = ", ".join(sorted(torch.backends.quantized.supported_engines))
        raise MissingDependency(
            f"this build of torch has no quantized engine {engine!r}: choose from {supported}, "
            f"or install a torch that has it"
        ) from error
    try:
        yield
    finally:
        torch.backends.quantized.engine = former


class Program:
    """Attributes, methods, and the statements of ``forward``.

    Attributes, methods and local variables are Python identifiers made from the names given: "features.0.0" becomes
    ``features_0_0``.
    """

    def __init__(self, methods: Mapping[str, str] | None = None, outputs: Mapping[str, str] | None = None) -> None:
        """Start a program.

        Args:
            methods: sources by name; those that are called become part of the program.
            outputs: what the variables of tensors are called that callers know by a name of their own.
        """
        # C++ programs call eval() after loading, and that insists on this attribute.
        self._attributes: dict[str, Any] = {"training": False}
        self._methods = dict(methods or {})
        self._called: set[str] = set()
        self.origins = Recorder()  # of the statements
        self._statements: list[str] = []
        self._variables: dict[str, str] = {}
        for tensor, called in (outputs or {}).items():
            self._variables[tensor] = _identifier(called, taken={*self._variables.values(), *_WORDS})
        self._more: list[str] = []
        self._argument = ""
        self._results: tuple[str, ...] = ()

    def attribute(self, name: str, value: Any) -> str:  # noqa: ANN401 - a tensor or packed weights
        """Store ``value`` in the file and return the expression that reads it."""
        identifier = _identifier(name, taken={*self._attributes, *self._methods, "forward"})
        self._attributes[identifier] = value
        return f"self.{identifier}"

    def call(self, method: str, *arguments: object) -> str:
        """The expression that calls one of the program's own methods."""
        self._called.add(method)
        return f"self.{method}({', '.join(map(str, arguments))})"

    def assign(self, name: str, expression: str) -> None:
        """Append ``variable = expression``; ``variable(name)`` is what reads it. A name in use is bound anew."""
        self.origins.add()
        self._statements.append(f"{self._bind(name)} = {expression}")

    def variable(self, name: str) -> str:
        """The variable that holds the tensor ``name``."""
        return self._variables[name]

    def takes(self, name: str) -> None:
        """Name the argument of ``forward``."""
        self._argument = self._bind(name)

    def returns(self, expressions: Sequence[str]) -> None:
        """End ``forward``: it gives one tensor, or a tuple of several."""
        for expression in expressions:
            if expression not in self._variables.values():  # else it computes nothing
                self.origins.add()
        self._results = tuple(expressions)

    def also(self, name: str, expression: str, place: int = 0) -> None:
        """Append a method beside ``forward`` that takes what that takes.

        Args:
            name: of the method.
            expression: what it gives; it reads a result of ``forward``, which is called ``y``.
            place: of that result.
        """
        signature = f"def {name}(self, {self._argument}: Tensor) -> Tensor:"
        given = ", ".join("y" if i == place else f"_{i}" for i in range(len(self._results)))
        body = f"{_INDENT}{given} = self.forward({self._argument})\n{_INDENT}return {expression}\n"
        self._more.append(f"{signature}\n{body}")

    def _bind(self, name: str) -> str:
        taken = {*self._variables.values(), *_WORDS}
        return self._variables.setdefault(name, _identifier(name, taken))

    @property
    def source(self) -> str:
        """The TorchScript of all methods."""
        body = "".join(f"{_INDENT}{line}\n" for line in [*self._statements, f"return {', '.join(self._results)}"])
        given = ", ".join("Tensor" for _ in self._results)
        kind = given if len(self._results) == 1 else f"Tuple[{given}]"
        forward = f"def forward(self, {self._argument}: Tensor) -> {kind}:\n{body}"
        called = [source for name, source in self._methods.items() if name in self._called]
        return "\n".join([*called, forward, *self._more])

    def to_bytes(self, extra_files: Mapping[str, str]) -> bytes:
        """Compile the program and write the file; equal programs give equal bytes.

        Args:
            extra_files: texts by name, stored beside the program.
        """
        # Bindings: torch/csrc/jit/python/script_init.cpp; the stubs leave out how a ScriptModule is made.
        new_module: Any = torch._C.ScriptModule
        module = new_module("__torch__.Network", torch._C.CompilationUnit(), False)  # shouldMangle
        for name, value in self._attributes.items():
            module._register_attribute(name, torch._C._jit_try_infer_type(value).type(), value)
        concrete = torch._C.ConcreteModuleType.from_jit_type(module._type())
        module._define(concrete, self.source, {"torch": torch, "Tensor": torch.Tensor}.get)
        # With debug information the bytes would differ: its call stacks are numbered through the whole process.
        return bytes(module._save_to_buffer_for_mobile(dict(extra_files), _save_mobile_debug_info=False))


def padded(x: str, padding: Padding, channels: tuple[int, int] = (0, 0)) -> str:
    """The expression for ``x`` [N, C, H, W] with zeros around it, or before and behind its channels.

    Source: constant_pad_nd in aten/src/ATen/native/PadNd.cpp, which lists the last axis first.
    """
    widths = [padding.left, padding.right, padding.top, padding.bottom, *(channels if any(channels) else ())]
    return f"torch.constant_pad_nd({x}, {widths}, 0.0)"


def symmetric(padding: Padding) -> tuple[int, int] | None:
    """Rows and columns as torch's convolutions take them, or None where two opposite sides differ."""
    same = padding.top == padding.bottom and padding.left == padding.right
    return (padding.top, padding.left) if same else None


def _identifier(name: str, taken: set[str]) -> str:
    stem = re.sub(r"\W", "_", name, flags=re.ASCII)
    if not stem.isidentifier() or keyword.iskeyword(stem):
        stem = f"_{stem}"
    if stem.strip("_0123456789") == "":  # torch forgets names such as _1 (meaningfulName in csrc/jit/ir/ir.cpp)
        stem = f"layer{stem}"
    identifier, number = stem, 1
    while identifier in taken:
        number += 1
        identifier = f"{stem}_{number}"
    return identifier
