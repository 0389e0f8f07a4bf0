"""WebSocket frames, the server's side of RFC 6455: bytes in, messages out; text in, frame bytes out.

Stricter than Tornado's own reader, which takes unmasked frames and any close code. No extensions are spoken, so no
reserved bit is ever allowed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

# A control frame's payload (RFC 6455, 5.5).
CONTROL_BYTES = 125
# First byte, marker of the length's size, length.
_MEDIUM = struct.Struct("!BBH")
_LARGE = struct.Struct("!BBQ")


class Opcode(IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Fault(Exception):
    """The peer broke the protocol; `code` is what to close with."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Ping:
    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    payload: bytes


@dataclass(frozen=True, slots=True)
class Closing:
    """The peer said goodbye; 1005 stands for "no code"."""

    code: int
    reason: str


Received = Text | Ping | Pong | Closing


# Writing


def text_frame(payload: bytes) -> bytes:
    """One unmasked, unfragmented text frame; UTF-8 is the caller's duty."""
    return frame(Opcode.TEXT, payload)


def frame(opcode: Opcode, payload: bytes) -> bytes:
    size = len(payload)
    first = 0x80 | opcode
    if size < 126:
        return bytes((first, size)) + payload
    if size < 0x10000:
        return _MEDIUM.pack(first, 126, size) + payload
    return _LARGE.pack(first, 127, size) + payload


def close_frame(code: int, reason: str) -> bytes:
    # Cut in the middle of a character, a reason would be invalid UTF-8 for the peer.
    text = reason.encode()[: CONTROL_BYTES - 2].decode(errors="ignore").encode()
    return frame(Opcode.CLOSE, code.to_bytes(2, "big") + text)


# Reading


class Reader:
    """Feed it whatever the socket gives; it keeps at most one message of `limit` bytes. Useless after a `Fault`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._message: bytearray | None = None  # the fragments of a message that is not finished
        # Frames read so far that were no whole message: pings, fragments and the like cost as much as calls.
        self.small = 0

    def receive(self, data: bytes) -> list[Received]:
        """The messages that are complete now, up to a goodbye. Those before a fault are lost with it: the peer is cut
        anyway."""
        self._buffer += data
        received: list[Received] = []
        while (taken := self._take_frame()) is not None:
            final, opcode, payload = taken
            if opcode >= Opcode.CLOSE:
                self.small += 1
                received.append(_control(final, opcode, payload))
                if opcode is Opcode.CLOSE:
                    break
            elif (text := self._take_message(final, opcode, payload)) is not None:
                received.append(text)
            else:
                self.small += 1
        return received

    def _take_frame(self) -> tuple[bool, Opcode, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        final, opcode = bool(buffer[0] & 0x80), _opcode(buffer[0])
        if not buffer[1] & 0x80:
            raise Fault(1002, "frames from clients must be masked")
        size, start = buffer[1] & 0x7F, 2
        if size >= 126:
            if opcode >= Opcode.CLOSE:
                raise Fault(1002, "control frame too long")
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start], "big")
            if size < (126 if start == 4 else 0x10000):
                raise Fault(1002, "a length has one form")
        # Judged by the announced size, before a byte of it is kept.
        if size + len(self._message or b"") > self._limit and opcode < Opcode.CLOSE:
            raise Fault(1009, "message too large")
        end = start + 4 + size
        if len(buffer) < end:
            return None
        payload = _unmask(bytes(buffer[start : start + 4]), bytes(buffer[start + 4 : end]))
        del buffer[:end]
        return final, opcode, payload

    def _take_message(self, final: bool, opcode: Opcode, payload: bytes) -> Text | None:
        if opcode is Opcode.BINARY:
            raise Fault(1003, "binary messages are not spoken here")
        if (opcode is Opcode.CONTINUATION) != (self._message is not None):
            raise Fault(1002, "fragments out of order")
        if self._message is None:
            self._message = bytearray()
        self._message += payload
        if not final:
            return None
        whole, self._message = bytes(self._message), None
        try:
            return Text(whole.decode())
        except UnicodeDecodeError:
            raise Fault(1007, "text must be UTF-8") from None


def _opcode(first: int) -> Opcode:
    if first & 0x70:
        raise Fault(1002, "reserved bits are set")
    try:
        return Opcode(first & 0x0F)
    except ValueError:
        raise Fault(1002, "unknown opcode") from None


def _control(final: bool, opcode: Opcode, payload: bytes) -> Received:
    if not final:
        raise Fault(1002, "control frames are never fragmented")
    if opcode is Opcode.PING:
        return Ping(payload)
    if opcode is Opcode.PONG:
        return Pong(payload)
    if not payload:
        return Closing(1005, "")
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in _CLOSE_CODES or 3000 <= code <= 4999):
        raise Fault(1002, "invalid close code")
    try:
        return Closing(code, payload[2:].decode())
    except UnicodeDecodeError:
        raise Fault(1007, "close reason must be UTF-8") from None


# Those a peer may send (RFC 6455, 7.4, and the registry since); 1004-1006 and 1015 never travel.
_CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))


def _unmask(mask: bytes, payload: bytes) -> bytes:
    # One big-number XOR: a Python loop over the bytes is a hundred times slower.
    size = len(payload)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")
