"""Which of the test models' fields filters use."""

from realtime import registry
from realtime.routers import ModelRouter
from tests.app import serializers
from tests.app.models import Kinds


@registry.register
class PlaceRouter(ModelRouter):
    route_name = "place"
    serializer_class = serializers.PlaceSerializer


@registry.register
class ThingRouter(ModelRouter):
    route_name = "thing"
    serializer_class = serializers.ThingSerializer
    filter_fields = {"place": ["exact", "in"], "size": ["exact", "gt", "lt"], "on": ["exact"]}  # noqa: RUF012


@registry.register
class NamedRouter(ModelRouter):
    route_name = "named"
    serializer_class = serializers.NamedSerializer
    filter_fields = {"size": ["exact"]}  # noqa: RUF012


@registry.register
class UniqueRouter(ModelRouter):
    route_name = "unique"
    serializer_class = serializers.UniqueSerializer
    filter_fields = {"size": ["exact"]}  # noqa: RUF012


@registry.register
class ShyRouter(ModelRouter):
    route_name = "shy"
    serializer_class = serializers.ShySerializer


@registry.register
class KindsRouter(ModelRouter):
    """Contexts use every column, so every one of them is kept."""

    route_name = "kinds"
    serializer_class = serializers.KindsSerializer
    scope_fields = tuple(field.name for field in Kinds._meta.concrete_fields if field.name != "id")
