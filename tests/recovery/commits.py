"""A line to PostgreSQL that can break in the one moment that leaves a writer in doubt: around COMMIT."""

from __future__ import annotations

import contextlib
import socket
import threading

# The whole message of the simple protocol, and what PostgreSQL answers to it.
COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
DONE = b"C\x00\x00\x00\x0bCOMMIT\x00"


class CommitProxy:
    """Armed with "before", the next COMMIT never arrives; with "after", it is obeyed and its answer never arrives."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.armed: str | None = None
        self.cuts = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True, name="commit proxy").start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                doubt = threading.Event()
                for source, sink, towards in ((client, server, True), (server, client, False)):
                    line = threading.Thread(target=self._pass, args=(source, sink, towards, doubt), daemon=True)
                    line.start()

    def _pass(self, source: socket.socket, sink: socket.socket, towards: bool, doubt: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if towards and COMMIT in data and (how := self._disarm()):
                    if how == "before":
                        break
                    doubt.set()
                if not towards and doubt.is_set() and DONE in data:
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _disarm(self) -> str | None:
        with self._lock:
            armed, self.armed = self.armed, None
            self.cuts += armed is not None
            return armed
