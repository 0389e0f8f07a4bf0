"""A verb that publishes without the database, as the peers do: to compare the socket's way with theirs."""

from __future__ import annotations

from benchmarks.dialects import thing
from realtime.bus import Publication, get_bus
from realtime.change import Change, encode
from realtime.routers import Router, register, verb


@register
class BenchRouter(Router):
    route_name = "bench"

    @verb
    def say(self, number: int, sent: float) -> None:
        """On the bus of the model's stream, past journal and relay."""
        item = Change("device", f"said {sent}", number, "updated", thing(number, sent), {}, ({},), number, "device")
        get_bus().publish([Publication("device", item.key, number, encode(item))])
