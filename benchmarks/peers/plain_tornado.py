"""The peer: a fan-out as Tornado's own manual writes it, `write_message` for each connection, fed by Redis pub/sub.

Tuned by: no compression (Tornado's default), `hiredis` installed, the message encoded once and sent as text.
"""

import asyncio
import sys

import redis.asyncio
import tornado.web
import tornado.websocket

connections: set["Subscriber"] = set()


class Subscriber(tornado.websocket.WebSocketHandler):
    def check_origin(self, origin: str) -> bool:
        return True

    def open(self) -> None:
        connections.add(self)

    def on_message(self, message: str | bytes) -> None:
        self.write_message('{"context": {"state": "success"}}')

    def on_close(self) -> None:
        connections.discard(self)


async def main(port: int, redis_url: str) -> None:
    tornado.web.Application([("/ws", Subscriber)]).listen(port, "127.0.0.1")
    reader = redis.asyncio.Redis.from_url(redis_url).pubsub()
    await reader.subscribe("peer")
    print("ready", flush=True)
    async for message in reader.listen():
        if message["type"] == "message":
            text = message["data"].decode()
            for connection in connections:
                connection.write_message(text)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
