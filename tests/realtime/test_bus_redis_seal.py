"""Who may write to Redis cannot say what this installation did not say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.bus_redis_seal import Seal

OURS = Seal(["secret"])
texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts, texts)
def test_what_was_sealed_is_opened_as_it_was(stream: str, body: str) -> None:
    assert OURS.opened(stream, OURS.sealed(stream, body).encode()) == body


@given(texts, st.integers(0, 200), st.integers(1, 255))
def test_a_letter_that_was_changed_breaks_the_seal(body: str, place: int, bit: int) -> None:
    sealed = bytearray(OURS.sealed("device", body).encode())
    place %= len(sealed)
    if place == 32:
        return  # the blank between
    sealed[place] ^= bit
    with pytest.raises(ValueError, match="not sealed"):
        OURS.opened("device", bytes(sealed))


@given(st.binary())
def test_what_nobody_sealed_is_not_opened(sealed: bytes) -> None:
    with pytest.raises(ValueError, match="not sealed"):
        OURS.opened("device", sealed)


def test_a_seal_is_for_one_stream_and_one_installation() -> None:
    sealed = OURS.sealed("device", "body").encode()
    for stream in ("devic", "device\n", "!control", ""):
        with pytest.raises(ValueError, match="not sealed"):
            OURS.opened(stream, sealed)
    with pytest.raises(ValueError, match="not sealed"):
        Seal(["another"]).opened("device", sealed)


def test_while_the_secret_changes_both_are_believed() -> None:
    new = Seal(["new", "secret"])
    assert new.opened("device", OURS.sealed("device", "body").encode()) == "body"
    with pytest.raises(ValueError, match="not sealed"):
        OURS.opened("device", new.sealed("device", "body").encode())
