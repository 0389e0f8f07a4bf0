"""A filter as a query: the database and `Filter.passes` say the same of every row, for every kind, lookup and value."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from realtime import queries, registry, values
from realtime.errors import BadFilter, TooMany
from realtime.filters import Filter
from realtime.kinds import LOOKUPS_BY_KIND
from tests.app.models import Kinds, Named, Place, Unique
from tests.library.models import Book

pytestmark = pytest.mark.django_db

# Few of each, so that equal ones meet.
TEXTS = st.sampled_from(
    ["", "a", "A", "ab", "%", "_", "\\", "'", '"', "a'b", "é", "É", "ß", "😀", "a😀b", " ", "null", "|", "\n", "İ"]
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.sampled_from([0, 1, -1, 7, 2**31 - 1, -(2**31)]),
    "big": st.sampled_from([0, 1, -1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]),
    "small": st.sampled_from([0, 1, 2**15 - 1]),
    "boolean": st.booleans(),
    "char": TEXTS,
    "text": TEXTS,
    "slug": TEXTS,
    "number": st.sampled_from([0.0, -0.0, 0.1, 20.000000000000004, 20.0, 1e300, 5e-324, -1.5]),
    "price": st.sampled_from([Decimal(text) for text in ("0", "0.10", "0.1", "-1.25", "1.30", "9999999999.99")]),
    "uuid": st.sampled_from([uuid.UUID(int=0), uuid.UUID(int=2**127 + 5)]),
    "moment": st.sampled_from(
        [
            datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
            datetime.datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=datetime.UTC),
            datetime.datetime(2026, 1, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
            datetime.datetime(1900, 1, 1, 12, 30, tzinfo=datetime.UTC),
        ]
    ),
    "day": st.sampled_from([datetime.date(2026, 1, 1), datetime.date(2026, 1, 2), datetime.date(1, 1, 1)]),
    "time": st.sampled_from([datetime.time(0), datetime.time(0, 0, 0, 1), datetime.time(23, 59, 59)]),
    "span": st.sampled_from(
        [datetime.timedelta(0), datetime.timedelta(microseconds=1), datetime.timedelta(days=-3, seconds=5)]
    ),
}
LOOKUPS = {name: LOOKUPS_BY_KIND[queries._KINDS[Kinds._meta.get_field(name).get_internal_type()]] for name in FIELDS}


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, Any, str, Any]:
    """(field, stored value or None, lookup, the filter's value in wire form)."""
    name = draw(st.sampled_from(sorted(FIELDS)))
    some = st.none() | FIELDS[name]
    lookup = draw(st.sampled_from(LOOKUPS[name]))
    if lookup == "isnull":
        asked: Any = draw(st.booleans())
    elif lookup == "in":
        asked = draw(st.lists(some, max_size=3))
    else:
        asked = draw(some if lookup == "exact" else FIELDS[name])
    return name, draw(some), lookup, asked


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases())
@example(("char", "A", "contains", "a"))
@example(("boolean", False, "exact", False))
@example(("integer", 0, "exact", None))
@example(("text", "", "contains", ""))
@example(("text", None, "contains", ""))
@example(("char", None, "in", [None, ""]))
@example(("big", 2**63 - 1, "lte", 2**63 - 1))
def test_database_and_predicate_agree(case: tuple[str, Any, str, Any]) -> None:
    name, stored, lookup, asked = case
    with transaction.atomic():
        row = Kinds.objects.create(**{name: stored})
        context = {f"{name}__{lookup}": asked}
        wanted = Filter.everything().narrowed(queries.scope_conditions(Kinds, context, [name], id_field="pk"))
        assert Kinds.objects.filter(queries.query(wanted)).exists() is wanted.passes(as_streamed(row))
        transaction.set_rollback(True)


def as_streamed(row: Kinds) -> dict[str, Any]:
    """The row's values as a server reads them from the bus."""
    kinds = registry.kinds(Kinds)
    row.refresh_from_db()
    told = values.wire_values(row, registry.filter_columns(Kinds))
    return {name: None if told[name] is None else kind.parse(told[name]) for name, kind in kinds.items()}


