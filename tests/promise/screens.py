"""What a client that follows the protocol shows, told from the raw frames that it received."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Objects = dict[Any, dict[str, Any]]

#: The type of a mark among the frames: from here on they are of another connection of the same client.
OPENED = "opened"


def screen(frames: Iterable[dict[str, Any]], local: str) -> Objects:
    """The objects of the subscription `local` after these frames, by id. Follows docs/wire.md and nothing else."""
    shown: Objects = {}
    staged: Objects | None = None
    remote: set[str] = set()
    for frame in frames:
        told = frame.get("channel_data") or {}
        if told.get("local_channel") == local and told.get("action") == "subscribe":
            context = frame["context"]
            if context["state"] != "success":
                shown, staged, remote = {}, None, set()
                continue
            remote = set(told["remote_channels"])
            if context.get("recovered") or "part" not in context:
                staged = None
                continue
            if context["part"] == 1:
                staged = {}
            assert staged is not None, f"part {context['part']} came before part 1"
            staged |= {each["id"]: each for each in frame["data"]}
            if not context.get("more"):
                shown, staged = staged, None
        elif frame["type"] == OPENED:
            # A snapshot that was cut off is begun again, and nothing counts before the new connection's reply.
            staged, remote = None, set()
        elif frame["type"] == "change" and frame["channel"] in remote:
            target = shown if staged is None else staged
            if frame["action"] == "deleted":
                target.pop(frame["data"]["id"], None)
            else:
                target[frame["data"]["id"]] = frame["data"]
    return shown


def resyncs(frames: Iterable[dict[str, Any]], local: str) -> bool:
    """Whether the server has told this subscription to take a new snapshot and it has not been given one since."""
    remote: set[str] = set()
    due = False
    for frame in frames:
        told = frame.get("channel_data") or {}
        if told.get("local_channel") == local and told.get("action") == "subscribe":
            remote, due = set(told["remote_channels"]), False
        elif frame["type"] == "resync" and frame["channel"] in remote:
            due = True
    return due
