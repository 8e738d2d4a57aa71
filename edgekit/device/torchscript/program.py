"""The program in a file: one class whose methods call numeric operators, without loops, branches and side effects.

torch prints it in a form that is Python's, too, so Python's parser reads it. The two could disagree about comments,
strings and continued lines: no program of edgekit has any of them, and the alphabet leaves them out.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

CLASS = "Network"
TYPE = f"__torch__.{CLASS}"
# What is neither operator, constant nor name of this list is refused. ``edgekit.exporters.torch`` writes by it: an
# operator that a writer learns comes here. None of these reaches beyond the tensors that it is given and makes.
OPERATORS = frozenset({
    "_make_per_tensor_quantized_tensor", "add", "addcmul", "argmax", "avg_pool2d", "cat", "clamp", "clamp_min",
    "constant_pad_nd", "contiguous", "conv2d", "copy_", "dequantize", "empty", "fill_", "flatten", "floor",
    "hardswish", "int_repr", "leaky_relu", "linear", "max_pool2d", "mean", "mul", "permute", "prelu",
    "quantize_per_tensor", "relu", "replication_pad2d", "reshape", "sigmoid", "size", "slice", "softmax", "sub",
    "sum", "to", "upsample_bilinear2d", "upsample_nearest2d",
})  # fmt: skip
QUANTIZED_OPERATORS = frozenset({"add", "conv2d", "linear", "linear_dynamic", "mul"})
METHODS = frozenset({"crop", "forward", "from_int8", "mean", "pad", "probabilities", "resize", "to_int8"})
KEYWORDS = frozenset({"device", "dtype", "layout", "memory_format", "pin_memory"})
TENSOR = "Tensor"
PACKED = (  # packed weights; torch has these classes itself
    "__torch__.torch.classes.quantized.Conv2dPackedParamsBase",
    "__torch__.torch.classes.quantized.LinearPackedParamsBase",
)
_ARGUMENTS = frozenset({TENSOR, "bool", "float", "int"})
_ALPHABET = re.compile(r"[A-Za-z0-9_ \n:=.,()\[\]>+-]*")
_RESERVED = frozenset({"self", "torch", "ops"})


class Unknown(ValueError):
    """Something that edgekit does not write; the message says what, as the end of a sentence."""


def attributes(source: str) -> dict[str, str]:
    """The attributes of the program, by name, in order: their types.

    Raises:
        Unknown: the program has anything that edgekit does not write.
    """
    if not _ALPHABET.fullmatch(source):
        raise Unknown("a program with comments or strings")
    try:
        module = ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise Unknown("a program that cannot be read") from error
    network = module.body[0] if len(module.body) == 1 else None
    if not isinstance(network, ast.ClassDef) or network.name != CLASS:
        raise Unknown(f"other classes than {CLASS}")
    if [ast.dump(base) for base in network.bases] != [_dump("Module")] or network.keywords or network.decorator_list:
        raise Unknown(f"a class {CLASS} that is no Module")
    return _Class(network).types


class _Class:
    """The class, walked once."""

    def __init__(self, network: ast.ClassDef) -> None:
        self.types: dict[str, str] = {}
        self._methods: set[str] = set()
        for statement in network.body:
            if isinstance(statement, ast.AnnAssign):
                self._attribute(statement)
            elif isinstance(statement, ast.FunctionDef):
                self._method(statement)
            elif not (isinstance(statement, ast.Assign) and ast.unparse(statement) in _NO_PARAMETERS):
                raise Unknown(f"{_shown(statement)} in its class")
        if "forward" not in self._methods:
            raise Unknown("no forward")

    def _attribute(self, statement: ast.AnnAssign) -> None:
        name, kind = ast.unparse(statement.target), ast.unparse(statement.annotation)
        known = "bool" if name == "training" else TENSOR
        if kind not in (known, *PACKED) or statement.value is not None or not statement.simple or name in self.types:
            raise Unknown(f"the attribute {_shown(statement)}")
        self.types[name] = kind

    def _method(self, method: ast.FunctionDef) -> None:
        """A method may call those before it, so that none calls itself."""
        name, arguments = method.name, method.args
        if name not in METHODS or name in self._methods or method.decorator_list:
            raise Unknown(f"the method {name}")
        others = [arguments.posonlyargs, arguments.kwonlyargs, arguments.defaults, arguments.vararg, arguments.kwarg]
        (first, *rest) = arguments.args or [ast.arg("")]
        types = {None if argument.annotation is None else ast.unparse(argument.annotation) for argument in rest}
        itself = first.arg == "self" and first.annotation is not None and ast.unparse(first.annotation) == TYPE
        returns = method.returns is not None and _is_tensors(method.returns)
        names = {argument.arg for argument in rest}
        if any(others) or not itself or not types <= _ARGUMENTS or not returns or names & _RESERVED:
            raise Unknown(f"the arguments of the method {name}")
        for statement in method.body:
            names |= self._statement(statement, names)
        self._methods.add(name)

    def _statement(self, statement: ast.stmt, names: Collection[str]) -> set[str]:
        """The name that a statement binds."""
        if isinstance(statement, ast.Return) and statement.value is not None:
            self._tuple_or_expression(statement.value, names)
            return set()
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            (target,) = statement.targets
            targets = target.elts if isinstance(target, ast.Tuple) else [target]
            bound = {part.id for part in targets if isinstance(part, ast.Name) and part.id not in _RESERVED}
            if len(bound) == len(targets):
                self._tuple_or_expression(statement.value, names)
                return bound
        raise Unknown(_shown(statement))

    def _tuple_or_expression(self, value: ast.expr, names: Collection[str]) -> None:
        """What a network of several outputs gives is a tuple; there is none inside of an expression."""
        for part in value.elts if isinstance(value, ast.Tuple) else [value]:
            self._expression(part, names)

    def _expression(self, value: ast.expr, names: Collection[str]) -> None:
        inner: list[ast.expr] = []
        if isinstance(value, ast.Call):
            known = self._is_known(value.func) and {keyword.arg for keyword in value.keywords} <= KEYWORDS
            inner = [*value.args, *(keyword.value for keyword in value.keywords)]
        elif isinstance(value, ast.List):
            known, inner = True, value.elts
        elif isinstance(value, ast.Attribute):
            known = _is_name(value.value, "self") and value.attr in self.types
        elif isinstance(value, ast.UnaryOp):
            known = isinstance(value.op, ast.USub) and isinstance(value.operand, ast.Constant)
            inner = [value.operand]
        elif isinstance(value, ast.Constant):
            known = value.value is None or isinstance(value.value, (bool, int, float))
        else:
            known = isinstance(value, ast.Name) and value.id in names
        if not known:
            raise Unknown(_shown(value.func if isinstance(value, ast.Call) else value))
        for part in inner:
            self._expression(part, names)

    def _is_known(self, function: ast.expr) -> bool:
        """Whether it is an operator, or a method that stands before."""
        if not isinstance(function, ast.Attribute):
            return False
        owner, name = function.value, function.attr
        if isinstance(owner, ast.Attribute):
            quantized = owner.attr == "quantized" and _is_name(owner.value, "ops")
            return quantized and name in QUANTIZED_OPERATORS
        return (_is_name(owner, "torch") and name in OPERATORS) or (_is_name(owner, "self") and name in self._methods)


_NO_PARAMETERS = ("__parameters__ = []", "__buffers__ = []")


def _is_tensors(annotation: ast.expr) -> bool:
    """Whether it is the type of a tensor, or of a tuple of tensors."""
    if not (isinstance(annotation, ast.Subscript) and _is_name(annotation.value, "Tuple")):
        return _is_name(annotation, TENSOR)
    parts = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    return bool(parts) and all(_is_name(part, TENSOR) for part in parts)


def _dump(name: str) -> str:
    return ast.dump(ast.Name(name, ast.Load()))


def _is_name(value: ast.expr, name: str) -> bool:
    return isinstance(value, ast.Name) and value.id == name


def _shown(value: ast.AST) -> str:
    return ast.unparse(value).partition("\n")[0][:60]
