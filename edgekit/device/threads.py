"""Threads of the libraries that compute: how many there are, and what they do while they wait for each other.

The variables belong to a process, so edgekit's commands set them, and edgekit as a library sets none: who imports it
sets what suits the whole program. They are read once, when torch or numpy is imported, which no command has done when
it calls these functions.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Threads of a parallel loop wait for the last of them, by default in a busy loop. That is fastest if each has a core;
# if something else has it, they burn the time that the last one needs. "passive" lets libgomp's threads (torch on
# Linux) sleep at once: https://gcc.gnu.org/onlinedocs/libgomp/OMP_005fWAIT_005fPOLICY.html. LLVM's and Intel's OpenMP
# (torch on Macs) sleep after KMP_BLOCKTIME milliseconds, 200 by default. OpenBLAS (numpy) sleeps after 2 to the power
# of OPENBLAS_THREAD_TIMEOUT cycles, 28 by default and 4 at least (driver/others/blas_server.c).
_WAITING = {"OMP_WAIT_POLICY": "passive", "KMP_BLOCKTIME": "0", "OPENBLAS_THREAD_TIMEOUT": "4"}
_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")  # the last: Macs
_ours: set[str] = set()  # of _WAITING, those that the user has not set


def wait_quietly() -> None:
    """Let threads that wait sleep, where the user has not said otherwise."""
    _ours.update(_WAITING.keys() - os.environ.keys())
    os.environ.update({name: _WAITING[name] for name in _ours})


def as_applications_have_it() -> dict[str, str]:
    """The environment without what ``wait_quietly`` set: for processes whose time is measured."""
    return {name: value for name, value in os.environ.items() if name not in _ours}


@contextmanager
def limited(number: int | None) -> Iterator[None]:
    """Torch and numpy compute with so many threads, and so do processes that start meanwhile; None changes nothing.

    numpy takes the number only if it is not imported yet.
    """
    if number is None:
        yield
        return
    torch = sys.modules.get("torch")
    before = {name: os.environ.get(name) for name in _COUNTS}
    threads = torch.get_num_threads() if torch is not None else number
    os.environ.update(dict.fromkeys(_COUNTS, str(number)))
    if torch is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            os.environ.update({} if value is None else {name: value})
        if torch is not None:
            torch.set_num_threads(threads)
