"""The predicate, the database, the triggers' memory and the index say the same of every row: each kind of field, lookup
and nasty value, thousands of combinations, one query for each condition over a table of nasty rows."""

from __future__ import annotations

import datetime as dt
import json
import random
import sys
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from realtime import change, journal, queries, registry, values
from realtime.errors import BadFilter
from realtime.filters import Condition, Filter, typed
from realtime.index import FilterIndex
from realtime.kinds import EQUALITY, LOOKUPS_BY_KIND, RANGES
from realtime.protocol import dumps
from tests.app.models import Kinds
from tests.security.effort import LONG, examples

pytestmark = pytest.mark.django_db

UTC = dt.UTC
TEXTS = [
    "", " ", "  ", "a", "A", "ab", "aB", "a ", " a", "%", "_", "a%", "a_b", "a\\", "\\", "\\%", "'", "''", '"', "a'b",
    "';--", "$1", "%s", "%(x)s", "{}", "é", "e\u0301", "É", "ß", "ẞ", "ss", "SS", "İ", "i", "I", "ı", "i\u0307", "Σ",
    "σ", "ς", "ﬁ", "fi", "ﬀ", "😀", "a😀b", "👨\u200d👩\u200d👧", "👨", "\u200d", "\ufeff", "\u202e", "\u00a0",
    "\u2028",
    "\x01", "\x1f", "\x7f", "\t", "\n", "\r\n", "|", "||", ",", ":", "!null", "null", "NULL", "None", "true", "0", "00",
    "1", "~", "__in:", "\ud7ff", "\ue000", "\uffff", "\U0010ffff", "漢", "ｱ", "ア", "א", "ab" * 25, "x" * 50,
]  # fmt: skip
INTEGERS = [0, 1, -1, 2, 7, 9, 10, 2**15 - 1, -(2**15), 2**31 - 1, -(2**31)]
BIG = [*INTEGERS, 2**31, 2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 10**18, 2**63 - 2, 2**63 - 1, 1 - 2**63, -(2**63)]
FLOATS = [
    0.0, -0.0, 1.0, -1.0, 0.1, 0.2, 0.30000000000000004, 1 / 3, 20.0, 20.000000000000004, 1e15, 1e16, 2.0**53,
    2.0**53 + 2, 1e22, 123456789.12345678, 1e300, -1e300, 5e-324, sys.float_info.min, sys.float_info.max, 1e-7, -1.5,
]  # fmt: skip
DECIMALS = [
    Decimal(text)
    for text in (
        "0", "0.00", "0.01", "-0.01", "0.1", "0.10", "1", "1.00", "-1.25", "1.30", "1.3", "99.99", "1234567890.12",
        "9999999999.99", "-9999999999.99", "0.99", "10", "1E+1", "100000.05",
    )
]  # fmt: skip
MOMENTS = [
    dt.datetime(2026, 1, 1, tzinfo=UTC),
    dt.datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    dt.datetime(2026, 1, 1, 0, 0, 0, 999_999, tzinfo=UTC),
    dt.datetime(2026, 1, 1, 0, 0, 0, 100_000, tzinfo=UTC),
    dt.datetime(2025, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    dt.datetime(2026, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))),
    dt.datetime(2026, 1, 1, 5, 45, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=45))),
    dt.datetime(2024, 2, 29, 12, tzinfo=UTC),
    dt.datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
    dt.datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    dt.datetime(1, 1, 2, tzinfo=UTC),
    dt.datetime(1, 1, 1, tzinfo=UTC),
    dt.datetime(999, 12, 31, tzinfo=UTC),
    dt.datetime(1752, 9, 5, tzinfo=UTC),
    dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
]
DAYS = [dt.date(1, 1, 1), dt.date(999, 12, 31), dt.date(1582, 10, 10), dt.date(1970, 1, 1), dt.date(2024, 2, 29),
        dt.date(2026, 1, 1), dt.date(2026, 1, 2), dt.date(9999, 12, 31)]  # fmt: skip
TIMES = [dt.time(0), dt.time(0, 0, 0, 1), dt.time(0, 0, 1), dt.time(12, 30), dt.time(12, 30, 0, 100_000),
         dt.time(23, 59, 59), dt.time(23, 59, 59, 999_999)]  # fmt: skip
