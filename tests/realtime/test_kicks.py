"""Rights and identities that end while somebody is connected, whoever wrote it, even if nobody tells the server."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.utils import timezone

from realtime import judgements, tokens, unpublished
from realtime.errors import BusUnavailable
from realtime.models import Token
from tests.library.models import Book, Membership, Shelf
from tests.library.routers import BookRouter
from tests.realtime.serving import Served, peer, person, served, session_of, token_of, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as found:
        yield found


def sql(text: str, *values: Any) -> None:
    """As another program would write it."""
    with connection.cursor() as cursor:
        cursor.execute(text, values)


def test_a_server_that_ends_while_rights_change_ends(server: Served) -> None:
    kicks = server.process.kicks

    async def stop(turns: int) -> bool:
        task, other = kicks._tasks
        other.cancel()
        kicks._asked.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=1.0)
        task.cancel()
        await asyncio.wait([task])
        kicks.start()
        await asyncio.sleep(0)
        return bool(done)

    for turns in range(5):
        assert asyncio.run_coroutine_threadsafe(stop(turns), server.loop).result(10), f"after {turns} turns"


# -- identities ------------------------------------------------------------------------------------------------------

ENDS: dict[str, Callable[[User], Any]] = {
    "signed out": lambda user: Session.objects.all().delete(),
    "session deleted by SQL": lambda user: sql("DELETE FROM django_session"),
    "deactivated by update()": lambda user: User.objects.filter(pk=user.pk).update(is_active=False),
    "password changed by SQL": lambda user: sql("UPDATE auth_user SET password = 'x' WHERE id = %s", user.pk),
    "user deleted": lambda user: user.delete(),
}


def test_a_session_that_ends_is_closed_whoever_ends_it(server: Served) -> None:
    for number, (how, end) in enumerate(ENDS.items()):
        user = person(f"person {number}")
        with peer(server.port, session=session_of(user)) as client:
            assert client.call("whoami", "session")["data"]["user"], how
            end(user)
            assert client.closed() == 4001, how
        assert client.waiting[-1]["context"]["error"]["code"] == "login_required", how


def test_a_token_that_is_revoked_by_anybody_is_closed(server: Served) -> None:
    user = person()
    for end in (
        lambda row: tokens.revoke(row.key_id),
        lambda row: sql("UPDATE realtime_token SET expires_at = %s WHERE id = %s", timezone.now(), row.pk),
        lambda row: row.delete(),
    ):
        row, text = tokens.create(user, "x")
        with peer(server.port, token=text) as client, peer(server.port, token=token_of(user)) as other:
            assert client.call("ping", "room")["data"] == "pong"
            end(row)
            assert client.closed() == 4001
            assert other.call("ping", "room")["data"] == "pong"
    assert Token.objects.exists()


def test_a_session_that_expires_is_closed_without_any_write(settings: Any) -> None:
    settings.REALTIME_IDENTITY_SECONDS = 0.1
    settings.SESSION_COOKIE_AGE = 1
    with served() as server, peer(server.port, session=session_of(person())) as client:
        assert client.closed() == 4001


def test_identities_are_asked_for_although_the_journal_says_nothing(settings: Any) -> None:
    """No relay runs here, so nobody tells the server of what was written."""
    settings.REALTIME_IDENTITY_SECONDS = 0.1
    user = person()
    with served(relay=False) as server, peer(server.port, session=session_of(user)) as client:
        assert client.call("ping", "room")["data"] == "pong"
        User.objects.update(is_active=False)
        assert client.closed() == 4001


def test_identities_are_asked_for_although_the_bus_is_away_and_something_is_expected_of_it(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REALTIME_IDENTITY_SECONDS = 0.1
    monkeypatch.setattr(unpublished, "HEARD_SECONDS", 0.1)
    user = person()
    with served(relay=False) as server, peer(server.port, session=session_of(user)) as client:
        assert client.call("ping", "room")["data"] == "pong"
        asked: list[str] = []

        async def never(stream: str) -> None:
            asked.append(stream)
            await asyncio.sleep(60)

        monkeypatch.setattr(server.process.node, "caught_up", never)
        server.on_loop(lambda: server.process.hub.expect("book", {"1": 1 << 60}))
        until(lambda: len(asked) > 1, "asking again")
        User.objects.update(is_active=False)
        assert client.closed() == 4001


def test_a_sign_in_or_a_changed_name_disturbs_nobody(server: Served) -> None:
    user = person()
    with peer(server.port, session=session_of(user)) as client:
        client.call("subscribe", "room", channel="r", room="open")
        User.objects.update(last_login=timezone.now(), first_name="New")
        session_of(user)
        assert client.call("ping", "room")["data"] == "pong"
        assert client.shown == []


# -- rights ----------------------------------------------------------------------------------------------------------


def member(*shelves: str) -> tuple[User, list[Shelf]]:
    user = person()
    found = [Shelf.objects.create(name=name) for name in shelves]
    for shelf in found:
        Membership.objects.create(user=user, shelf=shelf)
    return user, found


def test_a_right_that_was_taken_ends_the_subscription_before_the_next_change(server: Served) -> None:
    user, (shelf,) = member("one")
    book = Book.objects.create(title="a", shelf=shelf)
    with peer(server.port, token=token_of(user)) as client:
        assert len(client.subscribe("book")["data"]) == 1
        with transaction.atomic():
            Book.objects.filter(pk=book.pk).update(pages=77)
            Membership.objects.all().delete()
        assert client.change()["type"] == "resync"
        Book.objects.filter(pk=book.pk).update(pages=78)
        again = client.subscribe("book")
        assert again["data"] == []
        assert again["channel_data"]["remote_channels"] == ["book|none"]
        Book.objects.filter(pk=book.pk).update(pages=79)
        client.call("ping", "room")
        assert client.shown == []


def test_a_right_taken_by_sql_ends_the_subscription_too(server: Served) -> None:
    user, _ = member("one")
    with peer(server.port, token=token_of(user)) as client:
        client.subscribe("book")
        sql("DELETE FROM library_membership")
        assert client.change()["type"] == "resync"


def test_a_right_that_was_given_is_told_and_shows_more(server: Served) -> None:
    user, _ = member("one")
    other = Shelf.objects.create(name="other")
    Book.objects.create(title="b", shelf=other)
    with peer(server.port, token=token_of(user)) as client:
        assert client.subscribe("book")["data"] == []
        Membership.objects.create(user=user, shelf=other)
        assert client.change()["type"] == "resync"
        assert [book["title"] for book in client.subscribe("book")["data"]] == ["b"]


def test_rights_that_stay_the_same_lose_nothing_and_say_nothing(server: Served) -> None:
    user, (shelf,) = member("one")
    book = Book.objects.create(title="a", shelf=shelf)
    with peer(server.port, token=token_of(user)) as client:
        client.subscribe("book")
        for pages in range(2, 12):
            with transaction.atomic():
                Membership.objects.create(user=user, shelf=shelf)
                Book.objects.filter(pk=book.pk).update(pages=pages)
        seen = []
        while not seen or seen[-1]["data"]["pages"] != 11:
            seen.append(client.change())
        assert {frame["type"] for frame in seen} == {"change"}
        pages = [frame["data"]["pages"] for frame in seen]
        assert pages == sorted(pages)


def test_all_connections_of_a_user_are_one_question(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    user, (shelf,) = member("one")
    token = token_of(user)
    asked: list[Any] = []
    contexts = BookRouter.get_subscription_contexts

    def counted(self: BookRouter, **kwargs: Any) -> Any:
        asked.append(kwargs)
        return contexts(self, **kwargs)

    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(peer(server.port, token=token)) for _ in range(8)]
        for client in clients:
            client.subscribe("book")
            client.subscribe("book", "long", pages__gt=100)
        monkeypatch.setattr(BookRouter, "get_subscription_contexts", counted)
        with transaction.atomic():
            Membership.objects.create(user=user, shelf=shelf)
            book = Book.objects.create(title="a", shelf=shelf, pages=200)
        for client in clients:
            assert [client.change()["data"]["id"] for _ in range(2)] == [book.pk, book.pk]
    assert len(asked) == 2


def test_whose_rights_cannot_be_told_does_not_hold_up_others(
    server: Served, monkeypatch: pytest.MonkeyPatch, expect_log: Any
) -> None:
    expect_log("realtime.kicks", "could not be judged")
    monkeypatch.setattr(judgements, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(judgements, "PATIENCE_SECONDS", 0.1)
    user, (shelf,) = member("one")
    token = token_of(user)
    contexts = BookRouter.get_subscription_contexts

    def failing(self: BookRouter, **kwargs: Any) -> Any:
        if "pages__gt" in kwargs:
            raise ZeroDivisionError
        return contexts(self, **kwargs)

    with peer(server.port, token=token) as one, peer(server.port, token=token) as other:
        one.subscribe("book", pages__gt=100)
        other.subscribe("book")
        monkeypatch.setattr(BookRouter, "get_subscription_contexts", failing)
        Membership.objects.create(user=user, shelf=shelf)
        Book.objects.create(title="a", shelf=shelf, pages=200)
        assert other.change()["type"] == "change"
        assert one.change()["type"] == "resync"


def test_while_the_bus_is_away_nobody_is_told_to_subscribe_anew(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judgements, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(judgements, "PATIENCE_SECONDS", 0.1)
    user, (shelf,) = member("one")
    node, tries = server.process.node, []
    caught_up = node.caught_up

    async def away(stream: str) -> Any:
        tries.append(stream)
        if len(tries) < 30:
            raise BusUnavailable
        return await caught_up(stream)

    with peer(server.port, token=token_of(user)) as client:
        client.subscribe("book")
        monkeypatch.setattr(node, "caught_up", away)
        Membership.objects.create(user=user, shelf=shelf)
        Book.objects.create(title="a", shelf=shelf)
        assert client.change()["type"] == "change"
    assert len(tries) >= 30


def test_other_users_are_not_judged(server: Served) -> None:
    user, (shelf,) = member("one")
    other = person("other", is_staff=True)
    with peer(server.port, token=token_of(other)) as client:
        client.subscribe("book")
        Membership.objects.filter(user=user).delete()
        Book.objects.create(title="a", shelf=shelf)
        assert client.change()["type"] == "change"
        assert server.on_loop(lambda: [c.shell.rights for c in server.process.clients]) == [0]


def test_groups_and_permissions_concern_everybody(server: Served) -> None:
    user, (shelf,) = member("one")
    group = Group.objects.create(name="g")
    with peer(server.port, token=token_of(user)) as client:
        client.subscribe("book")
        for change in (
            lambda: group.permissions.add(Permission.objects.first()),
            lambda: user.groups.add(group),
            lambda: user.user_permissions.add(Permission.objects.first()),
        ):
            before = server.on_loop(lambda: next(iter(server.process.clients)).shell.rights)
            change()
            until(lambda was=before: server.on_loop(lambda: next(iter(server.process.clients)).shell.rights) > was)
        Book.objects.create(title="a", shelf=shelf)
        assert client.change()["type"] == "change"


def test_staff_that_is_staff_no_more_sees_what_it_may(server: Served) -> None:
    user = person(is_staff=True)
    Book.objects.create(title="a", shelf=Shelf.objects.create(name="one"))
    with peer(server.port, token=token_of(user)) as client:
        assert len(client.subscribe("book")["data"]) == 1
        User.objects.update(is_staff=False)
        assert client.change()["type"] == "resync"
        assert client.subscribe("book")["data"] == []


def test_rights_that_cannot_be_judged_do_not_keep_a_server_that_stops(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REALTIME_STOP_SECONDS = 0.3
    begun, free = threading.Event(), threading.Event()

    def hang(self: Any, **kwargs: Any) -> Any:
        begun.set()
        free.wait(60)
        return []

    user = person()
    try:
        with served() as server, peer(server.port, token=token_of(user)) as client:
            client.subscribe("book")
            monkeypatch.setattr(BookRouter, "get_subscription_contexts", hang)
            Membership.objects.create(user=user, shelf=Shelf.objects.create(name="one"))
            assert begun.wait(10)
            server.end()
            assert client.closed() == 1001
    finally:
        free.set()
