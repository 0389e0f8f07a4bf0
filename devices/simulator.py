"""Drives the simulated devices (`vendor` "simulated") by the database alone, as a device's own program would: what is
wanted is read from `desired`, whoever wrote it, and what became of it is reported. No call of a person leads here.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Any

from devices import commands, reports, schema
from devices.lease import Holder
from devices.models import Device, DeviceType
from devices.service import Service as Base
from devices.settings import settings
from devices.simulated import Refusal, Report, Simulated
from realtime.errors import RealtimeError

logger = logging.getLogger("devices.simulator")

VENDOR = "simulated"
FIELDS = (
    "pk",
    "uid",
    "type_id",
    "vendor_config",
    "desired",
    "commanded",
    "desired_version",
    "acked_version",
    "reported",
)


class Simulator:
    """`step()` does what is due now. `rate` makes devices live faster than the clock, `seed` makes them repeat."""

    def __init__(
        self,
        *,
        seed: int | None = None,
        rate: float = 1.0,
        faults: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.seed = random.randrange(2**32) if seed is None else seed
        self.rate = rate
        self.faults = faults
        self._clock = clock
        self._devices: dict[int, tuple[Any, Simulated]] = {}

    def step(self) -> int:
        """Look at what is wanted, let each device act; how many spoke."""
        now = self._clock() * self.rate
        schemas = dict(DeviceType.objects.values_list("slug", "schema"))
        rows = list(Device.objects.filter(vendor=VENDOR, enabled=True).order_by("pk").values(*FIELDS))
        for gone in self._devices.keys() - {row["pk"] for row in rows}:
            del self._devices[gone]
        spoke = 0
        for row in rows:
            try:
                spoke += self._one(row, schemas[row["type_id"]], now)
            except RealtimeError as error:
                logger.info("%s: %s", row["uid"], error)  # deleted, or another schema, since it was read
        return spoke

    def _one(self, row: dict[str, Any], described: Any, now: float) -> bool:
        pk, device = row["pk"], self._device(row, described)
        if not schema.same(row["desired"], row["commanded"]) and device.reachable(now):
            # Written directly: it is given its command now and is heard in the next step.
            commands.adopt(pk)
        elif row["acked_version"] > device.version:
            device.version = row["acked_version"]  # another simulator has been at work
        elif device.hear(row["desired"], row["desired_version"], now):
            commands.sent(pk, row["desired_version"])
        said = device.act(now)
        for word in said:
            self._tell(pk, word)
        return bool(said)

    def _tell(self, pk: int, word: Report | Refusal) -> None:
        if isinstance(word, Report):
            reports.report(pk, word.values, version=word.version)
        else:
            reports.refuse(pk, word.version, word.code, word.message)

    def _device(self, row: dict[str, Any], described: Any) -> Simulated:
        """The device as it has been going, or anew, as it was last reported, when its making has changed."""
        making = (described, row["vendor_config"])
        known = self._devices.get(row["pk"])
        if known is not None and known[0] == making:
            return known[1]
        described = {} if schema.problems(described) else described
        config = row["vendor_config"] if isinstance(row["vendor_config"], dict) else {}
        values = {key: value for key, value in dict(row["reported"] or {}).items() if key in described}
        chance = random.Random(f"{self.seed} {row['uid']}")
        device = Simulated(described, config, values, chance, self.faults, version=row["acked_version"])
        self._devices[row["pk"]] = (making, device)
        return device


class Service(Base):
    """The simulator in the background of a server; of many processes one drives the devices."""

    # Somebody may be waiting for a switch.
    ease = 1

    def __init__(self, simulator: Simulator | None = None, *, take_over: bool = False) -> None:
        super().__init__()
        self.simulator = simulator or Simulator(seed=settings.SIMULATOR_SEED, faults=settings.SIMULATOR_FAULTS)
        self.holder = Holder("simulator")
        self._take_over = take_over

    @property
    def interval(self) -> float:
        return settings.SIMULATOR_SECONDS

    def step(self) -> None:
        if self.holder.holds(take_over=self._take_over):
            self._take_over = False
            self.simulator.step()

    def finish(self) -> None:
        self.holder.release()
