"""The servers that are measured: how each is started, spoken to and fed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import environment, place
from benchmarks.machine import SERVER_CORES
from benchmarks.publishers import Channel, Publisher, Through
from tests.services import free_port

HERE = Path(__file__).resolve().parent
OURS = "marshlight"


@dataclass(frozen=True)
class Peer:
    """`pace`: changes to 1,000 receivers that it delivers in a second, roughly; slow ones are asked for less."""

    name: str
    dialect: str
    pace: int
    command: Callable[[int, str], list[str]]
    through: str | None = None
    python: bool = True


@dataclass(frozen=True)
class Running:
    """A server that accepts."""

    pid: int
    port: int
    dialect: str
    header: str
    publisher: Publisher


def _program(file: str, *words: str) -> Callable[[int, str], list[str]]:
    return lambda port, url: [str(environment.PYTHON), str(HERE / "peers" / file), str(port), url, *words]


def _node(file: str) -> Callable[[int, str], list[str]]:
    return lambda port, url: ["node", str(HERE / "peers" / file), str(port), url]


PEERS: dict[str, Peer] = {
    "limit": Peer(
        "bare send()", "plain", 150,
        lambda port, url: [sys.executable, str(HERE / "peers" / "bare_send.py"), str(port), url],
    ),
    # In our own environment: the very Tornado that Marshlight runs on.
    "tornado": Peer(
        "plain Tornado", "plain", 40,
        lambda port, url: [sys.executable, str(HERE / "peers" / "plain_tornado.py"), str(port), url],
    ),
    "daphne": Peer("Channels, daphne", "plain", 4, _program("channels_server.py", "daphne"), "channels_publish.py"),
    "uvicorn": Peer("Channels, uvicorn", "plain", 4, _program("channels_server.py", "uvicorn"), "channels_publish.py"),
    "python-socketio": Peer("python-socketio", "socketio", 12, _program("socketio_server.py"), "socketio_publish.py"),
    "websockets": Peer("websockets", "plain", 100, _program("websockets_server.py")),
    "socketio": Peer("Socket.IO", "socketio", 120, _node("socketio.mjs"), python=False),
    "ws": Peer("ws", "plain", 150, _node("ws.mjs"), python=False),
}  # fmt: skip
NAMES = {OURS: "Marshlight"} | {key: peer.name for key, peer in PEERS.items()}
PACE = {OURS: 500} | {key: peer.pace for key, peer in PEERS.items()}


@contextlib.contextmanager
def started(server: str, redis_url: str, env: dict[str, str], token: str, *options: str) -> Iterator[Running]:
    """This server on its core, with whoever publishes to it. `env` and `token` are our own place's; `options` are words
    for our own server."""
    with contextlib.ExitStack() as stack:
        if server == OURS:
            process, port = stack.enter_context(place.marshlight(env, *options, cores=SERVER_CORES))
            publisher: Publisher = Through([sys.executable, "-m", "benchmarks.own_bus"], env)
            dialect, header = "native", f"Authorization: Bearer {token}"
        else:
            peer, port = PEERS[server], free_port()
            command = peer.command(port, redis_url)
            process = stack.enter_context(
                place.process(command, environment.peers(), ready="ready", cores=SERVER_CORES)
            )
            if peer.through:
                publisher = Through(
                    [str(environment.PYTHON), str(HERE / "peers" / peer.through), redis_url], environment.peers()
                )
            else:
                publisher = Channel(redis_url)
            dialect, header = peer.dialect, ""
        stack.callback(publisher.end)
        yield Running(process.pid, port, dialect, header, publisher)
