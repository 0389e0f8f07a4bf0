"""The relay: the one worker that publishes the journal. Nobody else gives changes of models to the bus.

One step reads what is due together with its objects in one view of the database, publishes, then marks what was
acknowledged. No lock and no transaction is held while the bus is waited for, and the process may die between any two
lines: what is not marked is read again, and what was published already is refused by the bus. Two relays at once, or
one that was stopped for hours, do no harm.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import Error as DatabaseError
from django.db import connections

from realtime import journal, mass, restores, view, wake
from realtime.bus import Bus, Fence, Renewed, get_bus
from realtime.election import Election, election
from realtime.errors import BusUnavailable
from realtime.journal import Row
from realtime.loading import Load, Loader, Spoiled
from realtime.pause import Pause
from realtime.settings import limits, settings
from realtime.writes import writes

logger = logging.getLogger("realtime.relay")

# How often health is looked at, and the claim to be the relay renewed.
LOOK_SECONDS = 1.0
# How long a writer who holds what shows a change is left alone before it is asked again, first and at most. If it rolls
# back, what it held is told that much later; if it commits, that publishes it.
WRITER_SECONDS = (0.1, 1.0)

Mark = tuple[int, str, str]


@dataclass(frozen=True)
class RelayHealth:
    """What /healthz tells of this process' relay."""

    running: bool
    #: Whether this relay is the one at work; another one may be, elsewhere.
    elected: bool
    #: Whether the bus answered last time.
    linked: bool
    #: Seconds since the last step that went through, None before the first.
    idle: float | None
    #: Rows that are due, and how many seconds the oldest has waited.
    pending: int
    oldest: float
    #: Objects set aside because they cannot be serialised.
    failed: int
    #: What an operator must change, as sentences.
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        if not self.running or not self.linked or self.failed or self.problems:
            return False
        return not self.elected or (self.idle is not None and self.idle < 5.0 and self.oldest < 5.0)


