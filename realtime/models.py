"""What publishes itself, and the three tables behind it: the journal, this database's identity, access tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from realtime.serializers import ModelSerializer


class SelfPublishModel(models.Model):
    """Every committed change of such a model's rows is published, whoever made it. Needs no migration."""

    #: The serializer's class, or its name: in the app's `serializers` module, or dotted.
    serializer_class: ClassVar[Any] = None

    class Meta:
        abstract = True


class Journal(models.Model):
    """What changed and is not yet published, one row per object however often it changed.

    Written by triggers and by `realtime.journal`, in the writer's own transaction; read by the relay. Rows stay for a
    while after their publication, because snapshots need their revisions.
    """

    class Kind(models.IntegerChoices):
        OBJECT = 0, "object"  # one object; the relay reads it afresh
        WHOLE = 1, "whole stream"  # too much changed to say what: everybody takes a new snapshot
        EVENT = 2, "event"  # `publish_data`: the payload is the message
        CONTROL = 3, "control"  # somebody's rights must be judged anew: the payload says whose

    kind = models.PositiveSmallIntegerField(choices=Kind)
    label = models.TextField()
    key = models.TextField()
    revision = models.BigIntegerField()
    dirty = models.BooleanField()
    before = models.TextField()
    payload = models.TextField(null=True)  # noqa: DJ001  no payload is not an empty one
    failed = models.BooleanField()
    at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["kind", "label", "key"], name="realtime_journal_key"),)
        # Partial: of all that was published in the last minutes the relay's poll and its looks must see nothing.
        indexes = (
            models.Index(fields=["revision"], condition=Q(dirty=True, failed=False), name="realtime_journal_due"),
            models.Index(fields=["label"], condition=Q(dirty=True, failed=True), name="realtime_journal_failed"),
        )

    def __str__(self) -> str:
        return f"{self.label} {self.key} at revision {self.revision}"


class DatabaseIdentity(models.Model):
    """The one row that tells this database from its copies. SQLite also keeps its revision counter here.

    Whoever writes first makes the row, with an empty identity; `journal.identity()` fills it in.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    identity = models.CharField(max_length=32, default="", blank=True)
    revision = models.BigIntegerField(default=0)
    #: Labels whose triggers are silent, ",a.b,c.d,": only ever set inside a transaction that also empties it.
    silent = models.TextField(default="", blank=True)

    def __str__(self) -> str:
        return self.identity


class Token(models.Model):
    """Lets a program in as a user. Only the digest of the secret is kept; `key_id` is the part that may be shown."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="realtime_tokens")
    name = models.CharField(max_length=100)
    key_id = models.CharField(max_length=16)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.key_id})"


@dataclass(frozen=True)
class PublishedModel:
    """A model that publishes: `label` names it in the journal, `stream` on the wire; `columns` keep old values."""

    model: type[models.Model]
    serializer: type[ModelSerializer]
    stream: str
    label: str
    columns: tuple[str, ...]


def register(model: type[models.Model], serializer_class: type[ModelSerializer] | str) -> None:
    """Make a model of another package publish itself, as if it had the mixin."""
    from realtime import registry

    registry.publish(model, serializer_class)


def published() -> dict[type[models.Model], PublishedModel]:
    """Every model that publishes, by model."""
    from realtime import registry

    return {
        model: PublishedModel(
            model=model,
            serializer=serializer,
            stream=serializer.stream(),
            label=model._meta.label_lower,
            columns=tuple(registry.filter_columns(model)),
        )
        for model, serializer in registry.serializers().items()
    }
