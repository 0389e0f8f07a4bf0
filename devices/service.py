"""Work that goes on beside everything else: one thread that takes a step again and again, and outlives any error."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from django.db import close_old_connections, connections

# After an error the pause doubles up to this: an outage of the database is asked about, not hammered.
LONGEST = 5.0
# How long `stop` waits for the step that is running.
GOODBYE = 3.0


class Service:
    """Subclasses say `interval` and `step`; an exception of a step is logged once until a step succeeds again."""

    # A step that took t is followed by a pause of at least so many t: background work leaves the machine to others.
    ease = 4

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._error = ""

    @property
    def interval(self) -> float:
        """Seconds between two steps."""
        raise NotImplementedError

    def step(self) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """Called in the thread after the last step."""

    def start(self) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self.run, name=type(self).__module__, daemon=True)
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Returns at once; a signal handler may call it."""
        self._stopping.set()

    def stop(self) -> None:
        self.ask_to_stop()
        if self._thread is not None:
            self._thread.join(GOODBYE)

    def health(self) -> dict[str, Any]:
        alive = self._thread is not None and self._thread.is_alive()
        return {"ok": alive and not self._error, "error": self._error}

    def run(self) -> None:
        """Take steps until `stop`, in this thread."""
        pause = 0.0
        try:
            while not self._stopping.wait(pause):
                pause = self._once(pause)
            self._attempt(self.finish)
        finally:
            connections.close_all()

    def _once(self, pause: float) -> float:
        began = time.monotonic()
        if self._attempt(self.step):
            return max(self.interval, self.ease * (time.monotonic() - began))
        return min(max(2 * pause, self.interval), LONGEST)

    def _attempt(self, work: Any) -> bool:
        close_old_connections()
        try:
            work()
        except Exception as error:
            # The health page tells what, the log why; no text of the error, which may hold addresses and values.
            if not self._error:
                logging.getLogger(type(self).__module__).exception("failed, and is tried again")
            self._error = type(error).__name__
            return False
        else:
            self._error = ""
            return True
        finally:
            close_old_connections()
