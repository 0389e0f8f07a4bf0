"""The peer: python-socketio with its Redis manager, under uvicorn, as its manual writes it.

Tuned by: the WebSocket transport only, no compression, uvloop and httptools, no logging, no monitoring tasks.
"""

import sys

import socketio
import uvicorn

manager = socketio.AsyncRedisManager(sys.argv[2])
server = socketio.AsyncServer(
    async_mode="asgi",
    client_manager=manager,
    transports=["websocket"],
    http_compression=False,
    cors_allowed_origins="*",
    logger=False,
    engineio_logger=False,
)


@server.on("join")
async def join(sid: str, room: str) -> None:
    await server.enter_room(sid, room)
    await server.emit("joined", to=sid)


@server.on("say")
async def say(sid: str, data: dict[str, object]) -> None:
    await server.emit("change", data, room="all")


if __name__ == "__main__":
    print("ready", flush=True)
    uvicorn.run(
        socketio.ASGIApp(server), port=int(sys.argv[1]), loop="uvloop", http="httptools", ws="websockets",
        ws_per_message_deflate=False, log_level="warning", backlog=1024,
    )  # fmt: skip
