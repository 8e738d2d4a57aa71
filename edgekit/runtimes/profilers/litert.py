"""LiteRT's profiler, with the time of each kernel that the XNNPACK delegate runs.

The Python interpreter of LiteRT has no profiler, but the wheel also holds the library with LiteRT's C interface, and
that has one. It is called directly. Source of names, types and order of arguments: litert/c/*.h of LiteRT from 2.1.6.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
from ctypes import Structure, byref, c_char_p, c_int, c_int32, c_size_t, c_uint, c_uint32, c_uint64, c_void_p
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit.errors import ArtifactError, MissingDependency
from edgekit.exporters.tflite.operators import KERNELS
from edgekit.runtimes.profilers.profiler import KernelNames

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgekit.runtimes.profilers.profiler import Kernel

_CPU: Final = 1  # kLiteRtHwAcceleratorCpu, litert_common.h
_WRITE: Final = 1  # kLiteRtTensorBufferLockModeWrite, litert_tensor_buffer_types.h
# litert_profiler_event.h: an operator of the file, and one of a delegate. The latter is reported under both types.
_OPERATOR, _OF_DELEGATE = 1 << 1, (1 << 2) | (1 << 3)
_MOST_EVENTS: Final = 1 << 16  # of a run
# XNNPACK takes the difference of two times in nanoseconds and cuts off what is no whole microsecond: half a one, on
# average. Source: xnn_get_elapsed_time in XNNPACK's src/runtime.c
_CUT_OFF_US: Final = 0.5

NAMES: Final = KernelNames(called=KERNELS, behind={"RESHAPE"})


class _Layout(Structure):
    """LiteRtLayout, litert_layout.h."""

    _fields_ = (("rank", c_uint), ("dimensions", c_int32 * 8), ("strides", c_uint32 * 8))


class _TensorType(Structure):
    """LiteRtRankedTensorType, litert_model_types.h."""

    _fields_ = (("element_type", c_int), ("layout", _Layout))


class _Event(Structure):
    """ProfiledEventData, litert_profiler_event.h."""

    _fields_ = (
        ("tag", c_char_p),
        ("type", c_int),
        ("start_us", c_uint64),
        ("elapsed_us", c_uint64),
        ("memory", c_size_t * 6),
        ("index", c_uint64),
        ("subgraph", c_uint64),
        ("source", c_int),
    )


class LiteRtProfiler:
    """A .tflite file, compiled for the CPU with profiling."""

    source = "LiteRT's profiler"
    resolution_us = 1.0

    def __init__(self, path: Path, batch: NDArray[Any], *, threads: int) -> None:
        """Load ``path``, to run it on ``batch``."""
        self._path, self._library = path, _library()
        make = self._make
        environment = make("LiteRtCreateEnvironment", c_int(0), None)
        model = make("LiteRtCreateModelFromFile", environment, str(path).encode())
        options = make("LiteRtCreateOptions")
        self._call("LiteRtSetOptionsHardwareAccelerators", options, c_int(_CPU))
        # What is set, in TOML: litert_runtime_options.cc and litert_cpu_options.cc
        self._texts = (b"enable_profiling = true\n", f"num_threads = {threads}\n".encode())
        self._release = ctypes.CFUNCTYPE(None, c_void_p)(lambda _: None)  # the texts are ours
        for name, text in zip((b"runtime_options_string", b"xnnpack"), self._texts, strict=True):
            opaque = make("LiteRtCreateOpaqueOptions", name, c_char_p(text), self._release)
            self._call("LiteRtAddOpaqueOptions", options, opaque)
        self._compiled = make("LiteRtCreateCompiledModel", environment, model, options)
        self._profiler = make("LiteRtCompiledModelGetProfiler", self._compiled)
        if not self._profiler:
            raise ArtifactError(f"LiteRT gives no profiler for {path}")
        graph = make("LiteRtGetModelSubgraph", model, c_size_t(0))
        buffers = partial(self._buffers, environment, graph)
        self._inputs, self._outputs = buffers("Input"), buffers("Output")
        self._write(c_void_p(self._inputs[0]), np.ascontiguousarray(batch.transpose(0, 2, 3, 1)))
        self._events = (_Event * _MOST_EVENTS)()

    def run(self, times: int) -> list[list[Kernel]]:
        """The kernels of each run. Nothing is shut down: a process profiles one file and ends."""
        return [self._one() for _ in range(times)]

    def _one(self) -> list[Kernel]:
        self._call("LiteRtStartProfiler", self._profiler)  # it forgets what was before
        inputs, outputs = self._inputs, self._outputs
        sizes = c_size_t(len(inputs)), c_size_t(len(outputs))
        self._call("LiteRtRunCompiledModel", self._compiled, c_size_t(0), sizes[0], inputs, sizes[1], outputs)
        self._call("LiteRtStopProfiler", self._profiler)
        count = c_int()
        self._call("LiteRtGetNumProfilerEvents", self._profiler, byref(count))
        self._call("LiteRtGetProfilerEvents", self._profiler, c_int(_MOST_EVENTS), self._events)
        events = self._events[: count.value]
        return [
            (event.tag.decode(), event.elapsed_us + _CUT_OFF_US)
            for event in events
            if event.type == _OPERATOR or event.type & _OF_DELEGATE
        ]

    def _buffers(self, environment: c_void_p, graph: c_void_p, kind: str) -> ctypes.Array[c_void_p]:
        """A buffer for each input or output."""
        count = c_size_t()
        self._call(f"LiteRtGetNumSubgraph{kind}s", graph, byref(count))
        buffers = (c_void_p * count.value)()
        for index in range(count.value):
            tensor = self._make(f"LiteRtGetSubgraph{kind}", graph, c_size_t(index))
            of_type = _TensorType()
            self._call("LiteRtGetRankedTensorType", tensor, byref(of_type))
            name = f"LiteRtGetCompiledModel{kind}BufferRequirements"
            needed = self._make(name, self._compiled, c_size_t(0), c_size_t(index))
            name = "LiteRtCreateManagedTensorBufferFromRequirements"
            buffers[index] = self._make(name, environment, byref(of_type), needed).value
        return buffers

    def _write(self, buffer: c_void_p, values: NDArray[Any]) -> None:
        address = self._make("LiteRtLockTensorBuffer", buffer, after=(c_int(_WRITE),))
        ctypes.memmove(address, values.ctypes.data, values.nbytes)
        self._call("LiteRtUnlockTensorBuffer", buffer)

    def _make(self, name: str, *arguments: Any, after: tuple[Any, ...] = ()) -> c_void_p:  # noqa: ANN401 - C's
        """What a function gives through its last argument, or through the one before ``after``."""
        made = c_void_p()
        self._call(name, *arguments, byref(made), *after)
        return made

    def _call(self, name: str, *arguments: Any) -> None:  # noqa: ANN401 - C's
        function: Callable[..., int] = getattr(self._library, name)
        status = function(*arguments)
        if status:  # kLiteRtStatusOk is 0
            raise ArtifactError(f"LiteRT refuses {self._path}: {name} failed with status {status}")


def _library() -> ctypes.CDLL:
    """The library with the C interface.

    Raises:
        MissingDependency: it is not installed, or older than its profiler.
    """
    remedy = "LiteRT's profiler comes with ai-edge-litert 2.1.6 and later: pip install -U ai-edge-litert"
    found = importlib.util.find_spec("ai_edge_litert")
    places = [Path(place) for place in found.submodule_search_locations or ()] if found is not None else []
    files = [file for place in places for suffix in ("so", "dylib") for file in place.glob(f"libLiteRt.{suffix}")]
    if not files or _version() < (2, 1, 6):
        raise MissingDependency(remedy)
    return ctypes.CDLL(str(files[0]))


def _version() -> tuple[int, ...]:
    """Of ai-edge-litert; functions of older ones have other arguments."""
    numbers = importlib.metadata.version("ai-edge-litert").split(".")[:3]
    return tuple(int(number) for number in numbers if number.isdecimal())
