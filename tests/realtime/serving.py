"""A real server for tests: on a loop of its own thread, or as processes; and a client that speaks the wire."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, connections
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_socket

from realtime import server, tokens
from realtime.bus import forget_bus
from realtime.health import Check
from realtime.process import Process

ROOT = Path(__file__).resolve().parent.parent.parent
# No answer on a busy two-core machine takes longer; only a failing test waits for it.
LIMIT = 15.0


def until(condition: Callable[[], Any], what: str = "it") -> Any:
    """What the condition answers once it is true; fails after the limit."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError(f"{what} did not happen")


class Served:
    """One server, in this process. `on_loop` runs something where the server lives."""

    port: int
    process: Process
    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def on_loop(self, function: Callable[[], Any]) -> Any:
        async def run() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(LIMIT)

    def only(self) -> Any:
        """The one client's connection. The client is told of its handshake a moment before the server counts it in."""
        until(lambda: len(self.process.clients) == 1, "the only connection")
        (connection,) = self.process.clients
        return connection

    def end(self) -> None:
        with contextlib.suppress(RuntimeError):  # it has ended
            self.loop.call_soon_threadsafe(self.stop.set)


@contextlib.contextmanager
def served(*, relay: bool = True, parts: dict[str, Check] | None = None) -> Iterator[Served]:
    """A server on a free port, with the relay, and the bus that the settings choose; `parts` tell their health."""
    found = Served()
    ready = threading.Event()
    failure: list[BaseException] = []

    async def main() -> None:
        found.loop = asyncio.get_running_loop()
        stop = found.stop = asyncio.Event()

        def started(port: int, process: Process) -> None:
            found.port, found.process = port, process
            ready.set()

        await server.serve(0, "127.0.0.1", parts or {}, started, stop)

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            failure.append(error)
        finally:
            ready.set()

    forget_bus()
    services = {name: service for name, service in server.find_services(relay).items() if name == "relay"}
    thread = threading.Thread(target=run, name="served")
    try:
        with server.running(services):
            thread.start()
            assert ready.wait(LIMIT)
            if failure:
                raise failure[0]
            # Until the first heads are known, whatever is published is nobody's to miss.
            until(lambda: found.process.node.health()["ok"], "following the bus")
            yield found
            found.end()
            thread.join(LIMIT)
            assert not thread.is_alive()
    finally:
        if thread.is_alive():
            found.end()
            thread.join(LIMIT)
        forget_bus()
        connections.close_all()
    if failure:
        raise failure[0]


class Program:
    """`server.py` as a process of its own, on this process' test database. Use it as a context."""

    def __init__(self, *words: str, **environment: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="marshlight-served-"))
        self.words = words
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.realtime.settings_served",
            "DATABASE_URL": database_url(),
            **environment,
        }
        self.port = 0

    @property
    def ready(self) -> Path:
        return self.directory / "ready"

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    def start(self) -> None:
        self.ready.unlink(missing_ok=True)
        command = [sys.executable, "server.py", "--port", str(self.port), "--ready-file", str(self.ready)]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--no-services", *self.words], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )

    def wait(self) -> None:
        """Until it serves."""

        def written() -> bool:
            assert self.process.poll() is None, self.log
            return self.ready.exists()

        until(written, "a server's start")
        self.port = json.loads(self.ready.read_text())["port"]

    def signal(self, number: signal.Signals) -> int:
        """Its exit code."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT)

    def __enter__(self) -> Program:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(LIMIT)
        shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def processes(count: int, **environment: str) -> Iterator[list[Program]]:
    """So many servers beside each other, all of them serving."""
    with contextlib.ExitStack() as stack:
        programs = [stack.enter_context(Program(**environment)) for _ in range(count)]
        for program in programs:
            program.wait()
        yield programs


def database_url() -> str:
    """The test database, as another process finds it."""
    chosen = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{chosen['NAME']}"
    return f"postgresql://{chosen['USER']}@{chosen['HOST']}:{chosen['PORT']}/{chosen['NAME']}"


# -- people ----------------------------------------------------------------------------------------------------------


def person(name: str = "operator", **more: Any) -> Any:
    return get_user_model()._default_manager.create_user(username=name, **more)


def token_of(user: Any) -> str:
    return tokens.create(user, "test")[1]


def session_of(user: Any) -> str:
    """A session as signing in makes it; its key."""
    from django.test import Client

    client = Client()
    client.force_login(user)
    key: str = client.cookies["sessionid"].value
    return key


# -- clients ---------------------------------------------------------------------------------------------------------


class Peer:
    """A client: `call` and get the reply, `change` for the next message that is none. Everything has a limit."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.waiting: list[dict[str, Any]] = []
        self._number = 0

    def send(self, verb: str, route: str, **args: Any) -> str:
        self._number += 1
        name = f"c{self._number}"
        self.socket.send(json.dumps({"verb": verb, "route": route, "args": args, "callbackname": name}))
        return name

    def call(self, verb: str, route: str, **args: Any) -> dict[str, Any]:
        """The reply; what comes before it is kept for `change`."""
        return self.reply(self.send(verb, route, **args))

    def reply(self, name: str) -> dict[str, Any]:
        while True:
            message = self.receive()
            if message.get("context", {}).get("client_callback_name") == name:
                return message
            self.waiting.append(message)

    def change(self, limit: float = LIMIT) -> dict[str, Any]:
        """The next message that is neither reply nor heartbeat."""
        while True:
            message = self.waiting.pop(0) if self.waiting else self.receive(limit)
            if message.get("type") not in ("reply", "heartbeat"):
                return message

    @property
    def shown(self) -> list[dict[str, Any]]:
        """What came beside replies and heartbeats and was not asked for yet: a heartbeat may come at any time."""
        return [message for message in self.waiting if message.get("type") not in ("reply", "heartbeat")]

    def receive(self, limit: float = LIMIT) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.socket.recv(timeout=limit))
        return found

    def closed(self) -> int:
        """The code it is closed with; whatever else comes is kept in `waiting`."""
        try:
            while True:
                self.waiting.append(self.receive())
        except ConnectionClosed as error:
            return error.rcvd.code if error.rcvd else 1006

    def subscribe(self, route: str, channel: str = "mine", **args: Any) -> dict[str, Any]:
        return self.call("subscribe", route, channel=channel, _snapshot=True, **args)


@contextlib.contextmanager
def peer(port: int, path: str = "/ws", *, token: str = "", session: str = "", **headers: str) -> Iterator[Peer]:
    """A connected client: with a token as programs have it, or a session as browsers have it, or neither."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        sent["Authorization"] = f"Bearer {token}"
    if session:
        sent.setdefault("Origin", "http://127.0.0.1:8000")
        sent["Cookie"] = f"sessionid={session}"
    origin = sent.pop("Origin", None)
    with open_socket(
        f"ws://127.0.0.1:{port}{path}",
        additional_headers=sent,
        origin=origin,  # type: ignore[arg-type]  a plain text is one
        open_timeout=LIMIT,
        close_timeout=2,
        compression=None,
    ) as socket:
        yield Peer(socket)
