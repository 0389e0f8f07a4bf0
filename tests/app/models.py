"""Models that exist only so that tests have something to publish."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.db import models

from realtime.models import SelfPublishModel


class Place(models.Model):
    """Goes live by `register`, without the mixin, as a model of another package would."""

    name = models.CharField(max_length=50, unique=True)

    def __str__(self) -> str:
        return self.name


class Label(models.Model):
    """Publishes nothing; things show it through a table in between."""

    text = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.text


class Thing(SelfPublishModel):
    """The plain one: filters use `place`, `size` and `on`; `note` is published and never filtered by."""

    serializer_class = "ThingSerializer"

    name = models.CharField(max_length=50, unique=True)
    place = models.ForeignKey(Place, null=True, on_delete=models.CASCADE)
    size = models.IntegerField(default=0)
    on = models.BooleanField(default=False)
    note = models.TextField(default="")
    labels: models.ManyToManyField[Label, Tagging] = models.ManyToManyField(Label, through="Tagging")

    def __str__(self) -> str:
        return self.name


class Tagging(models.Model):
    thing = models.ForeignKey(Thing, on_delete=models.CASCADE)
    label = models.ForeignKey(Label, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return f"{self.thing_id} {self.label_id}"


class ThingProxy(Thing):
    class Meta:
        proxy = True

    def __str__(self) -> str:
        return f"proxy of {self.name}"


class Named(SelfPublishModel):
    """Its key is text, and people give it another one."""

    serializer_class = "NamedSerializer"

    code = models.CharField(max_length=50, primary_key=True)
    size = models.IntegerField(default=0)

    def __str__(self) -> str:
        return self.code


class Unique(SelfPublishModel):
    serializer_class = "UniqueSerializer"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    size = models.IntegerField(default=0)

    def __str__(self) -> str:
        return str(self.id)


class Visible(models.Manager["Shy"]):
    def get_queryset(self) -> models.QuerySet[Shy]:
        return super().get_queryset().filter(hidden=False)


class Shy(SelfPublishModel):
    """Its default manager hides rows, which exist all the same."""

    serializer_class = "ShySerializer"

    hidden = models.BooleanField(default=False)
    objects: ClassVar[Visible] = Visible()

    def __str__(self) -> str:
        return f"shy {self.pk}"


class Kinds(SelfPublishModel):
    """One column of every type whose old values can be read back; routers filter by all of them."""

    serializer_class = "KindsSerializer"

    integer = models.IntegerField(null=True)
    big = models.BigIntegerField(null=True)
    small = models.PositiveSmallIntegerField(null=True)
    boolean = models.BooleanField(null=True)
    char = models.CharField(max_length=200, null=True)  # noqa: DJ001  null is one of the values to be told apart
    text = models.TextField(null=True)  # noqa: DJ001
    slug = models.SlugField(null=True)  # noqa: DJ001
    number = models.FloatField(null=True)
    price = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    uuid = models.UUIDField(null=True)
    moment = models.DateTimeField(null=True)
    day = models.DateField(null=True)
    time = models.TimeField(null=True)
    span = models.DurationField(null=True)
    address = models.GenericIPAddressField(null=True)
    document: models.JSONField[Any, Any] = models.JSONField(null=True)
    place = models.ForeignKey(Place, null=True, on_delete=models.SET_NULL)
    unique = models.ForeignKey(Unique, null=True, on_delete=models.SET_NULL)
    named = models.ForeignKey(Named, null=True, on_delete=models.SET_NULL)

    def __str__(self) -> str:
        return f"kinds {self.pk}"
