"""This process's reading end: bus → streams → hub, without a gap or with a new beginning, never silently less.

A message that is not the next one of its stream is never judged by itself: the bus is asked where the stream is, and
until that is settled what else arrives is held back. After a lost link this is so for every stream, `!control` first,
so that nobody gets a change whose right to see it ended while the link was down.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

from realtime import registry
from realtime.bus import Bus, Message
from realtime.change import CONTROL_STREAM, DATA_STREAM, Change, Control, Event, decode
from realtime.errors import BusUnavailable
from realtime.filters import typed
from realtime.hub import Hub, Subscription
from realtime.kinds import Kind
from realtime.limits import Limits
from realtime.protocol import Position
from realtime.settings import settings
from realtime.streams import Item, Revision, Stream, Taken

logger = logging.getLogger("realtime.node")

# While the bus is away; the same pace at which links are tried again.
RETRY_SECONDS = 0.5
# The bus may say where a stream is a moment before the message itself is here; only then is something missing.
GRACE_SECONDS = 0.05
# Messages of a history taken in one go; then others on the loop get their turn.
TURN = 200
# A stream is behind for a moment after every link; longer is a fault.
BEHIND_SECONDS = 2.0
# What is held back while a stream is behind; beyond it the history is read anyway.
HELD = 1000


class Following:
    """One stream as it is read here. While `behind`, what arrives waits."""

    def __init__(self, stream: Stream, kinds: Mapping[str, Kind]) -> None:
        self.stream = stream
        self.kinds = kinds
        self.behind = True
        self.behind_since = 0.0
        self.waiting: list[Message] = []
        self.overrun = False
        self.task: asyncio.Task[None] | None = None
        self._moved: asyncio.Future[None] | None = None

    def hold(self, message: Message) -> None:
        if len(self.waiting) < HELD:
            self.waiting.append(message)
        else:
            self.overrun = True

    def moved(self) -> None:
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)
        self._moved = None

    async def movement(self) -> None:
        if self._moved is None:
            self._moved = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._moved)


class Node:
    def __init__(self, bus: Bus, hub: Hub, clock: Callable[[], float], limits: Limits) -> None:
        self._bus = bus
        self._hub = hub
        self._clock = clock
        # Called in the same turn, before anything that was published later is delivered.
        self.on_control: Callable[[Control], None] = lambda control: None
        # Legacy clients cannot be told to take a snapshot; somebody must read their rows for them.
        self.on_unhealed: Callable[[list[Subscription]], None] = lambda subscriptions: None
        kinds: dict[str, Mapping[str, Kind]] = {CONTROL_STREAM: {}, DATA_STREAM: {}}
        for model, serializer in registry.serializers().items():
            kinds[serializer.stream()] = registry.kinds(model)
        # `!control` stands first, and is caught up with first.
        self._followed = {name: Following(Stream(name, clock, limits), of) for name, of in kinds.items()}
        self._tasks: list[asyncio.Task[None]] = []
        self.linked = False

    # -- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._compare_heads())]

    async def ready(self, limit: float) -> None:
        """Return when every stream has been read up to where it is, at most so many seconds later."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                for following in self._followed.values():
                    while following.behind:
                        await following.movement()

    async def stop(self) -> None:
        tasks = [*self._tasks, *(f.task for f in self._followed.values() if f.task is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def sure(self) -> bool:
        """Whether every word about rights and identities that was published is known here."""
        return self.linked and not self._followed[CONTROL_STREAM].behind

    def health(self) -> dict[str, Any]:
        late = self._clock() - BEHIND_SECONDS
        behind = [name for name, f in self._followed.items() if f.behind and f.behind_since < late]
        return {"ok": self.linked and not behind, "linked": self.linked, "behind": behind}

    def heard(self) -> tuple[Position | None, ...]:
        """Where every stream is: another answer than before if anything came from the bus meanwhile."""
        return tuple(following.stream.position for following in self._followed.values())

    # -- for subscriptions ------------------------------------------------------------------------------------------

    def position(self, name: str) -> Position | None:
        return self._followed[name].stream.position

    def since(self, name: str, position: Position) -> list[tuple[int, Item]] | None:
        """What came after this position, None if that cannot be told any more."""
        return self._followed[name].stream.since(position)

    def yet_to_come(self, name: str, revisions: Mapping[str, Revision]) -> dict[str, Revision]:
        """`Stream.yet_to_come`."""
        return self._followed[name].stream.yet_to_come(revisions)

    async def caught_up(self, name: str) -> Position:
        """Where the stream is, once everything published before this call has been delivered here. BusUnavailable."""
        following = self._followed[name]
        stream = following.stream
        while True:
            epoch, offset = (await self._bus.heads([name]))[name]
            if stream.epoch != epoch:
                self._catch_up(following)
            while following.behind or (stream.epoch == epoch and stream.offset < offset):
                await following.movement()
            if stream.epoch == epoch and stream.position is not None:
                return stream.position

    # -- from the bus -----------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            try:
                await self._bus.follow(list(self._followed), self._receive, self._linked)
            except Exception:
                logger.exception("following the bus failed; trying again")
                self._linked(False)
            await asyncio.sleep(RETRY_SECONDS)

    def _linked(self, linked: bool) -> None:
        if self.linked != linked:
            logger.info("the link to the bus is %s", "up" if linked else "lost")
        self.linked = linked
        for following in self._followed.values():
            self._fall_behind(following)
            if linked:
                self._catch_up(following)

    def _receive(self, message: Message) -> None:
        following = self._followed.get(message.stream)
        if following is None:
            return
        if following.behind:
            following.hold(message)
        elif message.epoch != following.stream.epoch or message.offset > following.stream.offset + 1:
            following.hold(message)
            self._catch_up(following)
        elif not self._take(following, message):
            self._catch_up(following)

    def _take(self, following: Following, message: Message, *, recorded: bool = False) -> bool:
        """Deliver the next message of the stream's epoch; older ones are known already. False: it makes no sense and
        nothing was done, because only what the history has `recorded` counts: anybody may publish on a channel of
        Redis, and the offset of what never was belongs to the next change."""
        stream = following.stream
        if message.offset <= stream.offset:
            return True
        try:
            item = decode(message.body, stream.name, raw=True)
            if isinstance(item, Change):
                item = typed(item, following.kinds)
        except ValueError as error:
            if not recorded:
                return False
            # Another version of the program, or a stranger on the bus. What it said cannot be known, so all is new.
            logger.error("stream %s: message %d makes no sense: %s", stream.name, message.offset, type(error).__name__)
            self._begin_anew(following, message.epoch, message.offset)
            return True
        if stream.take(message.epoch, message.offset, item, len(message.body)) is not Taken.DELIVER:
            return True
        match item:
            case Change():
                self._hub.publish(item, message.offset)
            case Event():
                self._hub.publish_event(item, message.offset)
            case Control():
                self.on_control(item)
        following.moved()
        return True

    def _begin_anew(self, following: Following, epoch: str, offset: int) -> None:
        """What lies before this position is lost to everybody here."""
        stream = following.stream
        first = stream.epoch is None
        stream.adopt(epoch, offset)
        if stream.name == CONTROL_STREAM:
            self.on_control(Control(None, "rights"))
        elif not first:
            logger.info("stream %s begins anew at %d", stream.name, offset)
            unhealed = self._hub.resync(stream.name, (epoch, offset))
            if unhealed:
                self.on_unhealed(unhealed)
        following.moved()

    # -- catching up ------------------------------------------------------------------------------------------------

    def _fall_behind(self, following: Following) -> None:
        if not following.behind:
            following.behind = True
            following.behind_since = self._clock()

    def _catch_up(self, following: Following) -> None:
        self._fall_behind(following)
        if following.stream.name == CONTROL_STREAM and following.stream.epoch is not None:
            # What is missing may have taken somebody's rights: nobody gets anything before the database has said so.
            self.on_control(Control(None, "rights"))
        if following.task is None or following.task.done():
            following.task = asyncio.create_task(self._read_up(following))

    async def _read_up(self, following: Following) -> None:
        if following.stream.name != CONTROL_STREAM:
            await self._control_first()
        # Without a link what is read now says nothing about what comes; the next one begins this again.
        while following.behind and self.linked:
            try:
                await self._read_once(following)
            except BusUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                logger.exception("catching up with stream %s failed; trying again", following.stream.name)
                await asyncio.sleep(RETRY_SECONDS)
        following.moved()

    async def _control_first(self) -> None:
        control = self._followed[CONTROL_STREAM]
        while control.behind and control.task is not None:
            await asyncio.wait([control.task])

    async def _read_once(self, following: Following) -> None:
        stream = following.stream
        # These are part of the answer, or a stranger's: whatever came from the bus is older than what it says now.
        old = len(following.waiting)
        following.overrun = False
        epoch, offset = (await self._bus.heads([stream.name]))[stream.name]
        if epoch != stream.epoch:
            after, messages = await self._bus.history(stream.name, 0)
            if after != epoch:
                return
            self._begin_anew(following, epoch, messages[0].offset - 1 if messages else offset)
        elif offset > stream.offset:
            after, messages = await self._bus.history(stream.name, stream.offset)
            if after != epoch:
                return
            if not messages or messages[0].offset > stream.offset + 1:
                self._begin_anew(following, epoch, messages[0].offset - 1 if messages else offset)
        else:
            messages = []
        for count, message in enumerate(messages, 1):
            self._take(following, message, recorded=True)
            if count % TURN == 0:
                await asyncio.sleep(0)
        del following.waiting[:old]
        self._take_waiting(following)

    def _take_waiting(self, following: Following) -> None:
        """Go on from what arrived meanwhile; still behind if it does not follow, or if the link is lost."""
        waiting, following.waiting = following.waiting, []
        for place, message in enumerate(waiting):
            if message.epoch != following.stream.epoch or message.offset > following.stream.offset + 1:
                following.waiting = waiting[place:]
                return
            if not self._take(following, message):
                following.waiting = waiting[place + 1 :]
                return
        following.behind = following.overrun or not self.linked

    async def _compare_heads(self) -> None:
        """The last message before a silence may be the lost one."""
        while True:
            await asyncio.sleep(settings.HEADS_SECONDS)
            if not self.linked:
                continue
            try:
                heads = await self._bus.heads(list(self._followed))
            except BusUnavailable:
                continue
            except Exception:
                logger.exception("comparing heads failed")
                continue
            lagging = [name for name, head in heads.items() if self._lags(name, head)]
            if lagging:
                await asyncio.sleep(GRACE_SECONDS)
            for name in lagging:
                following = self._followed[name]
                if self._lags(name, heads[name]) and not following.behind:
                    self._catch_up(following)

    def _lags(self, name: str, head: Position) -> bool:
        stream = self._followed[name].stream
        return stream.epoch != head[0] or stream.offset < head[1]
