from django.db import models

from realtime.models import SelfPublishModel

from .serializers import JarSerializer, ShelfSerializer


class Shelf(SelfPublishModel, models.Model):
    serializer_class = ShelfSerializer

    name = models.CharField(max_length=40)


class Jar(SelfPublishModel, models.Model):
    serializer_class = JarSerializer

    shelf = models.ForeignKey(Shelf, on_delete=models.CASCADE, related_name="jars")
    label = models.CharField(max_length=40)
    grams = models.IntegerField(default=0)
    opened = models.BooleanField(default=False)
    bought_for = models.CharField(max_length=40, blank=True)
