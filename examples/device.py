"""A lamp of your own: it does what is wanted of it and reports what it did. See README.md."""

import asyncio
import contextlib
import json
import os
import random
import sys

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed


def call(verb: str, route: str = "device", **args: object) -> str:
    return json.dumps({"verb": verb, "route": route, "args": args})


async def say(socket: ClientConnection, *texts: str) -> None:
    with contextlib.suppress(ConnectionClosed):  # who was closed at once may still read why
        for text in texts:
            await socket.send(text)


async def lamp(url: str, token: str, uid: str) -> str | None:
    state, subscribe = {"on": False}, call("subscribe", channel="me", uid=uid, _snapshot=True)
    async for socket in connect(url, additional_headers={"Authorization": f"Bearer {token}"}):
        await say(socket, call("visible", "session", visible=False), subscribe)  # a heartbeat every 25 s is enough
        said = ""
        with contextlib.suppress(ConnectionClosed):
            async for text in socket:
                match json.loads(text):
                    case {"context": {"error": {"temporary": False, "message": why}}}:
                        return why
                    case {"type": "heartbeat" | "resync"}:
                        said = ""  # the answer is reported on as a sign of life
                        await socket.send(subscribe)
                    case {"data": [device]} | {"type": "change", "data": {"desired": _} as device}:
                        state |= device["desired"]  # a real lamp would switch its relay here
                        report = call("report", id=device["id"], values=state, version=device["desired_version"])
                        if report != said:
                            await socket.send(said := report)
        await asyncio.sleep(5 * random.random())  # not all at once when a server comes back


sys.exit(asyncio.run(lamp(sys.argv[1], os.environ["MARSHLIGHT_TOKEN"], sys.argv[2])))
