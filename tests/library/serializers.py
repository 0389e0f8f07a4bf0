"""What clients see of the library and may change in it."""

# ruff: noqa: RUF012  the serializers' base class says which attributes belong to the class

from __future__ import annotations

from typing import Any

from realtime.serializers import ModelSerializer, ModelValidationError
from tests.library.models import Book, Chapter, Keyword, Shelf


class ShelfSerializer(ModelSerializer):
    class Meta:
        model = "library.Shelf"
        publish_fields = "name"
        update_fields = "name"


class ChapterSerializer(ModelSerializer):
    class Meta:
        model = Chapter
        publish_fields = ("name", "book")
        update_fields = ("name",)


class KeywordSerializer(ModelSerializer):
    class Meta:
        model = Keyword
        publish_fields = ("word",)
        update_fields = ("word",)


class BookSerializer(ModelSerializer):
    shelf = ShelfSerializer
    chapters = "ChapterSerializer"
    shows = {"shelf": Shelf, "chapters": Chapter}

    class Meta:
        model = Book
        publish_fields = (
            "title", "shelf", "pages", "price", "rating", "on_loan", "due", "code", "extra", "cover", "keywords",
            "chapters",
        )  # fmt: skip
        update_fields = (
            "title", "shelf", "pages", "price", "rating", "on_loan", "due", "code", "extra", "cover", "keywords",
            "chapters",
        )  # fmt: skip

    def serialize_label(self, obj: Book) -> str:
        return f"{obj.title} ({obj.pages})"

    def validate_title(self, val: Any) -> None:
        if val == "forbidden":
            raise ModelValidationError({"title": ["This book may not be here."]})
