"""Arguments: what a client sends meets what an app wrote, and only BadArgs comes of it."""

from __future__ import annotations

from typing import Any

import pytest

from realtime.arguments import bind, call_hook, split
from realtime.errors import BadArgs


class App:
    def closed(self, id: int, *, name: str = "") -> Any:
        return id, name

    def open(self, **kwargs: Any) -> Any:
        return kwargs

    def hook(self, obj: Any, **kwargs: Any) -> Any:
        return obj, kwargs

    def picky(self, obj: Any, room: Any) -> Any:
        return obj, room

    def looks(self, **kwargs: Any) -> Any:
        return kwargs["room"]

    def looks_deeper(self, **kwargs: Any) -> Any:
        return {}[kwargs["room"]]


@pytest.mark.parametrize("args", [{}, {"name": "x"}, {"id": 1, "other": 2}, {"id": 1, "self": 2}])
def test_a_verb_is_called_only_with_what_it_takes(args: dict[str, Any]) -> None:
    with pytest.raises(BadArgs):
        bind(App().closed, args)


def test_a_verb_takes_its_arguments() -> None:
    bind(App().closed, {"id": 1})
    bind(App().open, {"anything": 1})
    with pytest.raises(BadArgs):
        bind(App().open, {"self": 1})


def test_the_servers_own_arguments_cannot_be_displaced() -> None:
    assert call_hook(App().hook, "mine", obj="theirs", self="theirs", more=1) == ("mine", {"more": 1})
    assert call_hook(App().picky, "mine", obj="theirs", room=5, more=1) == ("mine", 5)


def test_what_a_hook_misses_is_the_clients_error() -> None:
    for hook, given in ((App().picky, ("mine",)), (App().looks, ())):
        with pytest.raises(BadArgs, match="room"):
            call_hook(hook, *given)


def test_another_missing_key_is_the_apps_fault() -> None:
    with pytest.raises(KeyError):
        call_hook(App().looks_deeper, room="closed")


def test_reserved_names_are_split_off() -> None:
    assert split({"id": 1, "_page": 2, "_type": "x"}) == ({"id": 1}, {"_page": 2, "_type": "x"})
    with pytest.raises(BadArgs, match="_own"):
        split({"_own": 1})
