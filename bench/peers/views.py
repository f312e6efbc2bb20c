"""One endpoint a peer: validate with a ModelSerializer, save by the ORM, answer 201."""

import hashlib
import json
from typing import Any

from django.db import connection, models, transaction
from django.urls import path
from rest_framework import generics, serializers

from bench.peers.models import Chained, Historied, Logged, Naive, Tracked

LOCK = "SELECT pg_advisory_xact_lock(hashtext(%s))"
LAST = "SELECT n, hash FROM peers_chained WHERE correlation_id = %s ORDER BY n DESC LIMIT 1"


def _serializer(of: type[models.Model]) -> Any:
    meta = type("Meta", (), {"model": of, "fields": "__all__"})
    return type(f"{of.__name__}Serializer", (serializers.ModelSerializer,), {"Meta": meta})


def _view(of: type[models.Model]) -> Any:
    view: Any = type(f"{of.__name__}View", (generics.CreateAPIView,), {"serializer_class": _serializer(of)})
    return view.as_view()


class ChainedSerializer(serializers.ModelSerializer):  # type: ignore[type-arg]
    class Meta:
        model = Chained
        exclude = ("n", "previous", "hash")


class ChainView(generics.CreateAPIView):  # type: ignore[type-arg]
    """Lock the correlation, look up the previous hash, insert."""

    serializer_class = ChainedSerializer

    def perform_create(self, serializer: Any) -> None:
        correlation = serializer.validated_data["correlation_id"]
        body = json.dumps(serializer.initial_data, sort_keys=True).encode()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(LOCK, [correlation])
            cursor.execute(LAST, [correlation])
            last = cursor.fetchone()
            previous = bytes(last[1]) if last else b""
            cursor.execute("SELECT nextval('peers_chain')")
            number = cursor.fetchone()[0]
            serializer.save(n=number, previous=previous, hash=hashlib.sha256(previous + body).digest())


urlpatterns = [
    path("naive", _view(Naive)),
    path("auditlog", _view(Logged)),
    path("simple-history", _view(Historied)),
    path("pghistory", _view(Tracked)),
    path("chain", ChainView.as_view()),
]
