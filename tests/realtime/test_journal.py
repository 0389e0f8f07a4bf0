"""Read, publish, mark: what was written meanwhile stays due, and nobody waits for anybody."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import realtime
from realtime import change, journal, view
from realtime.models import DatabaseIdentity, Journal
from tests.app.models import Label, Named, Place, Thing, Unique
from tests.realtime.journal_base import POSTGRESQL, due, due_of, publish_all

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = 10.0  # seconds that a thread may take; only a fault comes near it


def in_thread(work: Callable[[], Any]) -> Any:
    """Run with a connection of its own, as another process would; its exception is raised here."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:
            outcome.append((None, error))
        finally:
            connections["default"].close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(LIMIT)
    assert outcome, "the thread is still waiting"
    if outcome[0][1] is not None:
        raise outcome[0][1]
    return outcome[0][0]


def size(key: str, to: int) -> None:
    Named.objects.filter(code=key).update(size=to)


# Reading


def test_rows_come_in_the_order_of_revisions_and_no_more_than_asked_for() -> None:
    for code in "cab":
        Named.objects.create(code=code)
    size("c", 5)
    assert [row.key for row in journal.read()] == ["a", "b", "c"]
    assert [row.key for row in journal.read(limit=2)] == ["a", "b"]


def test_reading_in_a_view_sees_objects_and_journal_of_one_moment() -> None:
    Named.objects.create(code="a", size=1)
    with view.consistent():
        rows = journal.read()
        in_thread(lambda: size("a", 2))
        assert Named.objects.get().size == 1
        assert journal.read() == rows
    assert Named.objects.get().size == 2


def test_a_writer_goes_on_between_read_and_mark() -> None:
    Named.objects.create(code="a", size=1)
    rows = journal.read()
    in_thread(lambda: size("a", 2))
    journal.mark(rows)
    (row,) = journal.read()
    # What was published at the first revision is the only state left to be told.
    assert row.before == ({"size": 1},)
    assert row.revision > rows[0].revision


# Marking


def test_marked_rows_are_no_longer_due_but_keep_their_revision() -> None:
    Named.objects.create(code="a")
    (row,) = journal.read()
    assert journal.revisions("app.named") == {"a": (row.revision, True)}
    journal.mark([row])
    assert journal.read() == []
    assert journal.revisions("app.named") == {"a": (row.revision, False)}


def test_a_late_mark_of_an_old_revision_strikes_out_only_what_is_older() -> None:
    Named.objects.create(code="a", size=0)
    reads = journal.read()
    for to in (1, 2, 3):
        size("a", to)
        reads += journal.read()
    journal.mark([reads[1]])  # revision of size=1
    (row,) = journal.read()
    assert sorted(s["size"] for s in row.before if s) == [1, 2]
    journal.mark([reads[0]])  # the other relay wakes
    assert journal.read() == [row]


def test_a_relay_that_slept_through_pruning_cannot_strike_out_a_newer_past() -> None:
    Named.objects.create(code="a", size=1)
    asleep = journal.read()
    publish_all()
    assert journal.prune(age=-1) == 1
    size("a", 2)
    journal.mark(asleep)
    (row,) = journal.read()
    assert row.before == ({"size": 1},)


def test_events_and_resyncs_are_gone_once_they_are_told() -> None:
    realtime.publish_data("news", {"a": 1})
    journal.whole("app.named")
    assert Journal.objects.count() == 2
    publish_all()
    assert not Journal.objects.exists()


def test_more_rows_than_one_batch_are_marked() -> None:
    Named.objects.bulk_create([Named(code=f"{i}") for i in range(900)])
    Named.objects.bulk_create([Named(code=f"b{i}") for i in range(900)])
    rows = journal.read(limit=5000)
    assert len(rows) == 1800
    journal.mark(rows)
    assert journal.pending()[0] == 0


@pytest.mark.skipif(not POSTGRESQL, reason="SQLite's writers are alone anyway")
def test_mark_skips_rows_that_a_writer_holds() -> None:
    Named.objects.create(code="a")
    Named.objects.create(code="b")
    rows = journal.read()
    with transaction.atomic():
        size("a", 5)
        in_thread(lambda: journal.mark(rows))
    (row,) = journal.read()
    assert (row.key, row.before) == ("a", (None, {"size": 0}))


@pytest.mark.skipif(not POSTGRESQL, reason="SQLite's writers are alone anyway")
def test_prune_skips_rows_that_a_writer_holds() -> None:
    for code in "ab":
        Named.objects.create(code=code)
    publish_all()
    with transaction.atomic():
        size("a", 5)
        assert in_thread(lambda: journal.prune(age=-1)) == 1
    assert [row.key for row in journal.read()] == ["a"]


