"""The middleware costs nothing where nothing is recorded."""

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject

from auditclient.django.middleware import AuditMiddleware
from auditclient.django.recording import acting


def test_who_acts_is_asked_at_the_first_event_and_not_before(rf: RequestFactory) -> None:
    asked: list[str] = []

    def session_user() -> User:
        asked.append("query")
        return User(username="alice")

    def view(request: HttpRequest) -> HttpResponse:
        if request.path == "/changes":
            request_at_hand = acting.get()
            assert request_at_hand is not None
            fields = [request_at_hand.fields for _ in range(2)]
            assert fields[0] == fields[1] and fields[0]["correlation_id"]
            assert (fields[0]["actor_type"], fields[0]["actor_id"], fields[0]["actor_ip"]) == (
                "user",
                "alice",
                "2001:db8::1",
            )
        return HttpResponse()

    for path, queries in (("/looks", []), ("/changes", ["query"])):
        request = rf.get(path, REMOTE_ADDR="2001:0db8::1%eth0")
        request.user = SimpleLazyObject(session_user)
        assert AuditMiddleware(view)(request).status_code == 200
        assert asked == queries
    assert acting.get() is None
