from realtime.routers import BaseRouter, ModelRouter, register

from .models import Jar, Shelf
from .serializers import JarSerializer, ShelfSerializer


class ShelfRouter(ModelRouter):
    route_name = "shelf"
    model = Shelf
    serializer_class = ShelfSerializer

    def get_object(self, **kwargs):
        return self.model.objects.get(pk=kwargs["id"])

    def get_query_set(self, **kwargs):
        return self.model.objects.order_by("name")


class JarRouter(ModelRouter):
    route_name = "jar"
    model = Jar
    serializer_class = JarSerializer
    filter_fields = {"grams": ["gte"]}

    def get_object(self, **kwargs):
        return self.model.objects.get(pk=kwargs["id"])

    def get_query_set(self, **kwargs):
        return self.model.objects.filter(grams__gte=kwargs.get("grams__gte", 0)).order_by("id")


class ScaleRouter(BaseRouter):
    route_name = "scale"
    valid_verbs = ["ounces"]

    def ounces(self, grams):
        self.send({"ounces": round(grams / 28.35, 2)})


register(ShelfRouter)
register(JarRouter)
register(ScaleRouter)
