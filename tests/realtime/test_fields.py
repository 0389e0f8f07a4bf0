"""Values on the wire: what is published can be sent back and means the same."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db.models import Field, FileField, IntegerField
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from realtime.fields import publish_value, read_value
from tests.app.models import Kinds
from tests.library.models import Book

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(-(2**31), 2**31 - 1),
    "big": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "text": TEXT,
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "price": st.decimals(-(10**9), 10**9, places=2),
    "uuid": st.uuids(),
    "moment": st.datetimes(timezones=st.just(datetime.UTC)),
    "day": st.dates(),
    "time": st.times(),
    "span": st.timedeltas(datetime.timedelta(days=-(10**6)), datetime.timedelta(days=10**6)),
    "document": st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=8,
    ),
}


@given(st.sampled_from(sorted(VALUES)).flatmap(lambda name: st.tuples(st.just(name), st.none() | VALUES[name])))
def test_a_published_value_can_be_sent_back(case: tuple[str, Any]) -> None:
    name, value = case
    field: Field[Any, Any] = Kinds._meta.get_field(name)  # type: ignore[assignment]
    wire = json.loads(json.dumps(publish_value(value), allow_nan=False))
    assert read_value(field, wire) == value


def test_an_enumeration_is_its_value() -> None:
    from realtime.models import Journal

    told = publish_value([Journal.Kind.WHOLE, Journal.Kind.WHOLE.label])
    assert told == [1, "whole stream"]
    assert type(told[0]) is int


def test_a_moment_without_offset_is_taken_for_local_time() -> None:
    moment = Kinds._meta.get_field("moment")
    with override_settings(TIME_ZONE="Europe/Vienna"):
        assert read_value(moment, "2026-07-01T12:00:00") == datetime.datetime(2026, 7, 1, 10, tzinfo=datetime.UTC)


def test_a_number_for_a_decimal_means_what_was_written() -> None:
    assert read_value(Kinds._meta.get_field("price"), 0.1) == Decimal("0.1")


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert read_value(Kinds._meta.get_field("integer"), 3.0) == 3


def test_a_file_can_only_be_cleared() -> None:
    cover = Book._meta.get_field("cover")
    assert read_value(cover, None) == read_value(cover, "") == ""
    for field, value in ((cover, "other.png"), (FileField(), None)):
        with pytest.raises(ValidationError, match="file"):
            read_value(field, value)


def test_null_is_a_value_only_where_the_column_takes_it() -> None:
    assert read_value(IntegerField(null=True), None) is None
    with pytest.raises(ValidationError, match="null"):
        read_value(IntegerField(), None)


def test_what_nobody_gave_a_form_says_so() -> None:
    with pytest.raises(TypeError, match="serialize_"):
        publish_value(object())
