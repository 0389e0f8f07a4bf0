"""One statement for many objects, and never another one than the queryset asks for."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, connections
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Concat
from django.db.models.sql.compiler import SQLCompiler

from realtime.prepared import Prepared
from tests.library.models import Book, Chapter, Shelf
from tests.library.serializers import BookSerializer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def books() -> list[Book]:
    shelves = [Shelf.objects.create(name=name) for name in ("one", "two")]
    books = [Book.objects.create(title=f"book {n}", pages=n, shelf=shelves[n % 2]) for n in range(4)]
    for book in books:
        Chapter.objects.create(name=f"of {book.title}", book=book)
    return books


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[SQLCompiler]:
    """Statements on books that Django wrote down."""
    found: list[SQLCompiler] = []
    as_sql = SQLCompiler.as_sql

    def counted(self: SQLCompiler, *args: Any, **kwargs: Any) -> Any:
        if self.query.model is Book:
            found.append(self)
        return as_sql(self, *args, **kwargs)

    monkeypatch.setattr(SQLCompiler, "as_sql", counted)
    return found


def test_it_finds_what_the_queryset_finds_and_is_written_once(books: list[Book], written: list[SQLCompiler]) -> None:
    prepared = Prepared()
    found = [prepared.find(BookSerializer.get_queryset(), book.pk) for book in books]
    assert len(written) == 1
    assert found == [[book] for book in books]
    for (one,), book in zip(found, books, strict=True):
        plain = BookSerializer.get_queryset().get(pk=book.pk)
        assert one.__dict__.keys() == plain.__dict__.keys()
        assert BookSerializer(instance=one).serialize() == BookSerializer(instance=plain).serialize()
        assert (one.title, one.shelf.name) == (book.title, book.shelf.name)


def test_what_comes_along_comes_in_as_many_queries(books: list[Book], django_assert_num_queries: Any) -> None:
    prepared, plain = Prepared(), BookSerializer.get_queryset().filter(pk=books[0].pk)
    with connection.execute_wrapper(lambda execute, *args: (asked.append(args[0]), execute(*args))[1]):
        asked: list[str] = []
        for book in plain:
            BookSerializer(instance=book).serialize()
        count = len(asked)
    prepared.find(BookSerializer.get_queryset(), books[0].pk)
    with django_assert_num_queries(count):
        for book in prepared.find(BookSerializer.get_queryset(), books[1].pk):
            BookSerializer(instance=book).serialize()


def test_it_sees_what_was_written_since_and_what_is_gone(books: list[Book]) -> None:
    prepared = Prepared()
    (one,) = prepared.find(Book.objects.all(), books[0].pk)
    Book.objects.filter(pk=one.pk).update(title="another")
    assert [found.title for found in prepared.find(Book.objects.all(), one.pk)] == ["another"]
    Book.objects.filter(pk=one.pk).delete()
    assert prepared.find(Book.objects.all(), one.pk) == []


def querysets() -> dict[str, QuerySet[Any]]:
    return {
        "all": Book.objects.all(),
        "joined": Book.objects.select_related("shelf"),
        "some fields": Book.objects.only("title"),
        "filtered": Book.objects.filter(pages__lt=2),
        "filtered otherwise": Book.objects.filter(pages__lt=3),
        "annotated": Book.objects.annotate(more=F("pages") + 1),
        "annotated with a value": Book.objects.annotate(said=Concat("title", Value("!"))),
        "annotated with another": Book.objects.annotate(said=Concat("title", Value("?"))),
        "none": Book.objects.none(),
        "as dicts": Book.objects.values("title", "pages"),
        "ordered": Book.objects.order_by("-pages"),
        "prefetched": Book.objects.prefetch_related("chapters"),
    }


def told(found: list[Any]) -> list[Any]:
    hidden = {"_state", "_prefetched_objects_cache"}
    return [
        one if isinstance(one, dict) else {name: value for name, value in vars(one).items() if name not in hidden}
        for one in found
    ]


def test_a_query_that_differs_is_asked_as_it_is(books: list[Book]) -> None:
    prepared = Prepared()
    for _ in range(2):
        for one in querysets():
            for other in querysets():
                for book in books:
                    for name in (one, other):
                        wanted = told(list(querysets()[name].filter(pk=book.pk)))
                        assert told(prepared.find(querysets()[name], book.pk)) == wanted, (one, other)


def test_another_thread_has_another_connection(books: list[Book]) -> None:
    prepared, found = Prepared(), list[Any]()
    prepared.find(Book.objects.all(), books[0].pk)

    def ask() -> None:
        found.extend(prepared.find(Book.objects.all(), books[1].pk))
        connections.close_all()

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found == [books[1]]
    assert prepared.find(Book.objects.all(), books[2].pk) == [books[2]]


def test_keys_are_made_ready_for_the_database() -> None:
    from tests.app.models import Unique

    key = Unique._meta.pk.to_python("8b0e6bd4-5a4e-4f53-9f5e-2d9f9d7f9a11")
    one = Unique.objects.create(pk=key)
    prepared = Prepared()
    for asked in (key, str(key), key):
        assert prepared.find(Unique.objects.all(), asked) == [one]
