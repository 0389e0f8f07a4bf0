from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.kinds import LOOKUPS_BY_KIND, Kind
from realtime.protocol import dumps, duration_text

UID = uuid.UUID("0a0b0c0d-0001-4002-8003-0123456789ab")

GOOD: list[tuple[Kind, Any, Any]] = [
    (Kind("boolean"), True, True),
    (Kind("boolean"), False, False),
    (Kind("integer"), 0, 0),
    (Kind("integer", -(2**63), 2**63 - 1), -(2**63), -(2**63)),
    (Kind("float"), 20, 20.0),
    (Kind("float"), 0.1, 0.1),
    (Kind("decimal"), "12.50", Decimal("12.50")),
    (Kind("decimal"), 5, Decimal(5)),
    (Kind("decimal"), 0.1, Decimal("0.1")),
    (Kind("decimal", places=2), "1.50", Decimal("1.50")),
    (Kind("text"), "", ""),
    (Kind("text"), "💡 null", "💡 null"),
    (Kind("datetime"), "2026-01-02T03:04:05+00:00", dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
    (Kind("datetime"), "2026-01-02T03:04:05.5Z", dt.datetime(2026, 1, 2, 3, 4, 5, 500000, dt.UTC)),
    (Kind("datetime"), "2026-01-02T05:04+02:00", dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC)),
    (Kind("date"), "2026-01-02", dt.date(2026, 1, 2)),
    (Kind("time"), "03:04:05", dt.time(3, 4, 5)),
    (Kind("duration"), "P1DT02H03M04.500000S", dt.timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
    (Kind("duration"), "-P0DT00H00M01S", dt.timedelta(seconds=-1)),
    (Kind("uuid"), str(UID), UID),
    (Kind("uuid"), UID.hex, UID),
]

BAD: list[tuple[Kind, Any]] = [
    *[(Kind(name), value) for name in LOOKUPS_BY_KIND for value in (None, [], {}, object())],
    *[(Kind(name), True) for name in LOOKUPS_BY_KIND if name != "boolean"],
    *[(Kind(name), "") for name in LOOKUPS_BY_KIND if name != "text"],
    (Kind("boolean"), 1),
    (Kind("boolean"), "True"),
    (Kind("integer"), "3"),
    (Kind("integer"), 3.0),
    (Kind("integer", -(2**63), 2**63 - 1), 2**63),
    (Kind("float"), float("nan")),
    (Kind("float"), float("inf")),
    (Kind("float"), 10**400),
    (Kind("decimal"), "NaN"),
    (Kind("decimal"), "1e9"),
    (Kind("decimal"), float("inf")),
    (Kind("decimal"), "abc"),
    (Kind("decimal", maximum=1000), "1000.1"),
    # A database would round it to 1.01, Python would not.
    (Kind("decimal", places=2), "1.005"),
    (Kind("text", length=3), "four"),
    (Kind("text"), "a\0"),
    (Kind("text"), "\ud83d"),
    (Kind("text"), "x" * 1001),
    (Kind("datetime"), "2026-01-02T03:04:05"),
    (Kind("datetime"), "2026-01-02"),
    (Kind("datetime"), "0001-01-01T00:00:00+14:00"),
    (Kind("datetime"), 1767323045),
    (Kind("date"), "2026-W01-5"),
    (Kind("date"), "20260102"),
    (Kind("date"), "2026-13-01"),
    (Kind("time"), "03:04:05+01:00"),
    (Kind("time"), "25:00"),
    (Kind("duration"), "P"),
    (Kind("duration"), "PT"),
    (Kind("duration"), "1 day"),
    (Kind("duration"), "P999999999DT999999999H"),
    (Kind("uuid"), "{" + str(UID) + "}"),
    (Kind("uuid"), "urn:uuid:" + str(UID)),
]


@pytest.mark.parametrize(("kind", "wire", "value"), GOOD)
def test_a_value_of_its_kind_is_read(kind: Kind, wire: Any, value: Any) -> None:
    parsed = kind.parse(wire)

    assert parsed == value
    assert type(parsed) is type(value)
    hash(parsed)


@pytest.mark.parametrize(("kind", "wire"), BAD)
def test_anything_else_is_a_value_error(kind: Kind, wire: Any) -> None:
    with pytest.raises(ValueError):
        kind.parse(wire)


def test_there_are_no_other_kinds() -> None:
    with pytest.raises(ValueError):
        Kind("colour")


@pytest.mark.parametrize("name", ["boolean", "text", "uuid"])
def test_what_databases_order_otherwise_has_no_ranges(name: str) -> None:
    assert not {"lt", "lte", "gt", "gte"} & set(Kind(name).lookups)


@given(st.datetimes(dt.datetime(1, 1, 3), dt.datetime(9999, 12, 29), timezones=st.timezones()))
def test_date_times_come_back_from_the_wire(moment: dt.datetime) -> None:
    offset = moment.utcoffset()
    if offset is not None and offset.total_seconds() % 60 == 0:
        # Local times that a change of the clocks skips equal nothing in other zones, so both are compared in one.
        assert Kind("datetime").parse(dumps(moment)[1:-1]) == moment.astimezone(dt.UTC)


@given(st.timedeltas())
def test_durations_come_back_from_the_wire(length: dt.timedelta) -> None:
    assert Kind("duration").parse(duration_text(length)) == length


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12))
def test_decimals_come_back_from_the_wire(number: Decimal) -> None:
    assert Kind("decimal").parse(dumps(number)[1:-1]) == number
