"""Servers and relays that are killed, stopped, told to end, or are too many."""

from __future__ import annotations

import os
import signal

from tests.promise.faults import WITH_REDIS, Fault, fault
from tests.realtime.serving import Program


class OfAServer(Fault):
    @property
    def server(self) -> Program:
        self.detail = f"server {self.number % len(self.site.servers)}"
        return self.site.servers[self.number % len(self.site.servers)]


@fault("server killed")
class ServerKilled(OfAServer):
    def begin(self) -> None:
        self.server.signal(signal.SIGKILL)

    def end(self) -> None:
        self.site.revive()


@fault("server told to end")
class ServerEnded(OfAServer):
    def begin(self) -> None:
        self.server.signal(signal.SIGTERM)

    def end(self) -> None:
        self.site.revive()


@fault("server stands still")
class ServerStopped(OfAServer):
    lasts = (0.5, 3.0)

    def begin(self) -> None:
        self.server.process.send_signal(signal.SIGSTOP)

    def end(self) -> None:
        self.server.process.send_signal(signal.SIGCONT)


@fault("servers restarted one after the other")
class Rolling(Fault):
    pairs = WITH_REDIS
    lasts = (0.1, 0.3)

    def begin(self) -> None:
        self.site.servers[0].signal(signal.SIGTERM)

    def end(self) -> None:
        self.site.revive()
        self.site.servers[1].signal(signal.SIGTERM)
        self.site.revive()


@fault("relays killed")
class RelaysKilled(Fault):
    pairs = WITH_REDIS

    def begin(self) -> None:
        concerned = self.site.relays[: 1 + self.number % len(self.site.relays)]
        self.detail = f"{len(concerned)} of {len(self.site.relays)}"
        for relay in concerned:
            relay.end()

    def end(self) -> None:
        self.site.revive()


@fault("relays stand still")
class RelaysStopped(Fault):
    """For so long, now and then, that on PostgreSQL another one is elected and two are at work when it wakes."""

    pairs = WITH_REDIS
    lasts = (0.5, 2.5)

    def begin(self) -> None:
        if self.number % 4 == 3:
            self.seconds = 6.5
        self.detail = f"{self.seconds:.1f} s"
        for relay in self.site.relays:
            relay.signal(signal.SIGSTOP)

    def end(self) -> None:
        for relay in self.site.relays:
            relay.signal(signal.SIGCONT)


@fault("a relay too many")
class SecondRelay(Fault):
    """Beside the elected one, publishing all the time; killed in the middle of it."""

    pairs = WITH_REDIS
    lasts = (2.0, 3.0)

    def begin(self) -> None:
        self.relay = self.site.lone_relay()
        self.relay.start()

    def end(self) -> None:
        self.relay.end()


@fault("everything stands still")
class AllStopped(Fault):
    """As on a laptop that was closed."""

    lasts = (0.5, 2.0)

    def begin(self) -> None:
        self.stopped = self.site.processes()
        for process in self.stopped:
            os.kill(process, signal.SIGSTOP)

    def end(self) -> None:
        for process in self.stopped:
            os.kill(process, signal.SIGCONT)
