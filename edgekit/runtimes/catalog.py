"""The runtimes, and which runners can run a file: a file beside this one for each of edgekit's own, and plug-ins."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from functools import partial
from typing import TYPE_CHECKING

from edgekit import runtimes
from edgekit.errors import ArtifactError, MissingDependency
from edgekit.exporters.formats import format_of
from edgekit.plugins import Registry
from edgekit.runtimes import processor
from edgekit.runtimes.runtime import Arithmetic, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgekit.runtimes.runner import Runner
    from edgekit.runtimes.runtime import Kernels, Profiling


def _own() -> Iterator[Runtime]:
    """``DESCRIPTORS`` of each module that has some."""
    for module in pkgutil.iter_modules(runtimes.__path__, f"{runtimes.__name__}."):
        found: tuple[Runtime, ...] = getattr(importlib.import_module(module.name), "DESCRIPTORS", ())
        yield from found


RUNTIMES = Registry("edgekit.runtimes", Runtime, _own)


def runtimes_of(form: str) -> tuple[Runtime, ...]:
    """The runtimes of a format, by its name, that this machine can have; what applications run comes first."""
    here = (r for r in RUNTIMES.values() if r.format == form and (r.systems is None or _system() in r.systems))
    return tuple(sorted(here, key=lambda runtime: not runtime.is_for_applications))


def _system() -> str:
    return sys.platform


def engine_of(form: str) -> str | None:
    """What measures the files of a format, a name of ``edgekit.device.engines``; None where nothing does."""
    return next((r.engine for r in RUNTIMES.values() if r.format == form and r.engine is not None), None)


def needed_elsewhere(form: str) -> str:
    """What files of a format need to be measured, where edgekit does not do that."""
    return next((r.elsewhere for r in RUNTIMES.values() if r.format == form), "a runtime to be measured")


def profiling_of(path: Path) -> Profiling:
    """How ``path`` is profiled.

    Raises:
        ArtifactError: no runtime of its format has a profiler.
    """
    form = format_of(path)
    found = next((r.profiling for r in RUNTIMES.values() if r.format == form.name and r.profiling is not None), None)
    if found is None:
        raise ArtifactError(f"{path} needs {needed_elsewhere(form.name)}")
    return found


def default_runner(path: Path, *, threads: int = 1) -> Callable[[], Runner] | None:
    """The way an application runs ``path``; None where this machine has no runtime for its format.

    That is so of Core ML but on a Mac: no application interprets a package.
    """
    found = [runtime for runtime in runtimes_of(format_of(path).name) if runtime.is_for_applications]
    return _runners(found[0], path, threads=threads)[0][1] if found else None


def all_runners(path: Path, *, threads: int = 1) -> tuple[Callable[[], Runner], ...]:
    """Every way to run ``path`` whose integers edgekit answers for, the default first, where there is one.

    Whether a runtime is installed shows when the runner is made.

    Raises:
        ArtifactError: ``path`` is of no known format.
    """
    return _of_arithmetic(path, threads=threads, claimed=True)


def other_runners(path: Path, *, threads: int = 1) -> tuple[Callable[[], Runner], ...]:
    """Ways to run ``path`` that give other integers, which is worth knowing: TFLite's own kernels, without XNNPACK.

    Raises:
        ArtifactError: ``path`` is of no known format.
    """
    return _of_arithmetic(path, threads=threads, claimed=False)


def claimed_runner(path: Path, *, threads: int = 1) -> Callable[[], Runner]:
    """The first way to run ``path`` whose integers are the reference's: without VNNI, not always the default.

    Raises:
        ArtifactError: ``path`` is of no known format.
        MissingDependency: a runtime is not installed, or none here computes what the file says; the reasons are given.
    """
    reasons = []
    for make_runner in all_runners(path, threads=threads):
        with make_runner() as runner:
            if runner.differs_because is None:
                return make_runner
            reasons.append(f"{runner.name}: {runner.differs_because}")
    raise MissingDependency(f"nothing here runs {path} as it is meant: {'; '.join(reasons)}")


def _of_arithmetic(path: Path, *, threads: int, claimed: bool) -> tuple[Callable[[], Runner], ...]:
    return tuple(
        make_runner
        for runtime in runtimes_of(format_of(path).name)
        for kernels, make_runner in _runners(runtime, path, threads=threads)
        if (kernels.arithmetic is Arithmetic.SINGLE) == claimed
    )


def _runners(runtime: Runtime, path: Path, *, threads: int) -> list[tuple[Kernels, Callable[[], Runner]]]:
    """With each of the kernels that are of use on this machine."""
    return [
        (kernels, partial(runtime.open, path, kernels=kernels.name, threads=threads))
        for kernels in runtime.kernels
        if not kernels.only_without_vnni or processor.lacks_vnni()
    ]
