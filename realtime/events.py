"""`publish_data`: tell the subscribers of a channel something that is no row, when the caller's transaction commits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from realtime.change import Event
from realtime.fields import publish_value


def publish_data(channel: str, data: Any) -> None:
    """Send `{"data": data, "channel": channel}` to whoever subscribed the channel through a plain router.

    It is a row of the journal in the caller's own transaction: never sent after a rollback, never lost after a commit.
    """
    publish_to([channel], data)


def publish_to(channels: Iterable[str], data: Any) -> None:
    from realtime import journal

    said = publish_value(data)
    for channel in channels:
        journal.announce(Event(channel, said))
