"""The workers of a Ray cluster: one that is started here for the time of a sweep, or one that is running.

What must not run beside its like takes an exclusive resource of the cluster: a timing on a device takes the resource of
the device's name, of which there is one, and a timing on a machine takes ``here`` and all of that machine's cores.
Ray's own retries are off: a unit whose worker is lost comes back as lost, and the sweep counts its attempts.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final, Self

from edgekit import extras
from edgekit.errors import BadInput, ConfigError
from edgekit.pipeline.choosing.grid import HERE
from edgekit.pipeline.choosing.work import Done, do

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from edgekit.pipeline.choosing.work import Unit

_STORE_BYTES: Final = 80 * 2**20  # of shared memory, near Ray's least: results are a few numbers
_LOOK_SECONDS: Final = 1.0
# Read when Ray is imported or started: no usage statistics leave the machine, and workers have the priority that
# programs usually have, because some of them time files.
ENVIRONMENT: Final = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}


class RayPool:
    """Units on the workers of a Ray cluster."""

    def __init__(self, workers: int, devices: Collection[str], address: str | None = None) -> None:
        """Nothing is started yet.

        Args:
            workers: of a cluster that is started here.
            devices: that files are timed on.
            address: of a cluster that is running; None starts one here.

        Raises:
            MissingDependency: Ray is not installed.
        """
        os.environ.update(ENVIRONMENT)
        self._ray: Any = extras.load("ray", "sweep")
        # Ray tells of workers that are lost on stdout, whatever log_to_driver says; the sweep tells of them itself.
        self._ray._private.worker.print_to_stdstream = lambda *_, **__: None  # noqa: SLF001 - there is no other way
        self._workers, self._devices, self._address = workers, devices, address
        self._running: dict[Any, str] = {}

    def __enter__(self) -> Self:
        said: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        if self._address is None:
            resources = dict.fromkeys(self._devices, 1)
            said |= {"address": "local", "num_cpus": self._workers, "resources": resources, "include_dashboard": False}
            said["object_store_memory"] = _STORE_BYTES
        else:
            said["address"] = self._address
        try:
            self._ray.init(**said)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            where = "here" if self._address is None else f"at {self._address}"
            raise BadInput(f"no Ray cluster answers {where}: {str(error).splitlines()[0]}") from error
        self._remote = self._ray.remote(max_retries=0)(do)
        self._check_devices()
        return self

    def __exit__(self, *_: object) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()

    def submit(self, unit: Unit, needed: Mapping[str, Any] | None) -> None:
        """Take a unit, and the result of the one that it needs."""
        self._running[self._remote.options(**self._needs(unit)).remote(unit, needed)] = unit.key

    def next(self) -> Done | None:
        """The next that is done; None after a second without one."""
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=_LOOK_SECONDS)
        if not ready:
            return None
        errors, key = self._ray.exceptions, self._running.pop(ready[0])
        try:
            done: Done = self._ray.get(ready[0])
        except errors.RayTaskError as error:  # the worker could not even begin
            return Done(key, None, f"a worker of the cluster failed: {str(error.cause or error).splitlines()[-1]}")
        except errors.RayError as error:
            return Done(key, None, f"its worker was lost: {str(error).splitlines()[0]}", lost=True)
        return done

    def _needs(self, unit: Unit) -> dict[str, Any]:
        """The resources of a unit."""
        if unit.kind == "time":
            cores = self._cores_here() if unit.device == HERE else 0  # who waits for a device needs no core
            return {"num_cpus": cores, "resources": {unit.device: 1}}
        learns_on_gpu = unit.kind == "train" and unit.settings.train.accelerator != "cpu"
        gpus = self._ray.cluster_resources().get("GPU", 0)
        return {"num_cpus": 1, "num_gpus": 1 if learns_on_gpu and gpus >= 1 else 0}

    def _cores_here(self) -> int:
        """All cores of a machine that times files."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return int(min(node.get("CPU", 0) for node in nodes if node.get(HERE)))

    def _check_devices(self) -> None:
        """Refuse a cluster that does not say who times what.

        Raises:
            ConfigError: a device has no node, or several.
        """
        there = self._ray.cluster_resources()
        for device in self._devices:
            if there.get(device, 0) != 1:
                raise ConfigError(
                    f"{there.get(device, 0):g} nodes of the cluster have the resource {device!r}, and exactly one has "
                    f"to time files there: start that one with ray start --resources='{{\"{device}\": 1}}' …"
                )
