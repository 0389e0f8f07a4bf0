"""A right that ends and comes back at once: what an object was in between is not shown, what it is now is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User

from realtime import journal, unpublished
from realtime.bus import Message, get_bus
from realtime.change import Control
from realtime.node import Node
from realtime.relay import Relay
from tests.library.models import Book, Membership, Shelf
from tests.realtime.relay_base import publish_due
from tests.realtime.serving import Peer, Served, peer, person, served, token_of, until

pytestmark = pytest.mark.django_db(transaction=True)


class Story:
    """A reader, a shelf, a book, and a relay that works step by step."""

    def __init__(self, server: Served) -> None:
        self.server = server
        self.user: User = person()
        self.shelf = Shelf.objects.create(name="one")
        self.other = Shelf.objects.create(name="other")
        self.book = Book.objects.create(title="a", shelf=self.shelf)
        self.give()
        self.token = token_of(self.user)
        self.relay = Relay(get_bus())
        publish_due(self.relay)

    def write(self, pages: int, **more: Any) -> None:
        Book.objects.filter(pk=self.book.pk).update(pages=pages, **more)

    def take(self) -> None:
        Membership.objects.filter(user=self.user).delete()

    def give(self) -> None:
        Membership.objects.create(user=self.user, shelf=self.shelf)

    def step(self, point: str, meanwhile: Callable[[], Any], after: Callable[[], Any] = lambda: None) -> None:
        """One step of the relay, what happens while it is at this point of it, and after it has told of rights."""

        def at(name: str) -> None:
            if name == point:
                meanwhile()
            elif name == "published-half":
                after()

        self.relay.at = at
        self.relay.step()
        self.relay.at = lambda name: None

    def ask(self) -> None:
        """Rights are judged although nothing was said about them."""
        self.server.on_loop(lambda: self.server.process.kicks.judge(Control((self.user.pk,), "rights")))
        self.judged()

    def judged(self) -> None:
        """Until everybody's rights are judged and nobody is held back."""

        def over() -> bool:
            def look() -> bool:
                process = self.server.process
                found = [s for c in process.clients for s in c.subscriptions.values()]
                return not process.kicks.judgements.under_way and all(s.suspended is None for s in found)

            return bool(self.server.on_loop(look))

        until(over, "the judgement")

    def told(self, client: Peer, pages: int) -> list[int]:
        """The pages of every change until there are so many."""
        seen: list[int] = []
        while not seen or seen[-1] != pages:
            frame = client.change()
            assert frame["type"] == "change", frame
            seen.append(frame["data"].get("pages", 0))
        return seen


@pytest.fixture
def story() -> Iterator[Story]:
    with served(relay=False) as server:
        yield Story(server)


def test_a_state_of_between_that_was_held_is_not_sent(story: Story) -> None:
    with peer(story.server.port, token=story.token) as client:
        client.subscribe("book")
        story.take()
        story.write(77)
        story.step("loaded", lambda: (story.write(78), story.give()))
        story.judged()
        publish_due(story.relay)
        assert story.told(client, 78) == [78]


def test_a_state_of_between_that_comes_after_the_judgement_is_not_sent(story: Story) -> None:
    with peer(story.server.port, token=story.token) as client:
        client.subscribe("book")
        clients = story.server.process.clients
        before = clients.judgements

        def hear() -> None:
            until(lambda: clients.judgements > before, "the news")
            story.judged()

        story.take()
        story.write(77)
        story.step("loaded", lambda: (story.write(78), story.give()), hear)
        client.call("ping", "room")
        publish_due(story.relay)
        assert story.told(client, 78) == [78]


def test_what_was_published_and_is_still_on_its_way_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server hears the newer state late: when its database is asked, that is published and marked already."""
    marked = threading.Event()
    receive, read = Node._receive, unpublished.read

    def receiving(node: Node, message: Message) -> None:
        if message.stream == "book" and '"pages":78' in message.body:
            asyncio.get_running_loop().call_later(0.3, receive, node, message)
        else:
            receive(node, message)

    def reading(model: Any) -> Any:
        assert marked.wait(10)
        return read(model)

    monkeypatch.setattr(Node, "_receive", receiving)
    monkeypatch.setattr(unpublished, "read", reading)
    with served(relay=False) as server:
        story = Story(server)
        with peer(server.port, token=story.token) as client:
            client.subscribe("book")
            story.take()
            story.write(77)
            story.step("loaded", lambda: (story.write(78), story.give()))
            publish_due(story.relay)
            marked.set()
            assert story.told(client, 78) == [78]


def test_a_state_of_what_it_showed_in_between_is_not_sent(story: Story) -> None:
    with peer(story.server.port, token=story.token) as client:
        client.subscribe("book")
        story.take()
        story.write(77)
        story.step("loaded", lambda: (Shelf.objects.filter(pk=story.shelf.pk).update(name="new"), story.give()))
        story.judged()
        publish_due(story.relay)
        frame = client.change()
        assert (frame["data"]["pages"], frame["data"]["shelf"]["name"]) == (77, "new")


def test_what_was_touched_already_and_is_still_due_is_sent(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay has said that the book is changed, because it shows its shelf, and not yet that this is done."""
    with peer(story.server.port, token=story.token) as client:
        client.subscribe("book")
        Shelf.objects.filter(pk=story.shelf.pk).update(name="new")
        with monkeypatch.context() as patch:
            patch.setattr(journal, "mark", lambda rows, using: None)
            story.relay.step()
        story.ask()
        publish_due(story.relay)
        assert client.change()["data"]["shelf"]["name"] == "new"