# Failing


def test_what_failed_is_set_aside_until_it_is_tried_again() -> None:
    for code in "ab":
        Named.objects.create(code=code)
    bad, good = journal.read()
    journal.fail(bad)
    assert journal.read() == [good]
    assert (journal.failed(), journal.pending()[0]) == (1, 1)
    assert journal.retry_failed() == 1
    assert [row.key for row in journal.read()] == ["a", "b"]


def test_what_failed_is_due_again_when_it_is_written() -> None:
    Named.objects.create(code="a")
    (row,) = journal.read()
    journal.fail(row)
    size("a", 2)
    (again,) = journal.read()
    assert again.before == (None, {"size": 0})


def test_a_failure_of_an_older_revision_sets_nothing_aside() -> None:
    Named.objects.create(code="a")
    (row,) = journal.read()
    size("a", 2)
    journal.fail(row)
    assert journal.failed() == 0


# Pruning and counting


def test_prune_forgets_only_what_was_published_long_enough_ago() -> None:
    for code in "ab":
        Named.objects.create(code=code)
    journal.mark(journal.read()[:1])
    assert journal.prune() == 0
    assert journal.prune(age=-1) == 1
    assert [row.key for row in journal.read()] == ["b"]


def test_pending_counts_and_tells_the_oldest_age() -> None:
    assert journal.pending() == (0, 0.0)
    Named.objects.create(code="a")
    count, age = journal.pending()
    assert count == 1
    assert 0 <= age < LIMIT


def test_revisions_of_uuid_keys_are_under_their_usual_text() -> None:
    one = Unique.objects.create()
    assert list(journal.revisions("app.unique")) == [str(one.pk)]


# Adding


def test_touch_makes_objects_due_with_their_present_state() -> None:
    label = Label.objects.create(text="x")
    things = [Thing.objects.create(name=f"n{i}", size=i) for i in range(3)]
    publish_all()
    before = journal.revisions("app.thing")
    journal.touch(Thing, [things[0].pk, things[2].pk, 987654])
    found = due_of("app.thing")
    assert set(found) == {str(things[0].pk), str(things[2].pk)}
    assert [state["size"] for states in found.values() for state in states if state] == [0, 2]
    assert all(r[0] > before[key][0] for key, r in journal.revisions("app.thing").items() if r[1])
    assert label.pk


def test_touch_of_uuid_and_text_keys() -> None:
    one, named = Unique.objects.create(), Named.objects.create(code="ü%s")
    publish_all()
    journal.touch(Unique, [one.pk, str(one.pk)])
    journal.touch(Named, [named.pk])
    assert set(due()) == {("app.unique", str(one.pk)), ("app.named", "ü%s")}


def test_touch_of_more_objects_than_a_stream_wants_is_a_resync() -> None:
    with override_settings(REALTIME_JOURNAL_MASS=2):
        journal.touch(Thing, [1, 2, 3])
    assert due() == {("app.thing", "*"): []}


@pytest.mark.skipif(not POSTGRESQL, reason="SQLite's writers are alone anyway")
@pytest.mark.parametrize("pruned", [False, True])
def test_touch_waits_for_no_writer_and_says_what_it_left_out(pruned: bool) -> None:
    for code in "abc":
        Named.objects.create(code=code)
    publish_all()
    if pruned:  # then the writer's row of the journal is a new one, which nobody else can see
        journal.prune(age=-1)
    with transaction.atomic():
        size("c", 1)
        assert in_thread(lambda: journal.touch(Named, ["a", "b", "c"])) is False
        assert set(in_thread(lambda: due_of("app.named"))) == {"a", "b"}
        size("b", 1)
        size("a", 1)
    assert journal.touch(Named, ["a", "b", "c"]) is True
    assert set(due_of("app.named")) == {"a", "b", "c"}


def test_announcements_belong_to_the_callers_transaction() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        realtime.publish_data("news", 1)
        raise RuntimeError
    assert journal.read() == []
    with transaction.atomic():
        realtime.publish_data("news", {"text": "ü"})
        journal.announce(change.Control(users=(5,), reason="rights"))
    event, control = journal.read()
    assert (event.kind, event.label, control.kind, control.label) == (2, "!data", 3, "!control")
    assert event.payload is not None
    assert control.payload is not None
    assert change.decode(event.payload) == change.Event("news", {"text": "ü"})
    assert change.decode(control.payload) == change.Control((5,), "rights")


