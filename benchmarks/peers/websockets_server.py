"""The peer: `websockets`, its own `broadcast`, fed by Redis pub/sub.

Tuned by: uvloop, compression off, no origin checks, one message made once for all, hiredis.
"""

import json
import sys

import redis.asyncio
import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

rooms: dict[str, set[ServerConnection]] = {}
bus = redis.asyncio.Redis.from_url(sys.argv[2])


async def subscriber(connection: ServerConnection) -> None:
    room: set[ServerConnection] = set()
    try:
        async for text in connection:
            words = json.loads(text)
            if "say" in words:
                await bus.publish("room:all", words["say"])
            else:
                room = rooms.setdefault(words["join"], set())
                room.add(connection)
                await connection.send("joined")
    finally:
        room.discard(connection)


async def main() -> None:
    reader = bus.pubsub()
    await reader.psubscribe("room:*")
    async with serve(subscriber, "127.0.0.1", int(sys.argv[1]), compression=None, backlog=1024):
        print("ready", flush=True)
        async for message in reader.listen():
            if message["type"] == "pmessage":
                broadcast(rooms.get(message["channel"].decode()[5:], ()), message["data"].decode())


if __name__ == "__main__":
    uvloop.run(main())
