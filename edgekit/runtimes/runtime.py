"""What a runtime is: everything that the rest of edgekit has to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.extras import Distribution
    from edgekit.runtimes.machines import Setting
    from edgekit.runtimes.profilers.profiler import KernelNames, Profiler
    from edgekit.runtimes.runner import Runner


class Arithmetic(StrEnum):
    """Which integers kernels give: what is claimed of them follows from that."""

    SINGLE = "they round once, so that their integers are the reference's"
    DOUBLE = "they round twice, so that their integers are others"
    MEASURED = "nobody has proven how they round, so that their integers are measured"


@dataclass(frozen=True, slots=True)
class Kernels:
    """One way in which a runtime computes.

    Attributes:
        name: as the runtime's runner takes it; "" where there is nothing to choose.
        arithmetic: of its integers. Only those of SINGLE have to be the reference's; a runner of others says why they
            need not be (``Runner.differs_because``).
        only_without_vnni: it is of use only on an x86 without VNNI, where the others clamp sums.
    """

    name: str = ""
    arithmetic: Arithmetic = Arithmetic.SINGLE
    only_without_vnni: bool = False


class Opens(Protocol):
    """Loads a file.

    Raises:
        ArtifactError: the runtime refuses it.
        MissingDependency: the runtime is not installed.
    """

    def __call__(self, path: Path, *, kernels: str, threads: int) -> Runner:
        """A runner, with one of the runtime's kernels, by name."""
        ...


class Profiles(Protocol):
    """Loads a file to profile it.

    Raises:
        ArtifactError: the runtime refuses it.
        MissingDependency: the runtime is not installed, or too old to have a profiler.
    """

    def __call__(self, path: Path, batch: NDArray[Any], *, threads: int) -> Profiler:
        """A profiler of one image [1, C, H, W] of the type at the file's boundary."""
        ...


@dataclass(frozen=True, slots=True)
class Profiling:
    """How a runtime is profiled.

    Attributes:
        open: makes a profiler.
        names: how its kernels are matched with the operators of a file.
    """

    open: Profiles
    names: KernelNames


@dataclass(frozen=True, slots=True)
class Runtime:
    """One runtime, as far as it runs on this machine; ``edgekit.device.engines`` has what is sent to devices.

    Attributes:
        name: by which plug-ins and edgekit's own are told apart.
        format: the name of the format that it runs.
        open: loads a file.
        kernels: ways in which it computes, the one that applications get first.
        distributions: packages that it needs.
        install: what pip has to install for them ("edgekit[onnx]").
        systems: those that can have it, as ``sys.platform`` names them; None for all.
        is_for_applications: applications run files with it; else it is a means of proof.
        engine: what measures it, here and on devices: a name of ``edgekit.device.engines``; None where nothing does.
        elsewhere: what its files need to be measured, where no engine does that.
        profiling: how it is profiled; None where it is not.
        emulated: what its files are run with on emulated machines.
    """

    name: str
    format: str
    open: Opens
    kernels: tuple[Kernels, ...] = (Kernels(),)
    distributions: tuple[Distribution, ...] = ()
    install: str = "edgekit"
    systems: tuple[str, ...] | None = None
    is_for_applications: bool = True
    engine: str | None = None
    elsewhere: str = "a program of its own to be measured"
    profiling: Profiling | None = None
    emulated: tuple[Setting, ...] = ()
