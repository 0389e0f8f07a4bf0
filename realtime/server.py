"""The server process: Tornado's application, the relay, the apps' background services; started and ended in order.

Routers and services are found through the apps; nothing here knows what they are about.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import fcntl
import json
import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from django.apps import apps
from django.conf import settings as django_settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import got_request_exception
from django.utils.module_loading import import_string
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.netutil import bind_sockets
from tornado.web import Application, FallbackHandler, RequestHandler

from realtime import sockjs
from realtime.bus import get_bus
from realtime.door import Door
from realtime.garbage import spare
from realtime.handler import SocketHandler
from realtime.health import Check, Health, HealthHandler
from realtime.process import Process
from realtime.relay import Relay
from realtime.settings import data_directory, public_address, settings
from realtime.threads import Threads
from realtime.transport import Plain
from realtime.writes import writes
from realtime.wsgi import Pages

logger = logging.getLogger("realtime.server")
access = logging.getLogger("tornado.access")

# For `./run` and supervisors: 75 is EX_TEMPFAIL of sysexits.h, 98 is Linux' EADDRINUSE.
EXIT_SECOND_INSTANCE = 75
EXIT_PORT_TAKEN = 98
# A request's headers: cookies are the largest part, and browsers send a few KiB of them.
HEADER_BYTES = 32 * 1024
SERVICE_SECONDS = 3.0
# Who wait in the kernel until they are let in: clients of a server that comes back. The system may allow fewer.
BACKLOG = 4096
# A server whose bus is away begins without it, but later.
LINK_SECONDS = 2.0
DESCRIPTION = "Serve pages, WebSockets and the relay."


class Service(Protocol):
    """What an app runs beside the server: named in its AppConfig as `services = ["shop.till.Till"]`, made without
    arguments. An optional `health()` is shown under /healthz."""

    def start(self) -> None:
        """Return at once; work happens in a thread of the service's own."""

    def stop(self) -> None:
        """End within three seconds."""


# -- what is served --------------------------------------------------------------------------------------------------


def make_application(process: Process, health: Health, pages: Pages) -> Application:
    return Application(
        [
            (r"/ws", SocketHandler, {"process": process, "transport": Plain()}),
            *sockjs.routes(process),
            (r"/healthz", HealthHandler, {"process": process, "health": health}),
            (r".*", FallbackHandler, {"fallback": pages}),
        ],
        log_function=log_request,
    )


def log_request(handler: RequestHandler) -> None:
    """One line, without the query: old clients carry their token there."""
    status = handler.get_status()
    level = logging.ERROR if status >= 500 and status != 503 else logging.DEBUG
    access.log(level, "%d %s %s", status, handler.request.method, handler.request.path)


