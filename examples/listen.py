"""Prints every device, then each change of one, for as long as it runs: see README.md."""

import asyncio
import contextlib
import json
import os
import random
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

SUBSCRIBE = json.dumps({"verb": "subscribe", "route": "device", "args": {"channel": "all", "_snapshot": True}})


async def listen(url: str, token: str) -> str | None:
    async for socket in connect(url, additional_headers={"Authorization": f"Bearer {token}"}):
        with contextlib.suppress(ConnectionClosed):  # who is closed may still read why
            await socket.send(SUBSCRIBE)
        with contextlib.suppress(ConnectionClosed):
            async for text in socket:
                match json.loads(text):
                    case {"context": {"error": {"temporary": False, "message": why}}}:
                        return why
                    case {"type": "resync"} | {"context": {"error": _}}:  # what was missed is lost: begin anew
                        break
                    case {"type": "reply", "data": devices}:  # a part of what there is
                        for device in devices:
                            print("is", json.dumps(device), flush=True)
                    case {"type": "change", "action": action, "data": device}:
                        print(action, json.dumps(device), flush=True)
        await asyncio.sleep(5 * random.random())  # not all at once when a server comes back


sys.exit(asyncio.run(listen(sys.argv[1], os.environ["MARSHLIGHT_TOKEN"])))