class Relay:
    """`start` and `stop` it in a thread of a server, or `run` it until `stop` is called from another thread."""

    def __init__(
        self,
        bus: Bus | None = None,
        *,
        using: str = "default",
        at: Callable[[str], None] | None = None,
        elections: Callable[[str], Election] = election,
    ) -> None:
        self._bus = get_bus() if bus is None else bus
        self._using = using
        #: Called with the name of each step that was just done; tests stop or end the relay there.
        self.at: Callable[[str], None] = at or (lambda name: None)
        self._elections = elections
        self._stopping = threading.Event()
        self._due = threading.Event()
        self._thread: threading.Thread | None = None
        self._loader: Loader | None = None
        self._identity: str | None = None
        # Whether `_identity` is known to be the database's, and the streams are as it wants them.
        self._sure = False
        # Whether the last step found anything new.
        self._found = False
        self._fences: dict[str, Fence] = {}
        # Acknowledged, but a writer held the row when it was to be marked: by row, the revision.
        self._acknowledged: dict[Mark, int] = {}
        # Rows that wait for a writer who holds what shows them, and until when: they must not fill up the batches, and
        # each try publishes anew whatever nobody holds.
        self._waiting: dict[Mark, int] = {}
        self._waiting_until = 0.0
        self._waited = 0.0
        self._told: set[Mark] = set()
        self._renewals = 0
        self._collapsed_at: dict[str, float] = {}
        self._running = self._elected = False
        self._linked = True
        self._trouble: str | None = None
        self._done_at: float | None = None
        self._pending, self._oldest, self._failed = 0, 0.0, 0
        self._problems: tuple[str, ...] = ()
        self._looked_at = self._tidied_at = float("-inf")

    # -- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread = threading.Thread(target=self.run, name="realtime-relay", daemon=True)
        self._thread.start()

    def stop(self, limit: float | None = None) -> None:
        """Return when the relay has ended, at most `limit` seconds later (`STOP_SECONDS`)."""
        self.ask_to_stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(settings.STOP_SECONDS if limit is None else limit)

    def ask_to_stop(self) -> None:
        """`run` returns after the step it is in. Does not wait, so signal handlers may call it."""
        self._stopping.set()
        self._due.set()

    def wake(self) -> None:
        """Something was committed: look now. May be called from anywhere."""
        self._due.set()

    def health(self) -> RelayHealth:
        return RelayHealth(
            running=self._running,
            elected=self._elected,
            linked=self._linked,
            idle=None if self._done_at is None else time.monotonic() - self._done_at,
            pending=self._pending,
            oldest=self._oldest,
            failed=self._failed,
            problems=self._problems,
        )

    def run(self) -> None:
        undo = [wake.attend(self._due, lambda: self._elected), self._bus.on_wake(self.wake)]
        claim = self._elections(self._using)
        pause = Pause(self._due, self._using)
        self._running = True
        try:
            while not self._stopping.is_set():
                self._elected = claim.won()
                if not self._elected:
                    self._stopping.wait(settings.RELAY_RETRY_SECONDS)
                    continue
                self._work(pause)
        finally:
            self._running = self._elected = False
            for end in undo:
                end()
            claim.withdraw()
            connections.close_all()

    def _work(self, pause: Pause) -> None:
        """Until it is time to renew the claim."""
        until = time.monotonic() + LOOK_SECONDS
        while not self._stopping.is_set() and time.monotonic() < until:
            begun = time.monotonic()
            self._due.clear()
            try:
                progress = self.step()
                self._look()
                self._recovered()
            except Renewed:
                self._patience_with_renewals()
                continue
            except BusUnavailable as error:
                self._linked = False
                self._wait_for("the bus", error)
                continue
            except DatabaseError as error:
                writes.note(error)
                connections[self._using].close()
                self._wait_for("the database", error)
                continue
            except Exception as error:
                # A defect, and not of one object's serializer: nothing is lost by trying again, and somebody is told.
                connections[self._using].close()
                self._wait_for(repr(error), error, exc_info=True)
                continue
            if not progress:
                pause.wait(0.0 if self._found else time.monotonic() - begun)

    # -- one step ----------------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Publish one batch of what is due. True if there may be more to do at once.

        Raises BusUnavailable (Renewed: at once again) and django.db.Error. Whatever happened, the next step reads anew.
        """
        loader = self._prepare()
        patient = self._waiting if time.monotonic() < self._waiting_until else {}
        limit = settings.RELAY_BATCH + len(self._acknowledged) + len(self._waiting)
        self._found = False
        try:
            with view.consistent(self._using):
                identity, rows = journal.look(limit, using=self._using)
                if identity != self._identity:
                    self._sure = False
                    return True
                full = len(rows) >= limit
                if full:
                    rows += journal.rights(rows, using=self._using)
                again = [row for row in rows if self._acknowledged.get(_mark(row)) == row.revision]
                settled = self._acknowledged | patient
                fresh = [row for row in rows if settled.get(_mark(row)) != row.revision]
                self.at("read")
                load = loader.load(fresh)
                crowded = mass.crowded(self._using) if full else {}
        except Spoiled:
            return True
        self.at("loaded")
        self._found = bool(fresh)
        self._acknowledged = {_mark(row): row.revision for row in again}
        if self._collapse(crowded, load.collapsing):
            return True
        self._publish(load)
        self.at("published")
        touched = self._finish(load, again)
        self.at("marked")
        self._done_at = time.monotonic()
        self._linked = True
        self._renewals = 0
        # What is committed from here on wakes the relay. Left over is what did not fit, and what comes of this step.
        more = full or bool(load.touching or load.renewing)
        return bool(fresh) and touched and more

    def _prepare(self) -> Loader:
        """Before the database is read: which database it is, and where the streams stand."""
        loader = self._loader
        if loader is None:
            loader = self._loader = Loader(limits().object_bytes, self._using, bold=True)
        if not self._sure:
            # Of a file that was put in place of another only a new connection reads.
            connections[self._using].close_if_unusable_or_obsolete()
            identity = journal.identity(self._using)
            self._bus.identity = identity
            if self._identity is not None and identity != self._identity:
                logger.warning("This is another database than before: every stream begins anew")
                self._begin_anew(loader)
            self._fences = self._bus.fences(loader.streams)
            self._judge_age(loader)
            self._identity = identity
            self._sure = True
        missing = [stream for stream in loader.streams if stream not in self._fences]
        if missing:
            self._fences.update(self._bus.fences(missing))
        return loader

    def _judge_age(self, loader: Loader) -> None:
        if restores.went_back(self._fences.values(), self._using):
            logger.warning("The database is older than what was published from it: every stream begins anew")
            self._begin_anew(loader)

    def _begin_anew(self, loader: Loader) -> None:
        restores.begin_anew(self._bus, loader.streams)
        self._fences = {}
        self._acknowledged = {}

    def _collapse(self, crowded: dict[str, int], overflowing: list[Row]) -> bool:
        """Turn what is too much into one resync per label, which is a row of the journal: it cannot be lost either."""
        now = time.monotonic()
        labels = [
            label
            for label, count in crowded.items()
            if count > limits().history_changes
            or now - self._collapsed_at.get(label, float("-inf")) > settings.RELAY_MASS_SECONDS
        ]
        for label in labels:
            self._collapsed_at[label] = now
            logger.info("%d objects of %s are due: its subscribers take a new snapshot", crowded[label], label)
            mass.collapse(label, using=self._using)
        if overflowing:
            mass.replace(overflowing, using=self._using)
            self._acknowledged.update({_mark(row): row.revision for row in overflowing})
        return bool(labels or overflowing)

    def _publish(self, load: Load) -> None:
        published = self._bus.publish(load.controls, self._fences) if load.controls else []
        self.at("published-half")
        if load.publications:
            published += self._bus.publish(load.publications, self._fences)
        if not all(published) and restores.went_back(self._fences.values(), self._using):
            assert self._loader is not None
            logger.warning("The database is older than what was published from it: every stream begins anew")
            self._begin_anew(self._loader)
            raise Renewed
        # Once per object: its subscribers take a snapshot, and whoever subscribes later does not see it either.
        failing = [(row, error) for row, error in load.failing if _mark(row) not in self._told]
        renewing = load.renewing | {self._stream(row) for row, _ in failing}
        if renewing:
            self._bus.renew(sorted(renewing))
            for stream in renewing:
                self._fences.pop(stream, None)
        for row, error in failing:
            logger.error("%s %s cannot be published and is set aside", row.label, row.key, exc_info=error)
            self._told.add(_mark(row))

    def _finish(self, load: Load, again: list[Row]) -> bool:
        """False if a writer holds objects that show what changed: the rows that told so stay due."""
        touched = True
        for model, keys in load.touching:
            touched &= journal.touch(model, keys, using=self._using)
        done = load.done if touched else [row for row in load.done if not row.label.startswith(journal.WATCH)]
        self._acknowledged.update({_mark(row): row.revision for row in done})
        self._told -= {_mark(row) for row in done}
        self._wait_for_writers([row for row in load.done if not touched and row.label.startswith(journal.WATCH)])
        if done or again:
            journal.mark([*done, *again], using=self._using)
        for row, _ in load.failing:
            journal.fail(row, using=self._using)
        return touched

    def _wait_for_writers(self, rows: list[Row]) -> None:
        """Ask for these again a little later each time; one that is written again is asked for at once."""
        now = time.monotonic()
        if rows:
            self._waited = min(WRITER_SECONDS[1], max(WRITER_SECONDS[0], 2 * self._waited))
            self._waiting_until = now + self._waited
            self._waiting |= {_mark(row): row.revision for row in rows}
        elif now >= self._waiting_until:
            self._waiting, self._waited = {}, 0.0

    def _stream(self, row: Row) -> str:
        assert self._loader is not None
        return self._loader.stream(row.label)

    # -- beside the work ---------------------------------------------------------------------------------------------

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._tidied_at >= settings.RELAY_TIDY_SECONDS:
            self._tidied_at = now
            journal.prune(using=self._using)
            self._problems = tuple(self._bus.problems())
            # What an object needs may have been repaired without a write of the object itself.
            journal.retry_failed(using=self._using)
        elif now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._pending, self._oldest = journal.pending(using=self._using)
            self._failed = journal.failed(using=self._using)
            if self._loader is not None and self._sure:
                # An old copy may have been read into the same file, and nobody writes.
                self._judge_age(self._loader)

    def _wait_for(self, what: str, error: Exception, exc_info: bool = False) -> None:
        """Told once per outage: every retry would say the same."""
        if self._trouble != what:
            self._trouble = what
            level = logging.ERROR if exc_info else logging.WARNING
            logger.log(level, "The relay waits for %s: %s", what, error.__cause__ or error, exc_info=exc_info)
        self._stopping.wait(settings.RELAY_RETRY_SECONDS)

    def _recovered(self) -> None:
        if self._trouble is not None:
            logger.info("The relay goes on after waiting for %s", self._trouble)
            self._trouble = None

    def _patience_with_renewals(self) -> None:
        self._renewals += 1
        if self._renewals == 10:
            logger.error(
                "Streams begin anew all the time: does another database publish with the same REALTIME_BUS_PREFIX?"
            )
        if self._renewals >= 3:
            self._stopping.wait(settings.RELAY_RETRY_SECONDS)


def _mark(row: Row) -> Mark:
    return (row.kind, row.label, row.key)
