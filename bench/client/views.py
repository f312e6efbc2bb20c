"""The one request of the shop: read an order, change it, save it, in one transaction."""

import os
import random
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from bench.client import models

ORDERS = 1_000
AUDIT = os.environ.get("SHOP_AUDIT", "none")
STATES = ("placed", "paid", "packed", "sent", "delivered")
MODELS: dict[str, Any] = {
    "none": models.Plain,
    "none-again": models.PlainAgain,
    "auditclient-process": models.Recorded,
    "auditclient-disk": models.Recorded,
    "auditlog": models.Logged,
    "simple-history": models.Historied,
    "pghistory": models.Tracked,
    "pghistory-alone": models.TrackedAlone,
}


def change(request: HttpRequest) -> HttpResponse:
    """Change one order, and say what it is now."""
    model = MODELS[AUDIT]
    with transaction.atomic():
        order = model.objects.select_for_update().get(pk=random.randrange(ORDERS) + 1)
        order.state = STATES[(STATES.index(order.state) + 1) % len(STATES)]
        order.total += Decimal("0.01")
        order.save()
    return JsonResponse({"id": order.pk, "state": order.state, "total": str(order.total)}, status=201)


def fill() -> None:
    """Make the orders of each kind."""
    for model in set(MODELS.values()):
        model.objects.bulk_create(
            model(customer=f"customer-{number}", state=STATES[0], total=Decimal(number), note="x" * 300)
            for number in range(ORDERS)
        )


urlpatterns = [path("orders", change)]
