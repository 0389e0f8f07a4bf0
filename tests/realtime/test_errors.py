from __future__ import annotations

import pytest

from realtime import errors
from realtime.errors import CloseCode, RealtimeError


def test_the_docstring_is_the_message() -> None:
    assert errors.NotAllowed().message == "You may not do this."
    assert str(errors.NotAllowed()) == "You may not do this."


def test_a_message_of_its_own_takes_its_place() -> None:
    assert errors.Conflict("The device is disabled.").message == "The device is disabled."


def test_messages_by_field_are_data() -> None:
    assert errors.Invalid(data={"name": ["Too long."]}).data == {"name": ["Too long."]}


def test_without_docstrings_the_code_is_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors.NotFound, "__doc__", None)

    assert errors.NotFound().message == "not_found"


def test_what_the_bus_raises_is_unavailable_on_the_wire() -> None:
    assert issubclass(errors.BusUnavailable, errors.Unavailable)
    assert errors.BusUnavailable.code == "unavailable"
    assert errors.BusUnavailable.temporary


def test_every_error_is_in_the_tree_at_the_top_of_its_module() -> None:
    tree = errors.__doc__ or ""

    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == errors.__name__:
            assert name in tree, name


def test_too_slow_is_never_an_answer() -> None:
    assert not issubclass(errors.TooSlow, RealtimeError)


@pytest.mark.parametrize("code", CloseCode)
def test_a_close_code_has_a_reason_that_fits_a_close_frame(code: CloseCode) -> None:
    assert 0 < len(code.reason.encode()) <= 123


def test_coming_back_is_pointless_only_where_it_would_be_refused_again() -> None:
    assert {code for code in CloseCode if not code.may_reconnect} == {CloseCode.NOT_ALLOWED, CloseCode.TOO_MANY}
