"""What a trigger kept and what the ORM shows are the same value on the wire, for every type and on each database."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, models

from realtime import journal, values
from realtime.models import published
from tests.app.models import Kinds, Named, Place, Thing, Unique
from tests.realtime.journal_base import POSTGRESQL, publish_all

UTC = datetime.UTC
TOKYO = datetime.timezone(datetime.timedelta(hours=9))
ONE = uuid.UUID("0123456789abcdef0123456789abcdef")
DIGITS = uuid.UUID("12345678901234567890123456789012")

# (field, value, what stands on the wire)
TABLE: list[tuple[str, Any, Any]] = [
    ("integer", 0, 0),
    ("integer", -5, -5),
    ("big", 2**53 + 1, 2**53 + 1),
    ("big", -(2**63), -(2**63)),
    ("small", 7, 7),
    ("boolean", True, True),
    ("boolean", False, False),
    ("char", "", ""),
    ("char", "20.0", "20.0"),
    ("char", "007", "007"),
    ("char", "null", "null"),
    ("char", '"\\ü 🌱\n', '"\\ü 🌱\n'),
    ("text", "x" * 3000, "x" * 3000),
    ("slug", "a-b", "a-b"),
    ("number", 20.000000000000004, 20.000000000000004),
    ("number", 20.0, 20.0),
    ("number", -0.1, -0.1),
    ("number", 1e300, 1e300),
    ("number", 5e-324, 5e-324),
    ("number", 1e22, 1e22),
    ("price", Decimal("12.30"), "12.30"),
    ("price", Decimal("12"), "12.00"),
    ("price", Decimal("-0.01"), "-0.01"),
    ("price", Decimal("9999999999.99"), "9999999999.99"),
    ("price", Decimal("0"), "0.00"),
    ("uuid", ONE, str(ONE)),
    ("uuid", DIGITS, str(DIGITS)),
    ("moment", datetime.datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC), "2024-02-29T12:30:15.123456+00:00"),
    ("moment", datetime.datetime(2024, 2, 29, 23, 0, tzinfo=UTC), "2024-02-29T23:00:00+00:00"),
    ("moment", datetime.datetime(2024, 1, 1, 3, 0, tzinfo=TOKYO), "2023-12-31T18:00:00+00:00"),
    ("moment", datetime.datetime(1899, 12, 31, 1, 2, 3, tzinfo=UTC), "1899-12-31T01:02:03+00:00"),
    ("day", datetime.date(2024, 2, 29), "2024-02-29"),
    ("day", datetime.date(1, 1, 1), "0001-01-01"),
    ("time", datetime.time(0, 0), "00:00:00"),
    ("time", datetime.time(23, 59, 59, 999999), "23:59:59.999999"),
    ("span", datetime.timedelta(0), "P0DT00H00M00S"),
    ("span", datetime.timedelta(days=400, hours=3, microseconds=5), "P400DT03H00M00.000005S"),
    ("span", datetime.timedelta(days=-1, seconds=-5), "-P1DT00H00M05S"),
    ("span", datetime.timedelta(seconds=-1), "-P0DT00H00M01S"),
    ("span", datetime.timedelta(hours=1000), "P41DT16H00M00S"),
    ("address", "192.168.0.1", "192.168.0.1"),
    ("address", "2001:db8::1", "2001:db8::1"),
    ("document", {"a": [1, 2.5, None, "ü", True], "b": {}}, {"a": [1, 2.5, None, "ü", True], "b": {}}),
    ("document", "text", "text"),
    ("document", "5", "5"),
    ("document", 5, 5),
    ("document", [], []),
]


def kept(**fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The wire values of a row as the ORM shows it, and as the journal tells it when the row is gone."""
    row = Kinds.objects.create(**fields)
    publish_all()
    shown = values.wire_values(Kinds.objects.get(pk=row.pk), published()[Kinds].columns)
    row.delete()
    (due,) = journal.read()
    told = values.to_wire(Kinds, due.before[0])
    assert told is not None
    return shown, told


