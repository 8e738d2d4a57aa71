"""Threads that wait, and how many there are: in processes of their own, because libraries read it once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edgekit.device import threads
from edgekit.device.processes import our_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

WAITING = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "OPENBLAS_THREAD_TIMEOUT")


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The variables and what is known of them, as they were."""
    monkeypatch.setattr(threads, "_ours", set())
    before = dict(os.environ)
    for name in WAITING:
        os.environ.pop(name, None)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    threads.wait_quietly()
    assert [os.environ[name] for name in WAITING] == ["active", "0", "4"]
    threads.wait_quietly()
    assert threads.as_applications_have_it().keys() & set(WAITING) == {"OMP_WAIT_POLICY"}


def test_what_is_timed_waits_as_in_applications() -> None:
    threads.wait_quietly()
    assert not our_environment().keys() & set(WAITING)


def test_the_number_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    with threads.limited(3):
        assert (torch.get_num_threads(), os.environ["OPENBLAS_NUM_THREADS"]) == (3, "3")
    assert torch.get_num_threads() == before
    assert (os.environ["OMP_NUM_THREADS"], os.environ.get("OPENBLAS_NUM_THREADS")) == ("5", None)
    with threads.limited(None):
        assert torch.get_num_threads() == before


def started(code: str) -> Any:
    """What a process prints."""
    environment = our_environment()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        environment.pop(name, None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_importing_edgekit_sets_nothing() -> None:
    code = (
        "import json, os; before = dict(os.environ); import edgekit, edgekit.pipeline, edgekit.cli.app;"
        "print(json.dumps(dict(os.environ) == before))"
    )
    assert started(code) is True


def test_torch_takes_the_number_when_it_is_imported() -> None:
    pytest.importorskip("torch")
    code = (
        "import json; from edgekit.device.threads import limited\n"
        "with limited(1):\n import torch; print(json.dumps(torch.get_num_threads()))"
    )
    assert started(code) == 1
