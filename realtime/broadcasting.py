"""Events that are told at once, past the database: the pointer of a mouse, who is typing, a meter."""

from __future__ import annotations

import secrets
from typing import Any

from realtime.bus import Publication, get_bus
from realtime.change import DATA_STREAM, Event, encode


async def broadcast(channel: str, data: Any) -> None:
    """Tell everybody who has subscribed to `channel` now; BusUnavailable if it is not certain that they will hear.

    For `async def` verbs. It waits for no transaction and leaves no row, so it overtakes what the journal still has to
    tell: also that somebody's right to the channel has just ended. What they must not hear is told by `publish_data`.
    """
    # Never used twice: events are never merged, and an event that is repeated is another one.
    await get_bus().tell(Publication(DATA_STREAM, secrets.token_hex(8), 1, encode(Event(channel, data))))
