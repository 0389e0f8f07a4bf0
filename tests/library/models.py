"""A small library: relations of every kind, constraints, and a right that a row of another model gives."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from realtime.models import SelfPublishModel


class Shelf(SelfPublishModel):
    serializer_class = "ShelfSerializer"

    name = models.CharField(max_length=20, unique=True)
    room = models.CharField(max_length=20, blank=True, default="")

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """Lets a user see what stands on a shelf."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    shelf = models.ForeignKey(Shelf, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return f"{self.user_id} {self.shelf_id}"


class Keyword(models.Model):
    word = models.CharField(max_length=20)

    def __str__(self) -> str:
        return self.word


class Book(SelfPublishModel):
    serializer_class = "BookSerializer"

    title = models.CharField(max_length=40)
    shelf = models.ForeignKey(Shelf, on_delete=models.CASCADE)
    secret = models.CharField(max_length=40, blank=True, default="")
    pages = models.IntegerField(default=1)
    price = models.DecimalField(max_digits=8, decimal_places=2, null=True, blank=True)
    rating = models.FloatField(null=True, blank=True)
    on_loan = models.BooleanField(default=False)
    due = models.DateTimeField(null=True, blank=True)
    code = models.UUIDField(null=True, blank=True)
    extra: models.JSONField[Any, Any] = models.JSONField(default=dict, blank=True)
    cover = models.FileField(blank=True)
    keywords: models.ManyToManyField[Keyword, Any] = models.ManyToManyField(Keyword, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["shelf", "title"], name="library_book_title"),
            models.UniqueConstraint(fields=["secret"], condition=~models.Q(secret=""), name="library_book_secret"),
            models.CheckConstraint(condition=models.Q(pages__gte=0), name="library_book_pages"),
        )

    def __str__(self) -> str:
        return self.title

    def clean(self) -> None:
        if self.title == self.secret != "":
            raise ValidationError({"secret": "The secret tells the title."})


class Chapter(SelfPublishModel):
    serializer_class = "ChapterSerializer"

    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="chapters")
    name = models.CharField(max_length=20)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return self.name


class Loan(models.Model):
    """Keeps its book from being deleted."""

    book = models.OneToOneField(Book, on_delete=models.PROTECT)

    def __str__(self) -> str:
        return str(self.book_id)
