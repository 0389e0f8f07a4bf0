"""A verb that tells everybody at once and keeps nothing, as the peers do: to compare the socket's way with theirs."""

from __future__ import annotations

from typing import Any

from benchmarks.dialects import thing
from realtime import broadcast
from realtime.routers import Router, register, verb

CHANNEL = "bench"


@register
class BenchRouter(Router):
    route_name = "bench"

    def get_subscription_channels(self, **kwargs: Any) -> list[str]:
        return [CHANNEL]

    @verb
    async def say(self, number: int, sent: float) -> None:
        """Awaited on the loop, and past the database: what a project that wants this speed would write."""
        await broadcast(CHANNEL, thing(number, sent))
