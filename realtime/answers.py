"""What a router hands back for a call: an answer, and for a subscription the plan that the server carries out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from realtime.filters import Filter
    from realtime.protocol import Raw

SUCCESS = "success"
ERROR = "error"
LOGIN_REQUIRED = "login_required"


class Caller(Protocol):
    """Who calls. `user` may be None or AnonymousUser; `identity` says how the caller is known."""

    @property
    def user(self) -> Any: ...
    @property
    def identity(self) -> Any: ...
    @property
    def connection_id(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The objects of a subscription and the journal's revisions of their model, as one moment of the database."""

    # The journal's key and the published object, encoded where it was read: in a worker thread.
    objects: list[tuple[str, Raw]]
    # Key → (revision, whether it waits for the relay).
    revisions: dict[str, tuple[int, bool]]
    # Whether rights may have changed before that moment without servers having been told.
    rights_due: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a subscription is to receive. Computed anew whenever the caller's rights may have changed."""

    # "model": changes of one model under `filter`; "data": what `publish_data` sends to `channels`.
    kind: str
    stream: str
    channels: tuple[str, ...]
    local: str
    filter: Filter | None = None
    object_map: list[dict[str, Any]] = field(default_factory=list)
    # Reads the database, in one consistent view; None where there is nothing to show.
    snapshot: Callable[[], Snapshot] | None = None


@dataclass(slots=True)
class Answer:
    """One reply. State `error` here is an answer the router chose; refusals are raised as RealtimeError."""

    data: Any = None
    state: str = SUCCESS
    page: dict[str, Any] | None = None
    client_context: dict[str, Any] | None = None
    channel_data: dict[str, Any] | None = None
    # Subscribe: what to join. Unsubscribe: the local channel to leave.
    plan: Plan | None = None
    drop: str | None = None
