import uuid

from django.conf import settings
from django.db import models


class Supplier(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)

    def __str__(self):
        return self.name


class Product(models.Model):
    """Known by the code that is printed on its label."""

    code = models.CharField(max_length=20, primary_key=True)
    name = models.CharField(max_length=100)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    supplier = models.ForeignKey(Supplier, models.PROTECT)

    def __str__(self):
        return self.code


class Imported(Product):
    """Has a table of its own beside the product's."""

    duty = models.DecimalField(max_digits=4, decimal_places=2)

    def __str__(self):
        return self.code


class Current(models.Manager):
    """Orders that are done are kept and never shown."""

    def get_queryset(self):
        return super().get_queryset().filter(done=False)


class Order(models.Model):
    product = models.ForeignKey(Product, models.CASCADE)
    buyer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    pieces = models.PositiveIntegerField(default=1)
    done = models.BooleanField(default=False)

    objects = Current()

    def __str__(self):
        return f"{self.pieces} of {self.product_id}"


class LargeOrder(Order):
    class Meta:
        proxy = True

    def __str__(self):
        return f"{self.pieces} (!) of {self.product_id}"
