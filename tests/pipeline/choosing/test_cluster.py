"""A real Ray cluster on this machine."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

ray = pytest.importorskip("ray")
pytest.importorskip("torch")

from edgekit.config import Settings  # noqa: E402 - after what may be missing
from edgekit.pipeline.choosing.cluster import RayPool  # noqa: E402 - likewise
from edgekit.pipeline.choosing.work import Done, Unit  # noqa: E402 - likewise

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DEVICE = "ssh://pi@nowhere"


def work(unit: Unit, needed: Mapping[str, Any] | None) -> Done:
    """In place of the real one: dies if it is asked to, else says when it was at work."""
    if needed is not None and "die" in needed:
        os._exit(1)
    began = time.time()
    time.sleep(0.2)
    said = {"from": began, "until": time.time(), "usage": os.environ.get("RAY_USAGE_STATS_ENABLED"), "nice": os.nice(0)}
    return Done(unit.key, {**said, "needed": needed})


def collected(pool: RayPool, number: int) -> dict[str, Done]:
    found = dict[str, Done]()
    while len(found) < number:
        if (done := pool.next()) is not None:
            found[done.key] = done
    return found


@pytest.mark.filterwarnings("ignore")  # of Ray's own threads and sockets
def test_workers_take_turns_at_devices_and_a_lost_one_costs_its_own_unit(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with RayPool(2, {"here", DEVICE}) as pool:
        pool._remote = ray.remote(max_retries=0)(work)
        units = [Unit(f"make{n}", "make", Settings(), tmp_path) for n in range(2)]
        units += [Unit(f"here{n}", "time", Settings(), tmp_path, device="here") for n in range(2)]
        units += [Unit(f"there{n}", "time", Settings(), tmp_path, device=DEVICE) for n in range(2)]
        for unit in units:
            pool.submit(unit, {"file": unit.key})
        pool.submit(Unit("lost", "make", Settings(), tmp_path), {"die": True})
        found = collected(pool, len(units) + 1)
    lost = found.pop("lost")
    assert lost.lost
    assert lost.error.startswith("its worker was lost")
    spans = {key: (done.result["from"], done.result["until"]) for key, done in found.items() if done.result is not None}
    assert set(spans) == {unit.key for unit in units}

    def overlap(one: str, other: str) -> bool:
        return bool(max(spans[one][0], spans[other][0]) < min(spans[one][1], spans[other][1]))

    assert not overlap("here0", "here1")
    assert not overlap("there0", "there1")
    assert not any(overlap(f"here{n}", f"make{m}") for n in range(2) for m in range(2)), "all cores are taken"
    result = found["make0"].result
    assert result is not None
    assert (result["usage"], result["nice"], result["needed"]) == ("0", os.nice(0), {"file": "make0"})
    assert capfd.readouterr() == ("", ""), "Ray says nothing"
