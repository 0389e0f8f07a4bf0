"""What the test models publish."""

from realtime import register
from realtime.serializers import ModelSerializer
from tests.app.models import Kinds, Named, Place, Shy, Thing, Unique


class PlaceSerializer(ModelSerializer):
    class Meta:
        model = Place
        publish_fields = ("name",)
        update_fields = ("name",)


class ThingSerializer(ModelSerializer):
    shows = {"labels": "app.Label"}  # noqa: RUF012  read as ModelSerializer declares it

    class Meta:
        model = Thing
        publish_fields = ("name", "place", "size", "on", "note", "labels")
        update_fields = ("name", "place", "size", "on", "note")

    def serialize_labels(self, obj: Thing) -> list[str]:
        return sorted(label.text for label in obj.labels.all())


class NamedSerializer(ModelSerializer):
    class Meta:
        model = Named
        publish_fields = ("code", "size")
        update_fields = ("size",)


class UniqueSerializer(ModelSerializer):
    class Meta:
        model = Unique
        publish_fields = ("size",)
        update_fields = ("size",)


class ShySerializer(ModelSerializer):
    class Meta:
        model = Shy
        publish_fields = ("hidden",)
        update_fields = ()


class KindsSerializer(ModelSerializer):
    class Meta:
        model = Kinds
        publish_fields = tuple(field.name for field in Kinds._meta.concrete_fields if field.name != "id")
        update_fields = ()


register(Place, PlaceSerializer)