class WithoutQuery(logging.Filter):
    """Cuts the query from Tornado's own lines about pages."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(re.sub(r"\?\S*", "", arg) if isinstance(arg, str) else arg for arg in record.args)
        return True


def _note_failure(**kwargs: Any) -> None:
    """A page failed; if because nothing can be written, everybody shall know."""
    writes.note(sys.exc_info()[1])


# -- beside it -------------------------------------------------------------------------------------------------------


class RelayService:
    """The relay as a service of this process."""

    def __init__(self) -> None:
        self._relay = Relay(get_bus())

    def start(self) -> None:
        self._relay.start()

    def stop(self) -> None:
        self._relay.stop(SERVICE_SECONDS)

    def health(self) -> dict[str, Any]:
        told = self._relay.health()
        return {"ok": told.ok, **asdict(told)}


def find_services(relay: bool) -> dict[str, Service]:
    """By the name that health shows."""
    found: dict[str, Service] = {"relay": RelayService()} if relay else {}
    for config in apps.get_app_configs():
        for path in getattr(config, "services", ()):
            found[path] = import_string(path)()
    return found


@contextlib.contextmanager
def running(services: dict[str, Service]) -> Iterator[None]:
    """Started in order, stopped in the reverse one, all of them even if one fails to."""
    with contextlib.ExitStack() as stack:
        for name, service in services.items():
            service.start()
            stack.callback(_stop, name, service)
        yield


def _stop(name: str, service: Service) -> None:
    try:
        service.stop()
    except Exception:
        logger.exception("%s could not be stopped", name)


@contextlib.contextmanager
def only_instance() -> Iterator[None]:
    """With the bus in memory only one process may serve a data directory: another one's clients would never hear of its
    changes. SystemExit if there is one."""
    if getattr(django_settings, "REDIS_URL", ""):
        yield
        return
    path = data_directory() / "server.lock"
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            print(
                f"Another server runs on {path.parent} already ({lock.read().strip() or 'unknown process'}). "
                "Without REDIS_URL there can be only one.",
                file=sys.stderr,
            )
            raise SystemExit(EXIT_SECOND_INSTANCE) from None
        lock.seek(0)
        lock.truncate()
        lock.write(f"process {os.getpid()}\n")
        lock.flush()
        yield
        lock.truncate(0)


# -- the loop --------------------------------------------------------------------------------------------------------


async def serve(
    port: int,
    address: str,
    parts: dict[str, Check],
    ready: Callable[[int, Process], None],
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or `stop`; then tell every client to come back, and end."""
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    sockets = bind_sockets(port, address, backlog=BACKLOG)
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread: a test
            loop.add_signal_handler(number, stop.set)
    got_request_exception.connect(_note_failure, dispatch_uid="realtime.writes")
    process = Process(get_bus())
    health = Health(process, parts)
    threads = Threads(settings.PAGE_THREADS, "realtime-page")
    server = HTTPServer(
        make_application(process, health, Pages(WSGIHandler(), threads.executor)),
        xheaders=_behind_proxy(),
        idle_connection_timeout=settings.HANDSHAKE_SECONDS,
        body_timeout=3 * settings.HANDSHAKE_SECONDS,
        max_header_size=HEADER_BYTES,
        max_body_size=settings.BODY_BYTES,
        max_buffer_size=2 * settings.BODY_BYTES,
    )
    await process.start()
    # Who comes back before the streams are here would get snapshots, all of them at once.
    await process.node.ready(LINK_SECONDS)

    def welcome(connection: socket.socket, address: tuple[str, int]) -> None:
        server.handle_stream(IOStream(connection, max_buffer_size=2 * settings.BODY_BYTES), address)

    door = Door(welcome, lambda: process.calls.waiting)
    door.open(sockets)
    try:
        ready(sockets[0].getsockname()[1], process)
        await stop.wait()
    finally:
        door.close()
        await process.stop()
        await asyncio.to_thread(health.stop)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.close_all_connections(), settings.STOP_SECONDS)
        await asyncio.to_thread(threads.stop)
        await process.bus.unlink()


def _behind_proxy() -> bool:
    chosen = settings.BEHIND_PROXY
    return public_address().startswith("https:") if chosen is None else chosen


# -- the command -----------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8000, help="0: a free one")
    parser.add_argument("--address", "--host", default="127.0.0.1")
    parser.add_argument("--ready-file", type=Path, help="gets {port, pid} as JSON once connections are accepted")
    parser.add_argument("--no-relay", action="store_true", help="`manage.py relay` runs elsewhere")
    parser.add_argument("--no-services", action="store_true", help="the apps' background services run elsewhere")


def main(words: Sequence[str]) -> None:
    """What `server.py` does; Django is set up already."""
    parser = argparse.ArgumentParser(prog="server.py", description=DESCRIPTION)
    add_arguments(parser)
    run(parser.parse_args(words))


def run(chosen: argparse.Namespace) -> None:
    """Serve as these arguments say, until a signal ends it. SystemExit if that cannot begin."""
    access.addFilter(WithoutQuery())

    def ready(port: int, process: Process) -> None:
        logger.info("serving on %s port %d", chosen.address, port)
        if chosen.ready_file:
            # Renamed into place: whoever waits for the file never reads half of it.
            part = chosen.ready_file.with_suffix(".part")
            part.write_text(json.dumps({"port": port, "pid": os.getpid()}))
            part.rename(chosen.ready_file)

    with only_instance():
        services = find_services(relay=not chosen.no_relay)
        if chosen.no_services:
            services = {name: service for name, service in services.items() if name == "relay"}
        parts: dict[str, Check] = {
            name: service.health for name, service in services.items() if hasattr(service, "health")
        }
        try:
            spare()
            with running(services):
                asyncio.run(serve(chosen.port, chosen.address, parts, ready))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            print(f"Port {chosen.port} of {chosen.address} is taken.", file=sys.stderr)
            raise SystemExit(EXIT_PORT_TAKEN) from None
        finally:
            get_bus().close()
        logger.info("ended")
    _end_hard_if_stuck()


def _end_hard_if_stuck() -> None:
    """Python waits for worker threads for ever; one that hangs in a verb must not keep the process."""
    stuck = [t.name for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(settings.STOP_SECONDS / max(1, len(stuck)))
    left = [t.name for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    if left:
        logger.warning("not waiting for %s", ", ".join(left))
        logging.shutdown()
        os._exit(0)