@pytest.mark.django_db
@pytest.mark.parametrize(("field", "value", "wire"), TABLE, ids=[f"{f}-{i}" for i, (f, _, _) in enumerate(TABLE)])
def test_past_and_present_are_equal_on_the_wire(field: str, value: Any, wire: Any) -> None:
    shown, told = kept(**{field: value})
    assert shown == told
    assert told[field] == wire
    assert type(told[field]) is type(wire)
    # An instance that was never read back says the same.
    assert values.wire_values(Kinds(**{field: value}), [field]) == {field: wire}


@pytest.mark.django_db
def test_null_is_null_in_every_type() -> None:
    shown, told = kept()
    assert shown == told
    assert set(told.values()) == {None}
    assert set(told) == {field.name for field in Kinds._meta.concrete_fields} - {"id"}


@pytest.mark.django_db
def test_relations_are_the_keys_of_what_they_point_to() -> None:
    place = Place.objects.create(name="hall")
    unique = Unique.objects.create(pk=ONE)
    named = Named.objects.create(code="ü 1")
    shown, told = kept(place=place, unique=unique, named=named)
    assert shown == told
    assert (told["place"], told["unique"], told["named"]) == (place.pk, str(ONE), "ü 1")


@pytest.mark.django_db
@pytest.mark.skipif(not POSTGRESQL, reason="SQLite keeps 15 digits of a decimal")
def test_every_session_keeps_the_same_text() -> None:
    # Another program may have set these as it likes; equal states would then stand twice, or be rounded.
    row = Kinds.objects.create(
        number=20.000000000000004,
        moment=datetime.datetime(2024, 1, 1, tzinfo=UTC),
        span=datetime.timedelta(days=-1, seconds=5),
    )
    publish_all()
    with connection.cursor() as cursor:
        for setting in (
            "timezone = 'Asia/Tokyo'",
            "intervalstyle = 'sql_standard'",
            "extra_float_digits = 0",
            "datestyle = 'German'",
        ):
            cursor.execute(f"SET {setting}")
        cursor.execute("UPDATE app_kinds SET integer = 1 WHERE id = %s", [row.pk])
        for setting in (
            "timezone = 'UTC'",
            "intervalstyle = 'postgres'",
            "extra_float_digits = 1",
            "datestyle = 'ISO'",
        ):
            cursor.execute(f"SET {setting}")
    (due,) = journal.read()
    told = values.to_wire(Kinds, due.before[0])
    assert told is not None
    assert told["number"] == 20.000000000000004
    assert told["moment"] == "2024-01-01T00:00:00+00:00"
    assert told["span"] == "-P0DT23H59M55S"


@pytest.mark.django_db
def test_what_json_cannot_say_is_nothing_that_a_filter_could_have_matched() -> None:
    row = Kinds.objects.create()
    infinite = "'Infinity'" if POSTGRESQL else "9e999"
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE app_kinds SET number = {infinite} WHERE id = %s", [row.pk])
    publish_all()
    assert values.wire_values(Kinds.objects.get(), ["number"]) == {"number": None}
    row.delete()
    (due,) = journal.read()
    told = values.to_wire(Kinds, due.before[0])
    assert told is not None
    assert told["number"] is None


def test_columns_that_the_model_no_longer_has_are_left_out() -> None:
    assert values.to_wire(Thing, {"size": 3, "gone": 1}) == {"size": 3}
    assert values.to_wire(Thing, None) is None


class Odd(models.CharField):  # type: ignore[type-arg]
    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return value


def test_types_outside_the_table_are_named() -> None:
    assert values.unsupported(models.BinaryField()) is not None
    assert values.unsupported(models.FileField()) is not None
    assert values.unsupported(Odd()) is not None
    for field in Kinds._meta.concrete_fields:
        assert values.unsupported(field) is None, field


def test_keys_are_numbers_texts_and_uuids() -> None:
    for good in (models.BigAutoField(), models.CharField(), models.UUIDField(), models.SlugField()):
        assert values.key_unsupported(good) is None
    for bad in (models.BinaryField(), models.DateTimeField(), models.DecimalField(), models.FloatField()):
        assert values.key_unsupported(bad) is not None
