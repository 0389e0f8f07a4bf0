"""The peer: Django Channels with channels_redis, a consumer as its tutorial writes it, under daphne or uvicorn.

Tuned by: `RedisPubSubChannelLayer`, the faster of its two layers; a capacity that loses nothing in a flood; the text
made once by the publisher and only passed on; no sessions, no middleware. daphne: no access log; uvicorn: uvloop,
httptools, `websockets`, no compression.
"""

import json
import sys

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import path

PORT, URL, SERVER = sys.argv[1:]
LAYER = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [URL], "capacity": 1_000_000}}
settings.configure(CHANNEL_LAYERS={"default": LAYER}, ALLOWED_HOSTS=["*"], INSTALLED_APPS=["channels"])
django.setup()


class Subscriber(AsyncWebsocketConsumer):
    room = ""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        words = json.loads(text_data or "")
        if "say" in words:
            await self.channel_layer.group_send("all", {"type": "pass.on", "text": words["say"]})
        else:
            self.room = words["join"]
            await self.channel_layer.group_add(self.room, self.channel_name)
            await self.send("joined")

    async def pass_on(self, event: dict[str, str]) -> None:
        await self.send(event["text"])

    async def disconnect(self, code: int) -> None:
        if self.room:
            await self.channel_layer.group_discard(self.room, self.channel_name)


application = ProtocolTypeRouter({"websocket": URLRouter([path("ws", Subscriber.as_asgi())])})

if __name__ == "__main__":
    if SERVER == "uvicorn":
        import uvicorn

        print("ready", flush=True)
        uvicorn.run(
            application, port=int(PORT), loop="uvloop", http="httptools", ws="websockets", ws_per_message_deflate=False,
            log_level="warning", backlog=1024,
        )  # fmt: skip
    else:
        from daphne.server import Server

        listen = [f"tcp:{PORT}:backlog=1024:interface=127.0.0.1"]
        Server(application, endpoints=listen, ready_callable=lambda: print("ready", flush=True), verbosity=0).run()
