"""A line between clients and a server that can be bad in every way a line can be."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable


class Proxy:
    """Listens on `port` and passes bytes to `target`. Connections that vanished are lost for ever; new ones work."""

    def __init__(self, target: int) -> None:
        self.target = target
        #: Seconds that every piece of data is late.
        self.delay = 0.0
        #: Bytes a second to clients; 0: as fast as it goes.
        self.rate = 0
        self.ended = threading.Event()
        self._open = threading.Event()
        self._open.set()
        self.flowing = threading.Event()
        self.flowing.set()
        self._threads: list[threading.Thread] = []
        self._pairs: list[Pair] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True, name="proxy").start()

    def cut(self) -> None:
        """Both sides are told: FIN."""
        self._each(Pair.finish)

    def reset(self) -> None:
        """Both sides are told: RST."""
        self._each(Pair.reset)

    def vanish(self) -> None:
        """Nobody is told and no byte passes: a cable is pulled, a phone leaves the network."""
        self._each(Pair.vanish)

    def give_up(self) -> None:
        """What vanished is given up by the systems at both ends, as after TCP's own time-outs: an error for both."""
        self._each(Pair.give_up)

    def leave(self) -> None:
        """The client is told, the server is not: it keeps a half-open connection."""
        self._each(Pair.leave)

    def hold(self) -> None:
        """No byte passes until `release`; what is sent meanwhile comes then: a network that stands still."""
        self.flowing.clear()

    def release(self) -> None:
        self.flowing.set()

    def close(self) -> None:
        """New connections are not answered until `reopen`; they wait in the queue."""
        self._open.clear()

    def reopen(self) -> None:
        self._open.set()

    def end(self) -> None:
        self.ended.set()
        self._open.set()
        self.flowing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._each(Pair.finish)
        for thread in self._threads:
            thread.join(5)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    @property
    def pairs(self) -> int:
        """How many connections go through it now."""
        return sum(bool(pair.running) for pair in self._pairs)

    def _each(self, act: Callable[[Pair], None]) -> None:
        for pair in list(self._pairs):
            act(pair)

    def _accept(self) -> None:
        with self._listener:
            while not self.ended.is_set():
                try:
                    client, _ = self._listener.accept()
                except OSError:
                    return
                self._open.wait()
                try:
                    server = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    client.close()
                    continue
                pair = Pair(self, client, server)
                self._pairs = [*(one for one in self._pairs if one.running), pair]
                self._threads = [*(one for one in self._threads if one.is_alive()), *pair.threads]


class Pair:
    """A client's connection and the server's, a thread for each direction; closed when both have ended."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self._gone = self._reset = False
        self._given_up = threading.Event()
        self.running = 2
        self._guard = threading.Lock()
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # What is on its way to a slow client waits at the server, not here.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        self.threads = [
            threading.Thread(target=self._run, args=ends, daemon=True, name="proxied")
            for ends in ((client, server), (server, client))
        ]
        for thread in self.threads:
            thread.start()

    def finish(self) -> None:
        if not self._gone or self._proxy.ended.is_set():
            self._given_up.set()
            self._shut(self._client, self._server)

    def give_up(self) -> None:
        if self._gone:
            self._gone = False
            self.reset()
            self._given_up.set()

    def reset(self) -> None:
        if self._gone:
            return
        self._reset = True
        for one in (self._client, self._server):
            with contextlib.suppress(OSError):
                # Closed with this, a connection is reset; reading ends without a word to the peer.
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RD)

    def vanish(self) -> None:
        self._gone = True

    def leave(self) -> None:
        self._gone = True
        self._shut(self._client)

    def _run(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._pass(source, sink)
        if self._gone:
            self._given_up.wait()
        self._shut(*((self._client, self._server) if not self._reset else ()))
        with self._guard:
            self.running -= 1
            if not self.running:
                self._client.close()
                self._server.close()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(16 * 1024):
            if self._proxy.delay:
                time.sleep(self._proxy.delay)
            self._proxy.flowing.wait()
            if sink is self._client and self._proxy.rate:
                time.sleep(len(data) / self._proxy.rate)
            if self._gone:
                return
            sink.sendall(data)

    def _shut(self, *sockets: socket.socket) -> None:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