def test_equal_events_are_two_events() -> None:
    realtime.publish_data("news", 1)
    realtime.publish_data("news", 1)
    assert len(journal.read()) == 2


def test_an_event_that_json_cannot_say_is_refused_at_once() -> None:
    with pytest.raises(ValueError):
        realtime.publish_data("news", float("nan"))
    assert journal.read() == []


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda: journal.look(500), "realtime_journal_due"),
        (journal.pending, "realtime_journal_due"),
        (journal.failed, "realtime_journal_failed"),
        (journal.retry_failed, "realtime_journal_failed"),
    ],
)
def test_what_is_asked_all_the_time_reads_nothing_of_what_was_published(ask: Callable[[], Any], index: str) -> None:
    """150,000 rows that had been published made each look take 11 ms, and changes waited for it."""
    Journal.objects.bulk_create(
        Journal(kind=0, label="app.named", key=f"{n}", revision=n, dirty=False, failed=False, before="{}",
                at=timezone.now()) for n in range(2000)
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with CaptureQueriesContext(connection) as asked:
        ask()
    postgresql = connection.vendor == "postgresql"
    statements = [query["sql"] for query in asked.captured_queries if "realtime_journal" in query["sql"]]
    assert statements
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(("EXPLAIN " if postgresql else "EXPLAIN QUERY PLAN ") + statement)
            plan = " ".join(str(row) for row in cursor.fetchall())
            assert index in plan, plan


# Identity


def test_the_identity_stays_until_the_database_is_another() -> None:
    first = journal.identity()
    assert journal.identity() == first
    journal.renew_identity()
    assert journal.identity() != first


def test_a_database_without_identity_gets_one_and_keeps_its_counter() -> None:
    Named.objects.create(code="a")
    (row,) = journal.read()
    DatabaseIdentity.objects.update(identity="")
    first = journal.identity()
    assert journal.identity() == first
    size("a", 2)
    assert journal.read()[0].revision > row.revision


def test_flush_empties_the_journal_last_and_is_another_database() -> None:
    from django.core.management import call_command

    Place.objects.create(name="hall")
    first = journal.identity()
    call_command("flush", interactive=False, verbosity=0)
    assert journal.read() == []
    assert journal.identity() != first
    assert connection.vendor in ("sqlite", "postgresql")


# All of it at once


def test_two_relays_lose_nothing_and_turn_nothing_round_while_others_write() -> None:
    """Four writers with rollbacks, deletions and objects in common; two relays; a bus that refuses what is old."""
    codes = [f"{i}" for i in range(12)]
    writing = threading.Event()
    bus, guard = dict[str, tuple[int, int | None]](), threading.Lock()
    faults: list[str] = []

    def write(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(40):
            try:
                with transaction.atomic():
                    for code in sorted(chance.sample(codes, 3)):  # in one order, as writers who share objects must
                        if chance.random() < 0.3:
                            Named.objects.filter(code=code).delete()
                        elif not Named.objects.filter(code=code).update(size=chance.randint(1, 999)):
                            Named.objects.bulk_create([Named(code=code, size=0)], ignore_conflicts=True)
                    if chance.random() < 0.1:
                        raise KeyError
            except KeyError:
                pass

    def relay() -> None:
        while True:
            last = not writing.is_set()
            with view.consistent():
                rows = journal.read()
                sizes = dict(Named.objects.values_list("code", "size"))
            for row in rows:
                with guard:
                    seen = bus.get(row.key, (0, None))
                    if row.revision > seen[0]:
                        bus[row.key] = (row.revision, sizes.get(row.key))
                    elif row.revision == seen[0] and seen[1] != sizes.get(row.key):
                        faults.append(f"{row.key} has two states at revision {row.revision}")
            journal.mark(rows)
            if last and not rows:
                return

    def own_connection(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                faults.append(repr(error))
            finally:
                connections["default"].close()

        return run

    writing.set()
    writers = [threading.Thread(target=own_connection(lambda s=seed: write(s))) for seed in range(4)]  # type: ignore[misc]
    relays = [threading.Thread(target=own_connection(relay)) for _ in range(2)]
    for thread in writers + relays:
        thread.start()
    for thread in writers:
        thread.join(6 * LIMIT)
    writing.clear()
    for thread in relays:
        thread.join(6 * LIMIT)
    assert faults == []
    assert journal.pending()[0] == 0
    shown = {key: size for key, (_, size) in bus.items() if size is not None}
    assert shown == dict(Named.objects.values_list("code", "size"))
