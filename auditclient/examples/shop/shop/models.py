"""What the shop sells. It knows nothing of auditing."""

from django.db import models


class Product(models.Model):
    name = models.CharField(max_length=100)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    supplier_token = models.CharField(max_length=100, blank=True)

    def __str__(self) -> str:
        return self.name
