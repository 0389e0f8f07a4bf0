"""Everything that can be refused, and every way a connection is closed: two closed lists.

RealtimeError                    internal        answers to calls; the connection stays open
├─ BadCall                       bad_call        the frame is no call
├─ BadArgs                       bad_args        the verb does not take these arguments
├─ BadFilter                     bad_filter      the router does not allow this filter
├─ UnknownRoute                  unknown_route
├─ UnknownVerb                   unknown_verb
├─ LoginRequired                 login_required
├─ NotAllowed                    not_allowed
├─ NotFound                      not_found       also for what may not be known to exist
├─ Invalid                       invalid         data = {field: [messages]}
├─ Conflict                      conflict
├─ TooMany                       too_many
├─ TooFast                       too_fast        temporary
├─ TooLarge                      too_large
├─ TimedOut                      timed_out       temporary
├─ Unavailable                   unavailable     temporary
│  └─ BusUnavailable             unavailable     temporary
└─ Internal                      internal        temporary; says nothing more, the log does
TooSlow                          never on the wire: the connection is closed with 4008

A class's docstring is the message its user reads.
"""

from __future__ import annotations

import inspect
from enum import IntEnum
from typing import Any, ClassVar


class RealtimeError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "internal"
    # True: the same call may succeed later, so a client may try again by itself.
    temporary: ClassVar[bool] = False

    def __init__(self, message: str | None = None, *, data: Any = None) -> None:
        # `python -OO` strips docstrings: the code is then all there is to say.
        self.message = message or inspect.cleandoc(type(self).__doc__ or self.code)
        self.data = data
        super().__init__(self.message)


class BadCall(RealtimeError):
    """This is not a call."""

    code = "bad_call"

    def __init__(self, message: str | None = None, *, data: Any = None, callbackname: str | None = None) -> None:
        super().__init__(message, data=data)
        # Told when it could still be read, so that the caller's promise ends.
        self.callbackname = callbackname


class BadArgs(RealtimeError):
    """This verb does not take these arguments."""

    code = "bad_args"


class BadFilter(RealtimeError):
    """This filter is not allowed here."""

    code = "bad_filter"


class UnknownRoute(RealtimeError):
    """There is no such route."""

    code = "unknown_route"


class UnknownVerb(RealtimeError):
    """This route has no such verb."""

    code = "unknown_verb"


class LoginRequired(RealtimeError):
    """You need to sign in."""

    code = "login_required"


class NotAllowed(RealtimeError):
    """You may not do this."""

    code = "not_allowed"


class NotFound(RealtimeError):
    """There is no such object."""

    code = "not_found"


class Invalid(RealtimeError):
    """These values are not valid."""

    code = "invalid"


class Conflict(RealtimeError):
    """Somebody else changed this meanwhile."""

    code = "conflict"


class TooMany(RealtimeError):
    """This is more than one connection may have."""

    code = "too_many"


class TooFast(RealtimeError):
    """These are too many calls in too short a time."""

    code = "too_fast"
    temporary = True


class TooLarge(RealtimeError):
    """This is too large."""

    code = "too_large"


class TimedOut(RealtimeError):
    """This took too long."""

    code = "timed_out"
    temporary = True


class Unavailable(RealtimeError):
    """This is not available at the moment."""

    code = "unavailable"
    temporary = True


class BusUnavailable(Unavailable):
    """The message bus cannot be reached at the moment."""


class Internal(RealtimeError):
    """Something went wrong on the server."""

    code = "internal"
    temporary = True


class TooSlow(Exception):
    """What waits for this connection has outgrown its outbox."""


class CloseCode(IntEnum):
    """Why the server closes. `may_reconnect` False: trying again cannot help until a person does something."""

    GOING_AWAY = 1001
    PROTOCOL = 1002
    TOO_LARGE = 1009
    INTERNAL = 1011
    # Missing or ended. A browser tries its cookie once more (a changed password gives a new one), then asks to sign in.
    IDENTITY = 4001
    NOT_ALLOWED = 4003
    TOO_SLOW = 4008
    TOO_MANY = 4009
    NO_PONG = 4010
    TOO_FAST = 4029

    @property
    def may_reconnect(self) -> bool:
        return self not in (CloseCode.NOT_ALLOWED, CloseCode.TOO_MANY)

    @property
    def reason(self) -> str:
        """Text for the close frame; a close frame holds at most 123 bytes of it."""
        return _REASONS[self]


_REASONS = {
    CloseCode.GOING_AWAY: "server going away",
    CloseCode.PROTOCOL: "protocol error",
    CloseCode.TOO_LARGE: "message too large",
    CloseCode.INTERNAL: "server error",
    CloseCode.IDENTITY: "identity missing or ended",
    CloseCode.NOT_ALLOWED: "not allowed",
    CloseCode.TOO_SLOW: "too slow, come back",
    CloseCode.TOO_MANY: "too many connections",
    CloseCode.NO_PONG: "no pong",
    CloseCode.TOO_FAST: "too fast",
}