SPANS = [
    dt.timedelta(0), dt.timedelta(microseconds=1), dt.timedelta(microseconds=-1), dt.timedelta(seconds=1),
    dt.timedelta(days=1), dt.timedelta(days=-1), dt.timedelta(days=-3, seconds=5), dt.timedelta(hours=25),
    dt.timedelta(days=1, microseconds=999_999), dt.timedelta(days=3650), dt.timedelta(days=100_000, seconds=1),
    dt.timedelta(days=-100_000, microseconds=1),
]  # fmt: skip
UUIDS = [uuid.UUID(int=0), uuid.UUID(int=1), uuid.UUID(int=2**128 - 1), uuid.UUID(int=2**127 + 5),
         uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")]  # fmt: skip
STORED: dict[str, list[Any]] = {
    "integer": INTEGERS,
    "big": BIG,
    "small": [0, 1, 2, 2**15 - 1],
    "boolean": [False, True],
    "char": TEXTS,
    "text": [*TEXTS, "x" * 5000],
    "slug": [text for text in TEXTS if len(text) <= 50],
    "number": FLOATS,
    "price": DECIMALS,
    "uuid": UUIDS,
    "moment": MOMENTS,
    "day": DAYS,
    "time": TIMES,
    "span": SPANS,
}
# In the forms that only a client would choose, beside each stored value's own.
ASKED: dict[str, list[Any]] = {
    "number": [0, 1, -1, 20, 2**53 + 1, 0.1 + 0.2, 1e-320],
    "price": [0, 1, 1.3, 0.1, 99.99, "0.1", "+1.30", "01.30", "1.300", "1.301", "9999999999.991", "1" * 60, 1e10],
    "uuid": [str(UUIDS[4]).upper(), UUIDS[4].hex, str(UUIDS[4]).replace("-", "", 1)],
    "moment": [
        "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.1+00:00", "2026-01-01 02:00+02:00", "2025-12-31T18:15-05:45",
        "2026-01-01T00:00+00:00", "0001-01-01T00:00:00+00:00", "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T24:00:00+00:00",
    ],
    "day": ["2026-1-1", "20260101", "2026-01-01T00:00:00+00:00", "0000-01-01", "2023-02-29"],
    "time": ["00:00", "12:30", "12:30:00.1", "24:00", "12:30:00+01:00", "23:59:60"],
    "span": ["P0D", "P1D", "PT24H", "PT86400S", "-P1D", "-PT1S", "P1DT0.5S", "PT", "P", "P999999999D", "PT0.000001S"],
    "text": ["x" * 1001],
    "char": ["x" * 201],
    "slug": ["x" * 51],
    "small": [-1, 2**15],
    "integer": [2**31, -(2**31) - 1],
    "big": [2**63, -(2**63) - 1, 2**64],
}  # fmt: skip
# Of no kind, or of another one.
ALIENS: list[Any] = [None, False, True, 0, -1, 1.5, "", "0", "null", [], [None], {}, {"pk": 1}, 2**63, -(2**63), "\0"]
RANDOM = random.Random(20)


def table(name: str) -> list[Kinds]:
    """A row for each nasty value of the field, and one for null, as they are stored."""
    Kinds.objects.bulk_create([Kinds(**{name: value}) for value in [None, *STORED[name]]])
    return list(Kinds.objects.order_by("pk"))


def streamed(row: Kinds, before: dict[str, Any] | None = None) -> change.Change:
    """The row as a server has it from the bus: encoded, decoded, typed."""
    now = values.wire_values(row, registry.filter_columns(Kinds))
    told = change.Change("kinds", str(row.pk), 1, change.UPDATED, {"id": row.pk}, now, (before,), row.pk, "kinds")
    decoded = change.decode(change.encode(told))
    assert isinstance(decoded, change.Change)
    return typed(decoded, registry.kinds(Kinds))


def wishes(name: str) -> Iterator[tuple[str, Any]]:
    """(lookup, value in wire form): every lookup there is with every value there is, and lists of them."""
    own = [_wire(value) for value in STORED[name]]
    asked = [*own, *ASKED.get(name, ()), *ALIENS]
    if not LONG:
        # Texts are many; the others stay whole.
        asked = RANDOM.sample(asked, min(len(asked), 60))
    for lookup in ("exact", "contains", *RANGES):
        yield from ((lookup, value) for value in asked)
    for value in (True, False, None, 0, "true"):
        yield "isnull", value
    for size in (0, 1, 2, 3, 5, 20):
        for _ in range(40 if LONG else 8):
            yield "in", RANDOM.sample([*own, None], min(size, len(own)))
            yield "in", RANDOM.sample(asked, min(size, len(asked)))


def _wire(value: Any) -> Any:
    return json.loads(dumps(value))


@pytest.mark.parametrize("name", STORED)
def test_the_predicate_says_what_the_database_says_of_every_row(name: str) -> None:
    rows = table(name)
    seen = {row.pk: streamed(row).now for row in rows}
    tried = refused = some = 0
    for lookup, value in wishes(name):
        try:
            found = queries.conditions(Kinds, {f"{name}__{lookup}": value}, {name: _lookups(name)}, id_field="pk")
        except BadFilter:
            refused += 1
            continue
        wanted = Filter.everything().narrowed(found)
        passing = {pk for pk, state in seen.items() if wanted.passes(state)}
        stored = set(Kinds.objects.filter(queries.query(wanted)).values_list("pk", flat=True))
        assert passing == stored, (
            f"{name}__{lookup}={value!r}: the predicate alone has "
            f"{[getattr(row, name) for row in rows if row.pk in passing - stored]}, the database alone "
            f"{[getattr(row, name) for row in rows if row.pk in stored - passing]}"
        )
        tried += 1
        some += bool(passing)
    # A comparison that only ever sees refusals, or empty answers, proves nothing.
    assert tried > 20
    assert refused > 5
    assert some > 5


@pytest.mark.parametrize("name", STORED)
def test_what_the_triggers_remember_of_a_row_is_what_the_row_was(name: str) -> None:
    """Old states decide who is told that an object left; they come from the database's own hand."""
    rows = table(name)
    was = {str(row.pk): streamed(row).now for row in rows}
    _published()
    Kinds.objects.update(small=1 if name != "small" else None, document={"now": "else"})
    Kinds.objects.update(**{name: None})
    remembered = {row.key: row.before for row in journal.read(1000)}
    kinds = registry.kinds(Kinds)
    for row in rows:
        states = [values.to_wire(Kinds, state) for state in remembered[str(row.pk)]]
        known = [
            {field: None if state[field] is None else kind.parse(state[field]) for field, kind in kinds.items()}
            for state in states
            if state is not None
        ]
        assert was[str(row.pk)] in known, (getattr(row, name), known)


def _published() -> None:
    """As if the relay had been here."""
    journal.mark(journal.read(10_000))


def _lookups(name: str) -> tuple[str, ...]:
    return LOOKUPS_BY_KIND[queries._KINDS[Kinds._meta.get_field(name).get_internal_type()]]


# -- any filter of several fields --------------------------------------------------------------------------------------


FIELDS = ("integer", "boolean", "char", "number", "price", "moment", "span")
KNOWN = {name: RANDOM.sample(STORED[name], min(6, len(STORED[name]))) for name in FIELDS}


@st.composite
def conditions(draw: st.DrawFn) -> tuple[str, Any]:
    name = draw(st.sampled_from(FIELDS))
    lookup = draw(st.sampled_from(_lookups(name)))
    value = st.sampled_from([_wire(value) for value in KNOWN[name]])
    if lookup == "isnull":
        return f"{name}__isnull", draw(st.booleans())
    if lookup == "in":
        return f"{name}__in", draw(st.lists(st.none() | value, max_size=4))
    return f"{name}__{lookup}", draw(value | st.none() if lookup == "exact" else value)


contexts = st.lists(st.lists(conditions(), max_size=4).map(dict), max_size=4)


@pytest.fixture
def crowd() -> dict[int, change.State]:
    """Rows of values in every mixture."""
    mixed = [{name: RANDOM.choice([None, *KNOWN[name]]) for name in FIELDS} for _ in range(60)]
    Kinds.objects.bulk_create([Kinds(**row) for row in mixed])
    return {row.pk: streamed(row).now for row in Kinds.objects.all()}


@examples(150)
@given(contexts, contexts)
def test_filters_within_filters_agree_too(
    crowd: dict[int, change.State], scope: list[dict[str, Any]], asked: list[dict[str, Any]]
) -> None:
    wanted = _either(scope)
    for context in asked[:1]:
        wanted = wanted.narrowed(_conditions(context))
    stored = set(Kinds.objects.filter(queries.query(wanted)).values_list("pk", flat=True))
    assert {pk for pk, state in crowd.items() if wanted.passes(state)} == stored


@examples(60)
@given(st.lists(contexts, max_size=25), st.data())
def test_the_index_answers_as_a_scan_of_all_filters_does_while_they_come_and_go(
    wished: list[list[dict[str, Any]]], data: st.DataObject
) -> None:
    objects = [{name: RANDOM.choice([None, *_parsed(name)]) for name in FIELDS} for _ in range(10)]
    index, there = FilterIndex(), dict[str, Filter]()
    for wanted in map(_either, wished):
        index.add(wanted.name("kinds"), wanted)
        there[wanted.name("kinds")] = wanted
        if data.draw(st.integers(0, 3)) == 0:
            gone = data.draw(st.sampled_from(sorted(there)))
            index.remove(gone)
            del there[gone]
        for each in objects:
            assert index.match(each) == {name for name, other in there.items() if other.passes(each)}
    for name in there:
        index.remove(name)
    assert all(index.match(each) == set() for each in objects)


def _either(contexts: list[dict[str, Any]]) -> Filter:
    return Filter.everything().either(_conditions(context) for context in contexts)


def _conditions(context: dict[str, Any]) -> tuple[Condition, ...]:
    return queries.scope_conditions(Kinds, context, FIELDS, id_field="pk")


def _parsed(name: str) -> list[Any]:
    kind = registry.kinds(Kinds)[name]
    return [kind.parse(_wire(value)) for value in KNOWN[name]]


def test_every_kind_of_field_and_every_lookup_takes_part() -> None:
    covered = {queries._KINDS[Kinds._meta.get_field(name).get_internal_type()] for name in STORED}
    assert covered == set(LOOKUPS_BY_KIND)
    assert {lookup for lookups in LOOKUPS_BY_KIND.values() for lookup in lookups} <= {"contains", *EQUALITY, *RANGES}
    assert connection.vendor in ("sqlite", "postgresql")