def test_when_too_much_is_shown_elsewhere_a_snapshot_is_taken(story: Story) -> None:
    with peer(story.server.port, token=story.token) as client:
        client.subscribe("book")
        for number in range(unpublished.SEVERAL + 1):
            Shelf.objects.create(name=f"shelf {number}")
        story.ask()
        assert client.change()["type"] == "resync"
        client.subscribe("book")
        story.write(79)
        publish_due(story.relay)
        assert story.told(client, 79) == [79]


@pytest.mark.parametrize("told", [False, True])
def test_of_a_stream_that_is_to_begin_anew_a_snapshot_is_taken(
    story: Story, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with peer(story.server.port, token=story.token) as client:
        where = client.subscribe("book")["context"]["position"]
        journal.whole("library.book")
        if told:
            with monkeypatch.context() as patch:
                patch.setattr(journal, "mark", lambda rows, using: None)
                story.relay.step()
            assert client.change()["type"] == "resync"
        again = client.call("subscribe", "book", channel="mine", _snapshot=True, _since=where)
        assert again["context"]["recovered"] is False
        story.ask()
        assert client.change()["type"] == "resync"
        publish_due(story.relay)
        assert not story.server.on_loop(lambda: story.server.process.hub.expecting)


def test_what_left_in_between_and_came_back_is_shown_as_it_is(story: Story) -> None:
    with peer(story.server.port, token=story.token) as client:
        client.subscribe("book")
        story.take()
        story.write(77, shelf=story.other)
        story.step("loaded", lambda: (story.write(78, shelf=story.shelf), story.give()))
        story.judged()
        publish_due(story.relay)
        assert story.told(client, 78) == [0, 78]


def test_what_came_in_between_and_left_is_not_shown(story: Story) -> None:
    with peer(story.server.port, token=story.token) as client:
        client.subscribe("book", pages__lt=50)
        story.take()
        story.write(49)
        story.step("loaded", lambda: (story.write(78), story.give()))
        story.judged()
        publish_due(story.relay)
        frame = client.change()
        assert (frame["action"], frame["gone"]) == ("deleted", False)
        client.call("ping", "room")
        assert client.shown == []


def test_a_state_of_between_is_not_replayed(story: Story) -> None:
    with peer(story.server.port, token=story.token) as client:
        where = client.subscribe("book")["context"]["position"]
    story.take()
    story.write(77)
    other = Book.objects.create(title="b", shelf=story.shelf, pages=5)
    story.step("loaded", lambda: (story.write(78), story.give()))
    until(lambda: story.server.process.node.position("book")[1] > next(iter(where.values()))[1])
    with peer(story.server.port, token=story.token) as client:
        reply = client.call("subscribe", "book", channel="mine", _snapshot=True, _since=where)
        assert reply["context"]["recovered"]
        assert client.change()["data"]["id"] == other.pk
        publish_due(story.relay)
        assert story.told(client, 78) == [78]


def test_a_state_of_between_is_not_sent_to_who_subscribes_without_a_snapshot(story: Story) -> None:
    with peer(story.server.port, token=story.token) as client:
        story.take()
        story.write(77)

        def subscribe() -> None:
            story.write(78)
            story.give()
            client.call("subscribe", "book", channel="mine")

        story.step("published-half", subscribe)
        publish_due(story.relay)
        assert story.told(client, 78) == [78]


def test_what_is_present_is_sent_although_it_was_published_in_between(story: Story) -> None:
    with peer(story.server.port, token=story.token) as client:
        client.subscribe("book")
        story.take()
        story.write(77)
        story.step("loaded", story.give)
        assert story.told(client, 77) == [77]
        publish_due(story.relay)
        story.write(79)
        publish_due(story.relay)
        assert story.told(client, 79) == [79]


def test_whoever_was_judged_gets_what_everybody_gets_when_nothing_newer_is_to_come(story: Story) -> None:
    with peer(story.server.port, token=story.token) as client:
        client.subscribe("book")
        story.take()
        story.write(77)
        story.step("loaded", lambda: (story.write(78), story.give()))
        publish_due(story.relay)
        assert story.told(client, 78) == [78]

        def settled() -> bool:
            process = story.server.process
            return all(s.settled for c in process.clients for s in c.subscriptions.values())

        until(lambda: story.server.on_loop(settled), "being settled")


def test_what_is_never_published_is_not_waited_for_for_ever(story: Story, settings: Any) -> None:
    settings.REALTIME_IDENTITY_SECONDS = 0.1
    with peer(story.server.port, token=story.token) as client:
        client.subscribe("book")
        story.take()
        story.write(77)
        story.step("loaded", lambda: (story.write(78), story.give()))
        story.judged()
        # As `realtime.suppress` and a stream's resync mark what they replace.
        journal.mark(journal.read())
        hub = story.server.process.hub
        until(lambda: story.server.on_loop(lambda: not hub.expecting), "an end of the wait")
        assert client.shown == []