def test_alternatives_are_united_and_conditions_narrow() -> None:
    rows = [Kinds.objects.create(integer=number, boolean=number % 2 == 0) for number in range(6)]
    either = Filter.everything().either(
        queries.scope_conditions(Kinds, context, ["integer", "boolean"], id_field="pk")
        for context in ({"integer__lt": 2}, {"integer__gt": 3, "boolean": True})
    )
    found = set(Kinds.objects.filter(queries.query(either)).values_list("integer", flat=True))
    assert found == {row.integer for row in rows if either.passes(as_streamed(row))} == {0, 1, 4}


def test_everything_and_nothing_are_queries_too() -> None:
    Kinds.objects.create()
    assert Kinds.objects.filter(queries.query(Filter.everything())).count() == 1
    assert Kinds.objects.filter(queries.query(Filter.nothing())).count() == 0


@pytest.mark.parametrize("name", ["place", "place_id"])
def test_a_foreign_key_takes_the_key(name: str) -> None:
    place = Place.objects.create(name="here")
    row = Kinds.objects.create(place=place)
    for context in ({name: place.pk}, {name: place}, {f"{name}__in": [place.pk, None]}):
        found = queries.scope_conditions(Kinds, context, [name], id_field="pk")
        wanted = Filter.everything().narrowed(found)
        assert {condition.field for condition in found} == {"place"}
        assert Kinds.objects.filter(queries.query(wanted)).get() == row
        assert wanted.passes(as_streamed(row))


def test_foreign_keys_to_text_and_uuids_compare_as_their_targets() -> None:
    named, unique = Named.objects.create(code="x"), Unique.objects.create()
    row = Kinds.objects.create(named=named, unique=unique)
    context = {"named": "x", "unique": str(unique.pk)}
    wanted = Filter.everything().narrowed(queries.scope_conditions(Kinds, context, ["named", "unique"], id_field="pk"))
    assert Kinds.objects.filter(queries.query(wanted)).get() == row
    assert wanted.passes(as_streamed(row))


ALLOWED = {"shelf": ["exact", "in"], "pages": ["gt"], "id": ["exact"], "title": ["contains"]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shelf", "x"), ("shelf", True), ("shelf", 1.0), ("shelf", [1]), ("shelf", {"pk": 1}), ("shelf", 2**63),
        ("shelf__in", 3), ("shelf__in", [[1]]), ("shelf__gt", 1), ("shelf__name", "x"), ("shelf__isnull", True),
        ("pages", 1), ("pages__gt", "1"), ("pages__gt", None), ("pages__gt", 2**31 * 2**33), ("secret", ""),
        ("title__contains", 5), ("title__contains", "x" * 41), ("title__contains", "\x00"), ("title__regex", "("),
        ("id", "1"), ("pk", 1), ("_state", 1), ("", 1), ("__", 1), ("shelf__", 1),
    ],
)  # fmt: skip
def test_a_filter_of_a_client_is_only_what_was_allowed(name: str, value: Any) -> None:
    if name.startswith("_"):
        # The protocol's own names never come so far; the parser leaves them out.
        assert queries.conditions(Book, {name: value}, ALLOWED, id_field="pk") == ()
        return
    with pytest.raises(BadFilter):
        queries.conditions(Book, {name: value}, ALLOWED, id_field="pk")


def test_a_list_of_a_client_has_a_limit() -> None:
    with pytest.raises(TooMany):
        queries.conditions(Book, {"shelf__in": list(range(101))}, ALLOWED, id_field="pk")


def test_the_limit_of_a_list_is_the_projects_to_set(settings: Any) -> None:
    settings.REALTIME_FILTER_VALUES = 2
    assert queries.conditions(Book, {"shelf__in": [1, 2]}, ALLOWED, id_field="pk")
    with pytest.raises(TooMany):
        queries.conditions(Book, {"shelf__in": [1, 2, 3]}, ALLOWED, id_field="pk")


def test_the_id_is_the_models_key() -> None:
    (condition,) = queries.conditions(Book, {"id": 5}, ALLOWED, id_field="pk")
    assert (condition.field, condition.value) == ("id", 5)


def test_a_context_of_fields_whose_old_values_nobody_keeps_says_so() -> None:
    for context in ({"secret": "x"}, {"shelf__name": "x"}):
        with pytest.raises(ImproperlyConfigured, match="scope_fields"):
            queries.scope_conditions(Book, context, ["shelf"], id_field="pk")
    with pytest.raises(ImproperlyConfigured, match="no column"):
        queries.scope_conditions(Book, {"keywords": 1}, ["keywords"], id_field="pk")
