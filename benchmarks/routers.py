"""A verb that publishes without the database, as the peers do: to compare the socket's way with theirs."""

from __future__ import annotations

from benchmarks.dialects import thing
from devices.models import Device
from realtime.bus import Publication, get_bus
from realtime.change import Change, encode
from realtime.models import published
from realtime.routers import Router, register, verb
from realtime.values import wire_values


@register
class BenchRouter(Router):
    route_name = "bench"

    @verb
    def say(self, number: int, sent: float) -> None:
        """On the bus of the model's stream, past journal and relay."""
        state = wire_values(Device(), published()[Device].columns)
        item = Change("device", f"said {sent}", 1, "updated", thing(number, sent), state, (state,), number, "device")
        get_bus().publish([Publication("device", item.key, 1, encode(item))])
