"""For an app's own tests: `TestConnection` calls routers as a client would, `capture_changes` sees what would be sent.

Neither needs a server, a bus or a commit: routers run at once, and the journal is read inside the test's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser

from realtime import filters, protocol, registry, routers
from realtime.answers import Answer, Plan
from realtime.capture import Captured, Changes, Reader, Resync, capture_changes
from realtime.change import DATA_STREAM, Change, Control, Event
from realtime.connection import Connection
from realtime.errors import CloseCode, RealtimeError
from realtime.hub import Hub, Subscription
from realtime.limits import Limits
from realtime.protocol import Call

__all__ = ["Changes", "TestConnection", "capture_changes"]

# A test may call as fast as it likes.
LIMITS = Limits(calls_per_second=1e9, calls_burst=1e9)
EPOCH = "test"


@dataclass(frozen=True, slots=True)
class TestCaller:
    __test__ = False

    user: Any
    identity: Any
    connection_id: str


class Plain:
    """One frame a line."""

    name = "test"
    legacy = False

    def encode(self, text: str) -> bytes:
        return text.encode() + b"\n"


class TestConnection:
    """One client. Frames it was sent, replies among them, stand in `sent_data`; whatever was written to the database
    meanwhile, by whomever, has been published when one looks.

    An error that is no refusal propagates, so that a test fails where the app does.
    """

    __test__ = False

    def __init__(self, user: Any = None, identity: Any = None) -> None:
        self._user = user
        self._identity = identity
        self._frames: list[dict[str, Any]] = []
        self.closed: CloseCode | None = None
        self._connection = Connection("test", Plain(), self._receive, self._close, lambda: 0.0, LIMITS)
        self._connection.identity = self
        self._hub = Hub(lambda: None, LIMITS)
        self._offsets: dict[str, int] = {}
        self._kinds = {s.stream(): registry.kinds(model) for model, s in registry.serializers().items()}
        self._reader = Reader()
        self._calls = 0

    # Asking

    def call_verb(self, route: str, verb: str, /, **args: Any) -> dict[str, Any]:
        """Call it, as JSON would carry it, and return the reply."""
        self._calls += 1
        name = f"cb_{self._calls}"
        call = {"route": route, "verb": verb, "args": args, "callbackname": name}
        self._connection.receive(json.dumps(call))
        while (decoded := self._connection.next_call()) is not None:
            self._answer(decoded)
            self._connection.done()
        self.deliver()
        replies = [frame for frame in self._frames if _callback(frame) in (name, None) and frame["type"] == "reply"]
        return replies[-1]

    def subscribe(
        self, route: str, channel: str, subscription_data: dict[str, Any] | None = None, *, snapshot: bool = False
    ) -> dict[str, Any]:
        """Subscribe under the client's own name `channel`; with `snapshot` the reply holds the objects."""
        args = {**(subscription_data or {}), "channel": channel}
        return self.call_verb(route, "subscribe", **args, **({"_snapshot": True} if snapshot else {}))

    def unsubscribe(self, route: str, channel: str) -> dict[str, Any]:
        return self.call_verb(route, "unsubscribe", channel=channel)

    def create(self, route: str, data: dict[str, Any]) -> dict[str, Any]:
        return self.call_verb(route, "create", **data)

    def update(self, route: str, data: dict[str, Any]) -> dict[str, Any]:
        return self.call_verb(route, "update", **data)

    def remove(self, route: str, data: dict[str, Any]) -> dict[str, Any]:
        return self.call_verb(route, "delete", **data)

    # Looking

    @property
    def sent_data(self) -> list[dict[str, Any]]:
        """Every frame sent to this client, oldest first."""
        self.deliver()
        return self._frames

    @property
    def last_message(self) -> dict[str, Any] | None:
        return next(reversed(self.sent_data), None)

    @property
    def published_data(self) -> list[dict[str, Any]]:
        """What was published to this client: every frame that is no reply."""
        return [frame for frame in self.sent_data if frame["type"] != "reply"]

    @property
    def last_pub(self) -> dict[str, Any] | None:
        return next(reversed(self.published_data), None)

    def get_last_message(self) -> dict[str, Any] | None:
        return self.last_message

    def get_last_published(self) -> dict[str, Any] | None:
        return self.last_pub

    def get_last_published_data(self) -> Any:
        last = self.last_pub
        return None if last is None else last["data"]

    def collection(self, channel: str) -> dict[Any, dict[str, Any]]:
        """What a client that follows the protocol now shows of the subscription `channel`, by id."""
        shown: dict[Any, dict[str, Any]] = {}
        remote: set[str] = set()
        for frame in self.sent_data:
            told = frame.get("channel_data")
            if told is not None and told["local_channel"] == channel and frame["context"]["state"] == "success":
                if frame["context"].get("part") in (1, None):
                    shown, remote = {}, set(told["remote_channels"])
                if "part" in frame["context"]:
                    shown.update({each["id"]: each for each in frame["data"]})
            elif frame["type"] == "change" and frame["channel"] in remote:
                if frame["action"] == "deleted":
                    shown.pop(frame["data"]["id"], None)
                else:
                    shown[frame["data"]["id"]] = frame["data"]
        return shown

    def deliver(self) -> None:
        """Publish what was written since the last time."""
        for captured in self._reader.take():
            self._publish(captured)
        self._hub.flush()

    # Private

    def _answer(self, call: Call) -> None:
        caller = self._caller()
        try:
            calls = routers.entries(call) if "subscriptions" in call.args else [call]
        except RealtimeError as error:
            self._hub.write(self._connection, protocol.reply(call, None, error=error))
            return
        for single in calls:
            try:
                self._carry_out(single, routers.run(caller, single))
            except RealtimeError as error:
                self._hub.write(self._connection, protocol.reply(single, None, error=error))

    def _caller(self) -> TestCaller:
        # Rights are judged by the user as stored, as a server does, not as the test once loaded it.
        user = self._user
        if user is not None and getattr(user, "pk", None) is not None:
            user = type(user)._base_manager.filter(pk=user.pk).first()
        return TestCaller(AnonymousUser() if user is None else user, self._identity, "test")

    def _carry_out(self, call: Call, answer: Answer) -> None:
        if answer.plan is not None:
            self._join(call, answer, answer.plan)
            return
        if answer.drop is not None and answer.channel_data is not None:
            left = self._connection.unsubscribe(answer.drop)
            answer.channel_data["remote_channels"] = list(left.channels) if left is not None else []
        text = protocol.reply(
            call,
            answer.data,
            state=answer.state,
            page=answer.page,
            client_context=answer.client_context,
            channel_data=answer.channel_data,
        )
        self._hub.write(self._connection, text)

    def _join(self, call: Call, answer: Answer, plan: Plan) -> None:
        self.deliver()
        subscription = Subscription(
            self._connection,
            plan.stream,
            plan.channels,
            plan.local,
            call,
            filter=plan.filter,
            object_map=plan.object_map,
            client_context=answer.client_context,
        )
        leave: Callable[[], None] = lambda: self._hub.leave(subscription)  # noqa: E731  typed
        self._connection.subscribe(plan.local, subscription, leave)
        self._hub.join(subscription)
        position = (EPOCH, self._offsets.get(plan.stream, 0))
        if plan.snapshot is not None and call.args.get("_snapshot"):
            read = plan.snapshot()
            # Everything in the journal has been published here, whether or not a relay has been at it.
            revisions = {key: (revision, False) for key, (revision, _) in read.revisions.items()}
            self._hub.snapshot(subscription, read.objects, revisions, position)
        else:
            self._hub.live(subscription, answer.data, position)

    def _publish(self, captured: Captured) -> None:
        match captured:
            case Change():
                typed = filters.typed(captured, self._kinds[captured.stream])
                self._hub.publish(typed, self._next(captured.stream))
            case Event():
                self._hub.publish_event(captured, self._next(DATA_STREAM))
            case Resync(stream):
                self._hub.resync(stream, (EPOCH, self._next(stream)))
            case Control():
                self._judge()

    def _next(self, stream: str) -> int:
        self._offsets[stream] = self._offsets.get(stream, 0) + 1
        return self._offsets[stream]

    def _judge(self) -> None:
        """Rights may have changed: subscriptions that are no longer the same end in a resync."""
        caller = self._caller()
        for local, subscription in list(self._connection.subscriptions.items()):
            try:
                same = routers.plan(caller, subscription.call).channels == subscription.channels
            except RealtimeError:
                same = False
            if not same:
                self._hub.expel(subscription)
                self._connection.unsubscribe(local)

    def _receive(self, data: bytes) -> None:
        self._frames += [json.loads(line) for line in data.splitlines()]

    def _close(self, code: CloseCode) -> None:
        self.closed = code


def _callback(frame: dict[str, Any]) -> Any:
    return frame.get("context", {}).get("client_callback_name")
