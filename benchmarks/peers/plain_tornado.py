"""The peer: a fan-out as Tornado's own manual writes it, `write_message` for each connection, fed by Redis pub/sub.

Tuned by: no compression (Tornado's default), `set_nodelay`, `hiredis` installed, the message encoded once and sent as
text.
"""

import asyncio
import json
import sys

import redis.asyncio
import tornado.web
import tornado.websocket

rooms: dict[str, set["Subscriber"]] = {}
bus = redis.asyncio.Redis.from_url(sys.argv[2])


class Subscriber(tornado.websocket.WebSocketHandler):
    room = ""

    def check_origin(self, origin: str) -> bool:
        return True

    def open(self) -> None:
        self.set_nodelay(True)

    async def on_message(self, message: str | bytes) -> None:
        words = json.loads(message)
        if "say" in words:
            await bus.publish("room:all", words["say"])
        else:
            self.room = words["join"]
            rooms.setdefault(self.room, set()).add(self)
            self.write_message("joined")

    def on_close(self) -> None:
        rooms.get(self.room, set()).discard(self)


async def main() -> None:
    tornado.web.Application([("/ws", Subscriber)]).listen(int(sys.argv[1]), "127.0.0.1", backlog=1024)
    reader = bus.pubsub()
    await reader.psubscribe("room:*")
    print("ready", flush=True)
    async for message in reader.listen():
        if message["type"] == "pmessage":
            text = message["data"].decode()
            for connection in rooms.get(message["channel"].decode()[5:], ()):
                connection.write_message(text)


if __name__ == "__main__":
    asyncio.run(main())
