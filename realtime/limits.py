"""The limits that the pure modules obey, each with its reason. `settings.py` lets a project override them by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    # -- what a client may send ---------------------------------------------------------------------------------------
    # Ten times the largest form of the demo; a larger upload belongs to HTTP, which can be refused before it is read.
    message_bytes: int = 64 * 1024
    # Nobody nests deeper by hand, and Python's own parser gives up with RecursionError, which is no ValueError.
    json_depth: int = 32
    # A page that shows more collections than this at once is a page that forgets to unsubscribe.
    subscriptions: int = 256
    # A person clicks at most ten times a second; a page that loads asks for everything at once.
    calls_per_second: float = 20.0
    calls_burst: float = 40.0
    # Pings, pongs, fragments: a proxy may cut a message into a dozen, and nobody pings ten times a second.
    frames_per_second: float = 100.0
    frames_burst: float = 400.0
    # Late answers slow an honest client down; who still floods after this long does not listen.
    flood_seconds: float = 10.0
    # A socket without identity costs memory and nothing else pays for it.
    login_seconds: float = 10.0
    # An IN list becomes one dictionary entry per value and one database parameter per value (old SQLite: at most 999).
    filter_values: int = 100
    # -- what waits for a client --------------------------------------------------------------------------------------
    # Some 3,000 changes: minutes of a normal day; 10,000 stalled clients then cost at most 10 GB, and are closed first.
    outbox_bytes: int = 1024 * 1024
    # Small enough that live changes of other collections never wait long behind a snapshot.
    part_bytes: int = 64 * 1024
    # What a stalled socket is handed at once: bytes handed over can no longer be replaced by newer ones.
    chunk_bytes: int = 64 * 1024
    # -- what a stream remembers --------------------------------------------------------------------------------------
    # A cut of a phone's radio or a server's restart is seconds; longer absences are cheaper as a snapshot.
    history_changes: int = 10_000
    history_bytes: int = 16 * 1024 * 1024
    history_seconds: float = 300.0

    @property
    def object_bytes(self) -> int:
        """The largest object that is ever told: a quarter of an outbox, so that there is room for its next change."""
        return self.outbox_bytes // 4


DEFAULT_LIMITS = Limits()
